//! Latencies: recorded by several threads, summed up, and logged by the second.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, LogEntry,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart from longer ones.
const LONGEST_NS: u64 = 600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
// HdrHistogram's logs hold nanoseconds and show the maximum in milliseconds.
const NS_PER_MS: f64 = 1_000_000.0;

/// An empty histogram of nanoseconds.
pub fn histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "the bounds are constants that hdrhistogram accepts")]
    Histogram::new_with_bounds(1, LONGEST_NS, SIGNIFICANT_DIGITS).expect("valid bounds")
}

/// Where one thread records while another collects.
pub struct Recorder(Mutex<Histogram<u64>>);

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder(Mutex::new(histogram()))
    }
}

impl Recorder {
    /// Adds a latency.
    pub fn record(&self, latency_ns: u64) {
        self.lock().saturating_record(latency_ns);
    }

    /// Moves what was recorded since the last call into `total`.
    pub fn collect_into(&self, total: &mut Histogram<u64>) {
        let mut recorded = self.lock();
        // Equal bounds: nothing is out of range.
        let _ = total.add(&*recorded);
        recorded.reset();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Histogram<u64>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// How many were recorded.
    pub count: u64,
    /// The shortest.
    pub min_ms: f64,
    /// The mean.
    pub mean_ms: f64,
    /// Half are at most this.
    pub p50_ms: f64,
    /// 90 % are at most this.
    pub p90_ms: f64,
    /// 99 % are at most this.
    pub p99_ms: f64,
    /// 99.9 % are at most this.
    pub p99_9_ms: f64,
    /// 99.99 % are at most this.
    pub p99_99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl LatencySummary {
    /// Of a histogram of nanoseconds; none if nothing was recorded.
    pub fn of(histogram: &Histogram<u64>) -> Option<LatencySummary> {
        if histogram.is_empty() {
            return None;
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / NS_PER_MS;
        Some(LatencySummary {
            count: histogram.len(),
            min_ms: histogram.min() as f64 / NS_PER_MS,
            mean_ms: histogram.mean() / NS_PER_MS,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
            p99_99_ms: at(0.9999),
            max_ms: histogram.max() as f64 / NS_PER_MS,
        })
    }

    /// One line for people.
    pub fn text(&self) -> String {
        format!(
            "p50 {:.3}  p90 {:.3}  p99 {:.3}  p99.9 {:.3}  p99.99 {:.3}  max {:.3} ms (of {})",
            self.p50_ms,
            self.p90_ms,
            self.p99_ms,
            self.p99_9_ms,
            self.p99_99_ms,
            self.max_ms,
            self.count
        )
    }
}

/// Keeps histograms of intervals in HdrHistogram's log format, with V2 payloads: what HdrHistogram's own tools read.
pub struct HistogramLog {
    file: BufWriter<File>,
    started: SystemTime,
}

impl HistogramLog {
    /// Writes over the file at `path`.
    pub fn create(path: &Path, comment: &str) -> anyhow::Result<HistogramLog> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut log = HistogramLog { file: BufWriter::new(file), started: SystemTime::now() };
        IntervalLogWriterBuilder::new()
            .add_comment(comment)
            .add_comment("[Histogram log format version 1.3]")
            .with_start_time(log.started)
            .with_base_time(log.started)
            .with_max_value_divisor(NS_PER_MS)
            .begin_log_with(&mut log.file, &mut V2DeflateSerializer::new())
            .context("cannot begin a histogram log")?;
        Ok(log)
    }

    /// Adds the interval that ends now and took `interval`.
    pub fn add(&mut self, histogram: &Histogram<u64>, interval: Duration) -> anyhow::Result<()> {
        let start = self.started.elapsed().unwrap_or_default().saturating_sub(interval);
        // The library's writer borrows the file for as long as it lives, and begins with a header, which this file
        // has: it writes to memory, and only the interval's line is kept.
        let mut text = Vec::new();
        IntervalLogWriterBuilder::new()
            .with_max_value_divisor(NS_PER_MS)
            .begin_log_with(&mut text, &mut V2DeflateSerializer::new())
            .context("cannot begin a histogram log")?
            .write_histogram(histogram, start, interval, None)
            .map_err(|error| anyhow::anyhow!("cannot write a histogram: {error}"))?;
        for line in String::from_utf8_lossy(&text).lines().filter(|line| !line.starts_with('#')) {
            writeln!(self.file, "{line}")?;
        }
        Ok(())
    }

    /// Writes what is still in memory.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// All intervals of a log as one histogram.
pub fn read_log(path: &Path) -> anyhow::Result<Histogram<u64>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut total = histogram();
    for entry in IntervalLogIterator::new(&text) {
        let entry =
            entry.map_err(|_| anyhow::anyhow!("{} is not a histogram log", path.display()))?;
        if let LogEntry::Interval(interval) = entry {
            let payload = BASE64
                .decode(interval.encoded_histogram())
                .with_context(|| format!("{} holds a damaged interval", path.display()))?;
            let interval: Histogram<u64> =
                Deserializer::new().deserialize(&mut payload.as_slice()).map_err(|error| {
                    anyhow::anyhow!("{}: a damaged histogram: {error}", path.display())
                })?;
            total.add(interval).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_the_slow_ones_from_the_many() {
        let mut latencies = histogram();
        for _ in 0..990 {
            latencies.record(1_000_000).unwrap();
        }
        for _ in 0..10 {
            latencies.record(500_000_000).unwrap();
        }
        let summary = LatencySummary::of(&latencies).unwrap();
        assert_eq!(summary.count, 1000);
        assert!((summary.p99_ms - 1.0).abs() < 0.01, "{summary:?}");
        assert!((summary.p99_9_ms - 500.0).abs() < 1.0, "{summary:?}");
    }

    #[test]
    fn nothing_recorded_has_no_percentiles() {
        assert_eq!(LatencySummary::of(&histogram()), None);
    }

    #[test]
    fn a_log_read_back_holds_every_interval() {
        let path = std::env::temp_dir().join(format!("bench-log-{}.hlog", std::process::id()));
        let recorder = Recorder::default();
        let mut log = HistogramLog::create(&path, "a test").unwrap();
        for latency_ns in [1_000_000, 2_000_000] {
            recorder.record(latency_ns);
            let mut interval = histogram();
            recorder.collect_into(&mut interval);
            log.add(&interval, Duration::from_secs(1)).unwrap();
        }
        log.finish().unwrap();
        let total = read_log(&path);
        std::fs::remove_file(&path).unwrap();
        let total = total.unwrap();
        assert_eq!(total.len(), 2);
        assert!(total.max() >= 2_000_000 && total.min() < 1_001_000);
    }
}
