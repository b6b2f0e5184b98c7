//! Compaction: of records with the same key only the newest stays.
//!
//! A compaction reads the records that came since the last one and notes the newest offset of each
//! key ([`survey`]); then it writes all segments up to there anew, without the records that a newer
//! one supersedes ([`retain`], [`rewrite`]). It begins at the log's first segment and never touches
//! the open one. What is left lies at the offsets where it always was. Each new segment takes the
//! place of the old ones in one step; their files stay until a checkpoint no longer lists them.
//!
//! Each segment's last batch stays, empty if need be, so that the file says where its range ends
//! and a reader behind the last record still gets to the next one.

mod key_map;
mod plan;
mod retain;
mod rewrite;
mod survey;

use std::{cell::RefCell, rc::Rc};

use model::{Offset, Timestamp};

use self::{plan::Plan, retain::Rules, rewrite::Rewrite};
use crate::{
    Partition, StorageError,
    partition::{Inner, Retired},
    segment::Segment,
    snapshot::CompactionSnapshot,
};

/// What one compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// Segments that were replaced; 0 if there was nothing to do.
    pub segments_rewritten: usize,
    /// Records in the replaced segments.
    pub records_before: u64,
    /// Records in what replaced them.
    pub records_after: u64,
    /// Bytes of the replaced segments.
    pub bytes_before: u64,
    /// Bytes of what replaced them.
    pub bytes_after: u64,
    /// Below this offset each key now occurs once.
    pub clean_through: Offset,
}

impl Partition {
    /// Compacts if `cleanup.policy` says so and it is worth it or due: `min.cleanable.dirty.ratio`,
    /// `min.compaction.lag.ms`, `max.compaction.lag.ms`, tombstones past their delete horizon. What
    /// did not fit the memory for keys is left to the next call.
    pub async fn compact(&self, now: Timestamp) -> Result<CompactionReport, StorageError> {
        let inner = &self.inner;
        inner.check_not_gone()?;
        let nothing = CompactionReport {
            clean_through: inner.log.borrow().compaction.clean_through,
            ..CompactionReport::default()
        };
        if !inner.config.borrow().cleanup_policy.compact {
            return Ok(nothing);
        }
        inner.roll_if_old(now);
        if inner.compaction_plan(now).is_none() && inner.has_no_unwritten_sealed() {
            return Ok(nothing);
        }
        let _core = inner.storage.compaction_turn.acquire().await;
        let _own = inner.compaction_turn.acquire().await;
        inner.flush_written().await?;
        match inner.compaction_plan(now) {
            Some(plan) => inner.compact(&plan, now).await,
            None => Ok(nothing),
        }
    }
}

impl Inner {
    /// Sealed segments join the plan once they are written.
    fn has_no_unwritten_sealed(&self) -> bool {
        let log = self.log.borrow();
        log.segments.iter().all(|segment| !segment.sealed.get() || segment.is_written())
    }

    async fn compact(&self, plan: &Plan, now: Timestamp) -> Result<CompactionReport, StorageError> {
        let survey = self.survey(plan).await?;
        let (delete_retention_ms, segment_bytes) = {
            let config = self.config.borrow();
            (config.delete_retention_ms, u64::try_from(config.segment_bytes).unwrap_or(0))
        };
        // Where nothing is dirty, only due tombstones go.
        let end = survey.end.max(plan.clean_through);
        let rules =
            Rules { survey: &survey, now, delete_retention_ms, retained: RefCell::default() };
        let mut report = CompactionReport { clean_through: end, ..CompactionReport::default() };
        let mut next_delete_horizon: Option<Timestamp> = None;
        for group in plan.groups(end, segment_bytes) {
            let Some(rewrite) = self.rewrite(&group, &rules).await? else { continue };
            let horizons = [next_delete_horizon, rewrite.next_delete_horizon];
            next_delete_horizon = horizons.into_iter().flatten().min();
            if rewrite.changed {
                self.replace(&group, rewrite, &mut report).await;
            } else {
                self.discard(rewrite).await;
            }
        }
        self.log.borrow_mut().compaction =
            CompactionSnapshot { clean_through: end, next_delete_horizon };
        Ok(report)
    }

    /// Puts the new segment in the place of the group, unless retention was faster.
    async fn replace(
        &self,
        group: &[Rc<Segment>],
        rewrite: Rewrite,
        report: &mut CompactionReport,
    ) {
        if !self.swap(group, &rewrite) {
            return self.discard(rewrite).await;
        }
        report.segments_rewritten += group.len();
        report.records_before += rewrite.records_before;
        report.records_after += rewrite.records_after;
        report.bytes_before += group.iter().map(|it| it.size_bytes.get()).sum::<u64>();
        report.bytes_after += rewrite.segment.size_bytes.get();
    }

    fn swap(&self, group: &[Rc<Segment>], rewrite: &Rewrite) -> bool {
        let mut log = self.log.borrow_mut();
        let Some(first) = group.first() else { return false };
        let at = log.segments.iter().position(|segment| Rc::ptr_eq(segment, first));
        let Some(at) = at.filter(|_| !self.gone.get()) else { return false };
        let end = at + group.len();
        // Only whole segments from the front ever leave, so if the first is there all are.
        let old: Vec<Rc<Segment>> = log.segments.drain(at..end).collect();
        log.segments.insert(at, Rc::clone(&rewrite.segment));
        for segment in old {
            segment.retired.set(true);
            log.retired.push(Retired { segment, below_log_start: false });
        }
        log.transactions.forget_markers(&rewrite.removed_markers);
        // The tail still has what was removed; all of it is in files.
        let dropped = log.tail.drop_before(rewrite.end(), Offset::ZERO);
        self.storage.note_dropped(dropped);
        true
    }
}
