//! `bench produce`: how fast, and how soon, records are acknowledged.

use std::time::Duration;

use crate::load::client;
use crate::load::options::ProduceOptions;
use crate::load::progress::{Progress, Used};
use crate::load::report::LoadReport;
use crate::load::sender::{Senders, Window, is_answered_by_the_broker};
use crate::load::topic;
use crate::measure::clock::now_ns;
use crate::measure::latency::{LatencySummary, histogram};

const STEP: Duration = Duration::from_millis(5);
const SHOWN_EVERY_NS: u64 = 1_000_000_000;
const DRAIN: Duration = Duration::from_secs(60);
// Threads are started within this time, so that the first record is not late already.
const HEAD_START_NS: u64 = 20_000_000;

/// Runs it.
pub fn produce(options: &ProduceOptions) -> anyhow::Result<LoadReport> {
    let partitions = topic::ensure(&options.target)?;
    let mut senders = Senders::connect(&options.target, &options.sending, partitions)?;
    let mut progress = Progress::start(&options.output, "produce")?;
    let window = window(options, now_ns() + HEAD_START_NS);
    let mut used_before = Used::now(&options.output)?;
    senders.start(window);

    let (mut warm, mut shown_ns) = (false, now_ns());
    let finished = |senders: &Senders| {
        let tally = senders.tally();
        now_ns() >= window.until_ns || tally.acknowledged() + tally.failed() >= window.records
    };
    while !finished(&senders) {
        std::thread::sleep(STEP);
        if !warm && now_ns() >= window.from_ns {
            warm = true;
            used_before = Used::now(&options.output)?;
        }
        if now_ns() - shown_ns >= SHOWN_EVERY_NS {
            shown_ns = now_ns();
            advance(&mut progress, &senders)?;
        }
    }
    let (client_cpu, server) = Used::now(&options.output)?.since(used_before)?;
    let unfinished = senders.drain(DRAIN);
    advance(&mut progress, &senders)?;

    let tally = senders.tally();
    let end_ns = window.until_ns.min(tally.last_acknowledged_ns().max(window.from_ns + 1));
    let until_ns = if options.records.is_some() { end_ns } else { window.until_ns };
    let records = tally.acknowledged_in_window();
    let latency = LatencySummary::of(&progress.finish()?);
    Ok(LoadReport {
        load: "produce".to_string(),
        client: format!("librdkafka {}", client::librdkafka_version()),
        seconds: (until_ns - window.from_ns) as f64 / 1e9,
        records,
        bytes: records * options.sending.record_size as u64,
        failed: tally.failed(),
        first_failure: tally.first_failure(),
        unfinished,
        latency: latency.filter(|_| is_answered_by_the_broker(options.sending.acks)),
        send_lag: senders.send_lag(),
        client_cpu,
        server,
    })
}

fn window(options: &ProduceOptions, start_ns: u64) -> Window {
    let from_ns = start_ns + (options.span.warm_up * 1e9) as u64;
    match options.records {
        Some(records) => Window { start_ns, from_ns: start_ns, until_ns: u64::MAX, records },
        None => {
            let until_ns = from_ns + (options.span.duration * 1e9) as u64;
            Window { start_ns, from_ns, until_ns, records: u64::MAX }
        }
    }
}

fn advance(progress: &mut Progress, senders: &Senders) -> anyhow::Result<()> {
    let mut interval = histogram();
    senders.collect_latencies(&mut interval);
    progress.advance(&interval, senders.tally().acknowledged())
}
