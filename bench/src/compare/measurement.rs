//! One system's figures of one round.

use serde::{Deserialize, Serialize};

use crate::load::report::LoadReport;
use crate::measure::latency::LatencySummary;
use crate::measure::process_use::CpuSeconds;

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Better {
    /// More is.
    Higher,
    /// Less is.
    Lower,
    /// Neither: it says what was done, not how well.
    Neither,
}

/// A figure, by the name under which rounds and systems are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is, with its unit.
    pub name: String,
    /// Which way is good.
    pub better: Better,
    /// How much.
    pub value: f64,
}

/// All figures of one system in one round, in the order of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurement(pub Vec<Figure>);

impl Measurement {
    /// Adds a figure.
    pub fn add(&mut self, name: &str, better: Better, value: f64) {
        self.0.push(Figure { name: name.to_owned(), better, value });
    }

    /// The figure called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        Some(self.0.iter().find(|figure| figure.name == name)?.value)
    }

    /// Adds what is asked about latencies, each name with `of` behind it.
    pub fn add_latency(&mut self, latency: &LatencySummary, of: &str) {
        for (name, value) in [
            ("p50", latency.p50_ms),
            ("p99", latency.p99_ms),
            ("p99.9", latency.p99_9_ms),
            ("max", latency.max_ms),
        ] {
            self.add(&format!("{name}{of}, ms"), Better::Lower, value);
        }
    }

    /// Adds what was used per gigabyte of payload.
    pub fn add_cpu(&mut self, server: CpuSeconds, client: CpuSeconds, bytes: u64) {
        let gigabytes = bytes as f64 / 1e9;
        if gigabytes > 0.0 {
            self.add("server CPU s/GB", Better::Lower, server.total() / gigabytes);
            self.add("of which system", Better::Lower, server.system / gigabytes);
            self.add("client CPU s/GB", Better::Neither, client.total() / gigabytes);
        }
    }

    /// Adds what a run of the load generator found about throughput.
    pub fn add_throughput(&mut self, report: &LoadReport) {
        self.add("MB/s", Better::Higher, report.megabytes_per_second());
        self.add("records/s", Better::Higher, report.records_per_second());
    }
}
