//! What the loads of the Kinesis door can be told.

use clap::Args;
use serde::Serialize;

use crate::kinesis::body::Encoding;
use crate::kinesis::connection::Http;
use crate::load::options::{Output, Span, not_negative, positive};

/// Which door, and which of its streams.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Stream {
    /// Address of the Kinesis door
    #[arg(short, long, default_value = "127.0.0.1:4567")]
    pub endpoint: String,
    /// Stream; made if it is missing
    #[arg(long, default_value = "bench")]
    pub stream: String,
    /// Shards of the stream, if it is made
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub shards: u32,
}

/// How requests are written, and how they travel.
#[derive(Args, Clone, Copy, Debug, Serialize)]
pub struct Wire {
    /// How bodies are written
    #[arg(long, default_value = "json")]
    pub encoding: Encoding,
    /// The version of HTTP
    #[arg(long, default_value = "1")]
    pub http: Http,
}

/// What is put.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Putting {
    /// Bytes of a record's data
    #[arg(short = 's', long, default_value_t = 1024)]
    pub record_size: usize,
    /// Open loop: records a second, all connections together. Without it: closed loop, the next call when the one
    /// before is answered
    #[arg(short, long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Connections, each with a thread of its own and one call under way
    #[arg(short, long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: u64,
}

/// `bench put-records`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct PutOptions {
    /// The door and the stream.
    #[command(flatten)]
    pub stream: Stream,
    /// How requests look.
    #[command(flatten)]
    pub wire: Wire,
    /// What is put.
    #[command(flatten)]
    pub putting: Putting,
    /// Records of a call of PutRecords; 1: PutRecord is called
    #[arg(short = 'k', long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=500))]
    pub records_per_call: u64,
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

/// `bench get-records`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct GetOptions {
    /// The door and the stream.
    #[command(flatten)]
    pub stream: Stream,
    /// How requests look.
    #[command(flatten)]
    pub wire: Wire,
    /// Connections, each with a thread of its own, which share the shards
    #[arg(short, long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: u64,
    /// Records that a call may bring
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// How long.
    #[command(flatten)]
    pub span: Span,
    /// What is written where.
    #[command(flatten)]
    pub output: Output,
}

/// `bench subscribe`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct SubscribeOptions {
    /// The door and the stream.
    #[command(flatten)]
    pub stream: Stream,
    /// What is put, by PutRecord over HTTP/1.1; --rate is 1,000 unless it is given.
    #[command(flatten)]
    pub putting: Putting,
    /// The version of HTTP by which events come
    #[arg(long, default_value = "2")]
    pub http: Http,
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
