//! How the replies of one HTTP/2 connection get on.
//!
//! Over HTTP/1.1 a client that takes nothing of its reply fills the socket, and
//! [`crate::patient`] notices. Over HTTP/2 it can leave one stream's window shut, answer pings, and
//! so keep a reply in memory for ever. Here every part of a reply tells when it is gone.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// So much of a reply is handed to the connection at once, in bytes: a frame of the size that every
/// client takes.
const PART_BYTES_MAX: usize = 16 << 10;

/// What is under way on one connection.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests that are not answered to the end.
    open: u64,
    /// When the last of them ended, if there are none.
    idle_since: Instant,
    /// Since when a part of a reply has waited, by the reply's number.
    waiting: BTreeMap<u64, Instant>,
    next: u64,
}

impl Pace {
    pub fn new() -> Arc<Pace> {
        let idle_since = Instant::now();
        let state = State { open: 0, idle_since, waiting: BTreeMap::new(), next: 0 };
        Arc::new(Pace { state: Mutex::new(state) })
    }

    /// A request has begun.
    pub fn begin(self: &Arc<Pace>) -> Exchange {
        let mut state = self.lock();
        state.open += 1;
        state.next += 1;
        Exchange { pace: Arc::clone(self), number: state.next }
    }

    /// How long nothing has been under way; `None` if something is.
    pub fn idle(&self) -> Option<Duration> {
        let state = self.lock();
        (state.open == 0).then(|| state.idle_since.elapsed())
    }

    /// How long the reply that has waited longest has had none of it taken.
    pub fn stalled(&self) -> Duration {
        let since = self.lock().waiting.values().min().copied();
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request, until the last part of its reply is gone.
#[derive(Debug)]
pub(crate) struct Exchange {
    pace: Arc<Pace>,
    number: u64,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = self.pace.lock();
        state.waiting.remove(&self.number);
        state.open -= 1;
        state.idle_since = Instant::now();
    }
}

/// A part of a reply: dropped when it is written, or when its stream is reset.
struct Part {
    bytes: Bytes,
    exchange: Arc<Exchange>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Another part may wait; it has now waited since this one went.
        let mut state = self.exchange.pace.lock();
        if let Some(since) = state.waiting.get_mut(&self.exchange.number) {
            *since = Instant::now();
        }
    }
}

/// A reply's body in parts that are watched.
pub(crate) struct PacedBody<B> {
    body: B,
    left: Bytes,
    exchange: Arc<Exchange>,
    /// A body of known length is an answer that takes memory. One that goes on (a subscription)
    /// holds one event at a time, and its reader may be slow.
    watched: bool,
}

impl<B: Body<Data = Bytes, Error = Infallible>> PacedBody<B> {
    pub fn new(body: B, exchange: Exchange) -> PacedBody<B> {
        let watched = body.size_hint().exact().is_some_and(|bytes| bytes > 0);
        if watched {
            exchange.pace.lock().waiting.insert(exchange.number, Instant::now());
        }
        PacedBody { body, left: Bytes::new(), exchange: Arc::new(exchange), watched }
    }

    fn part(&mut self) -> Bytes {
        let bytes = self.left.split_to(self.left.len().min(PART_BYTES_MAX));
        if !self.watched {
            return bytes;
        }
        Bytes::from_owner(Part { bytes, exchange: Arc::clone(&self.exchange) })
    }
}

impl<B: Body<Data = Bytes, Error = Infallible> + Unpin> Body for PacedBody<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        while this.left.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => this.left = bytes,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(other) => return Poll::Ready(other),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Some(Ok(Frame::data(this.part()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, hint) = (self.left.len() as u64, self.body.size_hint());
        match hint.exact() {
            Some(more) => SizeHint::with_exact(left + more),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reply_is_watched_until_its_last_part_is_gone() {
        let pace = Pace::new();
        let content: Vec<u8> = (0..PART_BYTES_MAX * 2 + 5).map(|n| n as u8).collect();
        let mut body = PacedBody::new(Full::new(Bytes::from(content.clone())), pace.begin());
        assert_eq!((pace.idle(), pace.stalled()), (None, Duration::ZERO));

        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(pace.stalled(), Duration::from_secs(7));
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        // Handed over is not taken.
        assert_eq!(pace.stalled(), Duration::from_secs(7));
        let mut read = first.to_vec();
        drop(first);
        assert_eq!(pace.stalled(), Duration::ZERO);

        let rest: Vec<Bytes> = [body.frame().await, body.frame().await]
            .into_iter()
            .map(|frame| frame.unwrap().unwrap().into_data().unwrap())
            .collect();
        assert!(body.frame().await.is_none());
        drop(body);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!((pace.idle(), pace.stalled()), (None, Duration::from_secs(3)));
        read.extend(rest.concat());
        assert_eq!(read, content);
        drop(rest);
        assert_eq!((pace.idle(), pace.stalled()), (Some(Duration::ZERO), Duration::ZERO));
    }
}
