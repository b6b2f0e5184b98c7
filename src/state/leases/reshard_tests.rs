//! One place in a partition, told by Kafka's committed offsets and by checkpoints of workers in any
//! mixture, while the partition's shards are closed. A split and the one half of a merge look alike
//! from here: a shard ends where the log does, and another one follows. In the partition of a
//! merge's other half none follows.

use model::{Offset, PartitionIndex, ShardId, Timestamp, TopicId, TopicPartition};
use proptest::prelude::*;

use super::*;

const APP: &str = "app";
const PARTITION: TopicPartition =
    TopicPartition { topic: TopicId(7), partition: PartitionIndex(0) };

#[derive(Debug, Clone)]
enum Step {
    /// Records are written, while there is a shard to take them.
    Write(i64),
    /// The open shard ends here and another one follows.
    Close,
    /// The open shard ends here and none follows.
    Seal,
    /// A consumer commits an offset of the log: so many parts of a hundred.
    Commit(i64),
    /// A worker reads on by at most so many records.
    Work(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..20_i64).prop_map(Step::Write),
        3 => Just(Step::Close),
        1 => Just(Step::Seal),
        3 => (0..=100_i64).prop_map(Step::Commit),
        6 => (0..25_i64).prop_map(Step::Work),
    ];
    prop::collection::vec(step, 1..40)
}

/// A partition as the catalog has it, and its leases.
struct Partition {
    spans: Vec<ShardSpan>,
    log_end: i64,
    table: LeaseTable,
}

impl Partition {
    fn new() -> Partition {
        let first = ShardSpan { shard: ShardId(0), start: Offset(0), end: None };
        Partition { spans: vec![first], log_end: 0, table: LeaseTable::default() }
    }

    fn close(&mut self, follows: bool) {
        let end = Offset(self.log_end);
        let Some(open) = self.spans.last_mut().filter(|span| span.end.is_none()) else { return };
        open.end = Some(end);
        // Numbers rise; those in between are of other partitions.
        let shard = ShardId(open.shard.0 + 3);
        if follows {
            self.spans.push(ShardSpan { shard, start: end, end: None });
        }
    }

    fn commit(&mut self, offset: i64) {
        let details = CommitDetails {
            leader_epoch: -1,
            metadata: String::new(),
            committed_at: Timestamp(1),
            expires_at: None,
        };
        let (spans, offset) = (self.spans.clone(), Offset(offset));
        self.table.commit(APP, &OffsetCommit { partition: PARTITION, spans, offset, details });
    }

    fn key(shard: ShardId) -> LeaseKey {
        LeaseKey { topic: PARTITION.topic, partition: PARTITION.partition, shard }
    }

    fn checkpoint(&mut self, span: ShardSpan, checkpoint: Checkpoint) {
        let (at, end) = (PreciseCheckpoint::whole(checkpoint), span.end);
        let change = LeaseChange::Checkpoint { at, end };
        self.table.change(APP, Self::key(span.shard), &Seen::default(), change).unwrap();
    }

    /// As KCL does: in the first shard that is not finished, from its checkpoint on. Gives how far
    /// the worker came, if it made a checkpoint.
    fn work(&mut self, records: i64) -> Option<i64> {
        let is_finished = |table: &LeaseTable, span: &ShardSpan| {
            table.get(APP, Self::key(span.shard)).is_some_and(Lease::is_finished)
        };
        let span = *self.spans.iter().find(|span| !is_finished(&self.table, span))?;
        let key = Self::key(span.shard);
        if self.table.get(APP, key).is_none() {
            let (checkpoint, range) = (Checkpoint::TrimHorizon, None);
            let ShardSpan { start, end, .. } = span;
            let new = NewLease { checkpoint, parents: vec![], range, start, end };
            self.table.change(APP, key, &Seen::default(), LeaseChange::Create(new)).unwrap();
        }
        let first = match self.table.get(APP, key).unwrap().at.checkpoint {
            Checkpoint::After(offset) => offset.0 + 1,
            _ => span.start.0,
        };
        let last = (first + records).min(span.end.map_or(self.log_end, |end| end.0));
        if last > first {
            self.checkpoint(span, Checkpoint::After(Offset(last - 1)));
        }
        if span.end == Some(Offset(last)) {
            self.checkpoint(span, Checkpoint::ShardEnd);
            return Some(last);
        }
        (last > first).then_some(last)
    }
}

proptest! {
    #[test]
    fn a_place_is_the_same_to_kafka_and_to_workers_however_shards_are_closed(steps in steps()) {
        let mut partition = Partition::new();
        let mut expected = None;
        for step in steps {
            match &step {
                Step::Write(count) if partition.spans.last().unwrap().end.is_none() => {
                    partition.log_end += count;
                }
                Step::Write(_) => {}
                Step::Close => partition.close(true),
                Step::Seal => partition.close(false),
                Step::Commit(hundredths) => {
                    let offset = partition.log_end * hundredths / 100;
                    partition.commit(offset);
                    expected = Some(offset);
                }
                Step::Work(records) => expected = partition.work(*records).or(expected),
            }
            let found = partition.table.committed(APP, PARTITION).map(|it| it.offset.0);
            prop_assert_eq!(found, expected, "after {:?} with {:?}", step, partition.spans);
            let all: Vec<_> = partition.table.all_committed(APP).map(|(_, it)| it.offset.0).collect();
            prop_assert_eq!(all, Vec::from_iter(expected));
        }
    }
}

#[test]
fn an_open_shard_is_not_read_to_its_end() {
    let mut partition = Partition::new();
    partition.log_end = 5;
    partition.work(3);
    let at = PreciseCheckpoint::whole(Checkpoint::ShardEnd);
    let change = LeaseChange::Checkpoint { at, end: None };
    let key = Partition::key(ShardId(0));
    let refused = partition.table.change(APP, key, &Seen::default(), change);
    assert_eq!(refused, Err(LeaseError::StillOpen));
    assert_eq!(partition.table.committed(APP, PARTITION).unwrap().offset, Offset(3));
}
