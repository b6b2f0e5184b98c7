//! The shards of one stream as they were seen, one change after another, and what may never be: a
//! gap in the hash-key space or in a partition's offsets, a change that nobody asked for, half of
//! one, or one that was promised and is gone (DESIGN 5).

use std::collections::{BTreeMap, BTreeSet};

use model::{HashKey, HashKeyRange, Offset, PartitionIndex, ShardId};
use state::shards::Shard;

/// A change of the shards, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Split {
        shard: ShardId,
        at: HashKey,
    },
    Merge {
        into: ShardId,
        from: ShardId,
    },
    /// So many shards of equal ranges.
    Uniform(u32),
    /// So many partitions.
    Partitions(u32),
}

/// What is known of a stream's shards.
#[derive(Debug, Default)]
pub struct Lineage {
    /// What was seen, by the number of shards: every change adds some, so no two have the same.
    states: BTreeMap<usize, Vec<Shard>>,
    /// Every core knows at least so many: a change to them was confirmed.
    confirmed: usize,
    /// The change that is under way, or whose answer was lost.
    asked: Option<Asked>,
    /// Changes that were seen, for the run's summary.
    pub changes: u64,
}

impl Lineage {
    /// A stream that was just made.
    pub fn new(shards: Vec<Shard>) -> Lineage {
        check_shards(&shards);
        let confirmed = shards.len();
        Lineage { states: [(confirmed, shards)].into(), confirmed, asked: None, changes: 0 }
    }

    /// The newest shards that anybody has seen.
    pub fn newest(&self) -> &[Shard] {
        self.states.values().next_back().map_or(&[], Vec::as_slice)
    }

    /// How many shards every core knows.
    pub fn confirmed(&self) -> usize {
        self.confirmed
    }

    /// A shard as every core knew it at least, when so many were confirmed.
    pub fn shard_when(&self, confirmed: usize, id: ShardId) -> Option<&Shard> {
        let (_, shards) = self.states.range(confirmed..).next()?;
        shards.get(id.0 as usize)
    }

    /// The shard that holds an offset of a partition now.
    pub fn containing(&self, partition: PartitionIndex, offset: Offset) -> Option<&Shard> {
        self.newest().iter().find(|shard| shard.partition == partition && shard.contains(offset))
    }

    /// A change is about to be asked for. The one before is settled: it is there, or never will be.
    pub fn ask(&mut self, asked: Asked) {
        self.asked = Some(asked);
    }

    /// The change was refused: nothing of it may ever be seen.
    pub fn refused(&mut self) {
        self.asked = None;
    }

    /// The change was confirmed when there were `before` shards: every core knows more from now on.
    pub fn confirm(&mut self, before: usize) {
        self.confirmed = self.confirmed.max(before + 1);
    }

    /// A core shows these shards. It was asked when at least `floor` of them had to be there.
    pub fn see(&mut self, floor: usize, shards: &[Shard]) {
        check_shards(shards);
        let count = shards.len();
        assert!(count >= floor, "{count} shards: a change that made them {floor} is gone");
        if let Some(known) = self.states.get(&count) {
            assert!(known == shards, "the shards have changed: {known:?} were seen as {shards:?}");
            return;
        }
        let newest = self.newest();
        assert!(count > newest.len(), "{count} shards, and there never were so many: {shards:?}");
        let asked = self.asked.unwrap_or_else(|| panic!("nobody asked for this: {shards:?}"));
        check_change(newest, asked, shards);
        self.states.insert(count, shards.to_vec());
        self.changes += 1;
    }
}

/// `after` is `before` with all of one change, and nothing else.
fn check_change(before: &[Shard], asked: Asked, after: &[Shard]) {
    let (old, new) = after.split_at(before.len());
    for (was, is) in before.iter().zip(old) {
        let mut as_it_was = is.clone();
        if was.is_open() {
            (as_it_was.end_offset, as_it_was.closed) = (None, None);
        }
        assert!(*was == as_it_was, "{} was {was:?} and is {is:?}", was.id);
    }
    let closed: BTreeSet<ShardId> = before
        .iter()
        .zip(old)
        .filter(|(was, is)| was.is_open() && !is.is_open())
        .map(ids)
        .collect();
    let done = match asked {
        Asked::Split { shard, at } => {
            let starts: Vec<HashKey> = new.iter().map(|child| child.range.start()).collect();
            closed == [shard].into() && starts.len() == 2 && starts[1] == at
        }
        Asked::Merge { into, from } => {
            closed == [into, from].into() && new.len() == 1 && new[0].parents == [into, from]
        }
        Asked::Uniform(count) => {
            let equal = (0..count).filter_map(|index| HashKeyRange::uniform(index, count));
            open(after).into_iter().map(|shard| shard.range).eq(equal)
        }
        Asked::Partitions(count) => {
            let partitions: BTreeSet<PartitionIndex> = after.iter().map(|s| s.partition).collect();
            partitions.len() == count as usize && new.iter().all(|child| child.parents.len() == 1)
        }
    };
    assert!(done, "{asked:?} is done in part, or more than it: {after:?}");
}

fn ids((was, _): (&Shard, &Shard)) -> ShardId {
    was.id
}

/// The open shards by their ranges.
pub fn open(shards: &[Shard]) -> Vec<&Shard> {
    let mut open: Vec<&Shard> = shards.iter().filter(|shard| shard.is_open()).collect();
    open.sort_by_key(|shard| shard.range.start());
    open
}

/// Everything that holds of a stream's shards at any time.
fn check_shards(shards: &[Shard]) {
    for (place, shard) in shards.iter().enumerate() {
        assert_eq!(shard.id.0 as usize, place, "shards have their places for numbers");
    }
    let ranges: Vec<HashKeyRange> = open(shards).into_iter().map(|shard| shard.range).collect();
    let whole = join(&ranges);
    assert!(whole == Some((0, u128::MAX)), "the open shards leave a gap or overlap: {ranges:?}");
    shards.iter().for_each(|shard| check_parents(shards, shard));
    shards.iter().for_each(|shard| check_children(shards, shard));
    let partitions: BTreeSet<PartitionIndex> = shards.iter().map(|shard| shard.partition).collect();
    for (place, partition) in partitions.into_iter().enumerate() {
        assert_eq!(partition.0 as usize, place, "partitions are numbered without a gap");
        check_partition(shards, partition);
    }
}

/// The one range that these are, if each follows the one before.
fn join(ranges: &[HashKeyRange]) -> Option<(u128, u128)> {
    let mut ranges = ranges.iter();
    let first = ranges.next()?;
    let mut end = first.end().0;
    for next in ranges {
        if end.checked_add(1) != Some(next.start().0) {
            return None;
        }
        end = next.end().0;
    }
    Some((first.start().0, end))
}

fn check_parents(shards: &[Shard], shard: &Shard) {
    let id = shard.id;
    for parent in &shard.parents {
        assert!(*parent < id, "{id} has the parent {parent}, which is not older");
        let parent = &shards[parent.0 as usize];
        let closed =
            parent.closed.unwrap_or_else(|| panic!("{}, parent of {id}, is open", parent.id));
        assert!(parent.created < shard.created, "{id} is not younger than {}", parent.id);
        assert!(closed <= shard.created, "{id} is older than the end of {}", parent.id);
    }
    let begins = match shard.parents.as_slice() {
        [] => Offset::ZERO,
        // A merge's child goes on where the first one ends; a split's lower child as well.
        [parent, ..] if shards[parent.0 as usize].partition == shard.partition => {
            shards[parent.0 as usize].end_offset.expect("a closed parent")
        }
        [_] => Offset::ZERO,
        [into, ..] => panic!("{id} does not go on on the partition of {into}"),
    };
    assert_eq!(shard.start_offset, begins, "where {id} begins");
}

/// A shard is closed by a split into two, or by a merge with another.
fn check_children(shards: &[Shard], shard: &Shard) {
    let id = shard.id;
    assert_eq!(shard.end_offset.is_some(), shard.closed.is_some(), "{id} is closed, or it is not");
    let mut children: Vec<&Shard> =
        shards.iter().filter(|child| child.parents.contains(&id)).collect();
    children.sort_by_key(|child| child.range.start());
    if shard.is_open() {
        assert!(children.is_empty(), "{id} is open, and has children");
        return;
    }
    let range = (shard.range.start().0, shard.range.end().0);
    match children.as_slice() {
        [child] => {
            assert_eq!(
                child.parents.len(),
                2,
                "{id} has one child, of which it is the only parent"
            );
            let mut parents: Vec<HashKeyRange> =
                child.parents.iter().map(|parent| shards[parent.0 as usize].range).collect();
            parents.sort_by_key(|parent| parent.start());
            let joined = Some((child.range.start().0, child.range.end().0));
            assert_eq!(join(&parents), joined, "{} has not the keys of its parents", child.id);
        }
        [lower, upper] => {
            assert!(lower.parents == [id] && upper.parents == [id], "parents of {id}'s children");
            let joined = join(&[lower.range, upper.range]);
            assert_eq!(joined, Some(range), "the children of {id} have not its keys");
            assert_eq!(lower.partition, shard.partition, "the lower child of {id} goes on there");
            assert!(
                upper.partition > shard.partition,
                "the upper child of {id} has a new partition"
            );
        }
        other => panic!("{id} is closed, and has {} children", other.len()),
    }
}

/// A partition's shards follow one another from its first offset on.
fn check_partition(shards: &[Shard], partition: PartitionIndex) {
    let mut next = Some(Offset::ZERO);
    for shard in shards.iter().filter(|shard| shard.partition == partition) {
        assert_eq!(Some(shard.start_offset), next, "{partition:?}: where {} begins", shard.id);
        next = shard.end_offset;
        assert!(
            next.is_none_or(|end| end >= shard.start_offset),
            "{} ends before it begins",
            shard.id
        );
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use state::shards::{ReshardStep, Shards};

    use super::*;

    const MIDDLE: u128 = 1 << 127;

    /// These steps, in a stream whose partitions all end at offset 5.
    fn after(shards: &Shards, steps: &[ReshardStep]) -> Shards {
        let partitions = shards.all().iter().map(|shard| shard.partition.0).max().unwrap() + 1;
        let at = Timestamp(1_000);
        shards.resharded(steps, PartitionIndex(partitions), at, |_| Some(Offset(5))).unwrap()
    }

    fn split(shard: u32, at: u128) -> ReshardStep {
        ReshardStep::Split { shard: ShardId(shard), at: HashKey(at) }
    }

    fn two() -> Shards {
        Shards::uniform(2, Timestamp(1))
    }

    /// Two shards, of which the first was split at a quarter.
    fn four() -> Vec<Shard> {
        after(&two(), &[split(0, MIDDLE / 2)]).all().to_vec()
    }

    /// A stream of two shards for which that split was asked.
    fn asked() -> Lineage {
        let mut lineage = Lineage::new(two().all().to_vec());
        lineage.ask(Asked::Split { shard: ShardId(0), at: HashKey(MIDDLE / 2) });
        lineage
    }

    #[test]
    fn what_is_right_is_not_complained_of() {
        let mut lineage = asked();
        lineage.see(2, two().all());
        lineage.see(2, &four());
        lineage.see(2, two().all());
        lineage.confirm(2);
        lineage.ask(Asked::Merge { into: ShardId(1), from: ShardId(3) });
        let merge = ReshardStep::Merge { into: ShardId(1), from: ShardId(3) };
        let five = after(&Shards::from_all(four()), &[merge]);
        lineage.see(lineage.confirmed(), five.all());
        lineage.ask(Asked::Uniform(4));
        let uniform = after(&five, &five.uniform_steps(4).unwrap());
        lineage.see(5, uniform.all());
        let partitions = uniform.all().iter().map(|shard| shard.partition.0).max().unwrap() + 1;
        lineage.ask(Asked::Partitions(partitions + 2));
        let ends = |_| Some(Offset(7));
        let more = uniform.with_partitions(PartitionIndex(partitions), 2, Timestamp(9), ends);
        lineage.see(5, more.unwrap().all());
        assert_eq!((lineage.changes, lineage.confirmed()), (4, 3));
    }

    #[test]
    #[should_panic(expected = "leave a gap or overlap")]
    fn a_gap_among_the_open_shards_is_noticed() {
        let mut shards = four();
        shards[3].range = HashKeyRange::new(HashKey(MIDDLE / 2 + 1), HashKey(MIDDLE - 1)).unwrap();
        check_shards(&shards);
    }

    #[test]
    #[should_panic(expected = "leave a gap or overlap")]
    fn an_overlap_is_noticed() {
        let mut shards = four();
        shards[2].range = HashKeyRange::new(HashKey(0), HashKey(MIDDLE / 2)).unwrap();
        check_shards(&shards);
    }

    #[test]
    #[should_panic(expected = "is not older")]
    fn a_parent_that_is_not_there_is_noticed() {
        let mut shards = four();
        shards[2].parents = vec![ShardId(9)];
        check_shards(&shards);
    }

    #[test]
    #[should_panic(expected = "has one child, of which it is the only parent")]
    fn a_child_that_lost_its_parent_is_noticed() {
        let mut shards = four();
        (shards[3].parents, shards[3].start_offset) = (vec![], Offset(0));
        check_shards(&shards);
    }

    #[test]
    #[should_panic(expected = "is open, and has children")]
    fn an_open_parent_is_noticed() {
        let mut shards = four();
        shards[2].parents = vec![ShardId(1)];
        check_children(&shards, &shards[1]);
    }

    #[test]
    #[should_panic(expected = "is not younger")]
    fn a_child_as_old_as_its_parent_is_noticed() {
        let mut shards = four();
        shards[3].created = shards[0].created;
        check_shards(&shards);
    }

    #[test]
    #[should_panic(expected = "where shardId-000000000002 begins")]
    fn a_child_that_begins_elsewhere_is_noticed() {
        let mut shards = four();
        shards[2].start_offset = Offset(6);
        check_shards(&shards);
    }

    #[test]
    #[should_panic(expected = "there never were so many")]
    fn a_state_that_never_was_is_noticed() {
        let mut lineage = asked();
        lineage.see(2, &four());
        let three = Shards::uniform(3, Timestamp(1));
        lineage.see(2, three.all());
    }

    #[test]
    #[should_panic(expected = "done in part")]
    fn another_change_than_the_one_asked_for_is_noticed() {
        asked().see(2, after(&two(), &[split(0, MIDDLE / 4)]).all());
    }

    #[test]
    #[should_panic(expected = "done in part")]
    fn a_part_of_a_change_of_the_count_is_noticed() {
        let mut lineage = Lineage::new(two().all().to_vec());
        lineage.ask(Asked::Uniform(4));
        lineage.see(2, &four());
    }

    #[test]
    #[should_panic(expected = "nobody asked")]
    fn a_change_that_was_refused_and_made_is_noticed() {
        let mut lineage = asked();
        lineage.refused();
        lineage.see(2, &four());
    }

    #[test]
    #[should_panic(expected = "is gone")]
    fn a_confirmed_change_that_is_gone_is_noticed() {
        let mut lineage = asked();
        lineage.see(2, &four());
        lineage.confirm(2);
        lineage.see(lineage.confirmed(), two().all());
    }

    #[test]
    #[should_panic(expected = "have changed")]
    fn another_end_of_a_shard_after_a_restart_is_noticed() {
        let mut lineage = asked();
        lineage.see(2, &four());
        let mut shards = four();
        (shards[0].end_offset, shards[2].start_offset) = (Some(Offset(6)), Offset(6));
        lineage.see(2, &shards);
    }
}
