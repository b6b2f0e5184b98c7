//! `bench end-to-end`: from the moment a record was meant to be sent to its arrival at a consumer.

use std::time::Duration;

use anyhow::bail;

use crate::load::client;
use crate::load::consume::{From, Readers};
use crate::load::options::EndToEndOptions;
use crate::load::progress::{Progress, Used};
use crate::load::record::STAMP_BYTES;
use crate::load::report::LoadReport;
use crate::load::sender::{Senders, Window};
use crate::load::topic;
use crate::measure::clock::{now_ns, sleep_until};
use crate::measure::latency::{LatencySummary, histogram};

const HEAD_START_NS: u64 = 200_000_000;
const SHOWN_EVERY_NS: u64 = 1_000_000_000;
const STEP: Duration = Duration::from_millis(5);

/// Runs it.
pub fn end_to_end(options: &EndToEndOptions) -> anyhow::Result<LoadReport> {
    if options.sending.record_size < STAMP_BYTES {
        bail!("--record-size: end to end, a record carries the time in {STAMP_BYTES} bytes");
    }
    let partitions = topic::ensure(&options.target)?;
    let mut senders = Senders::connect(&options.target, &options.sending, partitions)?;
    let mut readers = Readers::start(
        &options.target,
        partitions,
        options.consumers,
        From::End,
        (u64::MAX, u64::MAX),
    )?;
    let mut progress = Progress::start(&options.output, "end-to-end")?;
    let start_ns = now_ns() + HEAD_START_NS;
    let from_ns = start_ns + (options.span.warm_up * 1e9) as u64;
    let until_ns = from_ns + (options.span.duration * 1e9) as u64;
    readers.set_window(from_ns, until_ns);
    senders.start(Window { start_ns, from_ns, until_ns, records: u64::MAX });

    let mut used_before = Used::now(&options.output)?;
    while now_ns() < until_ns {
        let warm = now_ns() >= from_ns;
        let next_ns = if warm { until_ns } else { from_ns };
        sleep_until(next_ns.min(now_ns() + SHOWN_EVERY_NS));
        if !warm && now_ns() >= from_ns {
            used_before = Used::now(&options.output)?;
        }
        advance(&mut progress, &readers)?;
    }
    let (client_cpu, server) = Used::now(&options.output)?.since(used_before)?;
    let deadline = now_ns() + (options.drain * 1e9) as u64;
    senders.drain(Duration::from_secs_f64(options.drain));
    while readers.received() < senders.tally().sent() && now_ns() < deadline {
        std::thread::sleep(STEP);
    }
    readers.stop();
    advance(&mut progress, &readers)?;

    let (records, bytes) = readers.received_in_window();
    let (read_failures, read_failure) = readers.failures();
    let tally = senders.tally();
    Ok(LoadReport {
        load: "end-to-end".to_string(),
        client: format!("librdkafka {}", client::librdkafka_version()),
        seconds: options.span.duration,
        records,
        bytes,
        failed: tally.failed() + read_failures,
        first_failure: tally.first_failure().or(read_failure),
        unfinished: tally.sent().saturating_sub(tally.failed() + readers.received()),
        latency: LatencySummary::of(&progress.finish()?),
        send_lag: senders.send_lag(),
        client_cpu,
        server,
    })
}

fn advance(progress: &mut Progress, readers: &Readers) -> anyhow::Result<()> {
    let mut interval = histogram();
    readers.collect_latencies(&mut interval);
    progress.advance(&interval, readers.received())
}
