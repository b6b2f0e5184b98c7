//! The door for AWS SDKs: HTTP that carries AWS's JSON and CBOR protocols.
//!
//! **What it is.** One listener, and one more with TLS if that is configured, each for HTTP/1.1 and
//! HTTP/2. Any Host is accepted and the path is ignored; a request's `X-Amz-Target` chooses the
//! service and the operation, as AWS's own endpoints do it. Kinesis Data Streams is the one service
//! today.
//!
//! **What it owns.** How many connections there may be, how slow and how large their requests; the
//! encoding of requests, answers, events and errors; request ids; signatures, which are checked
//! when credentials are configured and otherwise only asked for the region that ARNs show; the TLS
//! certificate.
//!
//! **Where it runs.** On tokio's worker threads, off the lane-owning cores.
//!
//! **What it must never do.** Read a body before its size is admitted by the memory budget; leave
//! a client without an answer; carry out what was not signed when it has to be; decide anything
//! about streams: that is `kinesis`.
//!
//! **Where to start reading.** [`serve`], then `exchange.rs` (the life of one request), then
//! `kinesis_service.rs` (which operation calls what). `encoding.rs` for JSON and CBOR (whose tokens are `aws_cbor`'s),
//! `shard_events.rs` and `event_body.rs` for answers that go on, `signature/mod.rs`, `tls.rs`.

mod cbor;
mod config;
mod door_metrics;
mod encoding;
mod event_body;
mod event_stream;
mod exchange;
mod fault;
mod json;
mod kinesis_service;
mod memory;
mod reply;
mod request_body;
mod server;
mod service;
mod shard_events;
mod signature;
mod tls;

pub use config::{AwsConfig, AwsLimits, AwsSecurity, AwsTls};
pub use door_metrics::{DoorCounts, DoorReader, OperationCounts};
pub use server::{AwsServer, ServeError, serve, serve_secured};
pub use signature::{Credentials, CredentialsError};
pub use tls::{IdentityError, TlsSource};

#[cfg(test)]
mod cbor_tests;
#[cfg(test)]
mod http2_tests;
#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod tls_tests;
