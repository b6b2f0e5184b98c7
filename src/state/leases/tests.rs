//! The lease table: conditions, parents, and offsets as checkpoints.

use model::{Offset, PartitionIndex, ShardId, Timestamp, TopicId, TopicPartition};
use proptest::prelude::*;

use super::*;
use crate::shards::Shards;

const APP: &str = "app";
const TOPIC: TopicId = TopicId(7);

fn key(partition: u32, shard: u32) -> LeaseKey {
    LeaseKey { topic: TOPIC, partition: PartitionIndex(partition), shard: ShardId(shard) }
}

fn partition(index: u32) -> TopicPartition {
    TopicPartition { topic: TOPIC, partition: PartitionIndex(index) }
}

fn new(parents: Vec<LeaseKey>) -> LeaseChange {
    let checkpoint = Checkpoint::TrimHorizon;
    let (start, end, range) = (Offset::ZERO, None, None);
    LeaseChange::Create(NewLease { checkpoint, parents, range, start, end })
}

fn anything() -> Seen {
    Seen::default()
}

fn seen(counter: u64, owner: Option<&str>) -> Seen {
    Seen { counter: Some(counter), owner: Some(owner.map(ToOwned::to_owned)) }
}

fn take(owner: &str) -> LeaseChange {
    LeaseChange::Take { owner: owner.to_owned() }
}

fn checkpoint(checkpoint: Checkpoint) -> LeaseChange {
    let end = (checkpoint == Checkpoint::ShardEnd).then_some(Offset(10));
    checkpoint_of(checkpoint, end)
}

fn checkpoint_of(checkpoint: Checkpoint, end: Option<Offset>) -> LeaseChange {
    LeaseChange::Checkpoint { at: PreciseCheckpoint::whole(checkpoint), end }
}

#[test]
fn of_two_workers_that_saw_the_same_counter_one_gets_the_lease() {
    let mut table = LeaseTable::default();
    table.change(APP, key(0, 0), &anything(), new(vec![])).unwrap();
    assert_eq!(table.change(APP, key(0, 0), &anything(), new(vec![])), Err(LeaseError::Exists));
    table.change(APP, key(0, 0), &seen(0, None), take("a")).unwrap();
    let late = table.change(APP, key(0, 0), &seen(0, None), take("b"));
    let owner = Some("a".to_owned());
    assert_eq!(late, Err(LeaseError::Changed { counter: 1, owner }));
    // The owner goes on renewing and nobody takes; it stops, and the next one takes.
    table.change(APP, key(0, 0), &seen(1, Some("a")), LeaseChange::Renew).unwrap();
    assert!(table.change(APP, key(0, 0), &seen(1, Some("a")), take("b")).is_err());
    table.change(APP, key(0, 0), &seen(2, Some("a")), take("b")).unwrap();
    assert!(table.change(APP, key(0, 0), &seen(2, Some("a")), LeaseChange::Renew).is_err());
    let lease = table.get(APP, key(0, 0)).unwrap();
    assert_eq!((lease.owner.as_deref(), lease.counter, lease.owner_switches), (Some("b"), 3, 2));
    let of = |owner| table.of_owner(APP, owner).count();
    assert_eq!((of("a"), of("b"), table.of_application("other").count()), (0, 1, 0));
}

#[test]
fn a_lease_is_handed_over_prepared_checkpointed_evicted_and_deleted() {
    let mut table = LeaseTable::default();
    let lease = |table: &LeaseTable| table.get(APP, key(0, 0)).unwrap().clone();
    table.change(APP, key(0, 0), &anything(), new(vec![])).unwrap();
    table.change(APP, key(0, 0), &anything(), take("a")).unwrap();
    let to = LeaseChange::HandOver { to: "b".to_owned() };
    table.change(APP, key(0, 0), &seen(1, Some("a")), to).unwrap();
    let handed = lease(&table);
    assert_eq!(handed.checkpoint_owner.as_deref(), Some("a"));
    let pending = PreciseCheckpoint { checkpoint: Checkpoint::After(Offset(9)), sub_sequence: 3 };
    let prepare = LeaseChange::PrepareCheckpoint { pending };
    table.change(APP, key(0, 0), &seen(2, Some("b")), prepare).unwrap();
    assert_eq!(lease(&table).pending, Some(pending));
    let made = LeaseChange::Checkpoint { at: pending, end: None };
    table.change(APP, key(0, 0), &seen(3, Some("b")), made).unwrap();
    let checkpointed = lease(&table);
    assert_eq!((checkpointed.at, checkpointed.pending), (pending, None));
    assert_eq!(checkpointed.owner_switches, 0);
    table.change(APP, key(0, 0), &anything(), LeaseChange::EndHandOver).unwrap();
    assert_eq!(lease(&table).checkpoint_owner, None);
    table.change(APP, key(0, 0), &seen(5, Some("b")), LeaseChange::Evict).unwrap();
    assert_eq!((lease(&table).owner, lease(&table).counter), (None, 6));
    table.change(APP, key(0, 0), &anything(), LeaseChange::Delete).unwrap();
    assert_eq!(
        table.change(APP, key(0, 0), &anything(), LeaseChange::Renew),
        Err(LeaseError::Missing)
    );
    assert_eq!(table, LeaseTable::default());
}

#[test]
fn a_child_is_offered_once_all_its_parents_are_read_to_their_ends() {
    let mut table = LeaseTable::default();
    let (left, right, child) = (key(0, 0), key(1, 1), key(0, 2));
    for parent in [left, right] {
        table.change(APP, parent, &anything(), new(vec![])).unwrap();
    }
    table.change(APP, child, &anything(), new(vec![left, right, key(5, 5)])).unwrap();
    let offered =
        |table: &LeaseTable| -> Vec<LeaseKey> { table.offered(APP).map(|(key, _)| key).collect() };
    assert_eq!(offered(&table), [left, right]);
    table.change(APP, left, &anything(), checkpoint(Checkpoint::ShardEnd)).unwrap();
    table.change(APP, right, &anything(), take("a")).unwrap();
    assert_eq!(offered(&table), []);
    assert_eq!(
        table.change(APP, child, &anything(), take("b")),
        Err(LeaseError::ParentNotFinished)
    );
    table.change(APP, right, &anything(), checkpoint(Checkpoint::ShardEnd)).unwrap();
    assert_eq!(offered(&table), [child]);
    table.change(APP, child, &anything(), take("b")).unwrap();
    assert_eq!(offered(&table), []);
}

fn committed_at(shards: &Shards, index: u32, offset: i64) -> OffsetCommit {
    let details = CommitDetails {
        leader_epoch: 3,
        metadata: format!("at {offset}"),
        committed_at: Timestamp(1),
        expires_at: None,
    };
    let spans = spans(shards, PartitionIndex(index));
    OffsetCommit { partition: partition(index), spans, offset: Offset(offset), details }
}

/// Two partitions, split some times at rising offsets.
fn shards() -> impl Strategy<Value = Shards> {
    prop::collection::vec(1..50_i64, 0..4).prop_map(|steps| {
        let mut shards = Shards::uniform(2, Timestamp(1));
        let (mut next, mut end) = (2, 0);
        for (at, step) in (2..).zip(steps) {
            end += step;
            let split = shards
                .with_partitions(PartitionIndex(next), 1, Timestamp(at), |_| Some(Offset(end)));
            (shards, next) = (split.unwrap(), next + 1);
        }
        shards
    })
}

proptest! {
    #[test]
    fn an_offset_is_read_back_as_committed_whatever_the_shards(
        shards in shards(), earlier in -1..300_i64, offset in -1..300_i64, index in 0..2_u32,
    ) {
        let mut table = LeaseTable::default();
        // Commits may go back as well as forward.
        for offset in [earlier, offset] {
            table.commit(APP, &committed_at(&shards, index, offset));
            let found = table.committed(APP, partition(index)).unwrap();
            prop_assert_eq!(found.offset, Offset(offset));
            prop_assert_eq!(&found.details.unwrap().metadata, &format!("at {offset}"));
        }
        prop_assert!(table.committed(APP, partition(1 - index)).is_none());
        let all: Vec<_> = table.all_committed(APP).map(|(p, c)| (p, c.offset)).collect();
        prop_assert_eq!(all, [(partition(index), Offset(offset))]);
    }

    #[test]
    fn a_commit_means_to_each_shard_what_kcl_would_have_written(
        shards in shards(), offset in 0..300_i64, index in 0..2_u32,
    ) {
        let mut table = LeaseTable::default();
        table.commit(APP, &committed_at(&shards, index, offset));
        for shard in shards.all().iter().filter(|s| s.partition == PartitionIndex(index)) {
            let lease = table.get(APP, key(index, shard.id.0)).unwrap();
            let expected = if shard.end_offset.is_some_and(|end| end <= Offset(offset)) {
                Checkpoint::ShardEnd
            } else if Offset(offset) <= shard.start_offset {
                Checkpoint::TrimHorizon
            } else {
                Checkpoint::After(Offset(offset - 1))
            };
            prop_assert_eq!(lease.at.checkpoint, expected, "{:?} at {}", shard, offset);
        }
    }

    /// The other way: a worker reads shard after shard, and Kafka sees one rising offset.
    #[test]
    fn checkpoints_of_workers_show_as_the_offset_after_the_last_record(
        shards in shards(), index in 0..2_u32,
    ) {
        let mut table = LeaseTable::default();
        let of_partition: Vec<_> =
            shards.all().iter().filter(|s| s.partition == PartitionIndex(index)).collect();
        let mut expected = None;
        for shard in of_partition {
            let key = key(index, shard.id.0);
            let (start, end) = (shard.start_offset, shard.end_offset);
            let checkpoint = Checkpoint::TrimHorizon;
            let create = NewLease { checkpoint, parents: vec![], range: Some(shard.range), start, end };
            table.change(APP, key, &anything(), LeaseChange::Create(create)).unwrap();
            let shown = |table: &LeaseTable| table.committed(APP, partition(index)).map(|c| c.offset);
            prop_assert_eq!(shown(&table), expected);
            for last in start.0..end.map_or(start.0 + 3, |end| end.0) {
                let at = PreciseCheckpoint::whole(Checkpoint::After(Offset(last)));
                table.change(APP, key, &anything(), LeaseChange::Checkpoint { at, end }).unwrap();
                prop_assert_eq!(shown(&table), Some(Offset(last + 1)));
            }
            if let Some(end) = end {
                let change = checkpoint_of(Checkpoint::ShardEnd, Some(end));
                table.change(APP, key, &anything(), change).unwrap();
                prop_assert_eq!(shown(&table), Some(end));
                expected = Some(end);
            }
        }
    }

    /// A split behind a committed offset does not move it.
    #[test]
    fn a_split_leaves_committed_offsets_where_they_are(
        shards in shards(), offset in 0..300_i64, closing in 200..300_i64,
    ) {
        let mut table = LeaseTable::default();
        table.commit(APP, &committed_at(&shards, 0, offset));
        let next = shards.all().iter().map(|s| s.partition.0).max().unwrap() + 1;
        let split = shards.with_partitions(PartitionIndex(next), 1, Timestamp(99), |_| {
            Some(Offset(closing))
        });
        let shards = split.unwrap();
        prop_assert_eq!(table.committed(APP, partition(0)).unwrap().offset, Offset(offset));
        table.commit(APP, &committed_at(&shards, 0, offset));
        prop_assert_eq!(table.committed(APP, partition(0)).unwrap().offset, Offset(offset));
    }
}

#[test]
fn forgetting_a_commit_keeps_a_lease_that_is_held() {
    let mut table = LeaseTable::default();
    let shards = Shards::uniform(2, Timestamp(1));
    table.commit(APP, &committed_at(&shards, 0, 5));
    table.commit(APP, &committed_at(&shards, 1, 5));
    table.change(APP, key(1, 1), &anything(), take("a")).unwrap();
    assert!(table.forget_commit(APP, partition(0)) && table.forget_commit(APP, partition(1)));
    assert!(!table.forget_commit(APP, partition(0)), "there is nothing left to forget");
    assert_eq!(table.all_committed(APP).count(), 0);
    assert_eq!(table.of_application(APP).map(|(key, _)| key).collect::<Vec<_>>(), [key(1, 1)]);
}

#[test]
fn members_hold_the_leases_of_their_partitions_and_take_them_along_from_shard_to_shard() {
    let whole = Shards::uniform(2, Timestamp(1));
    let split = whole.with_partitions(PartitionIndex(2), 1, Timestamp(2), |_| Some(Offset(10)));
    let split = split.unwrap();
    let hold = |shards: &Shards, index: u32, owner: &str| Holding {
        partition: partition(index),
        newest: *spans(shards, PartitionIndex(index)).last().unwrap(),
        owner: owner.to_owned(),
    };
    let held = |table: &LeaseTable, owner: &str| -> Vec<LeaseKey> {
        table.of_owner(APP, owner).map(|(key, _)| key).collect()
    };
    let mut table = LeaseTable::default();
    table.commit(APP, &committed_at(&whole, 0, 5));
    table.assign(APP, &[hold(&whole, 0, "a"), hold(&whole, 1, "b")]);
    assert_eq!((held(&table, "a"), held(&table, "b")), (vec![key(0, 0)], vec![key(1, 1)]));
    assert!(table.committed(APP, partition(1)).is_none(), "it is held, nothing more");
    // The partition's first shard ends; the reader comes to the next one.
    let next = spans(&split, PartitionIndex(0)).last().unwrap().shard;
    table.commit(APP, &committed_at(&split, 0, 7));
    assert_eq!(held(&table, "a"), [key(0, 0)]);
    table.commit(APP, &committed_at(&split, 0, 10));
    assert_eq!(held(&table, "a"), [key(0, next.0)]);
    // Another assignment: what nobody holds any more keeps its offset, or goes.
    let counter = table.get(APP, key(0, next.0)).unwrap().counter;
    table.assign(APP, &[hold(&split, 0, "b")]);
    assert_eq!((held(&table, "a"), held(&table, "b")), (vec![], vec![key(0, next.0)]));
    assert!(table.get(APP, key(0, next.0)).unwrap().counter > counter);
    assert!(table.get(APP, key(1, 1)).is_none());
    table.assign(APP, &[]);
    assert_eq!(held(&table, "b"), []);
    assert_eq!(table.committed(APP, partition(0)).unwrap().offset, Offset(10));
}
