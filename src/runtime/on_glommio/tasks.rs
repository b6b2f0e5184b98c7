//! Tasks of a core. Every task goes through one wrapper, so that a panic anywhere ends the process at once: a
//! panic would otherwise kill the executor and leave the other cores waiting for it.

use std::{
    any::Any,
    cell::Cell,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_lite::FutureExt;
use glommio::TaskQueueHandle;
use model::CoreId;

/// What a thread that runs a core knows about itself.
#[derive(Clone, Copy)]
pub(super) struct CoreContext {
    pub core: CoreId,
    pub background: TaskQueueHandle,
}

thread_local! {
    /// Set while the thread's executor runs.
    static CONTEXT: Cell<Option<CoreContext>> = const { Cell::new(None) };
}

/// Says which core this thread runs, until dropped.
pub(super) struct ContextGuard;

impl ContextGuard {
    pub(super) fn enter(context: CoreContext) -> ContextGuard {
        CONTEXT.set(Some(context));
        ContextGuard
    }
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        CONTEXT.set(None);
    }
}

/// The core that this thread runs, if it runs one.
pub(super) fn context() -> Option<CoreContext> {
    CONTEXT.get()
}

/// The core that this runs on. Off the cores (tests, tokio's threads) it is core 0.
pub fn current_core() -> CoreId {
    context().map_or_else(CoreId::default, |context| context.core)
}

/// Starts a task on this core that nobody waits for. A panic in it ends the process.
///
/// # Panics
/// When called off the cores.
pub fn spawn(name: &'static str, future: impl Future<Output = ()> + 'static) {
    drop(glommio::spawn_local(guarded(name, future)).detach());
}

/// As [`spawn`], in the queue that yields to all other work: flushes of checkpoints, retention, compaction.
///
/// # Panics
/// When called off the cores.
pub fn spawn_background(name: &'static str, future: impl Future<Output = ()> + 'static) {
    let guarded = guarded(name, future);
    let Some(context) = context() else {
        return drop(glommio::spawn_local(guarded).detach());
    };
    match glommio::spawn_local_into(guarded, context.background) {
        Ok(task) => drop(task.detach()),
        Err(error) => abort(&format!("the background queue of {} is gone: {error}", context.core)),
    }
}

/// Starts a task on this core and gives its result to whoever awaits it; dropped, it is cancelled.
///
/// # Panics
/// When called off the cores.
pub fn spawn_joinable<T: 'static>(
    name: &'static str,
    future: impl Future<Output = T> + 'static,
) -> Task<T> {
    Task { task: glommio::spawn_local(guarded(name, future)) }
}

/// A running task; see [`spawn_joinable`].
#[must_use = "dropping a task cancels it"]
#[derive(Debug)]
pub struct Task<T> {
    task: glommio::Task<T>,
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.task).poll(context)
    }
}

/// Gives every other task, and all input and output of the core, a turn. Costs some 10 microseconds.
pub async fn yield_now() {
    crate::sleep(Duration::ZERO).await;
}

/// Ends the process at once, without running destructors, after saying why.
pub fn abort(reason: &str) -> ! {
    tracing::error!(core = current_core().0, reason, "the process ends");
    // Also past the log, which may not be set up, or may be buffered.
    eprintln!("thalweg ends: {reason}");
    std::process::abort()
}

/// `future`, with any panic in it turned into the end of the process.
pub(super) async fn guarded<T>(name: &'static str, future: impl Future<Output = T>) -> T {
    // The process ends before anyone can see what a panic left half done.
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(output) => output,
        Err(panic) => abort_after_panic(name, panic.as_ref()),
    }
}

/// Ends the process because `name` panicked.
pub(super) fn abort_after_panic(name: &str, panic: &(dyn Any + Send)) -> ! {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    abort(&format!("{name} panicked: {message}"))
}
