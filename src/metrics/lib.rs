//! Counting what happens on a core, at the price of an addition.
//!
//! **What it is.** [`Counter`] and [`Histogram`], which belong to one core and are plain memory: no
//! lock, no atomic, no allocation after they are made. What they have counted is taken off the core
//! as numbers ([`HistogramCounts`]) that can be sent anywhere and added up.
//!
//! **What it owns.** The shape of histograms. What is counted, and what it is called, is for the
//! rooms that count and for `admin`.
//!
//! **Where it runs.** Anywhere. A room keeps its counters as fields of what the core owns already,
//! so that counting looks nothing up.
//!
//! **What it must never do.** Read a clock: durations come from `runtime`'s, so that the simulator
//! stays in control. Be shared between cores: only what doors on tokio count with is `Sync`.
//!
//! **Where to start reading.** [`counter`], then [`histogram`].

pub mod counter;
pub mod histogram;
pub mod shared;
pub mod traffic;

pub use counter::Counter;
pub use histogram::{Buckets, Histogram, HistogramCounts};
pub use shared::SharedHistogram;
pub use traffic::{Traffic, TrafficCounts};
