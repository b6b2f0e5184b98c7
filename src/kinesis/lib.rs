//! AWS's Kinesis Data Streams over the broker's topics: the operations, free of HTTP.
//!
//! **What it is.** A stream is a topic, a shard is an interval of a partition's offsets with a
//! range of hash keys, a record is a Kafka record (DESIGN 5, `docs/KINESIS.md`). Each operation
//! is a method of [`Kinesis`] from a request struct to an answer struct, whatever their encoding.
//!
//! **What it owns.** The shapes and their constraints, tokens (shard iterators, page tokens),
//! routing by hash key's result, the mapping of records. Who is subscribed to which shard, and the throughput
//! left of shards that are limited. No other state: streams and shards are the catalog's, and a token carries all that there is to know.
//!
//! **Where it runs.** On tokio's worker threads, off the lane-owning cores, which it reaches
//! through [`broker::BrokerHandle`] in one place ([`cores`]). Hashing, making batches and
//! decoding them happens on the worker.
//!
//! **What it must never do.** Acknowledge a put before the broker says it is durable; show a
//! record outside its shard's offsets; keep anything about a stream between two calls.
//!
//! **Where to start reading.** [`requests`] and [`constraints`] (what is asked), [`log`] (what it
//! needs of the broker), then `put.rs` and `read.rs`; `subscribe.rs` and [`subscription`] for
//! what is pushed; `lineage.rs` for the shards' history.

use std::sync::{Arc, Mutex};

mod account;
pub mod answers;
mod bounded;
mod calendar;
pub mod constraints;
mod consumers;
pub mod cores;
mod describe;
pub mod error;
mod gather;
mod harvest;
mod iterator;
mod limits;
mod lineage;
pub mod log;
pub mod model_operations;
mod monitoring;
mod partition_key;
mod place;
mod policies;
mod put;
mod read;
pub mod requests;
mod resharding;
mod resource;
mod settings;
mod shards;
pub mod stream;
mod streams;
mod subscribe;
mod subscribers;
pub mod subscription;
mod tags;
mod throughput;
pub mod token;
pub mod validation;
pub mod wire;

pub use cores::BrokerLog;
pub use error::{ApiError, ErrorKind};
pub use log::Log;
pub use stream::Caller;
pub use subscription::{Subscription, Turn};

/// The topic setting that keeps a stream's mode: `provisioned` or `on_demand`.
const STREAM_MODE_CONFIG: &str = "stream.mode";
/// The topic setting that holds a stream to AWS's limits of throughput, or not …
const STREAM_LIMITS_CONFIG: &str = "stream.limits";
/// … and what is in force where it is not set.
const STREAM_LIMITS_DEFAULT_CONFIG: &str = "stream_limits_default";
const AWS_LIMITS: &str = "aws";
const ON_DEMAND: &str = "on_demand";
const PROVISIONED: &str = "provisioned";
/// `EncryptionType` of everything: KMS is not served.
const NOT_ENCRYPTED: &str = "NONE";

/// The operations of Kinesis Data Streams, over a log.
pub struct Kinesis<L> {
    /// Subscriptions outlive the calls that made them.
    log: Arc<L>,
    tokens: token::Tokens,
    subscribers: Arc<Mutex<subscribers::Subscribers>>,
    throughput: Mutex<throughput::Throughput>,
}

impl<L: Log> Kinesis<L> {
    /// The operations over `log`. Tokens are made under `secret`, which must stay the same for
    /// them to be good after a restart.
    pub fn new(log: L, secret: &[u8]) -> Kinesis<L> {
        Kinesis {
            log: Arc::new(log),
            tokens: token::Tokens::new(secret),
            subscribers: Arc::default(),
            throughput: Mutex::default(),
        }
    }
}

#[cfg(test)]
mod error_table_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod model_errors_tests;
#[cfg(test)]
mod operation_tests;
#[cfg(test)]
mod resharding_tests;
#[cfg(test)]
mod subscription_tests;
