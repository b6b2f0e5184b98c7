//! What a run of the load generator has found.

use serde::{Deserialize, Serialize};

use crate::measure::latency::LatencySummary;
use crate::measure::process_use::{CpuSeconds, ResidentMemory};

/// The result of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadReport {
    /// `produce`, `consume` or `end-to-end`.
    pub load: String,
    /// The client library and its version.
    pub client: String,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Records acknowledged, or received, in these seconds.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Records that were refused, or that got lost on the way, in the whole run.
    pub failed: u64,
    /// Why the first of them failed.
    pub first_failure: Option<String>,
    /// Records that had not arrived when waiting for them ended. With an open loop: the broker did not keep up.
    pub unfinished: u64,
    /// From the intended send time (open loop) or the actual one (closed loop) to the acknowledgement or arrival.
    pub latency: Option<LatencySummary>,
    /// Open loop: how much later than intended records were handed to the client library. It is part of their
    /// latency; where it is most of it, the generator is what was measured.
    pub send_lag: Option<LatencySummary>,
    /// What the load generator used, in the measured seconds.
    pub client_cpu: CpuSeconds,
    /// What the broker used, if it was watched.
    pub server: Option<ServerUse>,
}

/// A broker's use of the machine in the measured seconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ServerUse {
    /// Processor time.
    pub cpu: CpuSeconds,
    /// Memory, at the end.
    pub memory: ResidentMemory,
}

impl LoadReport {
    /// Records a second.
    pub fn records_per_second(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    /// Megabytes (10^6) of values a second.
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut lines = vec![format!(
            "{}: {} records in {:.2} s: {:.0} records/s, {:.1} MB/s",
            self.load,
            self.records,
            self.seconds,
            self.records_per_second(),
            self.megabytes_per_second()
        )];
        if self.failed > 0 {
            let why = self.first_failure.as_deref().unwrap_or("no reason given");
            lines.push(format!("failed: {} (the first: {why})", self.failed));
        }
        if self.unfinished > 0 {
            lines.push(format!("unfinished: {} had not arrived at the end", self.unfinished));
        }
        if let Some(latency) = &self.latency {
            lines.push(format!("latency:  {}", latency.text()));
        }
        if let Some(lag) = &self.send_lag {
            lines.push(format!("send lag: {}", lag.text()));
        }
        lines.push(self.use_text("client", self.client_cpu));
        if let Some(server) = &self.server {
            lines.push(format!(
                "{}; resident {:.0} MB, at most {:.0} MB",
                self.use_text("server", server.cpu),
                server.memory.now_bytes as f64 / 1e6,
                server.memory.peak_bytes as f64 / 1e6
            ));
        }
        lines.join("\n")
    }

    fn use_text(&self, who: &str, cpu: CpuSeconds) -> String {
        let gigabytes = self.bytes as f64 / 1e9;
        format!(
            "{who}: {:.2} CPU s ({:.2} user, {:.2} system) = {:.2} CPU s/GB",
            cpu.total(),
            cpu.user,
            cpu.system,
            if gigabytes > 0.0 { cpu.total() / gigabytes } else { 0.0 }
        )
    }
}
