//! The load generator of the Kinesis scenarios: hyper, one connection and one thread for each producer and reader,
//! HTTP/1.1 or HTTP/2 with prior knowledge, JSON or CBOR, as the SDKs do it. An SDK itself would be most of what is
//! measured: it makes its bodies anew for each call, and signs them. Here the bodies of a closed loop are made
//! before the measurement, and the signature has the right form and nothing else: it is for servers that do not check.
//!
//! Start reading at `put.rs`; `subscription.rs` for the records that are pushed.

pub mod body;
pub mod connection;
pub mod control;
mod event_stream;
mod follow;
pub mod get;
pub mod options;
mod producer;
pub mod put;
pub mod subscribe;
mod subscription;
mod tally;
