//! The operating system's clocks, glommio's timers, the kernel's randomness.
#![expect(unsafe_code, reason = "getrandom and clock_gettime have no safe wrappers in libc")]

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::OnceLock,
    task::Poll,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use glommio::timer::Timer;
use model::Timestamp;

use crate::Instant;

/// The zero of [`Instant`] in this process: the first time that anyone asked.
static ZERO: OnceLock<std::time::Instant> = OnceLock::new();

/// Reads the monotonic clock. Works on any thread.
pub fn now() -> Instant {
    let elapsed = ZERO.get_or_init(std::time::Instant::now).elapsed();
    Instant::from_nanoseconds(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

/// Reads the wall clock, in milliseconds. It may jump either way. Works on any thread.
pub fn wall_clock() -> Timestamp {
    let since = |elapsed: Duration| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
    Timestamp(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(elapsed) => since(elapsed),
        Err(before) => -since(before.duration()),
    })
}

/// Waits for at least `duration`. Even a sleep of zero gives every other task and all input and output a turn.
pub async fn sleep(duration: Duration) {
    if duration < SHORTEST_SLEEP {
        return give_way().await;
    }
    Timer::new(duration).await;
}

/// Shorter sleeps are over before they have begun.
const SHORTEST_SLEEP: Duration = Duration::from_micros(2);

/// Waits until the executor has looked at its rings once.
///
/// A task that only queues itself again does not let it: it looks there when no task is ready, or when its
/// pre-emption timer has fired. Nor does a timer that is due when it is first polled, for that does not wait.
async fn give_way() {
    let mut timer = None;
    poll_fn(|context| {
        let woken = timer.is_some();
        let mut delay = SHORTEST_SLEEP;
        while Pin::new(timer.get_or_insert_with(|| Timer::new(delay))).poll(context).is_ready() {
            if woken {
                return Poll::Ready(());
            }
            // The thread was held up for longer than the timer's time.
            delay *= 2;
            timer = None;
        }
        Poll::Pending
    })
    .await;
}

/// CPU time that this core's thread has used so far, in the kernel too.
pub fn core_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable memory of the type that the call fills in.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } != 0;
    match (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) {
        (Ok(seconds), Ok(nanoseconds)) if !failed => Duration::new(seconds, nanoseconds),
        // The clock exists on every Linux that has io_uring; a number too small is harmless.
        _ => Duration::ZERO,
    }
}

/// 64 bits of the kernel's randomness. Works on any thread.
pub fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // SAFETY: `rest` is writable memory of the length given.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(count) => filled += count,
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {
            }
            Err(_) => crate::abort("the kernel gives no randomness (getrandom failed)"),
        }
    }
    u64::from_ne_bytes(bytes)
}
