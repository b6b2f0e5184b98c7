//! A partition's records as its lane and its readers meet them. The same tests run on the real
//! runtime and, under `--features simulation`, on the simulated one with many seeds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect fails"
)]

mod checkpoints;
mod compaction;
mod damage;
#[cfg(feature = "simulation")]
mod full_disk;
mod given;
mod memory;
mod model;
mod reading;
mod retention;
mod transactions;
