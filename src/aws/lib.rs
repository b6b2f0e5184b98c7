//! The door for AWS SDKs: HTTP/1.1 that carries AWS's JSON protocol.
//!
//! **What it is.** One listener. Any Host is accepted and the path is ignored; a request's
//! `X-Amz-Target` chooses the service and the operation, as AWS's own endpoints do it. Kinesis
//! Data Streams is the one service today.
//!
//! **What it owns.** How many connections there may be, how slow and how large their requests, the
//! encoding of requests, answers and errors, request ids. Signatures are not checked: no credentials can
//! be configured yet. Of a signature only the region is read, because ARNs show it.
//!
//! **Where it runs.** On tokio's worker threads, off the lane-owning cores.
//!
//! **What it must never do.** Read a body before its size is admitted by the memory budget; leave
//! a client without an answer; decide anything about streams: that is `kinesis`.
//!
//! **Where to start reading.** [`serve`], then `exchange.rs` (the life of one request), then
//! `kinesis_service.rs` (which operation calls what).

mod config;
mod door_metrics;
mod exchange;
mod fault;
mod json;
mod kinesis_service;
mod memory;
mod request_body;
mod server;
mod service;
mod signature;

pub use config::{AwsConfig, AwsLimits};
pub use door_metrics::{DoorCounts, DoorReader, OperationCounts};
pub use server::{AwsServer, ServeError, serve};

#[cfg(test)]
mod http_tests;
