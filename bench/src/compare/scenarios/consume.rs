//! How fast records are read.

use crate::compare::measurement::{Better, Measurement};
use crate::compare::scenario::{Scenario, Stand};
use crate::compare::{page_cache, tool};
use crate::load::consume::drop_from_page_cache;
use crate::load::schedule::records_in;
use crate::measure::process_use::CpuSeconds;

/// All records of a topic, from the beginning.
#[derive(Clone, Copy)]
pub struct Consume {
    /// Bytes of a record.
    pub record_size: u64,
    /// Partitions of the topic.
    pub partitions: i32,
    /// From the disk: the brokers' files are dropped from the page cache before each round, and another topic was
    /// written since, which took what the broker itself keeps in memory.
    pub cold: bool,
    /// By librdkafka's own tool.
    pub by_tool: bool,
}

/// Written after the topic that is read cold.
const PUSHING_OUT: &str = "bench-pushing-out";

impl Consume {
    fn topic(&self) -> String {
        format!("bench-{}", self.name())
    }

    fn by_tool(&self, stand: &Stand<'_>, records: u64) -> anyhow::Result<Measurement> {
        let mut arguments =
            format!("-C -b {} -t {} -o beginning -c {records}", stand.address()?, self.topic());
        arguments.push_str(" -X enable.auto.commit=false");
        for partition in 0..self.partitions {
            arguments.push_str(&format!(" -p {partition}"));
        }
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        let client_before = CpuSeconds::of_ended_children()?;
        let (report, server) =
            stand.watching(|| tool::finish(tool::start(stand.tool, &arguments)?, records))?;
        let client = CpuSeconds::of_ended_children()?.since(client_before);
        let mut measurement = Measurement::default();
        measurement.add("MB/s", Better::Higher, report.megabytes_per_second);
        measurement.add("records/s", Better::Higher, report.records_per_second);
        measurement.add_cpu(server, client, records * self.record_size);
        Ok(measurement)
    }
}

impl Scenario for Consume {
    fn name(&self) -> String {
        let by = if self.by_tool { "tool-" } else { "" };
        let from = if self.cold { "cold" } else { "cached" };
        format!("{by}consume-{from}-{}b-p{}", self.record_size, self.partitions)
    }

    fn groups(&self) -> Vec<&'static str> {
        vec!["throughput", if self.by_tool { "tool-consume" } else { "consume" }]
    }

    fn about(&self) -> String {
        let by = if self.by_tool { "rdkafka_performance" } else { "bench" };
        let from = if self.cold { "from the disk" } else { "from memory" };
        format!("consume {from}: {} B x {} partitions, by {by}", self.record_size, self.partitions)
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        let records = records_in(stand.options.round_size, self.record_size);
        let fill = format!("-n {records} -s {} -p {}", self.record_size, self.partitions);
        stand.run("produce", &self.topic(), &fill)?;
        if self.cold {
            stand.run("produce", PUSHING_OUT, &fill)?;
        } else {
            // The first reading after writing, which is not measured.
            stand.run("consume", &self.topic(), &format!("-n {records}"))?;
        }
        Ok(())
    }

    fn measure(&self, stand: &mut Stand<'_>, _round: u64) -> anyhow::Result<Measurement> {
        let records = records_in(stand.options.round_size, self.record_size);
        let data = stand.running()?.place().data();
        if self.cold {
            drop_from_page_cache(&data, &self.topic())?;
            page_cache::fill(&stand.options.data_folder()?, stand.options.page_cache_fill)?;
        }
        let mut measurement = if self.by_tool {
            self.by_tool(stand, records)?
        } else {
            // The mode only says what the generator does beforehand: nothing, here.
            let arguments = format!("--mode as-is -n {records}");
            let (report, server) =
                stand.watching(|| stand.run("consume", &self.topic(), &arguments))?;
            let mut measurement = Measurement::default();
            measurement.add_throughput(&report);
            measurement.add_cpu(server, report.client_cpu, report.bytes);
            measurement
        };
        measurement.add("peak RSS, MB", Better::Lower, stand.peak_megabytes()?);
        Ok(measurement)
    }

    fn clean(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        if self.cold {
            stand.connect()?.delete_topic(PUSHING_OUT)?;
        }
        stand.connect()?.delete_topic(&self.topic())
    }
}
