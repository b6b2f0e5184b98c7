//! Who has each partition of a group, be it that it still has to give it up. It follows from the
//! members' standings, but for the epochs.

use std::collections::BTreeMap;

use model::{PartitionIndex, TopicId};

use super::Standing;

/// Epochs in which members got partitions.
pub(super) type Since = BTreeMap<(TopicId, PartitionIndex), i32>;

/// The member that has a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub member_id: String,
    /// The member's epoch when it got the partition (Kafka's *assignment epoch*, KIP-1251).
    pub since_epoch: i32,
}

/// The owners of one group's partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Owners(BTreeMap<(TopicId, PartitionIndex), Owner>);

impl Owners {
    pub fn get(&self, topic: TopicId, partition: PartitionIndex) -> Option<&Owner> {
        self.0.get(&(topic, partition))
    }

    /// A member has what its standing says. What it had before it has since then, the rest since
    /// its epoch; a static member that is away is in none.
    pub fn give(&mut self, member_id: &str, standing: &Standing, before: &Since) {
        for held in standing.assigned.iter().chain(standing.pending_revocation.iter()) {
            let since_epoch = before.get(&held).copied().unwrap_or(standing.epoch.max(0));
            self.0.insert(held, Owner { member_id: member_id.to_owned(), since_epoch });
        }
    }

    /// Frees what a member has, unless somebody else has it by now, and says since when it had it.
    pub fn release(&mut self, member_id: &str, standing: &Standing) -> Since {
        let mut since = Since::new();
        for held in standing.assigned.iter().chain(standing.pending_revocation.iter()) {
            if let Some(owner) = self.0.get(&held)
                && owner.member_id == member_id
            {
                since.insert(held, owner.since_epoch);
                self.0.remove(&held);
            }
        }
        since
    }

    /// The epochs as they are stored.
    pub fn since(&self) -> BTreeMap<TopicId, BTreeMap<PartitionIndex, i32>> {
        let mut since: BTreeMap<TopicId, BTreeMap<_, _>> = BTreeMap::new();
        for ((topic, partition), owner) in &self.0 {
            since.entry(*topic).or_default().insert(*partition, owner.since_epoch);
        }
        since
    }
}
