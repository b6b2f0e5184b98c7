//! Reads a request's body, once its size is admitted.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap,
    body::{Body, Incoming},
    header::EXPECT,
};
use tokio::time::timeout;

use crate::{
    fault::Fault,
    memory::{Memory, Share},
    service::Weight,
};

/// A body is in memory up to this many times at once: as it came, decoded, and as batches.
const COPIES: usize = 3;
/// So much of a refused body is taken in, and dropped as it comes, before the connection is closed
/// over the rest.
const DISCARDED_BYTES_MAX: usize = 64 << 20;

/// The body and the memory that it, and the answer after it, may take. The whole of it arrives
/// within `patience`, and memory for it comes free within as long.
pub(crate) async fn read(
    body: &mut Incoming,
    weight: Weight,
    memory: &Memory,
    patience: Duration,
) -> Result<(Bytes, Share), Fault> {
    let bytes_max = weight.body_bytes_max;
    // A body without a length (chunked) is admitted as if it were the largest.
    let exact = body.size_hint().exact();
    let announced = exact.map_or(Some(bytes_max), |n| usize::try_from(n).ok());
    let announced = announced.filter(|&bytes| bytes <= bytes_max);
    let announced = announced.ok_or_else(|| Fault::too_large(bytes_max))?;
    let bytes = (announced * COPIES).max(weight.answer_bytes_max);
    let share = match timeout(patience, memory.admit(bytes)).await {
        Ok(Some(share)) => share,
        _ => return Err(Fault::no_memory()),
    };
    // All at once, now that it is admitted: a body that grows is copied as often as it doubles.
    let whole = BytesMut::with_capacity(if exact.is_some() { announced } else { 0 });
    let collected = timeout(patience, collect(body, whole, bytes_max)).await;
    Ok((collected.map_err(|_| Fault::slow_body())??, share))
}

async fn collect(
    body: &mut Incoming,
    mut whole: BytesMut,
    bytes_max: usize,
) -> Result<Bytes, Fault> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Fault::broken_body())?;
        let Ok(part) = frame.into_data() else { continue };
        if whole.len() + part.len() > bytes_max {
            return Err(Fault::too_large(bytes_max));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

/// Takes in what is left of a refused request's body, keeping nothing, so that a client that sends
/// all before it reads gets the answer. One that asked whether to send (`Expect: 100-continue`) has
/// not begun and need not.
pub(crate) async fn discard(headers: &HeaderMap, body: &mut Incoming, patience: Duration) {
    if headers.contains_key(EXPECT) {
        return;
    }
    let discarded = async {
        let mut left = DISCARDED_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            if bytes > left {
                return;
            }
            left -= bytes;
        }
    };
    // Too slow or too much: the connection closes, and that is the answer.
    let _ = timeout(patience, discarded).await;
}
