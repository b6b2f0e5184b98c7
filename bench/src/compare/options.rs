//! What `bench compare` can be told.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::compare::system::Protocol;

/// `bench compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareOptions {
    /// Scenarios, or groups of them, by name; `bench scenarios` lists them
    #[arg(required = true)]
    pub scenarios: Vec<String>,
    /// What this broker is compared with; `none` leaves it alone [default: kafka,kafka-synced for scenarios that
    /// speak Kafka's protocol, kinesalite,kinesalite-leveldb,ministack for those that speak Kinesis']
    #[arg(short, long, value_delimiter = ',')]
    pub peers: Vec<Peer>,
    /// This broker: a binary, with arguments of `serve` behind it. With a name, several can be compared.
    /// Without it: beside this program, or where scripts/test builds it
    #[arg(long, value_name = "[NAME=]FILE [ARGUMENTS]")]
    pub thalweg: Vec<String>,
    /// Rounds: in each, every system is measured once
    #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: u64,
    /// Processors for everything: brokers and clients. Without it: all that there are
    #[arg(long, value_delimiter = ',')]
    pub cpus: Vec<usize>,
    /// Folder for the brokers' data, on the disk that is to be measured [default: $THALWEG_CACHE/bench]
    #[arg(short, long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Folder for results [default: results/TIME in the data's folder]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Folder where scripts/peers installs [default: $THALWEG_CACHE/peers]
    #[arg(long, value_name = "DIR")]
    pub peers_folder: Option<PathBuf>,
    /// Size of the file that fills the page cache before each scenario, GiB; 0: none
    #[arg(long, default_value_t = 16)]
    pub page_cache_fill: u64,
    /// Gigabytes written and read before anything is measured, by each system alike
    #[arg(long, default_value_t = 8.0)]
    pub warm_up: f64,
    /// Gigabytes of a round in which throughput is measured
    #[arg(long, default_value_t = 1.0)]
    pub round_size: f64,
    /// Seconds of a round in which latency is measured
    #[arg(long, default_value_t = 10.0)]
    pub round_seconds: f64,
    /// Gigabytes (GiB) in the log that is recovered after kill -9
    #[arg(long, default_value_t = 10.0)]
    pub recovery_size: f64,
    /// Size of Kafka's heap
    #[arg(long, default_value = "1g")]
    pub kafka_heap: String,
    /// librdkafka's rdkafka_performance [default: where scripts/setup builds it]
    #[arg(long, value_name = "FILE")]
    pub rdkafka_performance: Option<PathBuf>,
    /// Keep the brokers' data
    #[arg(long)]
    pub keep_data: bool,
}

impl CompareOptions {
    /// Where the project's scripts keep what they build and install.
    pub fn cache(&self) -> anyhow::Result<PathBuf> {
        let from = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        from("THALWEG_CACHE")
            .or_else(|| Some(from("XDG_CACHE_HOME")?.join("thalweg")))
            .or_else(|| Some(from("HOME")?.join(".cache/thalweg")))
            .context("neither THALWEG_CACHE nor HOME is set")
    }

    /// Where brokers' data lies.
    pub fn data_folder(&self) -> anyhow::Result<PathBuf> {
        match &self.data {
            Some(data) => Ok(data.clone()),
            None => Ok(self.cache()?.join("bench")),
        }
    }

    /// Where peers are installed.
    pub fn peers_folder(&self) -> anyhow::Result<PathBuf> {
        match &self.peers_folder {
            Some(peers) => Ok(peers.clone()),
            None => Ok(self.cache()?.join("peers")),
        }
    }
}

/// A broker that this one is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Apache Kafka as it comes
    Kafka,
    /// Apache Kafka with log.flush.interval.messages=1
    KafkaSynced,
    /// nisshi, in memory
    Nisshi,
    /// The least of brokers (`bench floor`): what client and kernel cost by themselves
    Floor,
    /// The same with one durable write for each produce request
    FloorDurable,
    /// kinesalite, in memory: its default
    Kinesalite,
    /// kinesalite with a LevelDB on the disk
    KinesaliteLeveldb,
    /// ministack, in memory
    Ministack,
    /// Nothing
    None,
}

impl Peer {
    /// Whom scenarios of a protocol are compared with, unless somebody is named.
    pub fn usual(protocol: Protocol) -> &'static [Peer] {
        match protocol {
            Protocol::Kafka => &[Peer::Kafka, Peer::KafkaSynced],
            Protocol::Kinesis => &[Peer::Kinesalite, Peer::KinesaliteLeveldb, Peer::Ministack],
            Protocol::KinesisFanOut => &[],
        }
    }
}
