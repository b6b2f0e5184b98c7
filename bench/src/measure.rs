//! What everything is measured with: the clock, latencies, statistics, a process's use of the machine, and
//! the machine's own limits.

pub mod clock;
pub mod latency;
pub mod limits;
pub mod process_use;
pub mod statistics;
