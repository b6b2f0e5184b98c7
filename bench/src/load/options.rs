//! What the load generator can be told. The runner builds the same options that the command line does.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// Which broker, and which of its topics.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Target {
    /// Address of the broker
    #[arg(short, long, default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
    /// Topic; made if it is missing
    #[arg(short, long, default_value = "bench")]
    pub topic: String,
    /// Partitions of the topic, if it is made
    #[arg(short, long, default_value_t = 16, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// A librdkafka setting, for clients of every kind
    #[arg(short = 'X', long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}

/// What is written where, and whose use of the machine is watched.
#[derive(Args, Clone, Debug, Default, Serialize)]
pub struct Output {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Write latencies to FILE, as an HdrHistogram log
    #[arg(long, value_name = "FILE")]
    pub histogram_log: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Report the processor time and the memory of the broker with this process id, too
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
}

/// What is sent, and how fast.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Sending {
    /// Bytes of a record's value
    #[arg(short = 's', long, default_value_t = 1024)]
    pub record_size: usize,
    /// Open loop: records a second, all producers together. Without it: closed loop
    #[arg(short, long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Closed loop: records of a producer that may wait for their acknowledgement. Without it: 100,000 or 64 MiB of them
    #[arg(long, conflicts_with = "rate", value_parser = clap::value_parser!(u64).range(1..))]
    pub in_flight: Option<u64>,
    /// Producers: clients with connections and threads of their own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub producers: u64,
    /// Who must have a record before it is acknowledged
    #[arg(short, long, default_value = "all")]
    pub acks: Acks,
    /// Send with the idempotent producer
    #[arg(long)]
    pub idempotent: bool,
    /// Compress batches
    #[arg(short, long, default_value = "none")]
    pub compression: Compression,
    /// Milliseconds that a batch may wait to grow
    #[arg(short, long, default_value_t = 5.0)]
    pub linger_ms: f64,
    /// How records are spread over the partitions
    #[arg(long, default_value = "sticky")]
    pub spread: SpreadOver,
    /// What records hold
    #[arg(long, default_value = "random")]
    pub payload: Payload,
}

/// For how long.
#[derive(Args, Clone, Copy, Debug, Serialize)]
pub struct Span {
    /// Seconds that are measured
    #[arg(short, long, default_value_t = 10.0, value_parser = positive)]
    pub duration: f64,
    /// Seconds of the same load before that, which are not measured
    #[arg(short, long, default_value_t = 3.0, value_parser = not_negative)]
    pub warm_up: f64,
}

/// `bench produce`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct ProduceOptions {
    /// The broker and the topic.
    #[command(flatten)]
    pub target: Target,
    /// What is sent.
    #[command(flatten)]
    pub sending: Sending,
    /// How long.
    #[command(flatten)]
    pub span: Span,
    /// Measure until this many records are acknowledged, from the first on: no duration, no warm-up
    #[arg(short = 'n', long, conflicts_with_all = ["duration", "warm_up"], value_parser = clap::value_parser!(u64).range(1..))]
    pub records: Option<u64>,
    /// What is written where.
    #[command(flatten)]
    pub output: Output,
}

/// `bench consume`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct ConsumeOptions {
    /// The broker and the topic.
    #[command(flatten)]
    pub target: Target,
    /// Where the records are when they are read
    #[arg(short, long, default_value = "cached")]
    pub mode: Reading,
    /// Consumers: clients that share the partitions
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub consumers: u64,
    /// All but tailing: read this many records, over and over from the beginning if need be. Without it: each once
    #[arg(short = 'n', long)]
    pub records: Option<u64>,
    /// cold: the broker's data folder; files of the topic in it are dropped from the page cache before reading
    #[arg(long, value_name = "DIR", required_if_eq("mode", "cold"))]
    pub server_data: Option<PathBuf>,
    /// How long.
    #[command(flatten)]
    pub span: Span,
    /// What is written where.
    #[command(flatten)]
    pub output: Output,
}

/// `bench end-to-end`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct EndToEndOptions {
    /// The broker and the topic.
    #[command(flatten)]
    pub target: Target,
    /// What is sent.
    #[command(flatten)]
    pub sending: Sending,
    /// Consumers: clients that share the partitions
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub consumers: u64,
    /// How long.
    #[command(flatten)]
    pub span: Span,
    /// Seconds to wait for the last records
    #[arg(long, default_value_t = 10.0, value_parser = not_negative)]
    pub drain: f64,
    /// What is written where.
    #[command(flatten)]
    pub output: Output,
}

/// Kafka's acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Acks {
    /// Nobody: the client does not wait
    #[value(name = "0")]
    None,
    /// The leader
    #[value(name = "1")]
    Leader,
    /// All in-sync replicas
    #[value(name = "all", alias = "-1")]
    All,
}

impl Acks {
    /// Its value in librdkafka's configuration.
    pub fn setting(self) -> &'static str {
        match self {
            Acks::None => "0",
            Acks::Leader => "1",
            Acks::All => "all",
        }
    }
}

/// Compressions that a minimal librdkafka has (zstd and gzip need further C libraries).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Compression {
    /// None
    None,
    /// Snappy
    Snappy,
    /// LZ4
    Lz4,
}

impl Compression {
    /// Its value in librdkafka's configuration.
    pub fn setting(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
        }
    }
}

/// How records find their partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub enum SpreadOver {
    /// As librdkafka does it for records without a key: a random partition for some milliseconds, then another
    Sticky,
    /// The next partition for every record
    RoundRobin,
}

/// What records hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Payload {
    /// Bytes that do not compress
    Random,
    /// Words, which compress well
    Text,
}

/// Where the records are that a consumer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Reading {
    /// Only new records, as they come; latency counts from the time in the record
    Tailing,
    /// From the beginning, after one reading that is not measured
    Cached,
    /// From the beginning, wherever they are
    AsIs,
    /// From the beginning, after the topic's files were dropped from the page cache
    Cold,
}

impl Sending {
    /// Records that one producer lets wait in a closed loop.
    pub fn in_flight_limit(&self) -> u64 {
        const MOST_BYTES: u64 = 64 << 20;
        self.in_flight
            .unwrap_or_else(|| (MOST_BYTES / self.record_size.max(1) as u64).clamp(1, 100_000))
    }
}

pub(crate) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("a number above 0 is needed".to_string()),
    }
}

pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("a number of at least 0 is needed".to_string()),
    }
}
