//! One place in each partition, told by Kafka's committed offsets and by checkpoints of workers in
//! any mixture, while the stream's shards are split and merged and partitions are added; and workers
//! that read children only behind their parents.

use std::collections::BTreeMap;

use model::{HashKey, Offset, PartitionIndex, ShardId, Timestamp, TopicId, TopicPartition};
use proptest::{prelude::*, sample::Index};

use super::*;
use crate::shards::{ReshardStep, Shard, Shards};

const APP: &str = "app";
const WORKER: &str = "worker";
const TOPIC: TopicId = TopicId(7);

#[derive(Debug, Clone)]
enum Step {
    /// Records come into an open shard.
    Write(Index, i64),
    /// An open shard is split, at so many parts of a hundred of its hash keys.
    Split(Index, u128),
    /// An open shard is merged with the one above it. Whose partition goes on?
    Merge(Index, bool),
    /// A partition is added by splits, as CreatePartitions does.
    AddPartition,
    /// A consumer commits an offset of a partition: so many parts of a hundred of its log.
    Commit(Index, i64),
    /// A worker takes a lease that is offered, and reads on by at most so many records.
    Work(Index, i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any = any::<Index>;
    let step = prop_oneof![
        4 => (any(), 0..20_i64).prop_map(|(shard, count)| Step::Write(shard, count)),
        2 => (any(), 1..100_u128).prop_map(|(shard, at)| Step::Split(shard, at)),
        2 => (any(), prop::bool::ANY).prop_map(|(lower, which)| Step::Merge(lower, which)),
        1 => Just(Step::AddPartition),
        3 => (any(), 0..=100_i64).prop_map(|(partition, at)| Step::Commit(partition, at)),
        8 => (any(), 0..25_i64).prop_map(|(lease, count)| Step::Work(lease, count)),
    ];
    prop::collection::vec(step, 1..60)
}

/// A stream as the catalog has it, its leases, and how far its partitions were read.
struct Stream {
    shards: Shards,
    log_ends: BTreeMap<PartitionIndex, i64>,
    table: LeaseTable,
    reached: BTreeMap<PartitionIndex, i64>,
}

fn of(partition: PartitionIndex) -> TopicPartition {
    TopicPartition { topic: TOPIC, partition }
}

impl Stream {
    fn new() -> Stream {
        let shards = Shards::uniform(2, Timestamp(1));
        let log_ends = (0..2).map(|index| (PartitionIndex(index), 0)).collect();
        Stream { shards, log_ends, table: LeaseTable::default(), reached: BTreeMap::new() }
    }

    fn open_shard(&self, at: Index) -> Shard {
        let open: Vec<&Shard> = self.shards.open().collect();
        (*at.get(&open)).clone()
    }

    fn next_partition(&self) -> PartitionIndex {
        PartitionIndex(self.log_ends.keys().last().unwrap().0 + 1)
    }

    fn reshard(&mut self, step: ReshardStep) {
        let end_of = |partition| self.log_ends.get(&partition).map(|end| Offset(*end));
        let (first, at) = (self.next_partition(), Timestamp(2));
        // What cannot be split is left as it is.
        if let Ok(next) = self.shards.resharded(&[step], first, at, end_of) {
            self.take(next);
        }
    }

    fn take(&mut self, shards: Shards) {
        for shard in shards.open() {
            self.log_ends.entry(shard.partition).or_insert(0);
        }
        self.shards = shards;
    }

    fn commit(&mut self, partition: PartitionIndex, offset: i64) {
        let details = CommitDetails {
            leader_epoch: -1,
            metadata: String::new(),
            committed_at: Timestamp(1),
            expires_at: None,
        };
        let (spans, offset) = (spans(&self.shards, partition), Offset(offset));
        self.table.commit(APP, &OffsetCommit { partition: of(partition), spans, offset, details });
        self.reached.insert(partition, offset.0);
    }

    fn key(&self, id: ShardId) -> LeaseKey {
        let partition = self.shards.get(id).unwrap().partition;
        LeaseKey { topic: TOPIC, partition, shard: id }
    }

    fn change(&mut self, key: LeaseKey, change: LeaseChange) -> Lease {
        let shard = self.shards.get(key.shard).unwrap();
        let facts = ShardFacts {
            parents: shard.parents.iter().map(|parent| self.key(*parent)).collect(),
            children: self.shards.children(shard.id).map(|child| self.key(child.id)).collect(),
            range: shard.range,
            start: shard.start_offset,
            end: shard.end_offset,
        };
        let lease = self.table.get(APP, key);
        let seen = lease.map_or(Seen::default(), |lease| Seen {
            counter: Some(lease.counter),
            owner: Some(lease.owner.clone()),
        });
        self.table.change(APP, key, &seen, change, Some(&facts)).unwrap().unwrap()
    }

    /// Every shard has a lease, and every lease knows its shard.
    fn lease_all(&mut self) {
        for shard in self.shards.all().to_vec() {
            let key = self.key(shard.id);
            let checkpoint = Checkpoint::TrimHorizon;
            match self.table.get(APP, key) {
                Some(_) => self.change(key, LeaseChange::Refresh),
                None => self.change(key, LeaseChange::Create { checkpoint }),
            };
        }
    }

    /// As KCL does: takes a lease that is offered, reads from its checkpoint on, and lets it go.
    fn work_on(&mut self, key: LeaseKey, records: i64) {
        let shard = self.shards.get(key.shard).unwrap().clone();
        for parent in &shard.parents {
            let parent = self.shards.get(*parent).unwrap();
            let reached = self.reached.get(&parent.partition).copied();
            let end = parent.end_offset.unwrap().0;
            assert!(reached >= Some(end), "{key:?} before {parent:?}, read to {reached:?}");
        }
        let lease = self.change(key, LeaseChange::Take { owner: WORKER.to_owned() });
        let first = match lease.at.checkpoint {
            Checkpoint::After(offset) => offset.0 + 1,
            _ => shard.start_offset.0,
        };
        let end = shard.end_offset.map_or(self.log_ends[&key.partition], |end| end.0);
        let next = (first + records).min(end);
        if next > first {
            let at = PreciseCheckpoint::whole(Checkpoint::After(Offset(next - 1)));
            self.change(key, LeaseChange::Checkpoint { at });
            self.reached.insert(key.partition, next);
        }
        if shard.end_offset == Some(Offset(next)) {
            let at = PreciseCheckpoint::whole(Checkpoint::ShardEnd);
            self.change(key, LeaseChange::Checkpoint { at });
            self.reached.insert(key.partition, next);
        }
        self.change(key, LeaseChange::Evict);
    }

    fn go(&mut self, step: &Step) {
        match step {
            Step::Write(shard, count) => {
                let partition = self.open_shard(*shard).partition;
                *self.log_ends.get_mut(&partition).unwrap() += count;
            }
            Step::Split(shard, hundredths) => {
                let shard = self.open_shard(*shard);
                let width = shard.range.end().0 - shard.range.start().0;
                let at = HashKey(shard.range.start().0 + width / 100 * hundredths + 1);
                self.reshard(ReshardStep::Split { shard: shard.id, at });
            }
            Step::Merge(lower, lower_goes_on) => {
                let open: Vec<ShardId> = self.shards.open().map(|shard| shard.id).collect();
                let place = lower.index(open.len());
                let Some(upper) = open.get(place + 1) else { return };
                let (into, from) =
                    if *lower_goes_on { (open[place], *upper) } else { (*upper, open[place]) };
                self.reshard(ReshardStep::Merge { into, from });
            }
            Step::AddPartition => {
                let end_of = |partition| self.log_ends.get(&partition).map(|end| Offset(*end));
                let first = self.next_partition();
                let next = self.shards.with_partitions(first, 1, Timestamp(2), end_of);
                self.take(next.unwrap());
            }
            Step::Commit(partition, hundredths) => {
                let partitions: Vec<_> = self.log_ends.iter().map(|(p, end)| (*p, *end)).collect();
                let (partition, end) = *partition.get(&partitions);
                self.commit(partition, end * hundredths / 100);
            }
            Step::Work(which, records) => {
                self.lease_all();
                let offered: Vec<_> = self.table.offered(APP).map(|(key, _)| key).collect();
                if !offered.is_empty() {
                    self.work_on(*which.get(&offered), *records);
                }
            }
        }
    }

    fn check(&self) {
        for partition in self.log_ends.keys() {
            let found = self.table.committed(APP, of(*partition)).map(|it| it.offset.0);
            assert_eq!(found, self.reached.get(partition).copied(), "partition {partition}");
        }
        let all = self.table.all_committed(APP);
        let all: BTreeMap<_, _> = all.map(|(at, it)| (at.partition, it.offset.0)).collect();
        assert_eq!(all, self.reached);
    }
}

proptest! {
    #[test]
    fn a_place_is_the_same_to_kafka_and_to_workers_however_shards_are_split_and_merged(
        steps in steps()
    ) {
        let mut stream = Stream::new();
        for step in steps {
            stream.go(&step);
            stream.check();
        }
        // Left alone, workers come to every end. Parents have lower numbers than their children.
        stream.lease_all();
        for shard in stream.shards.all().to_vec() {
            let key = stream.key(shard.id);
            if stream.table.offered(APP).any(|(offered, _)| offered == key) {
                stream.work_on(key, 1_000_000);
                stream.check();
            }
            let is_finished = stream.table.get(APP, key).unwrap().is_finished();
            prop_assert_eq!(is_finished, !shard.is_open(), "{:?}", shard);
            let log_end = stream.log_ends[&shard.partition];
            let all = stream.reached.get(&shard.partition) == Some(&log_end);
            prop_assert!(!shard.is_open() || all || shard.start_offset.0 == log_end);
        }
    }
}

#[test]
fn an_open_shard_is_not_read_to_its_end() {
    let mut stream = Stream::new();
    stream.log_ends.insert(PartitionIndex(0), 5);
    stream.commit(PartitionIndex(0), 3);
    let at = PreciseCheckpoint::whole(Checkpoint::ShardEnd);
    let (key, seen) = (stream.key(ShardId(0)), Seen::default());
    let refused = stream.table.change(APP, key, &seen, LeaseChange::Checkpoint { at }, None);
    assert_eq!(refused, Err(LeaseError::StillOpen));
    stream.check();
}
