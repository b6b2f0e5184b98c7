//! What a scenario is: how one system is prepared for it, what is done in a round, and what that yields.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::compare::load_run;
use crate::compare::measurement::Measurement;
use crate::compare::options::CompareOptions;
use crate::compare::system::{Protocol, Running, System};
use crate::load::report::LoadReport;
use crate::measure::process_use::{CpuSeconds, ResidentMemory};
use crate::wire::Connection;

const QUIET_PATIENCE: Duration = Duration::from_secs(10);

/// One comparison.
pub trait Scenario {
    /// By this it is asked for; part of files' and topics' names.
    fn name(&self) -> String;
    /// It belongs to these groups, too.
    fn groups(&self) -> Vec<&'static str>;
    /// One line: what is done.
    fn about(&self) -> String;
    /// What it speaks with a system. Systems that do not speak it are left out.
    fn protocol(&self) -> Protocol {
        Protocol::Kafka
    }
    /// Whether it starts brokers of its own, and so needs none that runs.
    fn starts_its_own(&self) -> bool {
        false
    }
    /// Done once for each system, before the first round.
    fn prepare(&self, _stand: &mut Stand<'_>) -> anyhow::Result<()> {
        Ok(())
    }
    /// One system's part of one round.
    fn measure(&self, stand: &mut Stand<'_>, round: u64) -> anyhow::Result<Measurement>;
    /// Done once for each system, after the last round.
    fn clean(&self, _stand: &mut Stand<'_>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// What a scenario works with: one system, and what was decided about the run.
pub struct Stand<'a> {
    /// The system.
    pub system: &'a dyn System,
    /// Its process, unless the scenario starts its own.
    pub running: Option<&'a mut Running>,
    /// What was asked for.
    pub options: &'a CompareOptions,
    /// Where brokers that a scenario starts may lie: a folder for each system, by `Place::new`.
    pub own_folder: PathBuf,
    /// Where results go.
    pub results: &'a Path,
    /// librdkafka's tool.
    pub tool: &'a Path,
    /// What a scenario keeps from system to system.
    pub notes: &'a mut BTreeMap<String, f64>,
}

impl Stand<'_> {
    /// The process of the system.
    pub fn running(&self) -> anyhow::Result<&Running> {
        self.running.as_deref().context("this scenario needs a broker that runs")
    }

    /// What Kafka's clients connect to.
    pub fn address(&self) -> anyhow::Result<String> {
        Ok(self.running()?.place().address())
    }

    /// What Kinesis' clients connect to.
    pub fn kinesis_address(&self) -> anyhow::Result<String> {
        Ok(self.system.kinesis_address(self.running()?.place()))
    }

    /// A connection to its Kafka door.
    pub fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.address()?)
    }

    /// The load generator's arguments for `load` on `topic`, followed by `more`.
    pub fn load(&self, load: &str, topic: &str, more: &str) -> anyhow::Result<Vec<String>> {
        let pid = self.running()?.pid().to_string();
        let address = self.address()?;
        let mut arguments: Vec<String> =
            [load, "--bootstrap", &address, "--topic", topic, "--server-pid", &pid]
                .map(str::to_owned)
                .into();
        arguments.extend(more.split_ascii_whitespace().map(str::to_owned));
        Ok(arguments)
    }

    /// Runs one of the load generator's Kinesis loads on `stream` of the system, followed by `more`.
    pub fn run_kinesis(&self, load: &str, stream: &str, more: &str) -> anyhow::Result<LoadReport> {
        let pid = self.running()?.pid().to_string();
        let endpoint = self.kinesis_address()?;
        let mut arguments: Vec<String> =
            [load, "--endpoint", &endpoint, "--stream", stream, "--server-pid", &pid]
                .map(str::to_owned)
                .into();
        arguments.extend(more.split_ascii_whitespace().map(str::to_owned));
        load_run::run(&arguments)
    }

    /// Runs the load generator on the system.
    pub fn run(&self, load: &str, topic: &str, more: &str) -> anyhow::Result<LoadReport> {
        load_run::run(&self.load(load, topic, more)?)
    }

    /// The arguments that keep a round's latencies.
    pub fn log_argument(&self, scenario: &str, round: u64) -> String {
        let file = format!("{scenario}.{}.{round}.hlog", self.system.name());
        format!("--histogram-log {}", self.results.join(file).display())
    }

    /// Does `work`, and says what processor time the broker used for it: until it is quiet again, because a broker
    /// may put off work until after its answer. (What the kernel writes back later is nobody's.)
    pub fn watching<T>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, CpuSeconds)> {
        let running = self.running()?;
        // Where the kernel does not forget the peak, it is that of the process' life.
        let _ = ResidentMemory::reset_peak(running.pid());
        let before = CpuSeconds::of(running.pid())?;
        let result = work()?;
        running.wait_until_quiet(QUIET_PATIENCE)?;
        Ok((result, CpuSeconds::of(running.pid())?.since(before)))
    }

    /// Its peak of resident memory since `watching` began, in megabytes.
    pub fn peak_megabytes(&self) -> anyhow::Result<f64> {
        Ok(ResidentMemory::of(self.running()?.pid())?.peak_bytes as f64 / 1e6)
    }
}
