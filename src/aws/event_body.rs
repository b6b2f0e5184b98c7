//! A stream of events as the body of a response.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::stream::StreamExt;
use tokio::sync::watch;

use crate::{
    door_metrics::{DoorMetrics, OpenStream},
    encoding::Encoding,
    event_stream,
    service::Events,
};

/// The messages of a response, one at a time: the next event is asked for when the connection
/// takes the next part of the body.
pub(crate) struct EventBody {
    state: State,
    encoding: Encoding,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    counted: OpenStream,
}

enum State {
    /// Nothing was sent yet.
    Beginning(Events),
    Going(Events),
    Ended,
}

impl EventBody {
    /// The messages of `events`, which end, too, when `stopping` turns true: the door closes, and
    /// the client subscribes again elsewhere or later.
    pub fn new(
        events: Events,
        encoding: Encoding,
        stopping: watch::Receiver<bool>,
        metrics: Arc<DoorMetrics>,
    ) -> EventBody {
        let mut stopping = stopping;
        let stopping = Box::pin(async move {
            // A sender that is gone has closed the door.
            let _ = stopping.wait_for(|stop| *stop).await;
        });
        let counted = OpenStream::new(metrics);
        EventBody { state: State::Beginning(events), encoding, stopping, counted }
    }

    /// The next message, or the end.
    pub fn poll_next_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let encoding = self.encoding;
        let mut events = match std::mem::replace(&mut self.state, State::Ended) {
            State::Beginning(events) => {
                self.state = State::Going(events);
                return Poll::Ready(Some(event_stream::initial_response(encoding).into()));
            }
            State::Going(events) => events,
            State::Ended => return Poll::Ready(None),
        };
        if self.stopping.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        match events.poll_next_unpin(context) {
            Poll::Pending => {
                self.state = State::Going(events);
                Poll::Pending
            }
            Poll::Ready(Some(Ok(event))) => {
                self.state = State::Going(events);
                let message = event_stream::event_message(event.kind, &event.payload, encoding);
                self.counted.note_event(message.len());
                Poll::Ready(Some(event.share.hold(message)))
            }
            Poll::Ready(Some(Err(fault))) => {
                self.counted.note_exception(fault.code);
                Poll::Ready(Some(event_stream::exception_message(&fault, encoding).into()))
            }
            Poll::Ready(None) => Poll::Ready(None),
        }
    }
}
