//! A partition's newest batches in memory: all that is not written yet, and of the rest as much as
//! the core's budget allows.

use std::collections::VecDeque;

use batch::BatchHeader;
use bytes::Bytes;
use model::Offset;

/// One batch. `bytes` is a slice of the request that brought it.
pub(crate) struct TailBatch {
    pub base_offset: Offset,
    pub next_offset: Offset,
    /// Rises with each append on the core: who is oldest.
    pub age: u64,
    pub bytes: Bytes,
}

/// Batches without gap up to the log end.
#[derive(Default)]
pub(crate) struct Tail {
    batches: VecDeque<TailBatch>,
    /// How many of them, from the front, stand in a segment's file.
    written: usize,
    unwritten_bytes: usize,
}

impl Tail {
    pub fn push(&mut self, header: &BatchHeader, bytes: Bytes, age: u64) {
        self.unwritten_bytes += bytes.len();
        self.batches.push_back(TailBatch {
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
            age,
            bytes,
        });
    }

    /// The first offset that is here; `None` if nothing is.
    pub fn start(&self) -> Option<Offset> {
        self.batches.front().map(|batch| batch.base_offset)
    }

    pub fn unwritten_bytes(&self) -> usize {
        self.unwritten_bytes
    }

    /// The batches from the one that contains `offset` on.
    pub fn batches_from(&self, offset: Offset) -> impl Iterator<Item = &TailBatch> {
        let first = self.batches.partition_point(|batch| batch.next_offset <= offset);
        self.batches.range(first..)
    }

    /// Unwritten batches from `from` on that end at or before `until`, about `bytes_max` of them
    /// but at least one. Gives the offset after the last.
    pub fn unwritten(&self, from: Offset, until: Offset, bytes_max: usize) -> (Vec<Bytes>, Offset) {
        let mut parts = Vec::new();
        let mut size_bytes = 0;
        let mut next_offset = from;
        for batch in self.batches_from(from) {
            let too_much = !parts.is_empty() && size_bytes + batch.bytes.len() > bytes_max;
            if batch.next_offset > until || too_much {
                break;
            }
            size_bytes += batch.bytes.len();
            next_offset = batch.next_offset;
            parts.push(batch.bytes.clone());
        }
        (parts, next_offset)
    }

    /// What ends at or before `through` now stands in a file. Says how many bytes that are.
    pub fn mark_written(&mut self, through: Offset) -> usize {
        let before = self.unwritten_bytes;
        while let Some(batch) = self.batches.get(self.written)
            && batch.next_offset <= through
        {
            self.written += 1;
            self.unwritten_bytes -= batch.bytes.len();
        }
        before - self.unwritten_bytes
    }

    /// The age of the oldest batch, if that may go.
    pub fn evictable_age(&self) -> Option<u64> {
        self.batches.front().filter(|_| self.written > 0).map(|batch| batch.age)
    }

    /// Drops the oldest batch if it is written. Says how many bytes that freed.
    pub fn evict(&mut self) -> Option<usize> {
        if self.written == 0 {
            return None;
        }
        self.written -= 1;
        let batch = self.batches.pop_front()?;
        self.shrink();
        Some(batch.bytes.len())
    }

    /// Drops what ends at or before `offset`: written batches, and unwritten ones that end at or
    /// before `needless_through`, because their segment is gone. Says how many bytes, and how many
    /// of them were unwritten.
    pub fn drop_before(&mut self, offset: Offset, needless_through: Offset) -> (usize, usize) {
        let (mut dropped, mut unwritten) = (0, 0);
        while let Some(batch) = self.batches.front() {
            let written = self.written > 0;
            if batch.next_offset > offset || !(written || batch.next_offset <= needless_through) {
                break;
            }
            dropped += batch.bytes.len();
            if written {
                self.written -= 1;
            } else {
                unwritten += batch.bytes.len();
            }
            self.batches.pop_front();
        }
        self.unwritten_bytes -= unwritten;
        self.shrink();
        (dropped, unwritten)
    }

    /// Drops everything. Says how many bytes, and how many of them were unwritten.
    pub fn clear(&mut self) -> (usize, usize) {
        let bytes = self.batches.iter().map(|batch| batch.bytes.len()).sum();
        let unwritten = self.unwritten_bytes;
        *self = Tail::default();
        (bytes, unwritten)
    }

    /// An idle partition must not keep the memory of its busiest moment.
    fn shrink(&mut self) {
        if self.batches.capacity() > 64 && self.batches.len() < self.batches.capacity() / 4 {
            self.batches.shrink_to(self.batches.len() * 2);
        }
    }
}
