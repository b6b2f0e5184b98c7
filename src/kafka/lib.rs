//! Kafka's wire protocol: one of the two doors.
//!
//! **What it is.** A listener and its connections on every core, frames, headers, one handler per
//! API, and Kafka's error codes for what the broker refuses. The table [`apis::APIS`] is the one
//! statement of what is served: a row is declared beside its handler, and ApiVersions is computed
//! from the rows.
//!
//! **What it owns.** Connections, the memory budget for requests and replies, and the knowledge of
//! Kafka's formats. Only this room names the `kafka-protocol` crate, which decodes and encodes the
//! control plane; Produce, Fetch and ApiVersions are written by hand in [`codec`].
//!
//! **Where it runs.** On each lane-owning core, through `runtime`; a connection stays on the core
//! that accepted it, or moves to the one whose partitions alone it works with ([`affinity`]).
//!
//! **What it must never do.** Take memory for a size or a count before it is admitted or checked
//! ([`budget`], [`guard`]); let the crate decode a body that the guard has not seen; answer one
//! connection's requests out of order; hold a borrow of the catalog across an await; know how
//! anything is stored.
//!
//! **Where to start reading.** [`connection`] (the life of a request), then [`apis`] and
//! `handlers/produce.rs`, then [`request::parse`] and [`guard`].

mod affinity;
pub mod apis;
mod authorized_operations;
pub mod budget;
pub mod codec;
mod config_codes;
mod connection;
mod door_metrics;
mod doors;
mod errors;
pub mod frames;
pub mod guard;
mod handlers;
pub mod header;
mod limits;
mod moves;
mod open_connections;
mod questions;
mod reply_errors;
pub mod request;
mod rope;
mod server;
mod topics;
pub mod wire;

pub use door_metrics::{ApiCounts, DoorCounts, DoorReader, error_name};
pub use doors::{Doors, OpenError};
pub use server::KafkaConfig;
