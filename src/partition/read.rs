//! Reading batches: from the tail, and behind it from the segments' files.

use std::rc::Rc;

use bytes::Bytes;
use model::Offset;

use crate::{
    Partition, StorageError, index_load::Wanted, partition::Inner, segment::Segment,
    segment_cursor::SegmentCursor,
};

/// What a read found: whole batches in offset order, as they were stored.
#[derive(Clone, Debug, Default)]
pub struct ReadBatches {
    /// Offsets rise; after compaction there may be gaps between them.
    pub batches: Vec<Bytes>,
    /// Their bytes together.
    pub size_bytes: usize,
}

/// What is read, and how far it has come.
struct Reading {
    at: Offset,
    max_bytes: usize,
    ceiling: Offset,
    found: ReadBatches,
}

impl Reading {
    /// Whether a batch of `size_bytes` that ends before `next_offset` still belongs to the answer.
    fn admits(&self, size_bytes: usize, next_offset: Offset) -> bool {
        let fits = self.found.size_bytes.saturating_add(size_bytes) <= self.max_bytes;
        next_offset <= self.ceiling && (fits || self.found.batches.is_empty())
    }

    fn push(&mut self, batch: Bytes, next_offset: Offset) {
        self.found.size_bytes += batch.len();
        self.found.batches.push(batch);
        self.at = next_offset;
    }
}

impl Partition {
    /// Whole batches from the one that contains `offset` on (or the next one, where compaction has
    /// removed it): at most `max_bytes` but at least one batch, and only such as end at or before
    /// `ceiling`. Empty when there is none.
    pub async fn read(
        &self,
        offset: Offset,
        max_bytes: usize,
        ceiling: Offset,
    ) -> Result<ReadBatches, StorageError> {
        self.inner.read(offset, max_bytes, ceiling).await
    }
}

impl Inner {
    pub async fn read(
        &self,
        offset: Offset,
        max_bytes: usize,
        ceiling: Offset,
    ) -> Result<ReadBatches, StorageError> {
        let mut reading = Reading { at: offset, max_bytes, ceiling, found: ReadBatches::default() };
        loop {
            if let Err(error) = self.check_in_range(reading.at) {
                return found_or(reading, error);
            }
            if reading.at >= ceiling.min(self.log.borrow().log_end) {
                return Ok(reading.found);
            }
            let before_bytes = reading.found.size_bytes;
            if self.read_tail(&mut reading) {
                self.storage.reads.tail.note(reading.found.size_bytes - before_bytes);
                return Ok(reading.found);
            }
            let segment = self.log.borrow().segment_of(reading.at).cloned();
            // The range check has shown that there is one.
            let Some(segment) = segment else { return Ok(reading.found) };
            let outcome = self.read_segment(&segment, &mut reading).await;
            self.storage.reads.segments.note(reading.found.size_bytes - before_bytes);
            match outcome {
                Ok(true) => {}
                Ok(false) => return Ok(reading.found),
                // Replaced or dropped before its file was opened: look again.
                Err(StorageError::Missing { .. }) if segment.retired.get() => {}
                Err(error) => return found_or(reading, error),
            }
        }
    }

    pub fn check_in_range(&self, offset: Offset) -> Result<(), StorageError> {
        self.check_not_gone()?;
        let log = self.log.borrow();
        let (log_start, log_end) = (log.log_start, log.log_end);
        if offset < log_start || offset > log_end {
            let partition = self.id;
            return Err(StorageError::OffsetOutOfRange { partition, offset, log_start, log_end });
        }
        Ok(())
    }

    /// Answers from memory if the offset is there; says whether it was.
    fn read_tail(&self, reading: &mut Reading) -> bool {
        let log = self.log.borrow();
        if log.tail.start().is_none_or(|start| start > reading.at) {
            return false;
        }
        for batch in log.tail.batches_from(reading.at) {
            if !reading.admits(batch.bytes.len(), batch.next_offset) {
                break;
            }
            reading.push(batch.bytes.clone(), batch.next_offset);
        }
        true
    }

    /// Reads to the end of what is written of a segment; says whether there may be more to read
    /// behind it.
    async fn read_segment(
        &self,
        segment: &Rc<Segment>,
        reading: &mut Reading,
    ) -> Result<bool, StorageError> {
        let mut cursor = self.cursor_at(segment, reading).await?;
        while let Some(header) = cursor.peek().await? {
            if header.next_offset() <= reading.at {
                cursor.skip(&header);
                continue;
            }
            if !reading.admits(header.size_bytes(), header.next_offset()) {
                return Ok(false);
            }
            let batch = cursor.take(&header).await?;
            reading.push(batch, header.next_offset());
        }
        // A gap at the end of the segment is passed over.
        reading.at = reading.at.max(cursor.expected_offset());
        Ok(true)
    }

    async fn cursor_at(
        &self,
        segment: &Rc<Segment>,
        reading: &Reading,
    ) -> Result<SegmentCursor, StorageError> {
        let left_bytes = reading.max_bytes.saturating_sub(reading.found.size_bytes);
        let start = self.locate(segment, Wanted::Offset(reading.at)).await?;
        let mut cursor = SegmentCursor::open(&self.storage, segment, start, left_bytes).await?;
        let from_file = segment.index.borrow().is_none();
        match cursor.peek().await {
            // Either the index is wrong or the segment is; making the index again tells.
            Err(StorageError::Damaged { .. }) if start.is_some() && from_file => {
                self.remake_index(segment).await?;
                let start = self.locate(segment, Wanted::Offset(reading.at)).await?;
                SegmentCursor::open(&self.storage, segment, start, left_bytes).await
            }
            Err(error) => Err(error),
            Ok(_) => Ok(cursor),
        }
    }
}

/// What was found before the error is good; who reads on from there meets the error again.
fn found_or(reading: Reading, error: StorageError) -> Result<ReadBatches, StorageError> {
    if reading.found.batches.is_empty() { Err(error) } else { Ok(reading.found) }
}
