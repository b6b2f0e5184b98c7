//! Threads for what the kernel offers only as a blocking call: opening, renaming, listing, making files.
//!
//! glommio has such a thread per executor, but pins it to the executor's own CPU, and loses the result of a
//! call whose future is dropped (a file descriptor, say). These are free to run anywhere.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, OnceLock, PoisonError},
    thread,
};

use tokio::sync::oneshot;

use super::tasks;

type Job = Box<dyn FnOnce() + Send>;

/// Threads of the process. Making a zeroed journal file holds one for a while; the rest is short.
const THREADS: usize = 4;

static JOBS: OnceLock<flume::Sender<Job>> = OnceLock::new();

/// Starts the threads, once per process.
pub(super) fn start_threads() -> io::Result<()> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if JOBS.get().is_some() {
        return Ok(());
    }
    let (sender, receiver) = flume::unbounded::<Job>();
    for number in 0..THREADS {
        let receiver = receiver.clone();
        thread::Builder::new()
            .name(format!("files-{number}"))
            .spawn(move || receiver.into_iter().for_each(|job| job()))?;
    }
    // Cannot be set already: this is the only place, under the lock above.
    let _ = JOBS.set(sender);
    Ok(())
}

/// Runs `work` on one of the threads. It runs even if the future is dropped; its result is dropped then, on
/// that thread. A panic in it ends the process.
pub(super) async fn run<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = oneshot::channel();
    post(name, move || {
        let _ = sender.send(work());
    });
    match receiver.await {
        Ok(result) => result,
        Err(_) => tasks::abort(&format!("{name} was lost by the threads for files")),
    }
}

/// Runs `work` on one of the threads; nobody waits for it.
pub(super) fn post(name: &'static str, work: impl FnOnce() + Send + 'static) {
    let job = Box::new(move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            tasks::abort_after_panic(name, panic.as_ref());
        }
    });
    let sent = JOBS.get().map(|jobs| jobs.send(job));
    if !matches!(sent, Some(Ok(()))) {
        tasks::abort("the threads for files are gone, or no core was ever started");
    }
}
