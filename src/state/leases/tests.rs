//! The lease table: conditions, parents, and offsets as checkpoints.

use model::{HashKeyRange, Offset, PartitionIndex, ShardId, Timestamp, TopicId, TopicPartition};
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

/// An open shard that continues others.
fn continuing(parents: Vec<LeaseKey>) -> ShardFacts {
    let (children, range, start, end) = (vec![], HashKeyRange::ALL, Offset::ZERO, None);
    ShardFacts { parents, children, range, start, end }
}

/// One that is closed, and ends at offset 10.
fn closed() -> ShardFacts {
    ShardFacts { end: Some(Offset(10)), ..continuing(vec![]) }
}

fn new() -> LeaseChange {
    LeaseChange::Create { checkpoint: Checkpoint::TrimHorizon }
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
    LeaseChange::Checkpoint { at: PreciseCheckpoint::whole(checkpoint) }
}

#[test]
fn of_two_workers_that_saw_the_same_counter_one_gets_the_lease() {
    let mut table = LeaseTable::default();
    let mut change =
        |seen: Seen, change| table.change(APP, key(0, 0), &seen, change, Some(&continuing(vec![])));
    change(anything(), new()).unwrap();
    assert_eq!(change(anything(), new()), Err(LeaseError::Exists));
    change(seen(0, None), take("a")).unwrap();
    let late = change(seen(0, None), take("b"));
    let owner = Some("a".to_owned());
    assert_eq!(late, Err(LeaseError::Changed { counter: 1, owner }));
    // The owner goes on renewing and nobody takes; it stops, and the next one takes.
    let renewed = change(seen(1, Some("a")), LeaseChange::Renew).unwrap();
    assert_eq!(renewed.unwrap().counter, 2);
    assert!(change(seen(1, Some("a")), take("b")).is_err());
    change(seen(2, Some("a")), take("b")).unwrap();
    assert!(change(seen(2, Some("a")), LeaseChange::Renew).is_err());
    let lease = table.get(APP, key(0, 0)).unwrap();
    assert_eq!((lease.owner.as_deref(), lease.counter, lease.owner_switches), (Some("b"), 3, 2));
    let of = |owner| table.of_owner(APP, owner).count();
    assert_eq!((of("a"), of("b"), table.of_application("other").count()), (0, 1, 0));
}

#[test]
fn a_lease_is_handed_over_prepared_checkpointed_evicted_and_deleted() {
    let mut table = LeaseTable::default();
    let facts = continuing(vec![]);
    let mut change = |seen: Seen, change| table.change(APP, key(0, 0), &seen, change, Some(&facts));
    change(anything(), new()).unwrap();
    change(anything(), take("a")).unwrap();
    let to = LeaseChange::HandOver { to: "b".to_owned() };
    let handed = change(seen(1, Some("a")), to).unwrap().unwrap();
    assert_eq!(handed.checkpoint_owner.as_deref(), Some("a"));
    let pending = PreciseCheckpoint { checkpoint: Checkpoint::After(Offset(9)), sub_sequence: 3 };
    let prepare = LeaseChange::PrepareCheckpoint { pending };
    let prepared = change(seen(2, Some("b")), prepare).unwrap().unwrap();
    assert_eq!(prepared.pending, Some(pending));
    let made = LeaseChange::Checkpoint { at: pending };
    let checkpointed = change(seen(3, Some("b")), made).unwrap().unwrap();
    assert_eq!((checkpointed.at, checkpointed.pending), (pending, None));
    assert_eq!(checkpointed.owner_switches, 0);
    let ended = change(anything(), LeaseChange::EndHandOver).unwrap().unwrap();
    assert_eq!(ended.checkpoint_owner, None);
    let evicted = change(seen(5, Some("b")), LeaseChange::Evict).unwrap().unwrap();
    assert_eq!((evicted.owner, evicted.counter), (None, 6));
    assert_eq!(change(anything(), LeaseChange::Delete), Ok(None));
    assert_eq!(change(anything(), LeaseChange::Renew), Err(LeaseError::Missing));
    assert_eq!(table, LeaseTable::default());
}

#[test]
fn a_checkpoint_lies_in_its_shard() {
    let open = ShardFacts { start: Offset(5), ..continuing(vec![]) };
    let closed = ShardFacts { end: Some(Offset(10)), ..open.clone() };
    let after = |offset| Checkpoint::After(Offset(offset));
    let outside = |offset| Err(LeaseError::Outside { offset: Offset(offset) });
    for (facts, reached, expected) in [
        (&open, after(4), outside(4)),
        (&open, after(5), Ok(())),
        (&open, after(1_000), Ok(())),
        (&open, Checkpoint::ShardEnd, Err(LeaseError::StillOpen)),
        (&closed, after(9), Ok(())),
        (&closed, after(10), outside(10)),
        (&closed, Checkpoint::ShardEnd, Ok(())),
        (&closed, Checkpoint::Latest, Ok(())),
    ] {
        let pending = PreciseCheckpoint::whole(reached);
        for change in [checkpoint(reached), LeaseChange::PrepareCheckpoint { pending }] {
            let mut table = LeaseTable::default();
            table.change(APP, key(0, 0), &anything(), new(), Some(facts)).unwrap();
            let before = table.clone();
            // The catalog is not asked a second time: the lease has taken in what it said.
            let outcome = table.change(APP, key(0, 0), &anything(), change.clone(), None);
            assert_eq!(outcome.map(drop), expected, "{change:?} with {facts:?}");
            assert_eq!(table == before, expected.is_err(), "nothing changes by what is refused");
        }
    }
}

#[test]
fn a_lease_that_a_commit_made_takes_in_what_the_catalog_knows() {
    let mut table = LeaseTable::default();
    table.commit(APP, &committed_at(&Shards::uniform(1, Timestamp(1)), 0, 3));
    let facts = ShardFacts { children: vec![key(0, 1), key(1, 2)], ..closed() };
    let refreshed =
        table.change(APP, key(0, 0), &seen(0, None), LeaseChange::Refresh, Some(&facts));
    let lease = refreshed.unwrap().unwrap();
    assert_eq!((lease.children, lease.range), (facts.children, Some(facts.range)));
    assert_eq!((lease.end, lease.counter), (facts.end, 0), "and nobody's view of it is void");
    assert_eq!(table.committed(APP, partition(0)).unwrap().offset, Offset(3));
}

#[test]
fn a_child_is_offered_once_all_its_parents_are_read_to_their_ends() {
    let mut table = LeaseTable::default();
    let (left, right, child) = (key(0, 0), key(1, 1), key(0, 2));
    for parent in [left, right] {
        table.change(APP, parent, &anything(), new(), Some(&closed())).unwrap();
    }
    let facts = continuing(vec![left, right, key(5, 5)]);
    table.change(APP, child, &anything(), new(), Some(&facts)).unwrap();
    let offered =
        |table: &LeaseTable| -> Vec<LeaseKey> { table.offered(APP).map(|(key, _)| key).collect() };
    assert_eq!(offered(&table), [left, right]);
    table.change(APP, left, &anything(), checkpoint(Checkpoint::ShardEnd), None).unwrap();
    table.change(APP, right, &anything(), take("a"), None).unwrap();
    assert_eq!(offered(&table), []);
    assert_eq!(
        table.change(APP, child, &anything(), take("b"), None),
        Err(LeaseError::ParentNotFinished)
    );
    table.change(APP, right, &anything(), checkpoint(Checkpoint::ShardEnd), None).unwrap();
    assert_eq!(offered(&table), [child]);
    table.change(APP, child, &anything(), take("b"), None).unwrap();
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
            let range = shard.range;
            let facts = ShardFacts { range, start, end, ..continuing(vec![]) };
            table.change(APP, key, &anything(), new(), Some(&facts)).unwrap();
            let shown = |table: &LeaseTable| table.committed(APP, partition(index)).map(|c| c.offset);
            prop_assert_eq!(shown(&table), expected);
            for last in start.0..end.map_or(start.0 + 3, |end| end.0) {
                let change = checkpoint(Checkpoint::After(Offset(last)));
                table.change(APP, key, &anything(), change, None).unwrap();
                prop_assert_eq!(shown(&table), Some(Offset(last + 1)));
            }
            if let Some(end) = end {
                let change = checkpoint(Checkpoint::ShardEnd);
                table.change(APP, key, &anything(), change, None).unwrap();
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
    table.change(APP, key(1, 1), &anything(), take("a"), None).unwrap();
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

#[test]
fn forgetting_how_far_a_parent_was_read_does_not_let_its_child_go_first() {
    let mut table = LeaseTable::default();
    let (parent, child) = (key(0, 0), key(1, 1));
    table.change(APP, parent, &anything(), new(), Some(&closed())).unwrap();
    table.change(APP, child, &anything(), new(), Some(&continuing(vec![parent]))).unwrap();
    table.change(APP, parent, &anything(), checkpoint(Checkpoint::After(Offset(5))), None).unwrap();
    assert!(table.forget_commit(APP, partition(0)));
    assert!(table.committed(APP, partition(0)).is_none());
    let offered: Vec<_> = table.offered(APP).map(|(key, _)| key).collect();
    assert_eq!(offered, [parent], "from its beginning again, and the child after it");
}
