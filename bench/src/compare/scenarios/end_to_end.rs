//! How soon a record is at its consumer.

use crate::compare::measurement::{Better, Measurement};
use crate::compare::scenario::{Scenario, Stand};
use crate::load::report::LoadReport;

/// Records a second.
#[derive(Clone, Copy)]
pub enum Rate {
    /// So many.
    Fixed(u32),
    /// Half of what the reference (Apache Kafka as it comes, if it takes part) lets through at most, end to end,
    /// in the same run. The same rate for all systems.
    HalfOfMaximum,
}

/// Open loop, 1 KiB, 16 partitions, acks=all.
pub struct EndToEnd {
    /// The rate.
    pub rate: Rate,
    /// How long batches may wait to grow.
    pub linger_ms: u32,
}

const RECORD_BYTES: u64 = 1024;
const PARTITIONS: i32 = 16;
/// Below this part of the rate a system has not kept up.
const KEPT_UP: f64 = 0.99;

impl EndToEnd {
    fn topic(&self) -> String {
        format!("bench-{}", self.name())
    }

    fn records_per_second(&self, stand: &Stand<'_>) -> anyhow::Result<f64> {
        match self.rate {
            Rate::Fixed(rate) => Ok(f64::from(rate)),
            Rate::HalfOfMaximum => {
                let maximum =
                    |system: &str| stand.notes.get(&format!("maximum of {system}")).copied();
                let reference = maximum("kafka").or_else(|| {
                    let known =
                        stand.notes.iter().filter(|(name, _)| name.starts_with("maximum of "));
                    known.map(|(_, rate)| *rate).min_by(f64::total_cmp)
                });
                Ok((reference.unwrap_or_default() / 2.0).max(1.0).round())
            }
        }
    }
}

impl Scenario for EndToEnd {
    fn name(&self) -> String {
        match self.rate {
            Rate::Fixed(rate) => format!("end-to-end-{rate}-linger-{}", self.linger_ms),
            Rate::HalfOfMaximum => format!("end-to-end-half-linger-{}", self.linger_ms),
        }
    }

    fn groups(&self) -> Vec<&'static str> {
        vec!["latency", "end-to-end"]
    }

    fn about(&self) -> String {
        let rate = match self.rate {
            Rate::Fixed(rate) => format!("{rate} records/s"),
            Rate::HalfOfMaximum => "half of the reference's maximum".to_owned(),
        };
        format!(
            "end to end, open loop: {rate}, 1 KiB x 16 partitions, acks=all, linger {} ms",
            self.linger_ms
        )
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        stand.connect()?.create_topic(&self.topic(), PARTITIONS)?;
        if matches!(self.rate, Rate::HalfOfMaximum) {
            let report = stand.run("end-to-end", &self.topic(), "-s 1024 -d 3 -w 2")?;
            let name = format!("maximum of {}", stand.system.name());
            stand.notes.insert(name, report.records_per_second());
        }
        Ok(())
    }

    fn measure(&self, stand: &mut Stand<'_>, round: u64) -> anyhow::Result<Measurement> {
        let rate = self.records_per_second(stand)?;
        let arguments = format!(
            "-s {RECORD_BYTES} --rate {rate} -l {} -d {} -w 3 {}",
            self.linger_ms,
            stand.options.round_seconds,
            stand.log_argument(&self.name(), round)
        );
        let report = stand.run("end-to-end", &self.topic(), &arguments)?;
        let mut measurement = Measurement::default();
        add_open_loop(&mut measurement, &report, rate, "");
        if let Some(server) = &report.server {
            measurement.add_cpu(server.cpu, report.client_cpu, report.bytes);
            measurement.add("RSS, MB", Better::Lower, server.memory.now_bytes as f64 / 1e6);
        }
        Ok(measurement)
    }

    fn clean(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        stand.connect()?.delete_topic(&self.topic())
    }
}

/// The latencies of an open loop, and whether the system kept up. `of` is put behind the figures' names.
pub fn add_open_loop(measurement: &mut Measurement, report: &LoadReport, rate: f64, of: &str) {
    if let Some(latency) = &report.latency {
        measurement.add_latency(latency, of);
    }
    let delivered = report.records_per_second();
    measurement.add(&format!("records/s{of}"), Better::Neither, delivered);
    let kept_up = delivered >= rate * KEPT_UP && report.unfinished == 0;
    measurement.add(
        &format!("kept up{of} (1: yes)"),
        Better::Neither,
        f64::from(u8::from(kept_up)),
    );
    if let Some(lag) = &report.send_lag {
        measurement.add(&format!("generator's own lag{of}, p99, ms"), Better::Neither, lag.p99_ms);
    }
}
