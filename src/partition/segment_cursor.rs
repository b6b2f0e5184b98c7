//! Walks the batches of a segment's file in bounded reads, checking each as it comes.

use std::rc::Rc;

use batch::{BatchHeader, HEADER_BYTES};
use bytes::Bytes;
use model::Offset;
use runtime::fs::File;

use crate::{
    CoreStorage, StorageError,
    offset_index::IndexEntry,
    segment::Segment,
    segment_header::FIRST_BATCH_AT,
    segment_scan::{Expected, check_next},
};

/// The least that is worth a read.
const READ_BYTES_MIN: usize = 64 << 10;
/// The most that one read asks for, unless one batch is larger.
pub(crate) const READ_BYTES_MAX: usize = 256 << 10;

/// After a read of so much everybody else on the core gets a turn.
const TURN_BYTES: usize = 128 << 10;

/// A position in a segment's file. What was written before the cursor was made is what it sees.
pub(crate) struct SegmentCursor {
    pub segment: Rc<Segment>,
    file: File,
    position: u64,
    end_position: u64,
    expected_offset: Offset,
    end_offset: Offset,
    exact: bool,
    read_bytes: usize,
    /// What the file has from `buffer_position` on.
    buffer: Bytes,
    buffer_position: u64,
}

impl SegmentCursor {
    /// Begins at an index entry, or at the segment's first batch. `wanted_bytes` is a hint for the
    /// size of the reads.
    pub async fn open(
        storage: &CoreStorage,
        segment: &Rc<Segment>,
        start: Option<IndexEntry>,
        wanted_bytes: usize,
    ) -> Result<SegmentCursor, StorageError> {
        let file = storage.open_file(segment).await?;
        let (position, expected_offset) = match start {
            Some(entry) => (entry.position, entry.offset),
            None => (FIRST_BATCH_AT, segment.base_offset),
        };
        Ok(SegmentCursor {
            file,
            position,
            end_position: segment.written_bytes.get().max(FIRST_BATCH_AT),
            expected_offset,
            end_offset: segment.written_through.get(),
            // Compaction leaves gaps, but an index entry names its batch exactly.
            exact: segment.generation == 0 || start.is_some(),
            read_bytes: wanted_bytes.clamp(READ_BYTES_MIN, READ_BYTES_MAX),
            buffer: Bytes::new(),
            buffer_position: position,
            segment: Rc::clone(segment),
        })
    }

    /// Where the next batch begins in the file.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The offset that follows the last batch.
    pub fn expected_offset(&self) -> Offset {
        self.expected_offset
    }

    /// The next batch's header; `None` at the end.
    pub async fn peek(&mut self) -> Result<Option<BatchHeader>, StorageError> {
        if self.position >= self.end_position {
            if self.position > self.end_position || self.expected_offset != self.end_offset {
                return Err(self.damaged(format!(
                    "the last batch ends at offset {} instead of {}",
                    self.expected_offset, self.end_offset
                )));
            }
            return Ok(None);
        }
        let room_bytes = self.end_position - self.position;
        let bytes = self.bytes(room_bytes.min(HEADER_BYTES as u64) as usize).await?;
        let expected = Expected {
            offset: self.expected_offset,
            exact: self.exact,
            end_offset: self.end_offset,
            room_bytes,
        };
        check_next(&bytes, &expected).map(Some).map_err(|why| self.damaged(why))
    }

    /// The bytes of the batch that was peeked at, its CRC checked; moves past it.
    pub async fn take(&mut self, header: &BatchHeader) -> Result<Bytes, StorageError> {
        let bytes = self.bytes(header.size_bytes()).await?;
        batch::check_crc(&bytes, header).map_err(|error| self.damaged(error.to_string()))?;
        self.skip(header);
        Ok(bytes)
    }

    /// Moves past the batch that was peeked at.
    pub fn skip(&mut self, header: &BatchHeader) {
        self.position += header.size_bytes() as u64;
        self.expected_offset = header.next_offset();
        self.exact = self.segment.generation == 0;
    }

    async fn bytes(&mut self, count: usize) -> Result<Bytes, StorageError> {
        let from = self.position.saturating_sub(self.buffer_position);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        if let Some(end) = from.checked_add(count)
            && end <= self.buffer.len()
        {
            return Ok(self.buffer.slice(from..end));
        }
        let left = usize::try_from(self.end_position - self.position).unwrap_or(usize::MAX);
        let wanted = count.max(self.read_bytes).min(left).max(count);
        self.buffer = Bytes::new();
        self.buffer = self
            .file
            .read_at(self.position, wanted)
            .await
            .map_err(StorageError::io("read", &self.segment.path()))?;
        self.buffer_position = self.position;
        if self.buffer.len() >= TURN_BYTES {
            // From the page cache it came without a wait: who reads old records must not hold up the rest.
            runtime::yield_now().await;
        }
        if self.buffer.len() < count {
            return Err(self.damaged(format!(
                "the file ends {} bytes into what should be {} more bytes",
                self.buffer.len(),
                self.end_position - self.position
            )));
        }
        Ok(self.buffer.slice(..count))
    }

    pub fn damaged(&self, why: impl Into<String>) -> StorageError {
        StorageError::damaged(&self.segment.path(), self.position, why)
    }
}
