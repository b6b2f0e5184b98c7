//! What is shown, and logged, while a run goes on; and the frame of every run: the window that is measured.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::options::Output;
use crate::load::report::ServerUse;
use crate::measure::clock::now_ns;
use crate::measure::latency::{HistogramLog, LatencySummary, histogram};
use crate::measure::process_use::{CpuSeconds, ResidentMemory};

/// Follows one run: collects its latencies each second, shows them, logs them, and sums them up.
pub struct Progress {
    output: Output,
    log: Option<HistogramLog>,
    total: Histogram<u64>,
    started_ns: u64,
    last_ns: u64,
    last_records: u64,
}

impl Progress {
    /// Of a run that begins now.
    pub fn start(output: &Output, what: &str) -> anyhow::Result<Progress> {
        let log = match &output.histogram_log {
            Some(path) => Some(HistogramLog::create(path, &format!("bench {what}, nanoseconds"))?),
            None => None,
        };
        let now = now_ns();
        Ok(Progress {
            output: output.clone(),
            log,
            total: histogram(),
            started_ns: now,
            last_ns: now,
            last_records: 0,
        })
    }

    /// Takes in what happened since the last call: `interval`'s latencies, and `records` in all.
    pub fn advance(&mut self, interval: &Histogram<u64>, records: u64) -> anyhow::Result<()> {
        let now = now_ns();
        let took = Duration::from_nanos(now - self.last_ns);
        if let Some(log) = &mut self.log
            && !interval.is_empty()
        {
            log.add(interval, took)?;
        }
        self.total.add(interval)?;
        if !self.output.quiet {
            let rate = (records.saturating_sub(self.last_records)) as f64 / took.as_secs_f64();
            self.show((now - self.started_ns) as f64 / 1e9, rate, interval);
        }
        self.last_ns = now;
        self.last_records = records;
        Ok(())
    }

    fn show(&self, seconds: f64, rate: f64, interval: &Histogram<u64>) {
        let latency = LatencySummary::of(interval)
            .map(|l| format!("  p50 {:.3}  p99 {:.3}  max {:.3} ms", l.p50_ms, l.p99_ms, l.max_ms))
            .unwrap_or_default();
        let mut stderr = std::io::stderr().lock();
        // On a terminal one line is written over; elsewhere each has its own.
        let (before, after) = if stderr.is_terminal() { ("\r\x1b[K", "") } else { ("", "\n") };
        let _ = write!(stderr, "{before}{seconds:6.1} s  {rate:10.0} records/s{latency}{after}");
    }

    /// Ends the run: what was recorded in all.
    pub fn finish(self) -> anyhow::Result<Histogram<u64>> {
        if !self.output.quiet && std::io::stderr().is_terminal() {
            eprintln!();
        }
        if let Some(log) = self.log {
            log.finish()?;
        }
        Ok(self.total)
    }
}

/// What the client and the server have used up to some moment.
#[derive(Clone, Copy)]
pub struct Used {
    client: CpuSeconds,
    server: Option<(u32, CpuSeconds)>,
}

impl Used {
    /// Up to now.
    pub fn now(output: &Output) -> anyhow::Result<Used> {
        let server = match output.server_pid {
            Some(pid) => Some((pid, CpuSeconds::of(pid)?)),
            None => None,
        };
        Ok(Used { client: CpuSeconds::of(std::process::id())?, server })
    }

    /// Between `earlier` and this.
    pub fn since(self, earlier: Used) -> anyhow::Result<(CpuSeconds, Option<ServerUse>)> {
        let server = match (self.server, earlier.server) {
            (Some((pid, cpu)), Some((_, before))) => {
                Some(ServerUse { cpu: cpu.since(before), memory: ResidentMemory::of(pid)? })
            }
            _ => None,
        };
        Ok((self.client.since(earlier.client), server))
    }
}
