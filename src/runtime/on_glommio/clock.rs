//! The operating system's clocks, glommio's timers, the kernel's randomness.
#![expect(unsafe_code, reason = "getrandom has no safe wrapper in libc")]

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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
    glommio::timer::Timer::new(duration).await;
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
