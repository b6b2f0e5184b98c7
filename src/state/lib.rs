//! Deterministic state machines: what the broker knows besides the records themselves.
//!
//! Owns: the [`catalog`] (topics, where their partitions live, settings, producer-id blocks), the
//! [`shards`] that Kinesis sees over a topic's partitions and how they follow the load
//! ([`scaling`]), the [`producers`] whose sequences a
//! partition remembers, the coordinator of [`transactions`], the consumer [`groups`] and their
//! [`leases`], and the [`configs`] (every setting by Kafka's name).
//!
//! Runs on any core or thread: plain values, no task, no I/O.
//!
//! Must never: read a clock, draw a random number, or depend on the order of a hash map. Time and
//! ids travel in the command, so that the same commands give the same state on every core, after
//! every restart, and later on every node. Requests are judged by the `validate_…` and `plan_…`
//! functions *before* a command is journaled; applying a journaled command is total.
//!
//! Start reading at [`catalog::Catalog`], then [`shards::Shards`] and [`producers::ProducerTable`];
//! for consumer groups at [`groups::Groups`].

pub mod catalog;
pub mod configs;
pub mod groups;
pub mod leases;
pub mod producers;
pub mod scaling;
pub mod shards;
pub mod transactions;
mod versioned;

pub use catalog::{Catalog, CatalogCommand, CatalogError, CatalogEvent, Topic};
pub use versioned::DecodeError;
