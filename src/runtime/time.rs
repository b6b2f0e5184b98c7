//! Instants of the monotonic clock, and waiting with a bound.

use std::{
    future::Future,
    ops::{Add, Sub},
    pin::pin,
    task::Poll,
    time::Duration,
};

/// A reading of the monotonic clock in nanoseconds. Comparable only within one process (or one simulation).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant {
    nanoseconds: u64,
}

impl Instant {
    /// The instant that lies `nanoseconds` after the clock's own zero.
    pub fn from_nanoseconds(nanoseconds: u64) -> Instant {
        Instant { nanoseconds }
    }

    /// Nanoseconds since the clock's own zero.
    pub fn as_nanoseconds(self) -> u64 {
        self.nanoseconds
    }

    /// How long ago `earlier` was, seen from `self`; zero if it was not earlier.
    pub fn duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.nanoseconds.saturating_sub(earlier.nanoseconds))
    }

    /// How long ago this instant was; zero if it lies ahead.
    pub fn elapsed(self) -> Duration {
        crate::now().duration_since(self)
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Zero if `earlier` is not earlier.
    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates at the end of time (584 years after the clock's zero).
    fn add(self, duration: Duration) -> Instant {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Instant { nanoseconds: self.nanoseconds.saturating_add(nanoseconds) }
    }
}

/// The time given to [`timeout`] ran out first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not done within {} ms", .after.as_millis())]
pub struct Elapsed {
    /// The time that was given.
    pub after: Duration,
}

/// Waits for `future`, at most for `limit`. The future is polled before the clock is looked at, so one that
/// is ready at once wins even against a limit of zero. When the time is up the future is dropped.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = pin!(crate::sleep(limit));
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        sleep.as_mut().poll(context).map(|()| Err(Elapsed { after: limit }))
    })
    .await
}
