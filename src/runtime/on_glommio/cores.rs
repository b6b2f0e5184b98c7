//! Calls between cores, and from any thread to a core.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
};

use model::CoreId;
use tokio::sync::oneshot;

pub use super::executor::{RunningCores, run_single, start};
use super::mailbox::Mailbox;
use super::tasks;
use crate::Call;

/// Every core's mailbox. Cheap to clone; usable from any core and any thread.
pub struct Cores<S: 'static> {
    mailboxes: Arc<[Mailbox<S>]>,
}

impl<S> Clone for Cores<S> {
    fn clone(&self) -> Self {
        Cores { mailboxes: Arc::clone(&self.mailboxes) }
    }
}

impl<S> std::fmt::Debug for Cores<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cores({})", self.mailboxes.len())
    }
}

impl<S> Cores<S> {
    pub(super) fn new(count: usize) -> Cores<S> {
        Cores { mailboxes: (0..count).map(|_| Mailbox::new()).collect() }
    }

    pub(super) fn mailbox(&self, core: CoreId) -> Option<&Mailbox<S>> {
        self.mailboxes.get(core.index())
    }

    pub(super) fn mailboxes(&self) -> &[Mailbox<S>] {
        &self.mailboxes
    }

    /// How many cores there are.
    pub fn count(&self) -> usize {
        self.mailboxes.len()
    }

    /// Runs `f` with the state of `core`, on that core, and its future as a task of its own there.
    ///
    /// Posted before this returns: calls of one sender to one core start in the order in which they were made,
    /// each polled once before the next begins. A call is not cancelled when its [`Call`] is dropped. A core
    /// that does not exist answers [`CoreStopped`](crate::CoreStopped).
    pub fn call<T, F, Fut>(&self, core: CoreId, f: F) -> Call<T>
    where
        T: Send + 'static,
        F: FnOnce(Rc<S>) -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.post(core, move |state| {
            let work = f(Rc::clone(state));
            run_eagerly(async move {
                // Nobody may be waiting any more; then the answer is not needed.
                let _ = sender.send(work.await);
            });
        });
        Call::new(receiver)
    }

    /// Runs `f` with the state of `core`, on that core, in the order of [`Cores::call`]. It must be short:
    /// the core does nothing else meanwhile. Dropped unrun if the core has stopped or does not exist.
    pub fn post(&self, core: CoreId, f: impl FnOnce(&Rc<S>) + Send + 'static) {
        if let Some(mailbox) = self.mailbox(core) {
            mailbox.post(Box::new(f));
        }
    }
}

thread_local! {
    static RUNNING_CALLS: Cell<usize> = const { Cell::new(0) };
}

/// Calls of this core that have begun and not ended.
pub(super) fn running_calls() -> usize {
    RUNNING_CALLS.get()
}

/// Counts a call from its start until it is done or dropped.
struct RunningCall;

impl RunningCall {
    fn begin() -> RunningCall {
        RUNNING_CALLS.set(RUNNING_CALLS.get() + 1);
        RunningCall
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        RUNNING_CALLS.set(RUNNING_CALLS.get().saturating_sub(1));
    }
}

/// Polls `work` once here and now; if it is not done then, it becomes a task.
///
/// The waker of the first poll goes nowhere. That loses nothing: a new task is always polled at once, and a
/// future keeps the waker of its latest poll.
fn run_eagerly(work: impl Future<Output = ()> + 'static) {
    let running = RunningCall::begin();
    let mut work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
        work.await;
        drop(running);
    });
    let mut context = Context::from_waker(Waker::noop());
    if work.as_mut().poll(&mut context).is_pending() {
        tasks::spawn("call", work);
    }
}
