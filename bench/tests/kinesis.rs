//! The loads of the Kinesis door, against a small door of the tests' own.

mod fake_kinesis;

use std::sync::atomic::Ordering::SeqCst;

use bench::kinesis::body::Encoding;
use bench::kinesis::connection::Http;
use bench::kinesis::options::{GetOptions, PutOptions, Putting, Stream, SubscribeOptions, Wire};
use bench::kinesis::{get, put, subscribe};
use bench::load::options::{Output, Span};
use fake_kinesis::FakeKinesis;

const STREAM: &str = "stream";
const RECORD_BYTES: usize = 100;
const JSON: Wire = Wire { encoding: Encoding::Json, http: Http::One };

fn stream(endpoint: &str, shards: u32) -> Stream {
    Stream { endpoint: endpoint.to_owned(), stream: STREAM.to_owned(), shards }
}

fn quiet() -> Output {
    Output { quiet: true, ..Output::default() }
}

fn putting(records: u64, endpoint: &str) -> PutOptions {
    PutOptions {
        stream: stream(endpoint, 2),
        wire: JSON,
        putting: Putting { record_size: RECORD_BYTES, rate: None, connections: 2 },
        records_per_call: 10,
        span: Span { duration: 1.0, warm_up: 0.0 },
        records: Some(records),
        output: quiet(),
    }
}

fn getting(endpoint: &str) -> GetOptions {
    GetOptions {
        stream: stream(endpoint, 2),
        wire: JSON,
        connections: 2,
        limit: 10_000,
        span: Span { duration: 1.0, warm_up: 0.0 },
        output: quiet(),
    }
}

fn subscribing(endpoint: &str) -> SubscribeOptions {
    SubscribeOptions {
        stream: stream(endpoint, 1),
        putting: Putting { record_size: RECORD_BYTES, rate: Some(500.0), connections: 1 },
        http: Http::Two,
        span: Span { duration: 2.0, warm_up: 0.0 },
        drain: 10.0,
        output: quiet(),
    }
}

/// Given PutRecords with ten records a call on two connections, when 200 records are wanted, then 200 are in the
/// stream and in the report.
#[test]
fn what_is_reported_as_put_is_in_the_stream() {
    let (fake, endpoint) = FakeKinesis::start();
    let report = put::put(&putting(200, &endpoint)).unwrap();
    assert_eq!((report.records, report.bytes, report.failed), (200, 20_000, 0), "{report:?}");
    assert_eq!(fake.calls("PutRecords"), 20);
    let records = fake.records(STREAM);
    assert_eq!(records.len(), 200);
    assert!(records.iter().all(|record| record.len() == RECORD_BYTES));
}

/// Given a door that refuses one record of each call with an answer that is otherwise good, then these are failures.
#[test]
fn a_record_that_is_refused_is_not_reported_as_put() {
    let (fake, endpoint) = FakeKinesis::start();
    fake.refused_per_call.store(1, SeqCst);
    let report = put::put(&putting(200, &endpoint)).unwrap();
    assert_eq!((report.records, report.failed), (180, 20), "{report:?}");
    assert!(report.first_failure.unwrap().contains("refused"));
    assert_eq!(fake.records(STREAM).len(), 180);
}

/// Given a door that ends the connection behind each answer, then another is opened, as SDKs do.
#[test]
fn a_connection_that_the_server_ends_is_opened_again() {
    let (fake, endpoint) = FakeKinesis::start();
    fake.ends_connections.store(true, SeqCst);
    let report = put::put(&putting(200, &endpoint)).unwrap();
    assert_eq!((report.records, report.failed), (200, 0), "{report:?}");
}

/// Given PutRecord on one connection and a door that takes its time, then there is never a second call under way.
#[test]
fn a_closed_loop_waits_for_the_answer() {
    let (fake, endpoint) = FakeKinesis::start();
    fake.put_takes_ms.store(5, SeqCst);
    let mut options = putting(30, &endpoint);
    options.records_per_call = 1;
    options.putting.connections = 1;
    let report = put::put(&options).unwrap();
    assert_eq!(report.records, 30);
    assert_eq!((fake.calls("PutRecord"), fake.calls("PutRecords")), (30, 0));
    assert_eq!(fake.most_under_way(), 1);
    let latency = report.latency.unwrap();
    assert!(latency.count == 30 && latency.min_ms > 4.9, "{latency:?}");
}

/// Given a stream with 200 records in pages of a few, then a reader gets all of them, and begins again.
#[test]
fn records_are_read_from_the_first_to_the_last_over_and_over() {
    let (fake, endpoint) = FakeKinesis::start();
    put::put(&putting(200, &endpoint)).unwrap();
    let report = get::get(&getting(&endpoint)).unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    assert_eq!(report.bytes, report.records * RECORD_BYTES as u64);
    // Each of the two shards once more after all of it was read.
    assert!(fake.calls("GetShardIterator") >= 4, "{report:?}");
    assert!(report.records >= 200, "{report:?}");
}

/// Given a stream without records, then there is nothing to measure, and the report says so.
#[test]
fn an_empty_stream_is_a_failure() {
    let (_fake, endpoint) = FakeKinesis::start();
    let empty = Stream { stream: "empty".to_owned(), ..stream(&endpoint, 2) };
    bench::kinesis::connection::Connection::open(&endpoint, Http::One)
        .unwrap()
        .ensure(&empty)
        .unwrap();
    let report = get::get(&GetOptions { stream: empty, ..getting(&endpoint) }).unwrap();
    assert!(report.failed > 0 && report.first_failure.unwrap().contains("empty"));
}

/// Given an open loop of 500 records a second for two seconds, when one put stalls, then all records that were meant
/// to be put meanwhile are late at the subscriber, not only the one that was under way.
#[test]
fn all_records_that_a_stall_delays_are_late_at_the_subscriber() {
    const STALL_MS: u64 = 600;
    let (fake, endpoint) = FakeKinesis::start();
    let stalling = fake.clone();
    let stall = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(800));
        stalling.stall_ms.store(STALL_MS, SeqCst);
    });
    let report = subscribe::subscribe(&subscribing(&endpoint)).unwrap();
    stall.join().unwrap();
    assert_eq!(report.failed + report.unfinished, 0, "{report:?}");
    let latency = report.latency.unwrap();
    assert_eq!(latency.count, 1_000, "an open loop puts what it was told, whatever the door does");
    // 300 records wait for half of the stall each. A slow machine only adds to the sum.
    let waited_ms = latency.mean_ms * latency.count as f64;
    assert!(waited_ms > 20.0 * STALL_MS as f64, "{latency:?}");
}

/// Given a subscription that ends with an exception, then that is a failure with the exception's name.
#[test]
fn an_exception_on_the_stream_of_events_is_a_failure() {
    let (fake, endpoint) = FakeKinesis::start();
    fake.ends_subscriptions.store(true, SeqCst);
    let report = subscribe::subscribe(&subscribing(&endpoint)).unwrap();
    assert!(report.failed > 0, "{report:?}");
    assert!(report.first_failure.unwrap().contains("InternalFailureException"));
}
