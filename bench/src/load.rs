//! The load generator: librdkafka, driven open loop (a fixed rate, whatever the broker does) or closed loop (the
//! next record when an earlier one is acknowledged).

mod client;
pub mod consume;
pub mod end_to_end;
pub mod options;
pub mod produce;
pub mod progress;
pub mod record;
pub mod report;
pub mod schedule;
pub mod sender;
pub mod topic;
