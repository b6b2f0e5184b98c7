//! What compaction leaves of one batch.
//!
//! A batch keeps its range of offsets, its producer and its epoch, whichever records go. The time
//! until which deleted keys stay visible stands in the batch itself (KIP-534): the compaction that
//! first finds a tombstone without anything older writes "now + `delete.retention.ms`" as delete
//! horizon, and the first one after that time removes the tombstone.

use std::{cell::RefCell, collections::BTreeSet};

use batch::{BatchBuilder, BatchError, BatchHeader, Record};
use bytes::Bytes;
use model::{ProducerId, Timestamp, TimestampType};

use super::survey::Survey;

/// Kafka's `producer.id.expiration.ms`: an idle producer's state need not outlive it.
const PRODUCER_EXPIRATION_MS: i64 = 86_400_000;

/// What becomes of a batch.
#[derive(Debug)]
pub(crate) enum Retained {
    /// It stays as it is.
    Whole,
    /// It stays with fewer records, or with a delete horizon; no record at all is left if the
    /// batch is there only for its producer.
    Rewritten { batch: Bytes, records: u64 },
    /// Nothing of it is wanted.
    Nothing,
}

/// What a compaction decides by.
pub(crate) struct Rules<'a> {
    pub survey: &'a Survey,
    pub now: Timestamp,
    pub delete_retention_ms: i64,
    /// Producers with records left of the transaction whose marker comes next.
    pub retained: RefCell<BTreeSet<ProducerId>>,
}

impl Rules<'_> {
    /// Decides. `records` are all of the batch's.
    pub fn retain(&self, header: &BatchHeader, records: &[Record]) -> Result<Retained, BatchError> {
        if self.survey.aborted.contains(header) {
            return self.without_records(header);
        }
        let horizon = header.attributes.has_delete_horizon().then_some(header.base_timestamp);
        let tombstones_due = horizon.is_some_and(|at| at <= self.now);
        let kept: Vec<&Record> = records
            .iter()
            .filter(|record| self.is_wanted(record) && !(tombstones_due && record.value.is_none()))
            .collect();
        if kept.is_empty() {
            return self.without_records(header);
        }
        let has_tombstone = kept.iter().any(|record| record.value.is_none());
        let new_horizon = match horizon {
            _ if !has_tombstone => None,
            None => Some(Timestamp(self.now.0.saturating_add(self.delete_retention_ms))),
            Some(at) => Some(at),
        };
        if kept.len() == records.len() && new_horizon == horizon {
            return Ok(Retained::Whole);
        }
        let mut builder = like(header)?;
        if let Some(at) = new_horizon {
            builder = builder.delete_horizon(at);
        }
        for record in &kept {
            // Both lie in the batch's range.
            let delta = i32::try_from(record.offset.0 - header.base_offset.0).unwrap_or(i32::MAX);
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            builder.push_at(delta, record.timestamp, key, value, &record.headers);
        }
        Ok(Retained::Rewritten { batch: builder.build()?.freeze(), records: kept.len() as u64 })
    }

    /// Records of a transaction stay, so its marker must.
    pub fn note_retained(&self, header: &BatchHeader) {
        if header.attributes.is_transactional() && !header.attributes.is_control() {
            self.retained.borrow_mut().insert(header.producer_id);
        }
    }

    /// Decides on a marker: it goes, as a tombstone does, some time after everything that it
    /// ended has gone.
    pub fn retain_marker(
        &self,
        header: &BatchHeader,
        records: &[Record],
    ) -> Result<Retained, BatchError> {
        if self.retained.borrow_mut().remove(&header.producer_id) {
            return Ok(Retained::Whole);
        }
        if header.attributes.has_delete_horizon() {
            let is_due = header.base_timestamp <= self.now;
            return Ok(if is_due { Retained::Nothing } else { Retained::Whole });
        }
        let at = Timestamp(self.now.0.saturating_add(self.delete_retention_ms));
        let mut builder = like(header)?.control().delete_horizon(at);
        for record in records {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            builder.push(record.timestamp, key, value, &record.headers);
        }
        Ok(Retained::Rewritten { batch: builder.build()?.freeze(), records: records.len() as u64 })
    }

    /// A record without a key is never the newest of any: Kafka drops it too.
    fn is_wanted(&self, record: &Record) -> bool {
        let Some(key) = &record.key else { return false };
        self.survey.keys.get(key).is_none_or(|newest| newest <= record.offset)
    }

    fn without_records(&self, header: &BatchHeader) -> Result<Retained, BatchError> {
        let expired = self.now.0.saturating_sub(header.max_timestamp.0) > PRODUCER_EXPIRATION_MS;
        let is_last = self.survey.is_last_of_producer(header.producer_id, header.base_offset);
        if header.has_producer() && is_last && !expired {
            return Ok(Retained::Rewritten { batch: empty_like(header)?, records: 0 });
        }
        Ok(Retained::Nothing)
    }
}

/// The batch without its records: it keeps a range of offsets or a producer's sequence.
pub(crate) fn empty_like(header: &BatchHeader) -> Result<Bytes, BatchError> {
    let mut batch = like(header)?.build()?;
    batch::set_max_timestamp(&mut batch, header.max_timestamp);
    Ok(batch.freeze())
}

fn like(header: &BatchHeader) -> Result<BatchBuilder, BatchError> {
    let mut builder = BatchBuilder::new(header.attributes.compression()?)
        .base_offset(header.base_offset)
        .leader_epoch(header.leader_epoch)
        .last_offset_delta(header.last_offset_delta)
        .producer(header.producer_id, header.producer_epoch, header.base_sequence);
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        builder = builder.log_append_time(header.max_timestamp);
    }
    if header.attributes.is_transactional() {
        builder = builder.transactional();
    }
    Ok(builder)
}
