//! What stands behind the HTTP layer.

use std::future::Future;

use bytes::Bytes;
use kinesis::Caller;

use crate::fault::Fault;

/// How large a request and its answer can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    /// The largest legal body, in bytes.
    pub body_bytes_max: usize,
    /// Memory that making the answer may take at most, in bytes.
    pub answer_bytes_max: usize,
}

/// An AWS service that speaks AWS JSON 1.1.
pub(crate) trait Service: Send + Sync + 'static {
    /// What precedes the operation and its dot in `X-Amz-Target`.
    const TARGET: &'static str;

    /// All operations that the service has a name for.
    fn operations() -> impl Iterator<Item = &'static str>;

    /// How much memory to hold ready for an operation, known or not.
    fn weight(&self, operation: &str) -> Weight;

    /// Carries out an operation: from a request's JSON to the answer's JSON, which is empty for
    /// an operation without output.
    fn call(
        &self,
        operation: &str,
        caller: Caller,
        body: Bytes,
    ) -> impl Future<Output = Result<Vec<u8>, Fault>> + Send;
}
