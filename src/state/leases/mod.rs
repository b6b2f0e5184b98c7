//! The lease table: the one record of who reads which shard from where (DESIGN 6).
//!
//! A Kafka group's committed offsets and a KCL application's checkpoints are the same rows. Keyed
//! by application (Kafka's group id), then by topic, partition and shard.
//!
//! Start reading at [`Lease`], then `commit.rs` (what a committed offset means to the shards of its
//! partition) and `change.rs` (what workers do to leases).

mod change;
mod commit;
mod hand_over;
mod holding;
mod lease;
#[cfg(test)]
mod reshard_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::{ShardId, TopicPartition};
use serde::{Deserialize, Serialize};

pub use change::{LeaseChange, LeaseError, Seen, ShardFacts};
pub use commit::{Committed, OffsetCommit, ShardSpan, spans};
pub use hand_over::HandOver;
pub use holding::Holding;
pub use lease::{Checkpoint, CommitDetails, Lease, LeaseKey, PreciseCheckpoint};

/// All leases of the applications of one lane.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeaseTable {
    applications: BTreeMap<String, BTreeMap<LeaseKey, Lease>>,
}

impl LeaseTable {
    /// One lease.
    pub fn get(&self, application: &str, key: LeaseKey) -> Option<&Lease> {
        self.applications.get(application)?.get(&key)
    }

    /// An application's leases, by topic, partition and shard.
    pub fn of_application(&self, application: &str) -> impl Iterator<Item = (LeaseKey, &Lease)> {
        let leases = self.applications.get(application);
        leases.into_iter().flatten().map(|(key, lease)| (*key, lease))
    }

    /// An application's leases that somebody holds.
    pub fn of_owner(
        &self,
        application: &str,
        owner: &str,
    ) -> impl Iterator<Item = (LeaseKey, &Lease)> {
        self.of_application(application)
            .filter(move |(_, lease)| lease.owner.as_deref() == Some(owner))
    }

    /// An application's leases on one partition, oldest shard first.
    pub fn of_partition(
        &self,
        application: &str,
        partition: TopicPartition,
    ) -> impl Iterator<Item = (LeaseKey, &Lease)> {
        let leases = self.applications.get(application);
        let range = leases.map(|leases| leases.range(range_of(partition)));
        range.into_iter().flatten().map(|(key, lease)| (*key, lease))
    }

    /// Whether the application has any lease.
    pub fn knows(&self, application: &str) -> bool {
        self.applications.contains_key(application)
    }

    /// All applications that have leases, in order.
    pub fn applications(&self) -> impl Iterator<Item = &str> {
        self.applications.keys().map(String::as_str)
    }

    /// Forgets an application. Answers whether there was one.
    pub fn forget(&mut self, application: &str) -> bool {
        self.applications.remove(application).is_some()
    }

    fn insert(&mut self, application: &str, key: LeaseKey, lease: Lease) {
        self.applications.entry(application.to_owned()).or_default().insert(key, lease);
    }

    fn lease_or_new(&mut self, application: &str, key: LeaseKey, span: ShardSpan) -> &mut Lease {
        let leases = self.applications.entry(application.to_owned()).or_default();
        leases.entry(key).or_insert_with(|| Lease::new(span.start, span.end))
    }

    fn retain_of_partition(
        &mut self,
        application: &str,
        partition: TopicPartition,
        mut keep: impl FnMut(&mut Lease) -> bool,
    ) {
        let Some(leases) = self.applications.get_mut(application) else { return };
        let of_partition = leases.range_mut(range_of(partition));
        let unwanted: Vec<LeaseKey> =
            of_partition.filter_map(|(key, lease)| (!keep(lease)).then_some(*key)).collect();
        for key in unwanted {
            leases.remove(&key);
        }
        if leases.is_empty() {
            self.applications.remove(application);
        }
    }

    fn retain(&mut self, application: &str, keep: impl FnMut(&LeaseKey, &mut Lease) -> bool) {
        if let Some(leases) = self.applications.get_mut(application) {
            leases.retain(keep);
            if leases.is_empty() {
                self.applications.remove(application);
            }
        }
    }
}

fn range_of(partition: TopicPartition) -> std::ops::RangeInclusive<LeaseKey> {
    let TopicPartition { topic, partition } = partition;
    let key = |shard| LeaseKey { topic, partition, shard };
    key(ShardId(0))..=key(ShardId(u32::MAX))
}
