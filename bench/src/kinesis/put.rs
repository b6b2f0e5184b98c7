//! `bench put-records`: how fast, and how soon, PutRecords or PutRecord are answered.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::kinesis::connection::{Connection, Http};
use crate::kinesis::follow::{self, follow};
use crate::kinesis::options::{PutOptions, Wire};
use crate::kinesis::producer::{Producer, Task};
use crate::kinesis::tally::Tally;
use crate::load::progress::Progress;
use crate::load::report::LoadReport;
use crate::measure::latency::{LatencySummary, Recorder, histogram};

/// Runs it.
pub fn put(options: &PutOptions) -> anyhow::Result<LoadReport> {
    Connection::open(&options.stream.endpoint, Http::One)?.ensure(&options.stream)?;
    let task = Task {
        endpoint: options.stream.endpoint.clone(),
        stream: options.stream.stream.clone(),
        putting: options.putting.clone(),
        records_per_call: options.records_per_call,
        encoding: options.wire.encoding,
        http: options.wire.http,
    };
    let mut producers = Vec::new();
    for number in 0..options.putting.connections {
        let mut producer = Producer::connect(&task, number)?;
        let bodies = if options.putting.rate.is_none() { producer.prepare()? } else { Vec::new() };
        producers.push((producer, bodies));
    }
    let latencies: Vec<Arc<Recorder>> =
        producers.iter().map(|(producer, _)| producer.latency.clone()).collect();
    let lags: Vec<Arc<Recorder>> =
        producers.iter().map(|(producer, _)| producer.send_lag.clone()).collect();

    let mut progress = Progress::start(&options.output, "put-records")?;
    let tally = Arc::new(Tally::new(follow::window(options.span, options.records)));
    let rate = options.putting.rate;
    let threads: Vec<JoinHandle<()>> = producers
        .into_iter()
        .map(|(mut producer, bodies)| {
            let tally = tally.clone();
            std::thread::spawn(move || match rate {
                Some(rate) => producer.run_open(rate, &tally),
                None => producer.run_closed(&bodies, &tally),
            })
        })
        .collect();
    let (client_cpu, server) =
        follow(&options.output, &mut progress, &tally, &latencies, &threads)?;
    follow::join(threads);
    follow::advance(&mut progress, &tally, &latencies)?;

    let (records, bytes) = tally.in_window();
    let (failed, first_failure) = tally.failures();
    Ok(LoadReport {
        load: if options.records_per_call == 1 { "put-record" } else { "put-records" }.to_owned(),
        client: client(options.wire),
        seconds: follow::seconds(&tally),
        records,
        bytes,
        failed,
        first_failure,
        unfinished: 0,
        latency: LatencySummary::of(&progress.finish()?),
        send_lag: lag(&lags),
        client_cpu,
        server,
    })
}

/// What the requests are made with.
pub fn client(wire: Wire) -> String {
    let version = if wire.http == Http::One { "HTTP/1.1" } else { "HTTP/2" };
    format!("hyper, {version}, {}", wire.encoding.content_type())
}

/// How much later than intended calls were made; none of a closed loop.
pub fn lag(lags: &[Arc<Recorder>]) -> Option<LatencySummary> {
    let mut total = histogram();
    for lag in lags {
        lag.collect_into(&mut total);
    }
    LatencySummary::of(&total)
}
