//! What the fake answers with: a body at once, or one that goes on with messages in AWS's event stream encoding.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use tokio::sync::mpsc;

/// A body.
pub enum Answer {
    /// All of it.
    Whole(Option<Bytes>),
    /// Messages as they come.
    Events(mpsc::UnboundedReceiver<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.get_mut() {
            Answer::Whole(bytes) => Poll::Ready(bytes.take()),
            Answer::Events(events) => events.poll_recv(context),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// The message of an event.
pub fn event(kind: &str, payload: &[u8]) -> Bytes {
    message(&[(":event-type", kind), (":message-type", "event")], payload)
}

/// The message of an exception.
pub fn exception(kind: &str, payload: &[u8]) -> Bytes {
    message(&[(":exception-type", kind), (":message-type", "exception")], payload)
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut written = Vec::new();
    for (name, value) in headers {
        written.push(name.len() as u8);
        written.extend_from_slice(name.as_bytes());
        written.push(7);
        written.extend_from_slice(&(value.len() as u16).to_be_bytes());
        written.extend_from_slice(value.as_bytes());
    }
    let total = 12 + written.len() + payload.len() + 4;
    let mut message = (total as u32).to_be_bytes().to_vec();
    message.extend_from_slice(&(written.len() as u32).to_be_bytes());
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&written);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.into()
}
