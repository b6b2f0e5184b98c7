//! What may never happen to an application's leases, whoever asks and whatever dies.

use std::collections::{BTreeMap, BTreeSet};

use state::leases::{Checkpoint, Lease, LeaseKey, PreciseCheckpoint};

/// What a lease says at one value of its counter.
type Said = (Option<String>, PreciseCheckpoint);

/// The leases as everybody saw them.
#[derive(Default)]
pub struct LeaseModel {
    said: BTreeMap<(LeaseKey, u64), Said>,
    /// The shards of which somebody has said that they are read to their ends.
    ends_asked: BTreeSet<LeaseKey>,
    /// Changes that were confirmed.
    pub changes: u64,
}

/// How far it is from a shard's beginning.
fn place(at: &PreciseCheckpoint) -> (u8, i64) {
    match at.checkpoint {
        Checkpoint::After(offset) => (1, offset.0),
        Checkpoint::ShardEnd => (2, 0),
        _ => (0, 0),
    }
}

impl LeaseModel {
    /// The greatest counter that somebody saw: nobody who asks from now on may see a smaller one.
    /// `None` if nobody saw the lease.
    pub fn floor(&self, key: LeaseKey) -> Option<u64> {
        let of_key = self.said.range((key, 0)..=(key, u64::MAX));
        of_key.last().map(|((_, counter), _)| *counter)
    }

    /// The floors of all leases that somebody saw.
    pub fn floors(&self) -> BTreeMap<LeaseKey, u64> {
        // Of a lease's counters the last one stays.
        self.said.keys().copied().collect()
    }

    /// Somebody says that a shard is read to its end.
    pub fn ask_end(&mut self, key: LeaseKey) {
        self.ends_asked.insert(key);
    }

    /// A lease was seen by somebody who asked when `floor` was known.
    pub fn see(&mut self, floor: Option<u64>, key: LeaseKey, lease: &Lease) {
        let counter = lease.counter;
        assert!(floor <= Some(counter), "{key:?} went back from {floor:?} to {counter}");
        let now = (lease.owner.clone(), lease.at);
        let before = self.said.range(..(key, counter)).next_back();
        let before = before.filter(|((of, _), _)| *of == key);
        if let Some((at, (_, earlier))) = before {
            assert!(
                place(earlier) <= place(&now.1),
                "{key:?}: {earlier:?} at {at:?}, then {now:?}"
            );
        }
        let after = self.said.range((key, counter + 1)..).next();
        if let Some((at, (_, later))) = after.filter(|((of, _), _)| *of == key) {
            assert!(place(&now.1) <= place(later), "{key:?}: {now:?}, then {later:?} at {at:?}");
        }
        let said = self.said.entry((key, counter)).or_insert_with(|| now.clone());
        assert_eq!(*said, now, "{key:?} says two things at {counter}");
    }

    /// All leases were seen by somebody who asked when `floors` were known.
    pub fn see_all(&mut self, floors: &BTreeMap<LeaseKey, u64>, leases: &[(LeaseKey, Lease)]) {
        for (key, lease) in leases {
            self.see(floors.get(key).copied(), *key, lease);
        }
        for key in floors.keys() {
            assert!(leases.iter().any(|(seen, _)| seen == key), "the lease {key:?} is lost");
        }
    }

    /// A change was confirmed to somebody who saw the lease at `counter`.
    pub fn confirm(&mut self, counter: u64, key: LeaseKey, lease: &Lease) {
        self.changes += 1;
        assert_eq!(lease.counter, counter + 1, "{key:?} changed meanwhile");
        let floor = self.floor(key).map(|floor| floor.min(counter));
        self.see(floor, key, lease);
    }

    /// A worker was given a lease.
    pub fn taken(&self, key: LeaseKey, lease: &Lease) {
        for parent in &lease.parents {
            let asked = self.ends_asked.contains(parent);
            assert!(asked, "{key:?} is taken, but nobody has read {parent:?} to its end");
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Offset, PartitionIndex, ShardId, TopicId};

    use super::*;

    fn key(shard: u32) -> LeaseKey {
        LeaseKey { topic: TopicId(1), partition: PartitionIndex(0), shard: ShardId(shard) }
    }

    fn lease(owner: &str, counter: u64, checkpoint: Checkpoint) -> Lease {
        let at = PreciseCheckpoint::whole(checkpoint);
        Lease { owner: Some(owner.to_owned()), counter, at, ..Lease::new(Offset(0), None) }
    }

    /// a has read up to record 5.
    fn model() -> LeaseModel {
        let mut model = LeaseModel::default();
        model.see(None, key(0), &lease("a", 1, Checkpoint::TrimHorizon));
        model.confirm(1, key(0), &lease("a", 2, Checkpoint::After(Offset(5))));
        model
    }

    #[test]
    fn what_is_right_is_not_complained_of() {
        let mut model = model();
        // Who asked before it may hear of it late.
        model.see(Some(1), key(0), &lease("a", 1, Checkpoint::TrimHorizon));
        model.see(Some(2), key(0), &lease("b", 4, Checkpoint::ShardEnd));
        model.see(Some(2), key(0), &lease("b", 3, Checkpoint::After(Offset(5))));
        model.ask_end(key(0));
        model.taken(key(1), &Lease { parents: vec![key(0)], ..lease("b", 1, Checkpoint::Latest) });
        let all = [(key(0), lease("b", 4, Checkpoint::ShardEnd))];
        let floors = model.floors();
        model.see_all(&floors, &all);
        assert_eq!((model.floor(key(0)), model.floor(key(1))), (Some(4), None));
    }

    #[test]
    #[should_panic(expected = "went back")]
    fn a_lost_change_is_noticed() {
        model().see(Some(2), key(0), &lease("a", 1, Checkpoint::TrimHorizon));
    }

    #[test]
    #[should_panic(expected = "says two things")]
    fn two_owners_are_noticed() {
        model().see(Some(2), key(0), &lease("b", 2, Checkpoint::After(Offset(5))));
    }

    #[test]
    #[should_panic(expected = "changed meanwhile")]
    fn a_change_of_what_was_not_seen_is_noticed() {
        model().confirm(1, key(0), &lease("b", 3, Checkpoint::After(Offset(5))));
    }

    #[test]
    #[should_panic(expected = "then")]
    fn a_checkpoint_that_goes_back_is_noticed() {
        model().see(Some(2), key(0), &lease("b", 3, Checkpoint::After(Offset(4))));
    }

    #[test]
    #[should_panic(expected = "is lost")]
    fn a_lost_lease_is_noticed() {
        let mut model = model();
        let floors = model.floors();
        model.see_all(&floors, &[]);
    }

    #[test]
    #[should_panic(expected = "nobody has read")]
    fn a_child_before_its_parent_is_noticed() {
        let child = Lease { parents: vec![key(0)], ..lease("b", 1, Checkpoint::Latest) };
        model().taken(key(1), &child);
    }
}
