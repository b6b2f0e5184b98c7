//! Kinesis: how fast records are put and got, and how soon they are pushed.

use crate::compare::measurement::{Better, Measurement};
use crate::compare::scenario::{Scenario, Stand};
use crate::compare::scenarios::end_to_end::add_open_loop;
use crate::compare::system::Protocol;
use crate::kinesis::body::Encoding;
use crate::kinesis::connection::{Connection, Http};
use crate::kinesis::options::Stream;
use crate::load::report::LoadReport;
use crate::measure::process_use::CpuSeconds;

const GROUP: &str = "kinesis";
const RECORD_BYTES: u64 = 1024;
const SHARDS: u32 = 4;
const WARM_UP_SECONDS: u32 = 1;

fn make_stream(stand: &Stand<'_>, name: &str, shards: u32) -> anyhow::Result<()> {
    let endpoint = stand.kinesis_address()?;
    let stream = Stream { endpoint: endpoint.clone(), stream: name.to_owned(), shards };
    Connection::open(&endpoint, Http::One)?.ensure(&stream)?;
    Ok(())
}

fn delete_stream(stand: &Stand<'_>, name: &str) -> anyhow::Result<()> {
    Connection::open(&stand.kinesis_address()?, Http::One)?.delete(name)
}

// What was used in the measured seconds: these loads end by time, not by a number of records.
fn add_use(measurement: &mut Measurement, report: &LoadReport) {
    let Some(server) = &report.server else { return };
    measurement.add_cpu(server.cpu, report.client_cpu, report.bytes);
    let processors = |cpu: CpuSeconds| cpu.total() / report.seconds;
    measurement.add("server, processors busy", Better::Neither, processors(server.cpu));
    measurement.add("client, processors busy", Better::Neither, processors(report.client_cpu));
    measurement.add("RSS, MB", Better::Lower, server.memory.now_bytes as f64 / 1e6);
}

/// PutRecords as fast as it goes; where the same system has a Kafka door, the same records through it.
#[derive(Clone, Copy)]
pub struct PutRecords {
    /// How bodies are written.
    pub encoding: Encoding,
}

impl PutRecords {
    fn stream(&self) -> String {
        format!("bench-{}", self.name())
    }

    fn by_kafka(&self) -> String {
        format!("{}-by-kafka", self.stream())
    }
}

impl Scenario for PutRecords {
    fn name(&self) -> String {
        match self.encoding {
            Encoding::Json => "put-records".to_owned(),
            Encoding::Cbor => "put-records-cbor".to_owned(),
        }
    }

    fn groups(&self) -> Vec<&'static str> {
        vec![GROUP]
    }

    fn protocol(&self) -> Protocol {
        Protocol::Kinesis
    }

    fn about(&self) -> String {
        format!(
            "PutRecords as fast as it goes: 500 x 1 KiB a call, {SHARDS} shards, 4 connections with one call under way, \
             HTTP/1.1, {}",
            self.encoding.content_type()
        )
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        make_stream(stand, &self.stream(), SHARDS)?;
        if stand.system.speaks(Protocol::Kafka) {
            stand.connect()?.create_topic(&self.by_kafka(), SHARDS as i32)?;
        }
        Ok(())
    }

    fn measure(&self, stand: &mut Stand<'_>, _round: u64) -> anyhow::Result<Measurement> {
        let seconds = stand.options.round_seconds;
        let arguments = format!(
            "--encoding {} -s {RECORD_BYTES} -k 500 -c 4 -d {seconds} -w {WARM_UP_SECONDS}",
            self.encoding.name()
        );
        let report = stand.run_kinesis("put-records", &self.stream(), &arguments)?;
        let mut measurement = Measurement::default();
        measurement.add_throughput(&report);
        if let Some(latency) = &report.latency {
            measurement.add("p50 of a call, ms", Better::Lower, latency.p50_ms);
            measurement.add("p99 of a call, ms", Better::Lower, latency.p99_ms);
        }
        add_use(&mut measurement, &report);
        if stand.system.speaks(Protocol::Kafka) {
            let arguments = format!("-s {RECORD_BYTES} -a all -d {seconds} -w {WARM_UP_SECONDS}");
            let kafka = stand.run("produce", &self.by_kafka(), &arguments)?;
            add_kafka_door(&mut measurement, &report, &kafka);
        }
        Ok(measurement)
    }

    fn clean(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        if stand.system.speaks(Protocol::Kafka) {
            stand.connect()?.delete_topic(&self.by_kafka())?;
        }
        delete_stream(stand, &self.stream())
    }
}

fn add_kafka_door(measurement: &mut Measurement, kinesis: &LoadReport, kafka: &LoadReport) {
    let name = |what: &str| format!("the same records by its Kafka door: {what}");
    measurement.add(&name("MB/s"), Better::Neither, kafka.megabytes_per_second());
    if let Some(server) = &kafka.server {
        let gigabytes = kafka.bytes as f64 / 1e9;
        measurement.add(&name("server CPU s/GB"), Better::Neither, server.cpu.total() / gigabytes);
    }
    measurement.add(
        &name("MB/s / PutRecords' MB/s"),
        Better::Neither,
        kafka.megabytes_per_second() / kinesis.megabytes_per_second(),
    );
}

/// PutRecord, one record at a time: how soon it is answered.
pub struct PutRecord;

const PUT_RECORD_STREAM: &str = "bench-put-record";

impl Scenario for PutRecord {
    fn name(&self) -> String {
        "put-record".to_owned()
    }

    fn groups(&self) -> Vec<&'static str> {
        vec![GROUP]
    }

    fn protocol(&self) -> Protocol {
        Protocol::Kinesis
    }

    fn about(&self) -> String {
        "PutRecord, one record of 1 KiB at a time on one connection, 1 shard, HTTP/1.1, JSON"
            .to_owned()
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        make_stream(stand, PUT_RECORD_STREAM, 1)
    }

    fn measure(&self, stand: &mut Stand<'_>, round: u64) -> anyhow::Result<Measurement> {
        let arguments = format!(
            "-s {RECORD_BYTES} -k 1 -c 1 -d {} -w {WARM_UP_SECONDS} {}",
            stand.options.round_seconds,
            stand.log_argument(&self.name(), round)
        );
        let report = stand.run_kinesis("put-records", PUT_RECORD_STREAM, &arguments)?;
        let mut measurement = Measurement::default();
        if let Some(latency) = &report.latency {
            measurement.add_latency(latency, "");
        }
        measurement.add("records/s", Better::Higher, report.records_per_second());
        if let Some(server) = &report.server {
            let thousands = report.records as f64 / 1e3;
            let per_thousand = |cpu: CpuSeconds| cpu.total() * 1e3 / thousands;
            measurement.add(
                "server CPU ms per 1,000 records",
                Better::Lower,
                per_thousand(server.cpu),
            );
            measurement.add(
                "client CPU ms per 1,000 records",
                Better::Neither,
                per_thousand(report.client_cpu),
            );
        }
        Ok(measurement)
    }

    fn clean(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        delete_stream(stand, PUT_RECORD_STREAM)
    }
}

/// GetRecords from TRIM_HORIZON as fast as it goes.
#[derive(Clone, Copy)]
pub struct GetRecords {
    /// How bodies are written.
    pub encoding: Encoding,
}

/// What is in the stream that is read: 67 MB, as much as the slowest puts in a few seconds.
const RECORDS_TO_GET: u64 = 65_536;

impl GetRecords {
    fn stream(&self) -> String {
        format!("bench-{}", self.name())
    }
}

impl Scenario for GetRecords {
    fn name(&self) -> String {
        match self.encoding {
            Encoding::Json => "get-records".to_owned(),
            Encoding::Cbor => "get-records-cbor".to_owned(),
        }
    }

    fn groups(&self) -> Vec<&'static str> {
        vec![GROUP]
    }

    fn protocol(&self) -> Protocol {
        Protocol::Kinesis
    }

    fn about(&self) -> String {
        format!(
            "GetRecords as fast as it goes, over and over from TRIM_HORIZON: {RECORDS_TO_GET} records of 1 KiB in \
             {SHARDS} shards, 10,000 a call, 2 connections, HTTP/1.1, {}",
            self.encoding.content_type()
        )
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        let arguments = format!("--shards {SHARDS} -s {RECORD_BYTES} -n {RECORDS_TO_GET} -k 500");
        stand.run_kinesis("put-records", &self.stream(), &arguments)?;
        Ok(())
    }

    fn measure(&self, stand: &mut Stand<'_>, _round: u64) -> anyhow::Result<Measurement> {
        let arguments = format!(
            "--encoding {} -c 2 -d {} -w {WARM_UP_SECONDS}",
            self.encoding.name(),
            stand.options.round_seconds
        );
        let report = stand.run_kinesis("get-records", &self.stream(), &arguments)?;
        let mut measurement = Measurement::default();
        measurement.add_throughput(&report);
        add_use(&mut measurement, &report);
        Ok(measurement)
    }

    fn clean(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        delete_stream(stand, &self.stream())
    }
}

/// SubscribeToShard: how soon a record is with its subscriber.
pub struct SubscribeToShard;

const SUBSCRIBED_STREAM: &str = "bench-subscribe-to-shard";
const PUSHED_PER_SECOND: u32 = 1_000;

impl Scenario for SubscribeToShard {
    fn name(&self) -> String {
        "subscribe-to-shard".to_owned()
    }

    fn groups(&self) -> Vec<&'static str> {
        vec![GROUP]
    }

    fn protocol(&self) -> Protocol {
        Protocol::KinesisFanOut
    }

    fn about(&self) -> String {
        format!(
            "SubscribeToShard over HTTP/2, open loop: {PUSHED_PER_SECOND} records of 1 KiB a second by PutRecord on 4 \
             connections, 1 shard, from the intended putting to the arrival; the peers have no SubscribeToShard"
        )
    }

    fn prepare(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        make_stream(stand, SUBSCRIBED_STREAM, 1)
    }

    fn measure(&self, stand: &mut Stand<'_>, round: u64) -> anyhow::Result<Measurement> {
        let arguments = format!(
            "-s {RECORD_BYTES} --rate {PUSHED_PER_SECOND} -c 4 -d {} -w {WARM_UP_SECONDS} {}",
            stand.options.round_seconds,
            stand.log_argument(&self.name(), round)
        );
        let report = stand.run_kinesis("subscribe", SUBSCRIBED_STREAM, &arguments)?;
        let mut measurement = Measurement::default();
        add_open_loop(&mut measurement, &report, f64::from(PUSHED_PER_SECOND), "");
        add_use(&mut measurement, &report);
        Ok(measurement)
    }

    fn clean(&self, stand: &mut Stand<'_>) -> anyhow::Result<()> {
        delete_stream(stand, SUBSCRIBED_STREAM)
    }
}
