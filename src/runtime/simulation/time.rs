//! Virtual time: it stands still while tasks run (but for a microsecond or two a step) and jumps to
//! the next timer when none can.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::executor::{try_world, world};

/// Where simulated wall clocks begin: 2026-01-01T00:00:00Z.
const WALL_CLOCK_START_MS: i64 = 1_767_225_600_000;

#[derive(Default)]
pub(super) struct Timers {
    now_ns: Cell<u64>,
    wall_clock_shift_ms: Cell<i64>,
    next_id: Cell<u64>,
    waiting: RefCell<BTreeMap<TimerKey, Waker>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct TimerKey {
    deadline_ns: u64,
    id: u64,
}

impl Timers {
    pub fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    pub fn advance_ns(&self, by: u64) {
        self.now_ns.set(self.now_ns.get().saturating_add(by));
    }

    pub fn wall_clock_ms(&self) -> i64 {
        let elapsed_ms = i64::try_from(self.now_ns.get() / 1_000_000).unwrap_or(i64::MAX);
        WALL_CLOCK_START_MS + elapsed_ms + self.wall_clock_shift_ms.get()
    }

    pub fn shift_wall_clock_ms(&self, by: i64) {
        self.wall_clock_shift_ms.set(self.wall_clock_shift_ms.get() + by);
    }

    pub fn fire_due(&self) {
        loop {
            let due = {
                let mut waiting = self.waiting.borrow_mut();
                match waiting.first_entry() {
                    Some(first) if first.key().deadline_ns <= self.now_ns.get() => first.remove(),
                    _ => return,
                }
            };
            due.wake();
        }
    }

    /// Moves the clock to the next deadline. False when nobody waits for one.
    pub fn jump_to_next(&self) -> bool {
        let next = self.waiting.borrow().first_key_value().map(|(key, _)| key.deadline_ns);
        if let Some(deadline_ns) = next {
            self.now_ns.set(self.now_ns.get().max(deadline_ns));
        }
        next.is_some()
    }

    fn new_key(&self, deadline_ns: u64) -> TimerKey {
        let id = self.next_id.replace(self.next_id.get() + 1);
        TimerKey { deadline_ns, id }
    }
}

/// Waits until a moment of virtual time.
pub(super) struct SleepUntil {
    key: TimerKey,
}

impl Future for SleepUntil {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = world();
        let mut waiting = world.timers.waiting.borrow_mut();
        if world.timers.now_ns() >= self.key.deadline_ns {
            waiting.remove(&self.key);
            return Poll::Ready(());
        }
        waiting.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for SleepUntil {
    fn drop(&mut self) {
        let Some(world) = try_world() else { return };
        // The waker is dropped after the borrow: it may be the last handle of a task.
        let waker = world.timers.waiting.borrow_mut().remove(&self.key);
        drop(waker);
    }
}

pub(super) fn sleep_until_ns(deadline_ns: u64) -> SleepUntil {
    SleepUntil { key: world().timers.new_key(deadline_ns) }
}

pub(super) fn sleep_ns(duration_ns: u64) -> SleepUntil {
    sleep_until_ns(world().timers.now_ns().saturating_add(duration_ns))
}

pub(super) fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
