//! Consumer groups: what a lane knows of them for good.
//!
//! [`Groups`] is the durable state, the fold of [`GroupsCommand`]s: committed offsets (as rows of
//! the [lease table](crate::leases)), and of each group that has members what its last completed
//! rebalance left. What is under way (members that wait, session timers) is soft state and
//! lives in [`classic`], one state machine per group.
//!
//! Start reading at [`Groups`], then [`GroupsCommand`].

pub mod classic;
mod command;
pub mod consumer;
mod error;
mod format_1;
mod record;
mod staged;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use model::{Timestamp, TopicPartition};
use serde::{Deserialize, Serialize};

pub use command::{ChangeLease, GroupsCommand};
pub use error::GroupError;
pub use record::{ClassicRecord, GroupRecord, MemberRecord};
pub use staged::StagedOffsets;

use self::{consumer::ConsumerGroup, format_1::GroupsV1};
use crate::{
    DecodeError,
    configs::Overrides,
    leases::{Committed, Lease, LeaseChange, LeaseError, LeaseTable},
    versioned::Format,
};

const FORMAT: Format = Format { what: "consumer groups", version: 2, limit_bytes: 1 << 29 };
const FORMAT_1: Format = Format { version: 1, ..FORMAT };

/// The groups of one lane.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Groups {
    records: BTreeMap<String, GroupRecord>,
    leases: LeaseTable,
    staged: StagedOffsets,
    /// Settings of single groups, which need not be there.
    configs: BTreeMap<String, Overrides>,
}

impl Groups {
    /// Applies a durable command. Total: what could be refused was refused before.
    pub fn apply(&mut self, command: &GroupsCommand, at: Timestamp) {
        match command {
            GroupsCommand::CommitOffsets { group, offsets } => {
                for commit in offsets {
                    self.leases.commit(group, commit);
                    self.staged.supersede(group, commit.partition);
                }
            }
            GroupsCommand::DeleteOffsets { group, partitions } => {
                for partition in partitions {
                    self.leases.forget_commit(group, *partition);
                }
            }
            GroupsCommand::StoreClassic { group, record, holdings } => {
                self.leases.assign(group, holdings);
                let record = ClassicRecord { since: at, ..record.clone() };
                self.records.insert(group.clone(), GroupRecord::Classic(record));
            }
            GroupsCommand::ChangeConsumer { change, hand_overs } => {
                self.leases.hand_over(&change.group_id, hand_overs);
                let record = self.records.entry(change.group_id.clone());
                let group =
                    record.or_insert_with_key(|id| GroupRecord::Consumer(ConsumerGroup::new(id)));
                if let GroupRecord::Classic(_) = group {
                    *group = GroupRecord::Consumer(ConsumerGroup::new(&change.group_id));
                }
                if let GroupRecord::Consumer(group) = group {
                    group.apply(&change.records);
                }
            }
            GroupsCommand::DeleteGroup { group } => {
                self.records.remove(group);
                self.leases.forget(group);
                self.staged.forget(group);
            }
            GroupsCommand::AlterConfigs { group, change } => {
                let configs = self.configs.entry(group.clone()).or_default();
                change.apply(configs);
                if configs.is_empty() {
                    self.configs.remove(group);
                }
            }
            GroupsCommand::StageOffsets { group, producer, offsets } => {
                self.staged.stage(*producer, group, offsets);
            }
            GroupsCommand::EndStaged { producer, commit } => {
                for (group, offsets) in self.staged.end(*producer) {
                    for offset in offsets.iter().filter(|_| *commit) {
                        self.leases.commit(&group, offset);
                    }
                }
            }
            // Whoever asked was told when it was applied for the first time.
            GroupsCommand::ChangeLease(change) => drop(self.change_lease(change)),
        }
    }

    /// Makes a worker's change, if the lease is as the worker saw it. Answers with the lease as it
    /// is then; `None` once it is deleted.
    pub fn change_lease(&mut self, command: &ChangeLease) -> Result<Option<Lease>, LeaseError> {
        let ChangeLease { application, key, seen, change, shard } = command;
        let lease = self.leases.change(application, *key, seen, change.clone(), shard.as_ref())?;
        if let LeaseChange::Checkpoint { .. } = change {
            self.staged.supersede(application, key.topic_partition());
        }
        Ok(lease)
    }

    /// What is known of a group besides its offsets.
    pub fn record(&self, group: &str) -> Option<&GroupRecord> {
        self.records.get(group)
    }

    /// Whether there is such a group: it has a record, or offsets.
    pub fn knows(&self, group: &str) -> bool {
        self.records.contains_key(group) || self.leases.knows(group) || self.staged.knows(group)
    }

    /// The names of all groups, in order.
    pub fn names(&self) -> BTreeSet<&str> {
        let recorded = self.records.keys().map(String::as_str);
        recorded.chain(self.leases.applications()).collect()
    }

    /// All records, by group.
    pub fn records(&self) -> impl Iterator<Item = (&str, &GroupRecord)> {
        self.records.iter().map(|(group, record)| (group.as_str(), record))
    }

    /// The offset that a group has committed for a partition.
    pub fn committed(&self, group: &str, partition: TopicPartition) -> Option<Committed<'_>> {
        self.leases.committed(group, partition)
    }

    /// All offsets that a group has committed, by topic and partition.
    pub fn all_committed(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (TopicPartition, Committed<'_>)> {
        self.leases.all_committed(group)
    }

    /// The settings that a group has of its own.
    pub fn configs(&self, group: &str) -> Overrides {
        self.configs.get(group).cloned().unwrap_or_default()
    }

    /// Partitions for which an open transaction has staged offsets of a group.
    pub fn unstable(&self, group: &str) -> BTreeSet<TopicPartition> {
        self.staged.partitions(group)
    }

    /// Transactions that have staged offsets here.
    pub fn staging_producers(&self) -> impl Iterator<Item = model::ProducerId> {
        self.staged.producers()
    }

    /// The lease table.
    pub fn leases(&self) -> &LeaseTable {
        &self.leases
    }

    /// Everything, encoded for a checkpoint; nothing at all if there is none.
    pub fn snapshot(&self) -> Vec<u8> {
        if *self == Groups::default() { Vec::new() } else { FORMAT.encode(self) }
    }

    /// Reads a snapshot back.
    pub fn restore(bytes: &[u8]) -> Result<Groups, DecodeError> {
        match bytes.first() {
            None => Ok(Groups::default()),
            Some(version) if *version == FORMAT_1.version => {
                FORMAT_1.decode::<GroupsV1>(bytes).map(Groups::from)
            }
            Some(_) => FORMAT.decode(bytes),
        }
    }
}
