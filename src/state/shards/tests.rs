//! The two invariants, and what Kinesis sees.

use proptest::prelude::*;

use super::*;

const MADE: Timestamp = Timestamp(1_795_000_000_000);

fn partition(number: u32) -> PartitionIndex {
    PartitionIndex(number)
}

/// Adds partitions; every partition that closes ends at `end`.
fn add(shards: &mut Shards, additional: u32, end: i64) {
    let first = shards.all().iter().map(|shard| shard.partition.0 + 1).max().unwrap_or(0);
    *shards = shards
        .with_partitions(partition(first), additional, MADE, |_| Some(Offset(end)))
        .expect("ends at or after the start");
}

fn line(shard: &Shard) -> String {
    let end = shard.end_offset.map_or("open".to_owned(), |end| end.to_string());
    let parents: Vec<u32> = shard.parents.iter().map(|parent| parent.0).collect();
    let (id, partition, start) = (shard.id.0, shard.partition, shard.start_offset);
    format!("{id}: partition {partition} [{start}, {end}) of {parents:?}")
}

fn lines(shards: &Shards) -> Vec<String> {
    shards.all().iter().map(line).collect()
}

#[test]
fn a_new_stream_has_one_shard_per_partition() {
    let shards = Shards::uniform(3, MADE);
    assert_eq!(
        lines(&shards),
        [
            "0: partition 0 [0, open) of []",
            "1: partition 1 [0, open) of []",
            "2: partition 2 [0, open) of []",
        ]
    );
    assert!(shards.all().iter().all(|shard| shard.created == MADE));
}

#[test]
fn a_new_partition_takes_the_upper_half_of_the_widest_shard() {
    // Given two shards, when a third partition is added while partition 0 ends at 10
    let mut shards = Shards::uniform(2, MADE);
    assert_eq!(shards.closing_partitions(1), Ok(vec![partition(0)]));
    add(&mut shards, 1, 10);

    // Then shard 0 closes there, and its children share its range
    assert_eq!(
        lines(&shards),
        [
            "0: partition 0 [0, 10) of []",
            "1: partition 1 [0, open) of []",
            "2: partition 0 [10, open) of [0]",
            "3: partition 2 [0, open) of [0]",
        ]
    );
    let range = |id: u32| shards.get(ShardId(id)).expect("made").range;
    assert_eq!((range(2).start(), range(3).end()), (range(0).start(), range(0).end()));
    assert_eq!(range(2).end().0 + 1, range(3).start().0);
    let children: Vec<_> = shards.children(ShardId(0)).map(|shard| shard.id.0).collect();
    assert_eq!(children, [2, 3]);

    // And the next one splits the other, which is now the widest
    assert_eq!(shards.closing_partitions(1), Ok(vec![partition(1)]));
}

#[test]
fn shards_made_and_split_in_one_act_are_empty() {
    // Given one shard, when it becomes four at once
    let mut shards = Shards::uniform(1, MADE);
    assert_eq!(shards.closing_partitions(3), Ok(vec![partition(0)]), "asked for once");
    add(&mut shards, 3, 10);
    assert_eq!(
        lines(&shards),
        [
            "0: partition 0 [0, 10) of []",
            "1: partition 0 [10, 10) of [0]",
            "2: partition 1 [0, 0) of [0]",
            "3: partition 0 [10, open) of [1]",
            "4: partition 2 [0, open) of [1]",
            "5: partition 1 [0, open) of [2]",
            "6: partition 3 [0, open) of [2]",
        ]
    );
    // Then the open ones are as wide as those of a stream made with four
    let open: Vec<_> = shards.open().map(|shard| shard.range).collect();
    let uniform: Vec<_> = (0..4).filter_map(|i| HashKeyRange::uniform(i, 4)).collect();
    assert_eq!(open, uniform);
}

#[test]
fn children_are_younger_than_parents_even_if_the_clock_goes_back() {
    let shards = Shards::uniform(1, MADE);
    let an_hour_ago = Timestamp(MADE.0 - 3_600_000);
    let end_of = |_| Some(Offset(5));
    let shards = shards.with_partitions(partition(1), 1, an_hour_ago, end_of).expect("split");
    for child in shards.children(ShardId(0)) {
        assert_eq!(child.created, Timestamp(MADE.0 + 1));
    }
    assert_eq!(shards.get(ShardId(0)).and_then(|s| s.closed), Some(Timestamp(MADE.0 + 1)));
}

#[test]
fn a_split_that_does_not_fit_is_refused() {
    let mut shards = Shards::uniform(1, MADE);
    add(&mut shards, 1, 10);

    let too_early = shards.with_partitions(partition(2), 1, MADE, |_| Some(Offset(9)));
    assert!(matches!(too_early, Err(SplitError::EndBeforeStart { end: Offset(9), .. })));
    let unknown = shards.with_partitions(partition(2), 1, MADE, |_| None);
    assert_eq!(unknown, Err(SplitError::EndMissing(ShardId(1))));

    let none = Shards::uniform(0, MADE);
    assert_eq!(none.closing_partitions(1), Err(SplitError::TooNarrow));
    assert_eq!(none.route(HashKey(0)), None);
}

#[test]
fn ten_thousand_partitions_are_added_at_once() {
    let mut shards = Shards::uniform(1, MADE);
    add(&mut shards, 9_999, 0);
    assert_eq!(shards.open_count(), 10_000);
    let youngest = shards.all().iter().map(|shard| shard.created).max();
    assert!(youngest <= Some(Timestamp(MADE.0 + 14)), "no shard is made in the far future");
}

/// Both invariants, for offsets up to `ends` of each partition and beyond.
fn assert_whole(shards: &Shards, ends: &[i64]) {
    let mut next = Some(0_u128);
    for shard in shards.open() {
        assert_eq!(Some(shard.range.start().0), next, "gap or overlap before {}", shard.id);
        next = shard.range.end().0.checked_add(1);
    }
    assert_eq!(next, None, "the last open shard ends at 2^128-1");

    for (number, end) in (0..).zip(ends) {
        for offset in (0..=*end + 1).map(Offset) {
            let holders: Vec<_> = shards
                .all()
                .iter()
                .filter(|shard| shard.partition == partition(number) && shard.contains(offset))
                .collect();
            assert_eq!(holders.len(), 1, "partition {number}, offset {offset}");
            assert_eq!(shards.containing(partition(number), offset), Some(holders[0]));
        }
    }
    for (place, shard) in shards.all().iter().enumerate() {
        assert_eq!(shard.id.0 as usize, place, "listed by number");
        for parent in shard.parents.iter().filter_map(|id| shards.get(*id)) {
            assert!(parent.created < shard.created && parent.id < shard.id);
            assert!(!parent.is_open());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn open_shards_divide_the_keys_and_every_offset_has_one_shard(
        first in 1..8_u32,
        acts in prop::collection::vec((1..6_u32, prop::collection::vec(0..20_i64, 64)), 0..6),
        keys in prop::collection::vec(any::<u128>(), 1..20),
    ) {
        let mut shards = Shards::uniform(first, MADE);
        let mut ends = vec![0_i64; first as usize];
        for (additional, grown) in acts {
            for (end, more) in ends.iter_mut().zip(grown) {
                *end += more;
            }
            let number = u32::try_from(ends.len()).expect("few");
            let end_of = |p: PartitionIndex| ends.get(p.0 as usize).copied().map(Offset);
            let closing = shards.closing_partitions(additional).expect("wide enough");
            let mut closes: Vec<_> =
                shards.open().map(|shard| (shard.id, shard.partition)).collect();
            shards = shards
                .with_partitions(partition(number), additional, MADE, end_of)
                .expect("fits");
            closes.retain(|(id, _)| !shards.get(*id).expect("kept").is_open());
            let mut closed: Vec<_> = closes.into_iter().map(|(_, partition)| partition).collect();
            let mut announced = closing;
            announced.sort();
            closed.sort();
            prop_assert_eq!(announced, closed, "exactly the announced partitions close");
            ends.resize(ends.len() + additional as usize, 0);
            assert_whole(&shards, &ends);
        }
        for key in keys.into_iter().map(HashKey).chain([HashKey(0), HashKey(u128::MAX)]) {
            let routed = shards.route(key).expect("a shard for every key");
            prop_assert!(routed.is_open() && routed.range.contains(key));
        }
    }
}
