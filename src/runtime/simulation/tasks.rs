//! Tasks and time of the facade.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use model::CoreId;
use tokio::sync::oneshot;

use super::executor::{Owner, TaskId, try_world, world};
use super::machine::CrashKind;

/// Starts a task on this core that nobody waits for. A panic in it fails the run.
pub fn spawn(name: &'static str, future: impl Future<Output = ()> + 'static) {
    let world = world();
    if world.is_alive(world.current().owner) {
        world.spawn(name, future);
    }
}

/// Like [`spawn`]; in production at low priority.
pub fn spawn_background(name: &'static str, future: impl Future<Output = ()> + 'static) {
    spawn(name, future);
}

/// Starts a task on this core whose value can be awaited. Dropping the handle cancels the task.
pub fn spawn_joinable<T: 'static>(
    name: &'static str,
    future: impl Future<Output = T> + 'static,
) -> Task<T> {
    let world = world();
    let (sender, result) = oneshot::channel();
    let id = world.is_alive(world.current().owner).then(|| {
        world.spawn(name, async move {
            let value = future.await;
            sender.send(value).ok();
        })
    });
    Task { id, result }
}

/// A task whose value can be awaited; dropped, the task is cancelled.
#[derive(Debug)]
pub struct Task<T> {
    id: Option<TaskId>,
    result: oneshot::Receiver<T>,
}

impl<T> Task<T> {
    /// Lets the task run on without anybody waiting for it.
    pub fn detach(mut self) {
        self.id = None;
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.result).poll(context) {
            Poll::Ready(Ok(value)) => {
                self.id = None;
                Poll::Ready(value)
            }
            // The task's process died: whoever waits here dies with it.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let (Some(id), Some(world)) = (self.id, try_world()) {
            world.cancel(id);
        }
    }
}

/// Lets others run; the seed says who.
pub async fn yield_now() {
    futures_lite::future::yield_now().await;
}

/// The core that runs the current task.
pub fn current_core() -> CoreId {
    world().current().core
}

/// Ends the current process at once, as `kill -9` would. In the test's own tasks it fails the run.
#[expect(clippy::panic, reason = "the test itself asked to abort: that is a failed run")]
pub fn abort(reason: &str) -> ! {
    let world = world();
    if let Owner::Process { machine, .. } = world.current().owner {
        tracing::error!(reason, "the simulated process aborts");
        world.crash(machine, CrashKind::Kill);
    }
    panic!("runtime::abort outside a simulated process: {reason}");
}
