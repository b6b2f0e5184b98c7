//! A consumer that keeps up, while another reads old records from the disk.

use anyhow::Context;

use crate::compare::load_run::LoadRun;
use crate::compare::measurement::{Better, Measurement};
use crate::compare::scenario::{Scenario, Stand};
use crate::compare::scenarios::end_to_end::add_open_loop;
use crate::load::schedule::records_in;

/// End to end at a modest rate, first alone, then with back-fill beside it.
pub struct Mixed;

const TAILED: &str = "bench-mixed-tailed";
const OLD: &str = "bench-mixed-old";
const RATE: f64 = 1_000.0;

impl Mixed {
    fn end_to_end(&self, stand: &Stand<'_>, log: &str) -> anyhow::Result<LoadRun> {
        let seconds = stand.options.round_seconds;
        let arguments = format!("-s 1024 --rate {RATE} -l 0 -d {seconds} -w 3 {log}");
        LoadRun::start(&stand.load("end-to-end", TAILED, &arguments)?)
    }
}

impl Scenario for Mixed {
    fn name(&self) -> String {
        "mixed".to_owned()
    }

    fn groups(&self) -> Vec<&'static str> {
        vec!["latency"]
    }

    fn about(&self) -> String {
        format!(
            "end to end at {RATE} records/s, 1 KiB x 16 partitions, linger 0: alone, then with a reader beside it \
             that reads old records from the disk as fast as it can"
        )
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        stand.connect()?.create_topic(TAILED, 16)?;
        let records = records_in(stand.options.round_size, 1024);
        stand.run("produce", OLD, &format!("-n {records} -s 1024 -p 16"))?;
        Ok(())
    }

    fn measure(&self, stand: &mut Stand<'_>, round: u64) -> anyhow::Result<Measurement> {
        let alone = self.end_to_end(stand, &stand.log_argument("mixed-alone", round))?.finish()?;
        let data = stand.running()?.place().data();
        let back_fill =
            stand.load("consume", OLD, &format!("--mode cold --server-data {}", data.display()))?;
        let mut beside = self.end_to_end(stand, &stand.log_argument("mixed-back-fill", round))?;
        let mut megabytes_per_second = Vec::new();
        while !beside.has_ended()? {
            let mut reader = LoadRun::start(&back_fill)?;
            while !reader.has_ended()? && !beside.has_ended()? {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            if reader.has_ended()? {
                megabytes_per_second.push(reader.finish()?.megabytes_per_second());
            } else {
                reader.abort();
            }
        }
        let beside = beside.finish()?;
        let mut measurement = Measurement::default();
        add_open_loop(&mut measurement, &alone, RATE, " alone");
        add_open_loop(&mut measurement, &beside, RATE, " with back-fill");
        let (before, after) =
            alone.latency.zip(beside.latency).context("no record arrived in time")?;
        measurement.add(
            "p99.9 with back-fill / alone",
            Better::Lower,
            after.p99_9_ms / before.p99_9_ms,
        );
        let readings = megabytes_per_second.len().max(1) as f64;
        let mean = megabytes_per_second.iter().sum::<f64>() / readings;
        measurement.add("back-fill, MB/s", Better::Higher, mean);
        Ok(measurement)
    }

    fn clean(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        stand.connect()?.delete_topic(TAILED)?;
        stand.connect()?.delete_topic(OLD)
    }
}
