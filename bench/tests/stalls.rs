//! Coordinated omission: a broker that stalls must look like one. The broker is librdkafka's own mock.

use std::time::{Duration, Instant};

use bench::load::options::{
    Acks, Compression, Output, Payload, ProduceOptions, Sending, Span, SpreadOver, Target,
};
use bench::load::produce::produce;
use rdkafka::mocking::MockCluster;

const TOPIC: &str = "stalls";
const STALL: Duration = Duration::from_millis(800);

fn options(bootstrap: String) -> ProduceOptions {
    ProduceOptions {
        target: Target { bootstrap, topic: TOPIC.to_owned(), partitions: 1, settings: Vec::new() },
        sending: Sending {
            record_size: 100,
            rate: Some(500.0),
            in_flight: None,
            producers: 1,
            acks: Acks::All,
            idempotent: false,
            compression: Compression::None,
            linger_ms: 0.0,
            spread: SpreadOver::Sticky,
            payload: Payload::Random,
        },
        span: Span { duration: 3.0, warm_up: 0.0 },
        records: None,
        output: Output { quiet: true, ..Output::default() },
    }
}

/// Given an open loop of 500 records a second for three seconds, when the broker takes 800 ms for its answers for a
/// while, then the hundreds of records that were meant to be sent meanwhile are slow too, not only the one that was
/// under way.
#[test]
fn all_records_that_a_stall_delays_are_slow() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let load = std::thread::spawn(move || produce(&options(bootstrap)));
    std::thread::sleep(Duration::from_millis(1000));
    let stalled = Instant::now();
    cluster.broker_round_trip_time(1, STALL).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    let stall_ms = stalled.elapsed().as_secs_f64() * 1e3;
    let report = load.join().unwrap().unwrap();
    let latency = report.latency.unwrap();
    assert_eq!(report.failed + report.unfinished, 0, "{report:?}");
    assert_eq!(
        latency.count, 1500,
        "an open loop sends what it was told, whatever the broker does"
    );
    // About 250 records wait for half of the stall each. Timed from when it was really sent, one would wait for all
    // of it, and the others for nothing. A slow machine only adds to the sum.
    let waited_ms = latency.mean_ms * latency.count as f64;
    assert!(waited_ms > 20.0 * stall_ms, "a stall of {stall_ms} ms: {latency:?}");
}

/// Given a closed loop with one record under way, then there is never a second.
#[test]
fn a_closed_loop_waits_for_the_answer() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster.broker_round_trip_time(1, Duration::from_millis(20)).unwrap();
    let mut options = options(cluster.bootstrap_servers());
    options.sending.rate = None;
    options.sending.in_flight = Some(1);
    options.span.duration = 1.0;
    let report = produce(&options).unwrap();
    assert!(report.records > 0 && report.records <= 50, "{report:?}");
}
