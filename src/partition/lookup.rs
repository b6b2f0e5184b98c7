//! From times to records.

use std::rc::Rc;

use batch::{BatchHeader, Record};
use bytes::Bytes;
use model::{Offset, Timestamp};

use crate::{Partition, StorageError, index_load::Wanted, partition::Inner, segment::Segment};

/// How much is read at a time.
const READ_BYTES: usize = 256 << 10;

impl Partition {
    /// The first record, in offset order, whose timestamp is at least `at_least`, among those
    /// below `ceiling`: its offset and timestamp.
    pub async fn offset_for_timestamp(
        &self,
        at_least: Timestamp,
        ceiling: Offset,
    ) -> Result<Option<(Offset, Timestamp)>, StorageError> {
        let inner = &self.inner;
        let mut from = inner.log.borrow().log_start;
        loop {
            inner.check_not_gone()?;
            // Retention may have moved on while we waited.
            from = from.max(inner.log.borrow().log_start);
            let Some(segment) = inner.segment_with(from, ceiling, at_least) else {
                return Ok(None);
            };
            match inner.record_at(&segment, from, ceiling, at_least).await {
                Ok(Ok(found)) => return Ok(Some(found)),
                Ok(Err(next)) if next > from => from = next,
                Ok(Err(_)) => return Ok(None),
                Err(StorageError::OffsetOutOfRange { .. } | StorageError::Missing { .. })
                    if segment.retired.get() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The first of the records with the greatest timestamp, among those below `ceiling`: its
    /// offset and timestamp. `None` if no record has a timestamp.
    pub async fn max_timestamp(
        &self,
        ceiling: Offset,
    ) -> Result<Option<(Offset, Timestamp)>, StorageError> {
        let inner = &self.inner;
        inner.check_not_gone()?;
        let Some(batch_offset) = inner.batch_with_max_timestamp(ceiling).await? else {
            return Ok(None);
        };
        let log_start = inner.log.borrow().log_start;
        let read = inner.read(batch_offset.max(log_start), 0, ceiling).await?;
        let mut best: Option<(Offset, Timestamp)> = None;
        for batch in &read.batches {
            for record in inner.records_of(batch)? {
                let record = record?;
                if record.offset >= log_start
                    && best.is_none_or(|(_, timestamp)| record.timestamp > timestamp)
                {
                    best = Some((record.offset, record.timestamp));
                }
            }
        }
        Ok(best.filter(|(_, timestamp)| *timestamp > Timestamp::NONE))
    }
}

impl Inner {
    /// The first segment with offsets in `from..ceiling` and a timestamp of at least `at_least`.
    fn segment_with(
        &self,
        from: Offset,
        ceiling: Offset,
        at_least: Timestamp,
    ) -> Option<Rc<Segment>> {
        let log = self.log.borrow();
        log.segments
            .iter()
            .skip_while(|segment| segment.next_offset.get() <= from)
            .take_while(|segment| segment.base_offset < ceiling)
            .find(|segment| segment.max_timestamp.get() >= at_least)
            .cloned()
    }

    /// Looks through one segment: the record, or the offset at which to look on.
    async fn record_at(
        &self,
        segment: &Rc<Segment>,
        from: Offset,
        ceiling: Offset,
        at_least: Timestamp,
    ) -> Result<Result<(Offset, Timestamp), Offset>, StorageError> {
        let start = self.locate(segment, Wanted::Time(at_least)).await?;
        let start = start.map_or(segment.base_offset, |entry| entry.offset);
        let mut at = from.max(start);
        while at < segment.next_offset.get() {
            let read = self.read(at, READ_BYTES, ceiling).await?;
            if read.batches.is_empty() {
                return Ok(Err(at.max(segment.next_offset.get().min(ceiling))));
            }
            for batch in &read.batches {
                let header = self.header_of(batch)?;
                at = header.next_offset();
                if header.max_timestamp < at_least {
                    continue;
                }
                for record in self.records_of(batch)? {
                    let Record { offset, timestamp, .. } = record?;
                    if offset >= from && timestamp >= at_least {
                        return Ok(Ok((offset, timestamp)));
                    }
                }
            }
        }
        Ok(Err(at))
    }

    /// The base offset of the first batch with the greatest timestamp below `ceiling`.
    async fn batch_with_max_timestamp(
        &self,
        ceiling: Offset,
    ) -> Result<Option<Offset>, StorageError> {
        let (log_start, segments) = {
            let log = self.log.borrow();
            (log.log_start, Vec::from_iter(log.segments.iter().cloned()))
        };
        let mut best: Option<(Timestamp, Offset)> = None;
        for segment in segments {
            let max = segment.max_timestamp.get();
            if best.is_some_and(|(timestamp, _)| max <= timestamp) || max <= Timestamp::NONE {
                continue;
            }
            let whole = segment.base_offset >= log_start && segment.next_offset.get() <= ceiling;
            if whole {
                best = Some((max, segment.offset_of_max_timestamp.get()));
                continue;
            }
            // Only part of the segment counts: look at its batches.
            let mut at = segment.base_offset.max(log_start);
            while at < segment.next_offset.get().min(ceiling) {
                let read = self.read(at, READ_BYTES, ceiling).await?;
                if read.batches.is_empty() {
                    break;
                }
                for batch in &read.batches {
                    let header = self.header_of(batch)?;
                    at = header.next_offset();
                    let max = header.max_timestamp;
                    let has_records = header.record_count > 0;
                    if has_records && best.is_none_or(|(timestamp, _)| max > timestamp) {
                        best = Some((max, header.base_offset));
                    }
                }
            }
        }
        Ok(best.map(|(_, offset)| offset))
    }

    pub fn header_of(&self, batch: &Bytes) -> Result<BatchHeader, StorageError> {
        BatchHeader::parse(batch).map_err(|error| self.invalid_batch(batch, &error))
    }

    /// A stored batch's records, each with the error that says where it stands.
    pub fn records_of(
        &self,
        batch: &Bytes,
    ) -> Result<impl Iterator<Item = Result<Record, StorageError>>, StorageError> {
        let limit_bytes = self.storage.config.decompressed_batch_bytes_max;
        let records = batch::records(batch, limit_bytes)
            .map_err(|error| self.invalid_batch(batch, &error))?;
        Ok(records.map(|record| record.map_err(|error| self.invalid_batch(batch, &error))))
    }

    fn invalid_batch(&self, batch: &Bytes, error: &batch::BatchError) -> StorageError {
        let at = BatchHeader::parse(batch).map_or(Offset(-1), |header| header.base_offset);
        StorageError::InvalidBatch { partition: self.id, why: format!("at offset {at}: {error}") }
    }
}
