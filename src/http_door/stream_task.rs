//! The task that serves one stream of HTTP/2, and the way to end it from outside.
//!
//! While a client's window is shut hyper asks a reply's body for nothing, so the body cannot give
//! up. Whoever finds that nothing is taken ends the task instead: what it holds goes, the client is
//! told (RST_STREAM, CANCEL), and the other streams of the connection go on.

use std::{future::Future, sync::Arc};

use hyper::rt::Executor;
use tokio::sync::Notify;

tokio::task_local! {
    /// How the task that this is asked in can be ended.
    static THIS: StreamEnd;
}

/// Ends one stream's task.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamEnd(Arc<Notify>);

impl StreamEnd {
    /// That of the stream whose task this is called in; one that does nothing anywhere else.
    pub fn of_this_task() -> StreamEnd {
        THIS.try_with(StreamEnd::clone).unwrap_or_default()
    }

    /// Drops the stream, wherever it waits.
    pub fn end(&self) {
        self.0.notify_one();
    }

    /// Whether the stream was to end since this was last asked.
    #[cfg(test)]
    pub fn was_told(&self) -> bool {
        std::pin::pin!(self.0.notified()).enable()
    }
}

/// Starts a task for each stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamTasks;

impl<F: Future + Send + 'static> Executor<F> for StreamTasks {
    fn execute(&self, stream: F) {
        let end = StreamEnd::default();
        let until_ended = end.clone();
        tokio::spawn(THIS.scope(end, async move {
            tokio::select! {
                biased;
                _ = stream => {}
                () = until_ended.0.notified() => {}
            }
        }));
    }
}
