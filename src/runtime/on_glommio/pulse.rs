//! The backstop against wake-ups that glommio 0.9.0 loses.
//!
//! Its run loop takes "the pre-emption timer fired before the first queue ran" for "nothing is ready", and parks
//! on ready tasks. Whatever wakes the executor then makes up for it, unless it is lost the same way: so no number
//! of the executor's own timers is enough, since each fires once and its task is a ready task like the others.
//! Here a thread of the process wakes every core from outside, again and again.

use std::{
    future::poll_fn,
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Poll, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use super::{disk_ring, tasks};

/// How often a core that is in use is woken: about as long as a ready task may lie in a parked executor.
const BEAT_IN_USE: Duration = Duration::from_millis(10);

/// The same once a core has had nothing to do for a while.
const BEAT_IDLE: Duration = Duration::from_millis(50);

/// Beats without any other work until a core counts as idle. Less than the second after which housekeeping comes.
const BEATS_UNTIL_IDLE: u32 = 20;

/// The longest pause before a core that has not noticed the last beat gets another. Each beat that waits holds a
/// waker, and glommio counts those of a task in 15 bits: at this pace they last for nine hours.
const BEAT_UNSEEN_MAX: Duration = Duration::from_secs(1);

/// Tasks that run in a core with nothing to do: the one that notices the beat, and the reaper of its file ring.
const TASKS_WHEN_IDLE: u64 = 2;

/// The cores of the process, and the thread that wakes them.
static CORES: Mutex<Vec<Arc<Pulse>>> = Mutex::new(Vec::new());
static THREAD: OnceLock<Thread> = OnceLock::new();

/// What the thread and one core share.
struct Pulse {
    beat: Mutex<Beat>,
}

struct Beat {
    /// Of the core's task that notices beats; kept from beat to beat, so that each one wakes the executor even
    /// when that task is already ready.
    waker: Option<Waker>,
    due: Instant,
    pause: Duration,
    seen: bool,
    in_use: bool,
}

/// Starts the thread, once per process.
pub(super) fn start_thread() -> io::Result<()> {
    let _one_at_a_time = lock(&CORES);
    if THREAD.get().is_none() {
        let handle = thread::Builder::new().name("pulse".to_owned()).spawn(wake_all_for_ever)?;
        // Cannot be set already: this is the only place, under the lock above.
        let _ = THREAD.set(handle.thread().clone());
    }
    Ok(())
}

/// Has this core woken until the guard is dropped.
pub(super) fn begin() -> PulseGuard {
    let pulse = Arc::new(Pulse {
        beat: Mutex::new(Beat {
            waker: None,
            due: Instant::now(),
            pause: BEAT_IN_USE,
            seen: true,
            in_use: true,
        }),
    });
    lock(&CORES).push(Arc::clone(&pulse));
    if let Some(thread) = THREAD.get() {
        thread.unpark();
    }
    tasks::spawn("pulse", notice_beats(Arc::clone(&pulse)));
    PulseGuard(pulse)
}

/// Ends the beats of a core when dropped.
pub(super) struct PulseGuard(Arc<Pulse>);

impl Drop for PulseGuard {
    fn drop(&mut self) {
        lock(&CORES).retain(|pulse| !Arc::ptr_eq(pulse, &self.0));
        // The waker holds the task, and the task holds the pulse.
        let waker = lock(&self.0.beat).waker.take();
        drop(waker);
    }
}

async fn notice_beats(pulse: Arc<Pulse>) {
    let mut executed = 0;
    let mut idle_beats = 0;
    loop {
        poll_fn(|context| {
            let mut beat = lock(&pulse.beat);
            if !beat.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                beat.waker = Some(context.waker().clone());
            }
            match std::mem::replace(&mut beat.seen, true) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
        disk_ring::tick();
        let now_executed = glommio::executor().executor_stats().tasks_executed();
        let in_use = now_executed.saturating_sub(executed) > TASKS_WHEN_IDLE;
        executed = now_executed;
        idle_beats = if in_use { 0 } else { idle_beats + 1 };
        lock(&pulse.beat).in_use = idle_beats < BEATS_UNTIL_IDLE;
    }
}

fn wake_all_for_ever() {
    loop {
        let cores = lock(&CORES).clone();
        let now = Instant::now();
        let next = cores.iter().map(|pulse| lock(&pulse.beat).wake_if_due(now)).min();
        drop(cores);
        match next {
            Some(due) => thread::park_timeout(due.saturating_duration_since(now)),
            None => thread::park(),
        }
    }
}

impl Beat {
    /// Wakes the core if it is time; says when it is the next time.
    fn wake_if_due(&mut self, now: Instant) -> Instant {
        if now < self.due {
            return self.due;
        }
        self.pause = match (self.seen, self.in_use) {
            (true, true) => BEAT_IN_USE,
            (true, false) => BEAT_IDLE,
            (false, _) => (self.pause * 2).min(BEAT_UNSEEN_MAX),
        };
        self.due = now + self.pause;
        self.seen = false;
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
        self.due
    }
}

/// Nothing panics under these locks, so their content is whole even if a mutex says that it is poisoned.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
