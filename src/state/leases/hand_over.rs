//! Single partitions that change hands, as the coordinator of the newer protocol moves them.

use model::TopicPartition;
use serde::{Deserialize, Serialize};

use super::{Holding, LeaseTable, ShardSpan};

/// A partition that goes to another member, or to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The partition.
    pub partition: TopicPartition,
    /// Its newest shard, on which the lease is made where there is none; `None` if the partition
    /// is no more.
    pub newest: Option<ShardSpan>,
    /// Who has it from now on.
    pub owner: Option<String>,
}

impl LeaseTable {
    /// Gives single partitions of an application other owners.
    pub fn hand_over(&mut self, application: &str, changes: &[HandOver]) {
        for HandOver { partition, newest, owner } in changes {
            self.retain_of_partition(application, *partition, |lease| {
                if lease.owner.is_some() {
                    lease.give(None);
                }
                owner.is_some() || !lease.was_made_to_be_held()
            });
            if let (Some(newest), Some(owner)) = (*newest, owner) {
                let holding = Holding { partition: *partition, newest, owner: owner.clone() };
                let key = self.current(application, &holding);
                self.lease_or_new(application, key, newest).give(Some(owner.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Offset, PartitionIndex, ShardId, TopicId};

    use super::*;

    #[test]
    fn a_partition_goes_from_hand_to_hand_and_leaves_nothing_behind() {
        let partition = TopicPartition { topic: TopicId(1), partition: PartitionIndex(0) };
        let newest = Some(ShardSpan { shard: ShardId(0), start: Offset(0), end: None });
        let to =
            |owner: Option<&str>| HandOver { partition, newest, owner: owner.map(str::to_owned) };
        let mut table = LeaseTable::default();
        let owners = |table: &LeaseTable| -> Vec<Option<String>> {
            table.of_partition("g", partition).map(|(_, lease)| lease.owner.clone()).collect()
        };
        table.hand_over("g", &[to(Some("m1"))]);
        assert_eq!(owners(&table), [Some("m1".to_owned())]);
        table.hand_over("g", &[to(None), to(Some("m2"))]);
        assert_eq!(owners(&table), [Some("m2".to_owned())]);
        table.hand_over("g", &[to(None)]);
        assert!(!table.knows("g"));
    }
}
