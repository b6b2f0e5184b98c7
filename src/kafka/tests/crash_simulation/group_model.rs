//! What the members of one consumer group were told and did, and what may never be.

use std::collections::{BTreeMap, BTreeSet};

/// A member in one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub member: String,
    pub generation: i32,
}

#[derive(Debug, Default)]
struct Offsets {
    /// How often an offset was asked to be committed, less the times that this was refused.
    asked: BTreeMap<i64, usize>,
    /// What is committed is not below it: it was confirmed, or seen.
    floor: i64,
}

/// One group.
#[derive(Debug, Default)]
pub struct GroupModel {
    /// What each member was told to own, by generation.
    told: BTreeMap<i32, BTreeMap<String, BTreeSet<usize>>>,
    offsets: BTreeMap<usize, Offsets>,
    /// How often a member learnt what it owns, for the run's summary.
    pub assignments: u64,
    pub commits: u64,
}

impl GroupModel {
    /// The newest generation in which anybody knows what it owns.
    pub fn newest(&self) -> i32 {
        self.told.keys().next_back().copied().unwrap_or(-1)
    }

    /// The members of that generation, as far as they know it.
    pub fn newest_members(&self) -> Vec<String> {
        let newest = self.told.values().next_back();
        newest.into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// A member was told what it owns; `newest_before` was the newest generation when it asked.
    /// A partition has one owner in a generation, and generations do not go back.
    pub fn assigned(
        &mut self,
        newest_before: i32,
        membership: &Membership,
        partitions: &BTreeSet<usize>,
    ) {
        self.assignments += 1;
        self.accepted(newest_before, membership, "SyncGroup");
        let Membership { member, generation } = membership;
        let told = self.told.entry(*generation).or_default();
        for (other, theirs) in told.iter().filter(|(other, _)| *other != member) {
            let both: Vec<_> = theirs.intersection(partitions).collect();
            assert!(both.is_empty(), "generation {generation}: {other} and {member} own {both:?}");
        }
        let before = told.entry(member.clone()).or_insert_with(|| partitions.clone());
        assert_eq!(before, partitions, "generation {generation}: what {member} owns has changed");
    }

    /// The group has taken a member's call at its word; `newest_before` was the newest generation
    /// when it called. Once a generation is known to anybody, the ones before it are over.
    pub fn accepted(&self, newest_before: i32, membership: &Membership, call: &str) {
        let Membership { member, generation } = membership;
        assert!(
            *generation >= newest_before,
            "{call} of {member} in generation {generation} is accepted in {newest_before}"
        );
    }

    /// A member is about to commit an offset.
    pub fn ask(&mut self, partition: usize, offset: i64) {
        *self.offsets.entry(partition).or_default().asked.entry(offset).or_default() += 1;
    }

    /// The offset was committed.
    pub fn confirmed(&mut self, partition: usize, offset: i64) {
        self.commits += 1;
        let offsets = self.offsets.entry(partition).or_default();
        offsets.floor = offsets.floor.max(offset);
    }

    /// It was not, and never will be.
    pub fn refused(&mut self, partition: usize, offset: i64) {
        let offsets = self.offsets.entry(partition).or_default();
        let asked = offsets.asked.get_mut(&offset).expect("only what was asked is refused");
        *asked -= 1;
    }

    /// What is committed now is not below it.
    pub fn floor(&self, partition: usize) -> i64 {
        self.offsets.get(&partition).map_or(0, |offsets| offsets.floor)
    }

    /// The committed offset was asked for when it was at least `floor`. Members only ever commit
    /// what lies ahead of what is committed; so nothing takes it back.
    pub fn read(&mut self, partition: usize, floor: i64, committed: i64) {
        let offsets = self.offsets.entry(partition).or_default();
        let committed = committed.max(0);
        assert!(
            committed >= floor,
            "partition {partition}: the committed offset went back from {floor} to {committed}"
        );
        let is_asked = offsets.asked.get(&committed).is_some_and(|times| *times > 0);
        assert!(
            committed == 0 || committed == offsets.floor || is_asked,
            "partition {partition}: nobody has committed {committed}"
        );
        offsets.floor = offsets.floor.max(committed);
    }
}

/// Ranges that members have processed, exactly once: they follow one another up to what is
/// committed, without a gap and without an overlap.
pub fn check_processed(mut ranges: Vec<(i64, i64)>, committed: i64) {
    ranges.sort_unstable();
    let mut next = 0;
    for (from, to) in &ranges {
        assert!(*from >= next, "offsets {from}..{next} are processed twice: {ranges:?}");
        assert!(*from == next, "offsets {next}..{from} are not processed: {ranges:?}");
        next = *to;
    }
    assert_eq!(next, committed.max(0), "processed is not what is committed: {ranges:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(member: &str, generation: i32) -> Membership {
        Membership { member: member.to_owned(), generation }
    }

    /// A group in which b has taken over from a.
    fn group() -> GroupModel {
        let mut group = GroupModel::default();
        group.assigned(-1, &member("a", 1), &BTreeSet::from([0, 1]));
        group.ask(0, 5);
        group.confirmed(0, 5);
        group.assigned(1, &member("b", 2), &BTreeSet::from([0]));
        group.read(0, 5, 5);
        group
    }

    #[test]
    fn what_is_right_is_not_complained_of() {
        let mut group = group();
        group.assigned(2, &member("a", 2), &BTreeSet::from([1]));
        group.assigned(2, &member("a", 2), &BTreeSet::from([1]));
        group.ask(0, 7);
        group.read(0, 5, 7);
        group.read(0, 7, 7);
        assert_eq!((group.newest(), group.floor(0)), (2, 7));
        check_processed(vec![(3, 7), (0, 3)], 7);
        check_processed(Vec::new(), -1);
    }

    #[test]
    #[should_panic(expected = "own [0]")]
    fn two_owners_are_noticed() {
        group().assigned(2, &member("a", 2), &BTreeSet::from([0]));
    }

    #[test]
    #[should_panic(expected = "has changed")]
    fn a_changed_assignment_is_noticed() {
        group().assigned(2, &member("b", 2), &BTreeSet::from([0, 1]));
    }

    #[test]
    #[should_panic(expected = "is accepted in 2")]
    fn a_member_of_an_old_generation_that_is_heard_is_noticed() {
        group().accepted(2, &member("a", 1), "OffsetCommit");
    }

    #[test]
    #[should_panic(expected = "went back from 5 to 0")]
    fn a_lost_commit_is_noticed() {
        group().read(0, 5, -1);
    }

    #[test]
    #[should_panic(expected = "nobody has committed 8")]
    fn a_commit_of_nobody_is_noticed() {
        let mut group = group();
        group.ask(0, 8);
        group.refused(0, 8);
        group.read(0, 5, 8);
    }

    #[test]
    #[should_panic(expected = "processed twice")]
    fn what_is_processed_twice_is_noticed() {
        check_processed(vec![(0, 3), (2, 7)], 7);
    }

    #[test]
    #[should_panic(expected = "not processed")]
    fn what_is_passed_over_is_noticed() {
        check_processed(vec![(0, 3), (4, 7)], 7);
    }

    #[test]
    #[should_panic(expected = "not what is committed")]
    fn a_commit_without_its_records_is_noticed() {
        check_processed(vec![(0, 3)], 7);
    }
}
