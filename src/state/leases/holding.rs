//! A Kafka group's assignment as owners of leases.
//!
//! A partition has one owner: it holds the lease of the shard in which reading goes on, and takes
//! it along when a commit moves on to the next shard. A group renews nothing here: its members'
//! heartbeats keep their places in the group, and with it their leases.

use model::TopicPartition;
use serde::{Deserialize, Serialize};

use super::{Lease, LeaseKey, LeaseTable, ShardSpan};

/// A partition and the member that it is assigned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The partition.
    pub partition: TopicPartition,
    /// Its newest shard: the lease is made on it where there is none.
    pub newest: ShardSpan,
    /// The member's id.
    pub owner: String,
}

impl LeaseTable {
    /// Makes these the only holdings of an application.
    pub fn assign(&mut self, application: &str, holdings: &[Holding]) {
        let mut wanted: Vec<(LeaseKey, &Holding)> = Vec::with_capacity(holdings.len());
        for holding in holdings {
            let key = self.current(application, holding);
            self.lease_or_new(application, key, holding.newest);
            wanted.push((key, holding));
        }
        wanted.sort_by_key(|(key, _)| *key);
        self.retain(application, |key, lease| {
            let place = wanted.binary_search_by_key(key, |(wanted, _)| *wanted).ok();
            let owner = place.and_then(|place| wanted.get(place)).map(|(_, of)| &of.owner);
            if lease.owner.as_ref() != owner {
                lease.give(owner.cloned());
            }
            owner.is_some() || !lease.was_made_to_be_held()
        });
    }

    /// The lease of the shard in which an application's reading of a partition goes on.
    pub(super) fn current(&self, application: &str, holding: &Holding) -> LeaseKey {
        let Holding { partition, newest, .. } = holding;
        let unfinished =
            self.of_partition(application, *partition).find(|(_, lease)| !lease.is_finished());
        let (topic, partition) = (partition.topic, partition.partition);
        unfinished.map_or(LeaseKey { topic, partition, shard: newest.shard }, |(key, _)| key)
    }
}

impl Lease {
    /// Whether it says nothing once nobody holds it.
    pub(super) fn was_made_to_be_held(&self) -> bool {
        self.commit.is_none()
            && self.at == Lease::new(self.start, self.end).at
            && self.range.is_none()
            && self.parents.is_empty()
    }
}
