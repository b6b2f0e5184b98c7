//! Time and chance of the facade.

use std::time::Duration;

use model::Timestamp;

use super::executor::world;
use super::time::{duration_ns, sleep_ns};
use crate::Instant;

/// The monotonic clock.
pub fn now() -> Instant {
    Instant::from_nanoseconds(world().timers.now_ns())
}

/// The wall clock, which a test can shift.
pub fn wall_clock() -> Timestamp {
    Timestamp(world().timers.wall_clock_ms())
}

/// Waits for a span of virtual time.
pub async fn sleep(duration: Duration) {
    sleep_ns(duration_ns(duration)).await;
}

/// Nothing takes any CPU time here.
pub fn core_cpu_time() -> Duration {
    Duration::ZERO
}

/// 64 bits of the run's chance.
pub fn random_u64() -> u64 {
    world().random.next_u64()
}
