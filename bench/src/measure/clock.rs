//! The clock that all timestamps come from.

use std::num::NonZeroU64;
use std::time::Duration;

use rustix::thread::set_current_timer_slack;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock. The same in every process of a machine, so that a consumer may
/// subtract what a producer elsewhere on the machine has written into a record.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}

/// Lets this thread's sleeps end within microseconds, not the 50 that the kernel adds to save energy.
/// Where the kernel refuses, sleeps stay coarse; the generator reports how late it sent.
pub fn sleep_precisely() {
    let _ = set_current_timer_slack(NonZeroU64::new(1));
}

/// Sleeps until the clock shows `at_ns`; returns at once if it already does.
pub fn sleep_until(at_ns: u64) {
    let wait_ns = at_ns.saturating_sub(now_ns());
    if wait_ns > 0 {
        std::thread::sleep(Duration::from_nanos(wait_ns));
    }
}
