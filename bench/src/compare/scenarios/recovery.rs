//! A broker's start after `kill -9`.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::compare::load_run::{self, LoadRun};
use crate::compare::measurement::{Better, Measurement};
use crate::compare::scenario::{Scenario, Stand};
use crate::compare::system::{Place, Running};
use crate::wire::{Connection, batch_of_one};

/// With much in its log, and killed while it is written to. The machine goes on: the page cache is kept.
pub struct Recovery;

const TOPIC: &str = "bench-recovery";
const LOADED: Duration = Duration::from_secs(3);

impl Scenario for Recovery {
    fn name(&self) -> String {
        "recovery".to_owned()
    }

    fn groups(&self) -> Vec<&'static str> {
        vec!["scale"]
    }

    fn about(&self) -> String {
        "kill -9 under load (20,000 records/s, 1 KiB x 16 partitions) with --recovery-size GiB in the log, then \
         start: to the first Metadata, the first Fetch and the first Produce that succeed"
            .to_owned()
    }

    fn starts_its_own(&self) -> bool {
        true
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        let place = Place::new(stand.own_folder.clone())?;
        stand.system.prepare(&place)?;
        let running = Running::start(stand.system, &place)?;
        let records = ((stand.options.recovery_size * f64::from(1 << 20)) as u64).max(1);
        load_run::run(&load(&place, &format!("-n {records}")))?;
        running.stop()
    }

    fn measure(&self, stand: &mut Stand<'_>, _round: u64) -> anyhow::Result<Measurement> {
        let place = Place::again(stand.own_folder.clone())?;
        let running = Running::start(stand.system, &place)?;
        let writer = LoadRun::start(&load(&place, "--rate 20000 -d 3600"))?;
        std::thread::sleep(LOADED);
        running.kill()?;
        writer.abort();

        let batch = batch_of_one(Bytes::from_static(b"the first after the kill"))?;
        let started = Instant::now();
        let mut running = Running::spawn(stand.system, &place)?;
        let (mut answered, mut fetched, mut produced) = (None, None, None);
        running.retry_until(|address| {
            let since_start = |happened: bool| happened.then(|| started.elapsed());
            let Ok(mut connection) = Connection::open(address) else { return false };
            answered = answered.or_else(|| since_start(connection.metadata(None).is_ok()));
            fetched = fetched.or_else(|| {
                since_start(connection.fetch(TOPIC, 0, 0).is_ok_and(|bytes| bytes > 0))
            });
            produced =
                produced.or_else(|| since_start(connection.produce(TOPIC, 0, &batch).is_ok()));
            answered.is_some() && fetched.is_some() && produced.is_some()
        })?;
        running.stop()?;

        let mut measurement = Measurement::default();
        for (name, took) in [("Metadata", answered), ("Fetch", fetched), ("Produce", produced)] {
            let milliseconds = took.unwrap_or_default().as_secs_f64() * 1e3;
            measurement.add(&format!("start to first {name}, ms"), Better::Lower, milliseconds);
        }
        Ok(measurement)
    }
}

fn load(place: &Place, more: &str) -> Vec<String> {
    format!("produce --bootstrap {} --topic {TOPIC} -p 16 -s 1024 {more}", place.address())
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect()
}
