//! What a caller holds while another core works for it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

/// The core that was called has stopped, or stopped before it answered. Whether the call ran is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the core that owns this has stopped")]
pub struct CoreStopped;

/// The answer of a call to a core, to be awaited on any core or thread.
///
/// The call was posted when this was made and runs whether or not it is awaited; dropping it only drops the
/// answer.
#[must_use = "the call runs anyway, but its answer is lost"]
#[derive(Debug)]
pub struct Call<T> {
    answer: oneshot::Receiver<T>,
}

impl<T> Call<T> {
    /// A call that is answered through `answer`. For backends only.
    pub(crate) fn new(answer: oneshot::Receiver<T>) -> Call<T> {
        Call { answer }
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T, CoreStopped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.map_err(|_| CoreStopped))
    }
}
