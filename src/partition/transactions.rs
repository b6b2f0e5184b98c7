//! The transactions of one partition, as far as applied: which are open, and which were aborted.
//!
//! `read_committed` readers see offsets below the first open transaction (the last stable offset),
//! and are told which transactions below it were aborted: they skip those themselves.

use std::collections::{BTreeMap, VecDeque};

use batch::{BatchHeader, ControlType};
use model::{Offset, ProducerId};
use serde::{Deserialize, Serialize};

/// A transaction that was aborted, in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// No transaction that was aborted later began below this offset.
    last_stable: Offset,
}

impl AbortedTransaction {
    /// Whether a batch is part of it.
    pub fn contains(&self, batch: &BatchHeader) -> bool {
        batch.attributes.is_transactional()
            && !batch.attributes.is_control()
            && batch.producer_id == self.producer_id
            && (self.first_offset..self.last_offset).contains(&batch.base_offset)
    }
}

/// The aborted transactions of a partition by producer, to look up many batches.
#[derive(Debug, Default)]
pub(crate) struct AbortedByProducer(BTreeMap<ProducerId, Vec<AbortedTransaction>>);

impl AbortedByProducer {
    /// Whether a batch was aborted.
    pub fn contains(&self, batch: &BatchHeader) -> bool {
        let Some(aborted) = self.0.get(&batch.producer_id) else { return false };
        // A producer's transactions follow one another.
        let after = aborted.partition_point(|it| it.first_offset <= batch.base_offset);
        after.checked_sub(1).and_then(|at| aborted.get(at)).is_some_and(|it| it.contains(batch))
    }
}

/// What a partition knows of its transactions. Empty, it takes no heap memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionTransactions {
    /// The first offset of each open one. A producer has at most one open.
    open: BTreeMap<ProducerId, Offset>,
    /// By the offset of their markers.
    aborted: VecDeque<AbortedTransaction>,
    /// The least of `open`: asked for with every fetch.
    first_open: Option<Offset>,
}

impl PartitionTransactions {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.aborted.is_empty()
    }

    /// Takes in a transactional batch or a marker that joins the log.
    pub(crate) fn note(&mut self, header: &BatchHeader, batch: &[u8]) {
        if !header.attributes.is_control() {
            self.open.entry(header.producer_id).or_insert(header.base_offset);
            self.first_open.get_or_insert(header.base_offset);
            return;
        }
        let control = ControlType::of_batch(batch);
        if !matches!(control, Some(ControlType::Abort | ControlType::Commit)) {
            return;
        }
        let Some(first_offset) = self.open.remove(&header.producer_id) else { return };
        self.first_open = self.open.values().min().copied();
        if control == Some(ControlType::Abort) {
            let last_offset = header.last_offset();
            self.aborted.push_back(AbortedTransaction {
                producer_id: header.producer_id,
                first_offset,
                last_offset,
                last_stable: self.first_open.unwrap_or(last_offset.next()),
            });
        }
    }

    /// The first offset of the oldest open transaction.
    pub(crate) fn first_open(&self) -> Option<Offset> {
        self.first_open
    }

    /// The aborted transactions with records in `from..until`, where `until` is at most the last
    /// stable offset.
    pub(crate) fn aborted_within(&self, from: Offset, until: Offset) -> Vec<AbortedTransaction> {
        let first = self.aborted.partition_point(|aborted| aborted.last_offset < from);
        let mut found = Vec::new();
        for aborted in self.aborted.range(first..) {
            if aborted.first_offset < until {
                found.push(*aborted);
            }
            if aborted.last_stable >= until {
                break;
            }
        }
        found
    }

    /// All aborted ones.
    pub(crate) fn aborted_by_producer(&self) -> AbortedByProducer {
        let mut by_producer: BTreeMap<ProducerId, Vec<AbortedTransaction>> = BTreeMap::new();
        for aborted in &self.aborted {
            by_producer.entry(aborted.producer_id).or_default().push(*aborted);
        }
        AbortedByProducer(by_producer)
    }

    /// The log now begins at `log_start`.
    pub(crate) fn forget_below(&mut self, log_start: Offset) {
        while self.aborted.front().is_some_and(|aborted| aborted.last_offset < log_start) {
            self.aborted.pop_front();
        }
    }

    /// Compaction has removed these markers, and before them all that they ended. Whoever still
    /// heard of the abort would wait for its marker in vain.
    pub(crate) fn forget_markers(&mut self, removed: &[Offset]) {
        if !removed.is_empty() {
            self.aborted.retain(|aborted| !removed.contains(&aborted.last_offset));
        }
    }

    /// What open and aborted transactions must look like.
    pub(crate) fn check(&self, log_end: Offset) -> Result<(), String> {
        if self.open.values().chain(&self.first_open).any(|first| *first >= log_end)
            || self.first_open != self.open.values().min().copied()
        {
            return Err(format!("its open transactions do not fit a log that ends at {log_end}"));
        }
        let in_order = self.aborted.iter().is_sorted_by_key(|aborted| aborted.last_offset);
        let whole = |aborted: &AbortedTransaction| {
            aborted.first_offset < aborted.last_offset && aborted.last_offset < log_end
        };
        if !in_order || !self.aborted.iter().all(whole) {
            return Err("its aborted transactions are out of order".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use batch::{BatchBuilder, transaction_marker};
    use bytes::Bytes;
    use model::{BatchSequence, Compression, ProducerEpoch, Timestamp};

    use super::*;

    fn data(producer: i64) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None)
            .producer(ProducerId(producer), ProducerEpoch(0), BatchSequence(0))
            .transactional();
        builder.push(Timestamp(1), Some(b"k"), Some(b"v"), &[]);
        builder.build().expect("small").freeze()
    }

    fn end(producer: i64, control: ControlType) -> Bytes {
        let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
        transaction_marker(id, epoch, control, 0, Timestamp(1)).expect("small").freeze()
    }

    /// A log of these batches, one offset each.
    fn log(batches: &[Bytes]) -> PartitionTransactions {
        let mut transactions = PartitionTransactions::default();
        for (offset, batch) in (0..).zip(batches) {
            let mut header = BatchHeader::parse(batch).expect("whole");
            header.base_offset = Offset(offset);
            transactions.note(&header, batch);
        }
        transactions.check(Offset(batches.len() as i64)).expect("in order");
        transactions
    }

    fn aborted(log: &PartitionTransactions, from: i64, until: i64) -> Vec<(i64, i64)> {
        let found = log.aborted_within(Offset(from), Offset(until));
        found.iter().map(|it| (it.producer_id.0, it.first_offset.0)).collect()
    }

    #[test]
    fn the_oldest_open_transaction_bounds_what_is_stable() {
        use ControlType::{Abort, Commit};
        let batches =
            [data(1), data(2), end(1, Commit), data(3), end(2, Abort), data(2), end(3, Commit)];
        let expected = [Some(0), Some(0), Some(1), Some(1), Some(3), Some(3), Some(5)];
        for (count, first) in (1..).zip(expected) {
            assert_eq!(log(&batches[..count]).first_open().map(|o| o.0), first, "{count} batches");
        }
    }

    #[test]
    fn aborted_transactions_are_listed_exactly_where_they_overlap() {
        use ControlType::{Abort, Commit};
        // 0: a1, 1: a2, 2: abort 1, 3: a3, 4: abort 3, 5: abort 2, 6: a1, 7: commit 1
        let log = log(&[
            data(1),
            data(2),
            end(1, Abort),
            data(3),
            end(3, Abort),
            end(2, Abort),
            data(1),
            end(1, Commit),
        ]);
        assert_eq!(aborted(&log, 0, 8), [(1, 0), (3, 3), (2, 1)]);
        assert_eq!(aborted(&log, 0, 1), [(1, 0)]);
        assert_eq!(aborted(&log, 0, 2), [(1, 0), (2, 1)]);
        assert_eq!(aborted(&log, 2, 3), [(1, 0), (2, 1)]);
        assert_eq!(aborted(&log, 3, 4), [(3, 3), (2, 1)]);
        assert_eq!(aborted(&log, 5, 6), [(2, 1)]);
        assert_eq!(aborted(&log, 6, 8), []);
    }

    #[test]
    fn what_lies_below_the_log_start_is_forgotten_once_its_marker_does() {
        use ControlType::Abort;
        let mut log = log(&[data(1), data(2), end(1, Abort), end(2, Abort)]);
        log.forget_below(Offset(2));
        assert_eq!(aborted(&log, 0, 4), [(1, 0), (2, 1)]);
        log.forget_below(Offset(3));
        assert_eq!(aborted(&log, 0, 4), [(2, 1)]);
        log.forget_markers(&[Offset(3)]);
        assert!(log.is_empty());
    }

    #[test]
    fn a_marker_of_nothing_changes_nothing() {
        assert!(log(&[end(1, ControlType::Abort)]).is_empty());
    }
}
