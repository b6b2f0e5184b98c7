//! How the replies of one HTTP/2 connection get on.
//!
//! Over HTTP/1.1 a client that takes nothing of its reply fills the socket, and
//! [`crate::patient`] notices. Over HTTP/2 it can leave one stream's window shut, answer pings, and
//! so keep a reply in memory for ever. Here every part of a reply tells when it is gone, and a
//! reply of which nothing goes is given up: its stream at first, and the connection if that does
//! not help.

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

use crate::stream_task::StreamEnd;

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
    /// The replies of which parts wait to be taken, by the request's number.
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

/// A reply of which parts were handed to the connection and are not gone.
#[derive(Debug)]
struct Waiting {
    parts: usize,
    /// Since when none of it has gone.
    since: Instant,
    /// How to give the stream up; none once that was done.
    end: Option<StreamEnd>,
}

/// A reply is left lying, and its stream was given up to no avail: the connection itself holds what
/// is left of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stuck;

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

    /// Gives up the streams whose clients have taken nothing of a reply for `patience`. Whoever
    /// leaves one lying as long again has to be parted with as a whole.
    pub fn give_up_stalled(&self, patience: Duration) -> Result<(), Stuck> {
        let mut state = self.lock();
        let stalled = state.waiting.values_mut().filter(|reply| reply.since.elapsed() >= patience);
        for reply in stalled {
            reply.end.take().ok_or(Stuck)?.end();
            reply.since = Instant::now();
        }
        Ok(())
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
        state.open -= 1;
        state.idle_since = Instant::now();
    }
}

/// A part of a reply: dropped when it is written, or when its stream is reset.
struct Part {
    bytes: Bytes,
    exchange: Arc<Exchange>,
}

impl Part {
    fn new(bytes: Bytes, exchange: Arc<Exchange>, end: &StreamEnd) -> Part {
        let mut state = exchange.pace.lock();
        let waiting = state.waiting.entry(exchange.number).or_insert_with(|| Waiting {
            parts: 0,
            since: Instant::now(),
            end: Some(end.clone()),
        });
        waiting.parts += 1;
        drop(state);
        Part { bytes, exchange }
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let number = self.exchange.number;
        let mut state = self.exchange.pace.lock();
        let Some(waiting) = state.waiting.get_mut(&number) else { return };
        waiting.parts -= 1;
        // The others have waited since this one went.
        waiting.since = Instant::now();
        if waiting.parts == 0 {
            state.waiting.remove(&number);
        }
    }
}

/// A reply's body in parts that are watched.
pub(crate) struct PacedBody<B> {
    body: B,
    left: Bytes,
    exchange: Arc<Exchange>,
    end: StreamEnd,
}

impl<B: Body<Data = Bytes, Error = Infallible>> PacedBody<B> {
    /// The reply to `exchange`, on a stream that `end` gives up.
    pub fn new(body: B, exchange: Exchange, end: StreamEnd) -> PacedBody<B> {
        PacedBody { body, left: Bytes::new(), exchange: Arc::new(exchange), end }
    }

    fn part(&mut self) -> Bytes {
        let bytes = self.left.split_to(self.left.len().min(PART_BYTES_MAX));
        Bytes::from_owner(Part::new(bytes, Arc::clone(&self.exchange), &self.end))
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

    const PATIENCE: Duration = Duration::from_secs(7);

    async fn part<B: Body<Data = Bytes, Error = Infallible> + Unpin>(
        body: &mut PacedBody<B>,
    ) -> Bytes {
        body.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    /// Whether a stream is given up after so many seconds more.
    async fn given_up_after(pace: &Pace, end: &StreamEnd, seconds: u64) -> bool {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert_eq!(pace.give_up_stalled(PATIENCE), Ok(()));
        end.was_told()
    }

    fn reply(pace: &Arc<Pace>, end: &StreamEnd, bytes: usize) -> PacedBody<Full<Bytes>> {
        PacedBody::new(Full::new(vec![7; bytes].into()), pace.begin(), end.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_handed_over_is_not_taken() {
        let (pace, end) = (Pace::new(), StreamEnd::default());
        let mut body = reply(&pace, &end, PART_BYTES_MAX * 2);
        // Nobody was asked to take anything.
        assert!(!given_up_after(&pace, &end, 100).await);
        let _first = part(&mut body).await;
        assert!(!given_up_after(&pace, &end, 6).await);
        let _second = part(&mut body).await;
        assert!(given_up_after(&pace, &end, 1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn with_every_part_that_goes_the_rest_waits_anew() {
        let (pace, end) = (Pace::new(), StreamEnd::default());
        let mut body = reply(&pace, &end, PART_BYTES_MAX * 2 + 5);
        let parts = [part(&mut body).await, part(&mut body).await, part(&mut body).await];
        assert_eq!(parts.each_ref().map(Bytes::len), [PART_BYTES_MAX, PART_BYTES_MAX, 5]);
        assert!(body.frame().await.is_none());
        drop(body);
        for part in parts {
            assert!(!given_up_after(&pace, &end, 6).await);
            assert_eq!(pace.idle(), None);
            drop(part);
        }
        // A reply that is gone is not waited for.
        assert_eq!(pace.idle(), Some(Duration::ZERO));
        assert!(!given_up_after(&pace, &end, 100).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_given_up_once_and_then_the_connection() {
        let (pace, end) = (Pace::new(), StreamEnd::default());
        let mut body = reply(&pace, &end, 10);
        let lying = part(&mut body).await;
        assert!(!given_up_after(&pace, &end, 6).await);
        assert!(given_up_after(&pace, &end, 1).await);
        // The stream's task is gone, and the connection has what it was handed.
        drop(body);
        assert_eq!(pace.idle(), None);
        assert!(!given_up_after(&pace, &end, 6).await);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(pace.give_up_stalled(PATIENCE), Err(Stuck));
        drop(lying);
        assert_eq!(pace.give_up_stalled(PATIENCE), Ok(()));
        assert_eq!(pace.idle(), Some(Duration::ZERO));
    }
}
