//! `bench consume`: how fast records are read: as they come, from memory, or from the disk.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use rustix::fs::{Advice, fadvise};

use crate::load::client;
use crate::load::options::{ConsumeOptions, Reading, Target};
use crate::load::progress::{Progress, Used};
use crate::load::record::stamp_ns;
use crate::load::report::LoadReport;
use crate::load::topic;
use crate::measure::clock::{now_ns, sleep_until};
use crate::measure::latency::{LatencySummary, Recorder, histogram};

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
const STEP: Duration = Duration::from_millis(2);
const SHOWN_EVERY_NS: u64 = 1_000_000_000;

/// Where consumers begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The first record that is there.
    Beginning,
    /// Behind the last.
    End,
}

/// Consumers at work, each with a thread.
pub struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// How many records lay between where they began and the end when they did.
    pub available: u64,
}

#[derive(Default)]
struct Shared {
    received: AtomicU64,
    received_in_window: AtomicU64,
    bytes_in_window: AtomicU64,
    last_received_ns: AtomicU64,
    from_ns: AtomicU64,
    until_ns: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
    latencies: Vec<Recorder>,
    finished: AtomicBool,
}

impl Readers {
    /// Connects `consumers` consumers, which share the topic's partitions, and begins to read. Latencies count
    /// for records whose own time is in the window, throughput for records that arrive in it.
    pub fn start(
        target: &Target,
        partitions: i32,
        consumers: u64,
        from: From,
        window_ns: (u64, u64),
    ) -> anyhow::Result<Readers> {
        let consumers = consumers.min(partitions as u64);
        let shared = Arc::new(Shared {
            from_ns: AtomicU64::new(window_ns.0),
            until_ns: AtomicU64::new(window_ns.1),
            latencies: (0..consumers).map(|_| Recorder::default()).collect(),
            ..Shared::default()
        });
        let mut readers = Readers { shared: shared.clone(), threads: Vec::new(), available: 0 };
        let mut connected = Vec::new();
        for number in 0..consumers {
            let consumer: BaseConsumer = client::consumer_config(target)?.create()?;
            consumer.fetch_metadata(Some(&target.topic), PATIENCE)?;
            let mut list = TopicPartitionList::new();
            for partition in (0..partitions).filter(|p| *p as u64 % consumers == number) {
                let (low, high) = consumer
                    .fetch_watermarks(&target.topic, partition, PATIENCE)
                    .with_context(|| format!("the ends of partition {partition} are unknown"))?;
                let offset = if from == From::End { high } else { low };
                readers.available += (high - offset) as u64;
                list.add_partition_offset(&target.topic, partition, Offset::Offset(offset))?;
            }
            connected.push((consumer, list));
        }
        for (number, (consumer, list)) in connected.into_iter().enumerate() {
            consumer.assign(&list)?;
            let shared = shared.clone();
            readers.threads.push(std::thread::spawn(move || shared.read(&consumer, number)));
        }
        Ok(readers)
    }

    /// Sets what is measured, from the clock's start_ns to until_ns.
    pub fn set_window(&self, from_ns: u64, until_ns: u64) {
        self.shared.from_ns.store(from_ns, Relaxed);
        self.shared.until_ns.store(until_ns, Relaxed);
    }

    /// Records received.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Relaxed)
    }

    /// Records and their bytes received in the window.
    pub fn received_in_window(&self) -> (u64, u64) {
        let shared = &self.shared;
        (shared.received_in_window.load(Relaxed), shared.bytes_in_window.load(Relaxed))
    }

    /// When the last record came.
    pub fn last_received_ns(&self) -> u64 {
        self.shared.last_received_ns.load(Relaxed)
    }

    /// Errors that consumers were told, and the first of them.
    pub fn failures(&self) -> (u64, Option<String>) {
        let first =
            self.shared.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.shared.failed.load(Relaxed), first)
    }

    /// Moves latencies recorded since the last call into `total`.
    pub fn collect_latencies(&self, total: &mut Histogram<u64>) {
        for recorder in &self.shared.latencies {
            recorder.collect_into(total);
        }
    }

    /// Ends the threads.
    pub fn stop(&mut self) {
        self.shared.finished.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn read(&self, consumer: &BaseConsumer<DefaultConsumerContext>, number: usize) {
        let Some(latency) = self.latencies.get(number) else { return };
        while !self.finished.load(Relaxed) {
            match consumer.poll(POLL) {
                Some(Ok(message)) => self.take(message.payload().unwrap_or_default(), latency),
                Some(Err(error)) => self.fail(&error),
                None => {}
            }
        }
    }

    fn fail(&self, why: &KafkaError) {
        if self.failed.fetch_add(1, Relaxed) == 0 {
            let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
            *first = Some(why.to_string());
        }
    }

    fn take(&self, value: &[u8], latency: &Recorder) {
        let now = now_ns();
        let window = self.from_ns.load(Relaxed)..self.until_ns.load(Relaxed);
        self.received.fetch_add(1, Relaxed);
        self.last_received_ns.store(now, Relaxed);
        if window.contains(&now) {
            self.received_in_window.fetch_add(1, Relaxed);
            self.bytes_in_window.fetch_add(value.len() as u64, Relaxed);
        }
        if let Some(intended) = stamp_ns(value).filter(|intended| window.contains(intended)) {
            latency.record(now.saturating_sub(intended));
        }
    }
}

/// Runs it.
pub fn consume(options: &ConsumeOptions) -> anyhow::Result<LoadReport> {
    let partitions = topic::existing(&options.target)?;
    match options.mode {
        Reading::Tailing => tail(options, partitions),
        Reading::Cached => {
            let quiet = crate::load::options::Output { quiet: true, ..Default::default() };
            let unmeasured = ConsumeOptions { output: quiet, ..options.clone() };
            read_through(&unmeasured, partitions).context("the reading before the measured one")?;
            read_through(options, partitions)
        }
        Reading::AsIs => read_through(options, partitions),
        Reading::Cold => {
            let folder = options.server_data.as_deref().context("--server-data is needed")?;
            drop_from_page_cache(folder, &options.target.topic)?;
            read_through(options, partitions)
        }
    }
}

fn tail(options: &ConsumeOptions, partitions: i32) -> anyhow::Result<LoadReport> {
    let mut progress = Progress::start(&options.output, "consume, tailing")?;
    let mut readers = Readers::start(
        &options.target,
        partitions,
        options.consumers,
        From::End,
        (u64::MAX, u64::MAX),
    )?;
    let from_ns = now_ns() + (options.span.warm_up * 1e9) as u64;
    let until_ns = from_ns + (options.span.duration * 1e9) as u64;
    readers.set_window(from_ns, until_ns);
    sleep_until(from_ns);
    let used_before = Used::now(&options.output)?;
    while now_ns() < until_ns {
        sleep_until(until_ns.min(now_ns() + SHOWN_EVERY_NS));
        advance(&mut progress, &readers)?;
    }
    let (client_cpu, server) = Used::now(&options.output)?.since(used_before)?;
    readers.stop();
    let (records, bytes) = readers.received_in_window();
    let seconds = options.span.duration;
    report(readers, progress, Counted { seconds, records, bytes }, client_cpu, server)
}

struct Counted {
    seconds: f64,
    records: u64,
    bytes: u64,
}

fn read_through(options: &ConsumeOptions, partitions: i32) -> anyhow::Result<LoadReport> {
    let mut progress = Progress::start(&options.output, "consume")?;
    let used_before = Used::now(&options.output)?;
    let (mut records, mut bytes, mut nanoseconds) = (0, 0, 0);
    loop {
        let started = now_ns();
        let window = (started, u64::MAX);
        let from = From::Beginning;
        let mut readers =
            Readers::start(&options.target, partitions, options.consumers, from, window)?;
        if readers.available == 0 {
            bail!("topic {} is empty: produce to it first", options.target.topic);
        }
        let wanted = options.records.unwrap_or(readers.available).saturating_sub(records);
        let wanted = wanted.min(readers.available);
        let reading_from = now_ns();
        wait_for(&readers, wanted, &mut progress)?;
        nanoseconds += readers.last_received_ns().saturating_sub(reading_from);
        readers.stop();
        let (received, size) = readers.received_in_window();
        records += received;
        bytes += size;
        if records >= options.records.unwrap_or(0) {
            let (client_cpu, server) = Used::now(&options.output)?.since(used_before)?;
            let seconds = nanoseconds as f64 / 1e9;
            return report(
                readers,
                progress,
                Counted { seconds, records, bytes },
                client_cpu,
                server,
            );
        }
    }
}

fn wait_for(readers: &Readers, wanted: u64, progress: &mut Progress) -> anyhow::Result<()> {
    let mut shown_ns = now_ns();
    let (mut seen, mut seen_ns) = (0, now_ns());
    while readers.received() < wanted {
        std::thread::sleep(STEP);
        let now = now_ns();
        if readers.received() != seen {
            (seen, seen_ns) = (readers.received(), now);
        } else if now - seen_ns > PATIENCE.as_nanos() as u64 {
            let (_, failure) = readers.failures();
            bail!("no record for {PATIENCE:?} after {seen} of {wanted}; last error: {failure:?}");
        }
        if now - shown_ns >= SHOWN_EVERY_NS {
            shown_ns = now;
            // Records from the past: their latency says nothing.
            progress.advance(&histogram(), seen)?;
        }
    }
    Ok(())
}

fn advance(progress: &mut Progress, readers: &Readers) -> anyhow::Result<()> {
    let mut interval = histogram();
    readers.collect_latencies(&mut interval);
    progress.advance(&interval, readers.received())
}

fn report(
    readers: Readers,
    progress: Progress,
    counted: Counted,
    client_cpu: crate::measure::process_use::CpuSeconds,
    server: Option<crate::load::report::ServerUse>,
) -> anyhow::Result<LoadReport> {
    let (failed, first_failure) = readers.failures();
    Ok(LoadReport {
        load: "consume".to_string(),
        client: format!("librdkafka {}", client::librdkafka_version()),
        seconds: counted.seconds,
        records: counted.records,
        bytes: counted.bytes,
        failed,
        first_failure,
        unfinished: 0,
        latency: LatencySummary::of(&progress.finish()?),
        send_lag: None,
        client_cpu,
        server,
    })
}

/// Writes what is dirty in the files of `topic` below `folder` to the disk, and drops them from the page cache. Both
/// this broker and Kafka name a folder by the topic. Files of other topics are left alone: to sync them would
/// disturb who writes to them.
pub fn drop_from_page_cache(folder: &Path, topic: &str) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            drop_from_page_cache(&path, topic)?;
        } else if path.parent().is_some_and(|parent| parent.to_string_lossy().contains(topic))
            && let Ok(file) = std::fs::File::open(&path)
        {
            // (A file that cannot be opened: the broker removed it meanwhile.)
            file.sync_all().with_context(|| format!("cannot sync {}", path.display()))?;
            fadvise(&file, 0, None, Advice::DontNeed)
                .with_context(|| format!("cannot drop {} from the page cache", path.display()))?;
        }
    }
    Ok(())
}
