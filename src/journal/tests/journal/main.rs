//! The journal on real files, on one core.
#![cfg(not(feature = "simulation"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

mod append_and_replay;
mod damage;
mod support;
