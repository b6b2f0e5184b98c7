//! What stands behind the HTTP layer.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use futures_util::stream::Stream;
use kinesis::Caller;

use crate::{
    encoding::Encoding,
    fault::Fault,
    memory::{Memory, Share},
};

/// How large a request and its answer can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    /// The largest legal body, in bytes.
    pub body_bytes_max: usize,
    /// Memory that making the answer may take at most, in bytes. Events find their own.
    pub answer_bytes_max: usize,
}

/// A request for an operation, its body whole and as it came.
#[derive(Debug)]
pub(crate) struct Call {
    /// For whom ARNs and messages are made.
    pub caller: Caller,
    /// How the body is written, and so the answer.
    pub encoding: Encoding,
    /// The body.
    pub body: Bytes,
    /// Where events find memory.
    pub memory: Memory,
}

/// What an operation answers when it succeeds.
pub(crate) enum Answer {
    /// The body, in the request's encoding; empty for an operation without output.
    Whole(Vec<u8>),
    /// Events, for as long as there are any.
    Events(Events),
}

/// Events of an answer. The next one is asked for when the connection can take it: a reader that
/// is slow holds up nothing but its own stream. A fault is told to the client and ends the stream.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Result<Event, Fault>> + Send>>;

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    /// The event's name in the model, such as `SubscribeToShardEvent`.
    pub kind: &'static str,
    /// Its shape, in the request's encoding.
    pub payload: Vec<u8>,
    /// The memory that it takes, until the connection has written it.
    pub share: Share,
}

/// An AWS service that speaks AWS JSON 1.1 and AWS CBOR 1.1.
pub(crate) trait Service: Send + Sync + 'static {
    /// What precedes the operation and its dot in `X-Amz-Target`.
    const TARGET: &'static str;
    /// The service's name in a signature's credential scope.
    const SIGNING_NAME: &'static str;

    /// All operations that the service has a name for.
    fn operations() -> impl Iterator<Item = &'static str>;

    /// How much memory to hold ready for an operation, known or not.
    fn weight(&self, operation: &str) -> Weight;

    /// Carries out an operation.
    fn call(
        &self,
        operation: &str,
        call: Call,
    ) -> impl Future<Output = Result<Answer, Fault>> + Send;
}
