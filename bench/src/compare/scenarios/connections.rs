//! Many connections to one broker.

use std::sync::{Arc, Barrier};

use anyhow::Context;
use bytes::Bytes;

use crate::compare::measurement::{Better, Measurement};
use crate::compare::scenario::{Scenario, Stand};
use crate::measure::clock::{now_ns, sleep_precisely, sleep_until};
use crate::measure::latency::{LatencySummary, Recorder, histogram};
use crate::wire::{Connection, batch_of_one};

/// Connections that produce now and then, beside many that do nothing.
pub struct Connections {
    /// These produce.
    pub active: usize,
    /// These were used once.
    pub idle: usize,
}

const TOPIC: &str = "bench-connections";
const PARTITIONS: i32 = 16;
/// Of all active connections together.
const REQUESTS_PER_SECOND: f64 = 5_000.0;
const RECORD_BYTES: usize = 1024;
const STACK_BYTES: usize = 256 << 10;
const WARM_UP_NS: u64 = 3_000_000_000;
const HEAD_START_NS: u64 = 500_000_000;

impl Scenario for Connections {
    fn name(&self) -> String {
        "connections".to_owned()
    }

    fn groups(&self) -> Vec<&'static str> {
        vec!["scale"]
    }

    fn about(&self) -> String {
        format!(
            "{} connections produce {REQUESTS_PER_SECOND} requests/s in all (1 KiB, acks=all, open loop), \
             {} others are idle; the client is a small one of bench's own",
            self.active, self.idle
        )
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        stand.connect()?.create_topic(TOPIC, PARTITIONS)?;
        Ok(())
    }

    fn measure(&self, stand: &mut Stand<'_>, _round: u64) -> anyhow::Result<Measurement> {
        let address = stand.address()?;
        let opening_ns = now_ns();
        let idle = open(&address, self.idle)?;
        let opened = (now_ns() - opening_ns) as f64 / 1e9;
        let active = open(&address, self.active)?;
        let seconds = stand.options.round_seconds;
        let latency = produce_on(active, seconds)?;
        drop(idle);

        let mut measurement = Measurement::default();
        measurement.add_latency(&latency, " of produce");
        measurement.add("requests/s", Better::Neither, latency.count as f64 / seconds);
        measurement.add("opening the idle ones, s", Better::Lower, opened);
        Ok(measurement)
    }

    fn clean(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        stand.connect()?.delete_topic(TOPIC)
    }
}

/// Opens connections, and uses each once.
pub fn open(address: &str, count: usize) -> anyhow::Result<Vec<Connection>> {
    let open_one = |number| {
        let mut connection = Connection::open(address)?;
        connection.metadata(None).with_context(|| format!("connection {number} of {count}"))?;
        Ok(connection)
    };
    (0..count).map(open_one).collect()
}

// A thread for each connection: they sleep, most of the time.
fn produce_on(connections: Vec<Connection>, seconds: f64) -> anyhow::Result<LatencySummary> {
    let count = connections.len() as u64;
    let batch = batch_of_one(Bytes::from(vec![0x42; RECORD_BYTES]))?;
    let latencies = Arc::new(Recorder::default());
    let everybody = Arc::new(Barrier::new(connections.len() + 1));
    let start_ns = now_ns() + HEAD_START_NS;
    let mut threads = Vec::new();
    for (number, mut connection) in connections.into_iter().enumerate() {
        let (batch, latencies, everybody) = (batch.clone(), latencies.clone(), everybody.clone());
        let produce = move || -> anyhow::Result<()> {
            everybody.wait();
            sleep_precisely();
            let from_ns = start_ns + WARM_UP_NS;
            let until_ns = from_ns + (seconds * 1e9) as u64;
            let partition = number as i32 % PARTITIONS;
            let schedule = crate::load::schedule::Schedule::new(
                start_ns,
                REQUESTS_PER_SECOND,
                number as u64,
                count,
            );
            for index in 0.. {
                let intended_ns = schedule.intended_ns(index);
                if intended_ns >= until_ns {
                    break;
                }
                sleep_until(intended_ns);
                connection.produce(TOPIC, partition, &batch)?;
                if intended_ns >= from_ns {
                    latencies.record(now_ns().saturating_sub(intended_ns));
                }
            }
            Ok(())
        };
        threads.push(std::thread::Builder::new().stack_size(STACK_BYTES).spawn(produce)?);
    }
    everybody.wait();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a connection's thread panicked"))??;
    }
    let mut total = histogram();
    latencies.collect_into(&mut total);
    LatencySummary::of(&total).context("nothing was acknowledged")
}
