//! Many partitions on one broker.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::compare::load_run;
use crate::compare::measurement::{Better, Measurement};
use crate::compare::scenario::{Scenario, Stand};
use crate::compare::system::{Place, Running};
use crate::measure::process_use::ResidentMemory;
use crate::wire::Connection;

/// One topic with `count` partitions, on a broker with nothing else.
pub struct Partitions {
    /// How many.
    pub count: i32,
}

const TOPIC: &str = "bench-partitions";
const SETTLE: Duration = Duration::from_secs(20);

impl Scenario for Partitions {
    fn name(&self) -> String {
        format!("partitions-{}", self.count)
    }

    fn groups(&self) -> Vec<&'static str> {
        vec!["scale"]
    }

    fn about(&self) -> String {
        format!(
            "{} partitions in one topic on a fresh broker: made, written to in turn (1,000 records/s, 1 KiB, \
             linger 0), stopped and started again",
            self.count
        )
    }

    fn starts_its_own(&self) -> bool {
        true
    }

    fn measure(&self, stand: &mut Stand<'_>, round: u64) -> anyhow::Result<Measurement> {
        let place = Place::new(stand.own_folder.clone())?;
        stand.system.prepare(&place)?;
        let running = Running::start(stand.system, &place)?;
        let megabytes = || -> anyhow::Result<f64> {
            running.wait_until_quiet(SETTLE)?;
            Ok(ResidentMemory::of(running.pid())?.now_bytes as f64 / 1e6)
        };
        let before = megabytes()?;
        let created = create(&place.address(), self.count)?;
        let after = megabytes()?;
        let load = format!(
            "produce --bootstrap {} --topic {TOPIC} --server-pid {} --rate 1000 -s 1024 -l 0 --spread round-robin \
             -w {} -d {} {}",
            place.address(),
            running.pid(),
            // A broker that has just started warms up, and every partition is written to, before that.
            10 + 2 * self.count / 1000,
            stand.options.round_seconds,
            stand.log_argument(&self.name(), round)
        );
        let load: Vec<String> = load.split_ascii_whitespace().map(str::to_owned).collect();
        let report = load_run::run(&load)?;
        let written = megabytes()?;
        running.stop()?;

        let started = Instant::now();
        let mut again = Running::spawn(stand.system, &place)?;
        let wanted = self.count as usize;
        again.retry_until(|address| {
            let led = Connection::open(address).and_then(|mut c| c.led_partitions(TOPIC));
            led.is_ok_and(|led| led == Some(wanted))
        })?;
        let restarted = started.elapsed();
        again.stop()?;

        let mut measurement = Measurement::default();
        measurement.add("creation, s", Better::Lower, created.as_secs_f64());
        measurement.add("RSS before, MB", Better::Lower, before);
        measurement.add("RSS with partitions, MB", Better::Lower, after);
        measurement.add("RSS after writing to all, MB", Better::Lower, written);
        let latency = report.latency.context("nothing was acknowledged")?;
        measurement.add_latency(&latency, " of produce");
        measurement.add("records/s", Better::Neither, report.records_per_second());
        measurement.add("restart to all partitions led, s", Better::Lower, restarted.as_secs_f64());
        Ok(measurement)
    }
}

/// Kafka's controller refuses to make 10,000 partitions at once: here they come in steps, for everybody.
const STEP: i32 = 5_000;

fn create(address: &str, count: i32) -> anyhow::Result<Duration> {
    let mut connection = Connection::open(address)?;
    let mut made = count.min(STEP);
    let mut took = connection.create_topic(TOPIC, made)?;
    while made < count {
        made = count.min(made + STEP);
        took += connection.grow_topic(TOPIC, made)?;
    }
    Ok(took)
}
