//! The first pass: the newest offset of each key, and each producer's last batch.

use std::collections::BTreeMap;

use model::{Offset, ProducerId};

use super::{key_map::KeyMap, plan::Plan};
use crate::{
    StorageError,
    partition::Inner,
    segment_cursor::{READ_BYTES_MAX, SegmentCursor},
    transactions::AbortedByProducer,
};

/// Beyond so many producers every batch of the others counts as a last one.
const PRODUCERS_MAX: usize = 100_000;

/// What the second pass decides by.
pub(crate) struct Survey {
    pub keys: KeyMap,
    /// Records at or above this offset are left alone: the map was full, or the plan ends.
    pub end: Offset,
    producers: BTreeMap<ProducerId, Offset>,
    /// Everything that the plan's segments hold is committed but for this.
    pub aborted: AbortedByProducer,
}

impl Survey {
    /// Whether the batch at `base_offset` is the last that the producer left in the plan.
    pub fn is_last_of_producer(&self, producer: ProducerId, base_offset: Offset) -> bool {
        self.producers.get(&producer).is_none_or(|last| *last <= base_offset)
    }
}

impl Inner {
    pub(super) async fn survey(&self, plan: &Plan) -> Result<Survey, StorageError> {
        let mut survey = Survey {
            keys: KeyMap::new(self.storage.config.compaction_memory_bytes),
            end: plan.segments.last().map_or(Offset::ZERO, |segment| segment.next_offset.get()),
            producers: BTreeMap::new(),
            aborted: self.log.borrow().transactions.aborted_by_producer(),
        };
        let mut full = false;
        for segment in &plan.segments {
            let mut cursor =
                SegmentCursor::open(&self.storage, segment, None, READ_BYTES_MAX).await?;
            while let Some(header) = cursor.peek().await? {
                self.check_not_gone()?;
                let known = survey.producers.len() < PRODUCERS_MAX
                    || survey.producers.contains_key(&header.producer_id);
                if header.has_producer() && known {
                    survey.producers.insert(header.producer_id, header.base_offset);
                }
                let clean = header.next_offset() <= plan.clean_through;
                let is_data = !header.attributes.is_control() && !survey.aborted.contains(&header);
                if full || clean || !is_data {
                    cursor.skip(&header);
                    continue;
                }
                if !survey.keys.has_room_for(usize::try_from(header.record_count).unwrap_or(0)) {
                    full = true;
                    survey.end = header.base_offset;
                    continue;
                }
                let batch = cursor.take(&header).await?;
                for record in self.records_of(&batch)? {
                    let record = record?;
                    if let Some(key) = record.key {
                        survey.keys.insert(&key, record.offset);
                    }
                }
                // Hashing a segment's keys takes long; whoever serves clients goes first.
                runtime::yield_now().await;
            }
        }
        Ok(survey)
    }
}
