//! What may go: the log start, and what retention allows it to be.

use model::{Offset, Timestamp};

use crate::{
    Partition,
    partition::{Inner, Retired},
};

impl Partition {
    /// Records below `offset` are gone for readers at once. Segments wholly below it leave; their
    /// files go after the next checkpoint. Never moves back, nor beyond the log end.
    ///
    /// The command that says so must be durable: a full disk gets the files' space back before a
    /// checkpoint.
    pub fn advance_log_start(&self, offset: Offset) {
        self.inner.advance_log_start(offset);
    }

    /// The log start that `retention.ms` and `retention.bytes` allow, if it is above the present
    /// one: always the end of a segment. An open segment that is older than `segment.ms`, or holds
    /// nothing but expired records, is sealed on the way.
    pub fn retention_target(&self, now: Timestamp) -> Option<Offset> {
        self.inner.roll_if_old(now);
        if !self.inner.config.borrow().cleanup_policy.delete {
            return None;
        }
        let target = self.inner.target_by_time(now).max(self.inner.target_by_size());
        target.filter(|target| *target > self.log_start())
    }
}

impl Inner {
    fn advance_log_start(&self, offset: Offset) {
        let mut log = self.log.borrow_mut();
        let offset = offset.min(log.log_end);
        if offset <= log.log_start {
            return;
        }
        log.log_start = offset;
        log.transactions.forget_below(offset);
        if offset == log.log_end
            && let Some(active) = log.active()
        {
            active.sealed.set(true);
        }
        while let Some(segment) = log.segments.front().cloned()
            && segment.next_offset.get() <= offset
            && segment.sealed.get()
        {
            segment.retired.set(true);
            log.segments.pop_front();
            log.retired.push(Retired { segment, below_log_start: true });
        }
        let begins = log.segments.front().map_or(offset, |segment| segment.base_offset);
        let dropped = log.tail.drop_before(offset, begins);
        self.storage.note_dropped(dropped);
    }

    fn target_by_time(&self, now: Timestamp) -> Option<Offset> {
        let retention_ms = self.config.borrow().retention_ms;
        if retention_ms < 0 {
            return None;
        }
        let oldest_kept = now.0.saturating_sub(retention_ms);
        let log = self.log.borrow();
        let expired = log.segments.iter().take_while(|segment| {
            // Records without a timestamp are as old as their arrival.
            let newest = match segment.max_timestamp.get() {
                Timestamp::NONE => segment.first_append,
                timestamp => timestamp,
            };
            newest.0 < oldest_kept && !segment.is_empty()
        });
        let last = expired.last()?;
        last.sealed.set(true);
        Some(last.next_offset.get())
    }

    fn target_by_size(&self) -> Option<Offset> {
        let retention_bytes = u64::try_from(self.config.borrow().retention_bytes).ok()?;
        let log = self.log.borrow();
        let total: u64 = log.segments.iter().map(|segment| segment.size_bytes.get()).sum();
        let mut excess = total.checked_sub(retention_bytes)?;
        let mut target = None;
        for segment in log.segments.iter().filter(|segment| segment.sealed.get()) {
            let Some(left) = excess.checked_sub(segment.size_bytes.get()) else { break };
            excess = left;
            target = Some(segment.next_offset.get());
        }
        target
    }
}
