//! `bench subscribe`: from the moment a record was meant to be put to its arrival at a subscriber.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::bail;

use crate::kinesis::body::Encoding;
use crate::kinesis::connection::{Connection, Http};
use crate::kinesis::follow::{self, follow};
use crate::kinesis::options::{SubscribeOptions, Wire};
use crate::kinesis::producer::{Producer, Task};
use crate::kinesis::put::{client, lag};
use crate::kinesis::subscription::Subscription;
use crate::kinesis::tally::Tally;
use crate::load::progress::Progress;
use crate::load::record::STAMP_BYTES;
use crate::load::report::LoadReport;
use crate::measure::clock::now_ns;
use crate::measure::latency::{LatencySummary, Recorder};

const STEP: Duration = Duration::from_millis(5);
const USUAL_RATE: f64 = 1_000.0;

/// Runs it.
pub fn subscribe(options: &SubscribeOptions) -> anyhow::Result<LoadReport> {
    if options.putting.record_size < STAMP_BYTES {
        bail!("--record-size: a record carries the time in {STAMP_BYTES} bytes");
    }
    let mut control = Connection::open(&options.stream.endpoint, Http::One)?;
    let shards = control.ensure(&options.stream)?;
    let consumer =
        control.register(&options.stream.stream, &format!("bench-{}", std::process::id()))?;
    let report = with_consumer(options, &consumer, &shards);
    control.deregister(&consumer)?;
    report
}

fn with_consumer(
    options: &SubscribeOptions,
    consumer: &str,
    shards: &[String],
) -> anyhow::Result<LoadReport> {
    let endpoint = &options.stream.endpoint;
    let mut subscriptions = Vec::new();
    for shard in shards {
        subscriptions.push(Subscription::begin(endpoint, options.http, consumer, shard)?);
    }
    let latencies: Vec<Arc<Recorder>> =
        subscriptions.iter().map(|subscription| subscription.latency.clone()).collect();
    let producers = producers(options)?;
    let lags: Vec<Arc<Recorder>> =
        producers.iter().map(|producer| producer.send_lag.clone()).collect();

    let mut progress = Progress::start(&options.output, "subscribe")?;
    let window = follow::window(options.span, None);
    let (put, pushed) = (Arc::new(Tally::new(window)), Arc::new(Tally::new(window)));
    let finished = Arc::new(AtomicBool::new(false));
    let receiving: Vec<JoinHandle<()>> = subscriptions
        .into_iter()
        .map(|subscription| {
            let (pushed, finished) = (pushed.clone(), finished.clone());
            std::thread::spawn(move || subscription.run(&pushed, &finished))
        })
        .collect();
    let rate = options.putting.rate.unwrap_or(USUAL_RATE);
    let putting: Vec<JoinHandle<()>> = producers
        .into_iter()
        .map(|mut producer| {
            let put = put.clone();
            std::thread::spawn(move || producer.run_open(rate, &put))
        })
        .collect();
    let (client_cpu, server) =
        follow(&options.output, &mut progress, &pushed, &latencies, &receiving)?;
    follow::join(putting);
    let deadline = now_ns() + (options.drain * 1e9) as u64;
    while pushed.done() < put.done() && pushed.failures().0 == 0 && now_ns() < deadline {
        std::thread::sleep(STEP);
    }
    finished.store(true, Relaxed);
    follow::join(receiving);
    follow::advance(&mut progress, &pushed, &latencies)?;

    let (records, bytes) = pushed.in_window();
    let (put_failures, put_failure) = put.failures();
    let (push_failures, push_failure) = pushed.failures();
    Ok(LoadReport {
        load: "subscribe".to_owned(),
        client: client(Wire { encoding: Encoding::Json, http: options.http }),
        seconds: follow::seconds(&pushed),
        records,
        bytes,
        failed: put_failures + push_failures,
        first_failure: put_failure.or(push_failure),
        unfinished: put.done().saturating_sub(pushed.done()),
        latency: LatencySummary::of(&progress.finish()?),
        send_lag: lag(&lags),
        client_cpu,
        server,
    })
}

fn producers(options: &SubscribeOptions) -> anyhow::Result<Vec<Producer>> {
    let task = Task {
        endpoint: options.stream.endpoint.clone(),
        stream: options.stream.stream.clone(),
        putting: options.putting.clone(),
        records_per_call: 1,
        encoding: Encoding::Json,
        http: Http::One,
    };
    (0..options.putting.connections).map(|number| Producer::connect(&task, number)).collect()
}
