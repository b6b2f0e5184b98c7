//! Frames off a connection: four bytes of size, then so many bytes.
//!
//! Small frames arrive through a buffer, many with one read; of a larger one only the first part
//! does, and the rest is read straight into the frame's own memory. Each frame gets memory of its
//! own because its batches live on in the partition's tail. An idle connection keeps 4 KiB.

use std::{io, time::Duration};

use bytes::BytesMut;
use runtime::net::ReadHalf;
use thiserror::Error;

use crate::{
    budget::{Admission, MemoryBudget},
    header::FIXED_HEADER_BYTES,
};

const BUFFER_BYTES: usize = 4 << 10;
const BUFFER_BYTES_BUSY: usize = 64 << 10;
/// How long a busy connection's larger buffer is kept while nothing comes.
const BUSY_FOR: Duration = Duration::from_secs(1);
/// How long the rest of a frame may make no progress: it holds a share of the memory budget.
const STALL_MAX: Duration = Duration::from_secs(30);
/// The slowest at which a frame may come on the whole, after [`STALL_MAX`].
const BYTES_PER_SECOND_MIN: usize = 64 << 10;
const SIZE_BYTES: usize = 4;

/// A frame without its size, and its share of the memory budget.
#[derive(Debug)]
pub struct Frame {
    /// Header and body.
    pub bytes: BytesMut,
    /// To be kept until the reply is written.
    pub admission: Admission,
}

/// Why no further frame can be had.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The size is no size of a request.
    #[error("a frame of {size} bytes; frames have {FIXED_HEADER_BYTES} to {max} bytes")]
    Size {
        /// What the client sent.
        size: i32,
        /// `socket.request.max.bytes`
        max: usize,
    },
    /// The client went in the middle of a frame.
    #[error("the connection ended within a frame")]
    Truncated,
    /// The client stopped in the middle of a frame, or sends too slowly.
    #[error(
        "the rest of a frame stalled for {} s, or came with less than {BYTES_PER_SECOND_MIN} bytes a second",
        STALL_MAX.as_secs()
    )]
    Stalled,
    /// The socket failed.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
}

/// The size of the frame that `prefix` begins, once it is known; a pure function, and so a fuzz
/// target together with [`crate::request::parse`].
pub fn frame_size(prefix: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(size) = prefix.first_chunk::<SIZE_BYTES>() else { return Ok(None) };
    let size = i32::from_be_bytes(*size);
    match usize::try_from(size) {
        Ok(bytes) if (FIXED_HEADER_BYTES..=frame_bytes_max).contains(&bytes) => Ok(Some(bytes)),
        _ => Err(FrameError::Size { size, max: frame_bytes_max }),
    }
}

/// Reads frames from one connection.
pub struct FrameReader {
    half: ReadHalf,
    /// Read but not yet framed: `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    frame_bytes_max: usize,
    budget: MemoryBudget,
}

impl FrameReader {
    /// Reads frames of at most `frame_bytes_max` bytes.
    pub fn new(half: ReadHalf, frame_bytes_max: usize, budget: MemoryBudget) -> FrameReader {
        let buffer = vec![0; BUFFER_BYTES];
        FrameReader { half, buffer, start: 0, end: 0, ended: false, frame_bytes_max, budget }
    }

    /// The next frame; `None` when the client has closed the connection between frames.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let size = loop {
            if let Some(size) = frame_size(self.buffered(), self.frame_bytes_max)? {
                break size;
            }
            if self.ended || self.fill().await? == 0 {
                return if self.buffered().is_empty() {
                    Ok(None)
                } else {
                    Err(FrameError::Truncated)
                };
            }
        };
        self.start += SIZE_BYTES;
        // Before any memory is taken for it.
        let admission = self.budget.admit(size).await;
        let mut bytes = BytesMut::with_capacity(size);
        let buffered = self.buffered();
        let at_hand = buffered.get(..size).unwrap_or(buffered);
        bytes.extend_from_slice(at_hand);
        self.start += at_hand.len();
        self.read_rest(&mut bytes, size).await?;
        Ok(Some(Frame { bytes, admission }))
    }

    /// Reads on while a request is worked on, as far as there is room, and resolves when the
    /// client has closed the connection or it failed.
    pub async fn closed(&mut self) {
        while !self.ended {
            if self.end == self.buffer.len() {
                return std::future::pending().await;
            }
            if self.read_into_buffer().await.is_err() {
                self.ended = true;
            }
        }
    }

    /// Whether nothing of a further frame has been read, so that [`FrameReader::into_half`] loses nothing.
    pub fn is_between_frames(&self) -> bool {
        self.buffered().is_empty() && !self.ended
    }

    /// Gives the socket back; what is buffered is lost.
    pub fn into_half(self) -> ReadHalf {
        self.half
    }

    fn buffered(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    async fn read_rest(&mut self, frame: &mut BytesMut, size: usize) -> Result<(), FrameError> {
        let patience = STALL_MAX + Duration::from_secs((size / BYTES_PER_SECOND_MIN) as u64);
        let deadline = runtime::now() + patience;
        while frame.len() < size {
            let wanted = size - frame.len();
            let left = deadline - runtime::now();
            match runtime::timeout(STALL_MAX.min(left), self.half.read_into(frame, wanted)).await {
                Ok(Ok(0)) => return Err(FrameError::Truncated),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(FrameError::Io(error)),
                Err(_) => return Err(FrameError::Stalled),
            }
        }
        Ok(())
    }

    /// Reads some bytes when fewer than a size are buffered. Returns 0 at the end.
    async fn fill(&mut self) -> Result<usize, FrameError> {
        let left = self.buffered().len();
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, left);
        if self.buffer.len() > BUFFER_BYTES {
            if let Ok(read) = runtime::timeout(BUSY_FOR, self.read_into_buffer()).await {
                return Ok(read?);
            }
            self.buffer.truncate(BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
        let count = self.read_into_buffer().await?;
        if self.end == self.buffer.len() {
            self.buffer.resize(BUFFER_BYTES_BUSY, 0);
        }
        Ok(count)
    }

    async fn read_into_buffer(&mut self) -> io::Result<usize> {
        let Some(room) = self.buffer.get_mut(self.end..) else { return Ok(0) };
        let count = self.half.read(room).await?;
        self.end += count;
        self.ended = count == 0;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_known_after_four_bytes_and_must_be_one_of_a_request() {
        let size = |prefix: &[u8]| frame_size(prefix, 1000).ok();
        assert_eq!(size(&[]), Some(None));
        assert_eq!(size(&[0, 0, 0]), Some(None));
        assert_eq!(size(&[0, 0, 0, 8]), Some(Some(8)));
        assert_eq!(size(&[0, 0, 3, 0xe8, 9]), Some(Some(1000)));
        for refused in [0, 7, 1001, -1, i32::MIN, i32::MAX] {
            assert_eq!(size(&refused.to_be_bytes()), None, "{refused}");
        }
        // The first bytes of an HTTP request and of a TLS handshake are no sizes either.
        assert!(frame_size(b"GET ", 100 << 20).is_err());
        assert!(frame_size(&[0x16, 3, 1, 2], 100 << 20).is_err());
    }
}
