//! When a core stays with a journal write until it is done, instead of doing something else meanwhile.
//!
//! Going to sleep in the executor and being woken by a completion costs about as much as the disk takes for a
//! small durable write: eight system calls on the way down, as many on the way up, and a byte through a socket pair.
//! Waiting for the completion in the one system call that also submits costs nothing beyond the write. So a core
//! that has time to spare waits there, for a bounded time; a core that is busy goes on with its work.
//!
//! Spinning would be worse than either: on a disk with a volatile cache the kernel ends a durable write in a worker
//! of its own on the same CPU, which cannot run while the core does.

use std::time::Duration;

use crate::Instant;

/// The longest wait: some times what a good disk needs.
pub(super) const STAY_MAX: Duration = Duration::from_micros(300);

/// Larger writes are those of a busy core.
pub(super) const STAY_BYTES_MAX: usize = 256 << 10;

/// How long a verdict on how busy the core is holds.
const WINDOW: Duration = Duration::from_millis(10);

/// A core that had less than this part of the time left over is busy.
const SPARE_PART: u32 = 10;

/// After a write that took too long so many are not waited for, and twice as many after each further one.
const SKIPPED_FIRST: u32 = 16;
const SKIPPED_MAX: u32 = 1 << 14;

/// One core's verdict.
#[derive(Debug)]
pub(super) struct Staying {
    began: Instant,
    cpu_time: Duration,
    /// How long it has stayed since.
    stayed: Duration,
    has_time: bool,
    /// Writes that are still not to be waited for.
    skipped: u32,
    /// How many that will be after the next late one.
    skip_next: u32,
}

impl Staying {
    pub(super) fn new(now: Instant) -> Staying {
        Staying {
            began: now,
            cpu_time: Duration::ZERO,
            stayed: Duration::ZERO,
            has_time: false,
            skipped: 0,
            skip_next: SKIPPED_FIRST,
        }
    }

    /// Whether to wait for a write that begins now. `cpu_time` says what the core's thread has used so far.
    pub(super) fn is_worth_it(&mut self, now: Instant, cpu_time: impl Fn() -> Duration) -> bool {
        let elapsed = now - self.began;
        if elapsed >= WINDOW {
            let cpu_time = cpu_time();
            let used = cpu_time.saturating_sub(self.cpu_time) + self.stayed;
            self.has_time = used <= elapsed - elapsed / SPARE_PART;
            (self.began, self.cpu_time, self.stayed) = (now, cpu_time, Duration::ZERO);
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return false;
        }
        self.has_time
    }

    /// The core has waited so long; `is_done`: until the end.
    pub(super) fn note(&mut self, waited: Duration, is_done: bool) {
        self.stayed += waited;
        if is_done {
            self.skip_next = SKIPPED_FIRST;
        } else {
            self.skipped = self.skip_next;
            self.skip_next = (self.skip_next * 2).min(SKIPPED_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: Duration = Duration::from_micros(100);

    /// Runs 20 ms with a write every 200 us, of which the core computes for `busy`; says how many of the writes in
    /// the second half were waited for.
    fn waited_for(busy: Duration) -> u32 {
        let begin = Instant::from_nanoseconds(0);
        let mut staying = Staying::new(begin);
        let (mut now, mut cpu_time, mut count) = (begin, Duration::ZERO, 0);
        for write in 0..200 {
            if staying.is_worth_it(now, || cpu_time) {
                staying.note(WRITE, true);
                count += u32::from(write >= 100);
            }
            now = now + Duration::from_micros(200);
            cpu_time += busy;
        }
        count
    }

    #[test]
    fn a_core_with_time_to_spare_stays_and_a_busy_one_does_not() {
        assert_eq!(waited_for(Duration::from_micros(20)), 100);
        assert_eq!(waited_for(Duration::from_micros(190)), 0);
        // Nor one that would be busy if it stayed: it stays half of the time.
        assert!((30..=70).contains(&waited_for(Duration::from_micros(120))));
    }

    #[test]
    fn a_slow_disk_is_waited_for_less_and_less_often() {
        let now = Instant::from_nanoseconds(0) + Duration::from_secs(1);
        let mut staying = Staying::new(Instant::from_nanoseconds(0));
        let mut tried = Vec::new();
        for write in 0..1000 {
            if staying.is_worth_it(now, || Duration::ZERO) {
                tried.push(write);
                staying.note(STAY_MAX, false);
            }
        }
        assert_eq!(tried, [0, 17, 50, 115, 244, 501]);
        staying.note(WRITE, true);
        assert_eq!(staying.skip_next, SKIPPED_FIRST, "a disk that recovers is waited for again");
    }
}
