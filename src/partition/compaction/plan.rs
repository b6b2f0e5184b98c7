//! Which segments a compaction works on, and whether it is worth the work.

use std::rc::Rc;

use model::{Offset, Timestamp, TopicConfig};

use crate::{partition::Inner, segment::Segment};

/// Consecutive segments from the log's first, all sealed and written.
pub(crate) struct Plan {
    pub segments: Vec<Rc<Segment>>,
    /// Below it keys are unique already.
    pub clean_through: Offset,
}

impl Inner {
    /// `None` if nothing is to be done.
    pub(super) fn compaction_plan(&self, now: Timestamp) -> Option<Plan> {
        let config = Rc::clone(&self.config.borrow());
        let log = self.log.borrow();
        let clean_through = log.compaction.clean_through;
        // What an open transaction has written may yet be aborted.
        let stable = log.last_stable();
        let is_stable = |segment: &Segment| segment.next_offset.get() <= stable;
        let segments: Vec<Rc<Segment>> = log
            .segments
            .iter()
            .take_while(|segment| {
                segment.is_complete() && is_stable(segment) && !is_too_young(segment, &config, now)
            })
            .cloned()
            .collect();
        let bytes = |segments: &mut dyn Iterator<Item = &Rc<Segment>>| -> u64 {
            segments.map(|segment| segment.size_bytes.get()).sum()
        };
        let is_dirty = |segment: &&Rc<Segment>| segment.next_offset.get() > clean_through;
        let dirty_bytes = bytes(&mut segments.iter().filter(is_dirty));
        let total_bytes = bytes(&mut segments.iter());
        let ratio = dirty_bytes as f64 / total_bytes.max(1) as f64;
        let first_dirty = segments.iter().find(is_dirty);
        let waited_too_long = first_dirty.is_some_and(|segment| {
            now.0.saturating_sub(segment.first_append.0) >= config.max_compaction_lag_ms
        });
        let tombstones_due = log.compaction.next_delete_horizon.is_some_and(|due| due <= now);
        let worth_it = dirty_bytes > 0 && ratio > config.min_cleanable_dirty_ratio;
        (worth_it || waited_too_long || (tombstones_due && !segments.is_empty()))
            .then_some(Plan { segments, clean_through })
    }
}

/// `min.compaction.lag.ms` protects records until they are so old.
fn is_too_young(segment: &Segment, config: &TopicConfig, now: Timestamp) -> bool {
    let newest = segment.max_timestamp.get().max(segment.first_append);
    config.min_compaction_lag_ms > 0
        && now.0.saturating_sub(newest.0) < config.min_compaction_lag_ms
}

impl Plan {
    /// Segments below `end` in groups that fit one segment each, so that what shrinks is merged.
    pub fn groups(&self, end: Offset, segment_bytes: u64) -> Vec<Vec<Rc<Segment>>> {
        let mut groups: Vec<Vec<Rc<Segment>>> = Vec::new();
        let mut group_bytes = 0;
        let mut group_base = Offset::ZERO;
        for segment in self.segments.iter().filter(|segment| segment.base_offset < end) {
            let size_bytes = segment.size_bytes.get();
            let span = segment.next_offset.get().0.saturating_sub(group_base.0);
            match groups.last_mut() {
                Some(group)
                    if group_bytes + size_bytes <= segment_bytes && span <= i64::from(i32::MAX) =>
                {
                    group_bytes += size_bytes;
                    group.push(Rc::clone(segment));
                }
                _ => {
                    group_bytes = size_bytes;
                    group_base = segment.base_offset;
                    groups.push(vec![Rc::clone(segment)]);
                }
            }
        }
        groups
    }
}
