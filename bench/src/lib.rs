//! The benchmark: how fast this broker is, beside its peers, in one run.
//!
//! What it is: a load generator on librdkafka (`load`) and one on hyper for the Kinesis door (`kinesis`), a runner that drives the same scenario against several
//! brokers in turn (`compare`), the least of brokers (`floor`), what both measure with (`measure`), and plots of the results (`plot`).
//! It owns the brokers that `compare` starts, and their data, below one folder; it is a client of them and knows
//! nothing of the broker's inside. It runs on ordinary threads.
//! It must never compare figures of different durability without saying so, leave out the slow requests
//! (coordinated omission), or write a figure that was not measured.
//! Start reading at `load/schedule.rs` for what a latency is, and at `compare/runner.rs` for what a round is.

pub mod compare;
pub mod floor;
pub mod kinesis;
pub mod load;
pub mod measure;
pub mod plot;
pub mod wire;
