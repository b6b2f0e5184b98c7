//! A broker's start.

use std::time::{Duration, Instant};

use crate::compare::measurement::{Better, Measurement};
use crate::compare::scenario::{Scenario, Stand};
use crate::compare::scenarios::connections;
use crate::compare::system::{Place, Running};
use crate::measure::process_use::{CpuSeconds, ResidentMemory};

/// From the start of the process to the first answer.
pub struct Start;

const SETTLE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(5);
/// Each was used once.
const CONNECTIONS: usize = 10_000;

impl Scenario for Start {
    fn name(&self) -> String {
        "start".to_owned()
    }

    fn groups(&self) -> Vec<&'static str> {
        vec!["scale"]
    }

    fn about(&self) -> String {
        "start a broker that was started once before and holds nothing: to its first answer to Metadata; idle; and with 10,000 idle connections".to_owned()
    }

    fn starts_its_own(&self) -> bool {
        true
    }

    fn measure(&self, stand: &mut Stand<'_>, _round: u64) -> anyhow::Result<Measurement> {
        let place = Place::new(stand.own_folder.clone())?;
        stand.system.prepare(&place)?;
        Running::start(stand.system, &place)?.stop()?;

        let started = Instant::now();
        let running = Running::start(stand.system, &place)?;
        let answered = started.elapsed();
        running.wait_until_quiet(SETTLE)?;
        let cpu = CpuSeconds::of(running.pid())?;
        std::thread::sleep(IDLE);
        let idle = CpuSeconds::of(running.pid())?.since(cpu).total() / IDLE.as_secs_f64();
        let resident = ResidentMemory::of(running.pid())?.now_bytes as f64;
        let connections = connections::open(&place.address(), CONNECTIONS)?;
        running.wait_until_quiet(SETTLE)?;
        let growth = ResidentMemory::of(running.pid())?.now_bytes as f64 - resident;
        drop(connections);
        running.stop()?;

        let mut measurement = Measurement::default();
        measurement.add("start to first Metadata, ms", Better::Lower, answered.as_secs_f64() * 1e3);
        measurement.add("idle RSS, MB", Better::Lower, resident / 1e6);
        measurement.add("idle CPU, % of a core", Better::Lower, idle * 100.0);
        let each = growth / CONNECTIONS as f64 / 1024.0;
        measurement.add("RSS growth per idle connection, KiB", Better::Lower, each);
        Ok(measurement)
    }
}
