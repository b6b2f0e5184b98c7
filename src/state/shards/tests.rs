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

/// What a property test does to a stream.
#[derive(Debug, Clone)]
enum Act {
    /// A shard, chosen by a number, is split where a number says.
    Split(u32, u128),
    /// A shard and its neighbour are merged; the flag says which partition goes on.
    Merge(u32, bool),
    /// The stream gets so many uniform shards.
    Count(u32),
    /// Kafka adds partitions.
    Partitions(u32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (any::<u32>(), any::<u128>()).prop_map(|(shard, at)| Act::Split(shard, at)),
        3 => (any::<u32>(), any::<bool>()).prop_map(|(shard, swap)| Act::Merge(shard, swap)),
        1 => (1..9_u32).prop_map(Act::Count),
        1 => (1..3_u32).prop_map(Act::Partitions),
    ]
}

/// The steps of an act, or none if the stream has no shard to do it to.
fn steps_of(shards: &Shards, act: &Act) -> Vec<ReshardStep> {
    let open: Vec<&Shard> = shards.open().collect();
    match *act {
        Act::Split(which, at) => {
            let shard = open[which as usize % open.len()];
            let width = shard.range.width_less_one();
            if width == 0 {
                return Vec::new();
            }
            let at = HashKey(shard.range.start().0 + 1 + at % width);
            vec![ReshardStep::Split { shard: shard.id, at }]
        }
        Act::Merge(which, swap) if open.len() > 1 => {
            let place = which as usize % (open.len() - 1);
            let (lower, upper) = (open[place].id, open[place + 1].id);
            let (into, from) = if swap { (upper, lower) } else { (lower, upper) };
            vec![ReshardStep::Merge { into, from }]
        }
        Act::Count(target) => shards.uniform_steps(target).expect("wide enough"),
        Act::Merge(..) | Act::Partitions(_) => Vec::new(),
    }
}

#[test]
fn a_merge_seals_one_partition_and_goes_on_on_the_other() {
    // Given two shards whose partitions end at 10, when they are merged
    let shards = Shards::uniform(2, MADE);
    let merge = [ReshardStep::Merge { into: ShardId(0), from: ShardId(1) }];
    let closing = shards.closing(&merge, partition(2)).expect("neighbours");
    assert_eq!(closing.sealed, [partition(1)].into());
    assert_eq!((closing.partitions.len(), closing.additional), (2, 0));
    let shards =
        shards.resharded(&merge, partition(2), MADE, |_| Some(Offset(10))).expect("neighbours");

    // Then the child has both ranges and both parents, and partition 1 takes nothing more
    assert_eq!(
        lines(&shards),
        [
            "0: partition 0 [0, 10) of []",
            "1: partition 1 [0, 10) of []",
            "2: partition 0 [10, open) of [0, 1]",
        ]
    );
    assert_eq!(shards.get(ShardId(2)).expect("made").range, HashKeyRange::ALL);
    assert_eq!(shards.seals(), [(partition(1), ShardId(2))].into());
    assert_eq!(shards.containing(partition(1), Offset(10)), None);
}

#[test]
fn steps_that_do_not_fit_are_refused_and_change_nothing() {
    let shards = Shards::uniform(3, MADE);
    let refused = |step| shards.closing(&[step], partition(3)).expect_err("does not fit");
    let range = shards.get(ShardId(1)).expect("made").range;
    for at in [range.start(), HashKey(range.end().0 + 1), HashKey(0)] {
        let shard = ShardId(1);
        let said = refused(ReshardStep::Split { shard, at });
        assert_eq!(said, ReshardError::KeyOutside { shard, at });
    }
    let (into, from) = (ShardId(0), ShardId(2));
    assert_eq!(refused(ReshardStep::Merge { into, from }), ReshardError::NotAdjacent(into, from));
    let same = refused(ReshardStep::Merge { into, from: into });
    assert_eq!(same, ReshardError::NotAdjacent(into, into));
    let none = ReshardStep::Split { shard: ShardId(9), at: HashKey(1) };
    assert_eq!(refused(none), ReshardError::NotOpen(ShardId(9)));
}

#[test]
fn a_doubled_stream_needs_no_merge_and_a_halved_one_no_split() {
    let shards = Shards::uniform(2, MADE);
    let doubled = shards.uniform_steps(4).expect("wide enough");
    assert_eq!(doubled.len(), 2);
    assert!(doubled.iter().all(|step| matches!(step, ReshardStep::Split { .. })));
    let halved = shards.uniform_steps(1).expect("wide enough");
    assert_eq!(halved, [ReshardStep::Merge { into: ShardId(0), from: ShardId(1) }]);
    assert_eq!(shards.uniform_steps(2), Ok(Vec::new()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is split and merged: the open shards divide the keys, every offset lies in one
    /// shard, sequence numbers rise from parents to children, and a child's keys are its parents'.
    #[test]
    fn splits_and_merges_keep_the_invariants(
        first in 1..5_u32,
        acts in prop::collection::vec((act(), prop::collection::vec(0..9_i64, 96)), 0..10),
    ) {
        let mut shards = Shards::uniform(first, MADE);
        let mut ends = vec![0_i64; first as usize];
        for (act, grown) in acts {
            let seals = shards.seals();
            for (number, (end, more)) in (0..).zip(ends.iter_mut().zip(grown)) {
                // Nothing is written to what is sealed.
                *end += if seals.contains_key(&partition(number)) { 0 } else { more };
            }
            let next = partition(u32::try_from(ends.len()).expect("few"));
            let end_of = |p: PartitionIndex| ends.get(p.0 as usize).copied().map(Offset);
            let additional = if let Act::Partitions(more) = act {
                shards = shards.with_partitions(next, more, MADE, end_of).expect("wide enough");
                more
            } else {
                let steps = steps_of(&shards, &act);
                let closing = shards.closing(&steps, next).expect("fits");
                // Only the announced ends may be asked for.
                let announced = |p: PartitionIndex| {
                    end_of(p).filter(|_| closing.partitions.contains(&p))
                };
                shards = shards.resharded(&steps, next, MADE, announced).expect("fits");
                for sealed in &closing.sealed {
                    prop_assert!(shards.seals().contains_key(sealed));
                }
                closing.additional
            };
            ends.resize(ends.len() + additional as usize, 0);
            if let Act::Count(target) = act {
                let open: Vec<_> = shards.open().map(|shard| shard.range).collect();
                let uniform = (0..target).filter_map(|i| HashKeyRange::uniform(i, target));
                prop_assert_eq!(open, uniform.collect::<Vec<_>>());
            }
            assert_lineage(&shards, &ends);
        }
    }
}

/// What holds whether partitions are sealed or not.
fn assert_lineage(shards: &Shards, ends: &[i64]) {
    let mut next = Some(0_u128);
    for shard in shards.open() {
        assert_eq!(Some(shard.range.start().0), next, "gap or overlap before {}", shard.id);
        next = shard.range.end().0.checked_add(1);
    }
    assert_eq!(next, None, "the last open shard ends at 2^128-1");
    let seals = shards.seals();
    for (number, end) in (0..).zip(ends) {
        let sealed = seals.contains_key(&partition(number));
        let beyond = if sealed { 0 } else { 2 };
        for offset in (0..*end + beyond).map(Offset) {
            let holds = |s: &&Shard| s.partition == partition(number) && s.contains(offset);
            let holders: Vec<_> = shards.all().iter().filter(holds).collect();
            assert_eq!(holders.len(), 1, "partition {number}, offset {offset}");
        }
        let open = shards.open().filter(|shard| shard.partition == partition(number)).count();
        assert_eq!(open, usize::from(!sealed), "partition {number}");
    }
    for shard in shards.all() {
        let number = |offset, shard: &Shard| model::SequenceNumber {
            shard_created: shard.created,
            offset,
            shard: shard.id,
        };
        let parents: Vec<_> = shard.parents.iter().filter_map(|id| shards.get(*id)).collect();
        for parent in &parents {
            let last = number(parent.end_offset.expect("a parent is closed"), parent);
            assert!(last < number(shard.start_offset, shard), "{} after {}", shard.id, parent.id);
            let texts = (last.to_string(), number(shard.start_offset, shard).to_string());
            assert!(texts.0 < texts.1, "and so do their decimals");
        }
        match parents.as_slice() {
            [] => assert!(shard.parents.is_empty()),
            [parent] => {
                let siblings: Vec<_> = shards.children(parent.id).collect();
                assert_eq!(siblings.len(), 2);
                assert_eq!(siblings[0].range.start(), parent.range.start());
                assert_eq!(siblings[1].range.end(), parent.range.end());
            }
            [a, b] => {
                let start = a.range.start().min(b.range.start());
                let end = a.range.end().max(b.range.end());
                assert_eq!((shard.range.start(), shard.range.end()), (start, end));
                assert_eq!(shard.partition, a.partition);
            }
            _ => panic!("{} has {} parents", shard.id, parents.len()),
        }
    }
}
