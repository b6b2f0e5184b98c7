//! How fast records are taken in.

use crate::compare::measurement::{Better, Measurement};
use crate::compare::scenario::{Scenario, Stand};
use crate::compare::tool;
use crate::load::options::Acks;
use crate::load::schedule::records_in;
use crate::measure::process_use::CpuSeconds;

/// As fast as it goes.
#[derive(Clone, Copy)]
pub struct Throughput {
    /// Bytes of a record.
    pub record_size: u64,
    /// Partitions of the topic.
    pub partitions: i32,
    /// Who must have a record.
    pub acks: Acks,
    /// Clients at once.
    pub clients: u64,
    /// By librdkafka's own tool.
    pub by_tool: bool,
}

impl Throughput {
    fn topic(&self) -> String {
        format!("bench-{}", self.name())
    }

    fn by_bench(&self, stand: &Stand<'_>, records: u64) -> anyhow::Result<Measurement> {
        let arguments = format!("-n {records} -s {} -a {}", self.record_size, self.acks.setting());
        let (report, server) =
            stand.watching(|| stand.run("produce", &self.topic(), &arguments))?;
        let mut measurement = Measurement::default();
        measurement.add_throughput(&report);
        measurement.add_cpu(server, report.client_cpu, report.bytes);
        Ok(measurement)
    }

    fn by_tool(&self, stand: &Stand<'_>, records: u64) -> anyhow::Result<Measurement> {
        let acks = if self.acks == Acks::All { "-1" } else { self.acks.setting() };
        let each = records / self.clients;
        let arguments = format!(
            "-P -b {} -t {} -s {} -c {each} -a {acks}",
            stand.address()?,
            self.topic(),
            self.record_size
        );
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        let clients_before = CpuSeconds::of_ended_children()?;
        let (reports, server) = stand.watching(|| {
            let clients: Vec<_> = (0..self.clients)
                .map(|_| tool::start(stand.tool, &arguments))
                .collect::<Result<_, _>>()?;
            clients
                .into_iter()
                .map(|client| tool::finish(client, each))
                .collect::<anyhow::Result<Vec<_>>>()
        })?;
        let client = CpuSeconds::of_ended_children()?.since(clients_before);
        let mut measurement = Measurement::default();
        let sum = |of: fn(&tool::ToolReport) -> f64| reports.iter().map(of).sum::<f64>();
        measurement.add("MB/s", Better::Higher, sum(|report| report.megabytes_per_second));
        measurement.add("records/s", Better::Higher, sum(|report| report.records_per_second));
        measurement.add_cpu(server, client, each * self.clients * self.record_size);
        Ok(measurement)
    }
}

impl Scenario for Throughput {
    fn name(&self) -> String {
        let by = if self.by_tool { "tool-" } else { "" };
        let clients = if self.clients > 1 { format!("-x{}", self.clients) } else { String::new() };
        let acks = self.acks.setting();
        format!("{by}produce-{}b-p{}-acks-{acks}{clients}", self.record_size, self.partitions)
    }

    fn groups(&self) -> Vec<&'static str> {
        vec!["throughput", if self.by_tool { "tool-produce" } else { "produce" }]
    }

    fn about(&self) -> String {
        let by = if self.by_tool { "rdkafka_performance" } else { "bench" };
        let clients = if self.clients > 1 { format!("{} x ", self.clients) } else { String::new() };
        format!(
            "produce as fast as it goes: {} B x {} partitions, acks={}, by {clients}{by}",
            self.record_size,
            self.partitions,
            self.acks.setting()
        )
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        stand.connect()?.create_topic(&self.topic(), self.partitions)?;
        Ok(())
    }

    fn measure(&self, stand: &mut Stand<'_>, _round: u64) -> anyhow::Result<Measurement> {
        let records = records_in(stand.options.round_size, self.record_size);
        let mut measurement = if self.by_tool {
            self.by_tool(stand, records)?
        } else {
            self.by_bench(stand, records)?
        };
        measurement.add("peak RSS, MB", Better::Lower, stand.peak_megabytes()?);
        Ok(measurement)
    }

    fn clean(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        stand.connect()?.delete_topic(&self.topic())
    }
}

/// One record at a time: how soon it is acknowledged.
pub struct ClosedLoop;

const CLOSED_LOOP_TOPIC: &str = "bench-produce-latency";

impl Scenario for ClosedLoop {
    fn name(&self) -> String {
        "produce-latency".to_owned()
    }

    fn groups(&self) -> Vec<&'static str> {
        vec!["latency"]
    }

    fn about(&self) -> String {
        "produce one record at a time: 1 KiB x 1 partition, acks=all, linger 0".to_owned()
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        stand.connect()?.create_topic(CLOSED_LOOP_TOPIC, 1)?;
        Ok(())
    }

    fn measure(&self, stand: &mut Stand<'_>, round: u64) -> anyhow::Result<Measurement> {
        let arguments = format!(
            "-s 1024 --in-flight 1 -l 0 -d {} -w 2 {}",
            stand.options.round_seconds,
            stand.log_argument(&self.name(), round)
        );
        let report = stand.run("produce", CLOSED_LOOP_TOPIC, &arguments)?;
        let mut measurement = Measurement::default();
        if let Some(latency) = &report.latency {
            measurement.add_latency(latency, "");
        }
        measurement.add("records/s", Better::Higher, report.records_per_second());
        if let Some(server) = &report.server {
            let thousands = report.records as f64 / 1e3;
            measurement.add(
                "server CPU ms per 1,000 records",
                Better::Lower,
                server.cpu.total() * 1e3 / thousands,
            );
        }
        Ok(measurement)
    }

    fn clean(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        stand.connect()?.delete_topic(CLOSED_LOOP_TOPIC)
    }
}
