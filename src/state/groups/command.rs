//! What a lane journals of its consumer groups.

use model::{ProducerId, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{ClassicRecord, consumer::Change};
use crate::{
    DecodeError,
    catalog::OverrideChange,
    leases::{HandOver, Holding, LeaseChange, LeaseKey, OffsetCommit, Seen, ShardFacts},
    versioned::Format,
};

/// The most bytes of one encoded command; below what the journal takes.
const FORMAT: Format = Format { what: "group command", version: 1, limit_bytes: 16 << 20 };

/// A change of one group, judged before it is journaled; applying it cannot fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupsCommand {
    /// Offsets are committed.
    CommitOffsets {
        /// The group.
        group: String,
        /// The offsets, each partition at most once.
        offsets: Vec<OffsetCommit>,
    },
    /// Offsets are forgotten.
    DeleteOffsets {
        /// The group.
        group: String,
        /// Whose offsets.
        partitions: Vec<TopicPartition>,
    },
    /// A classic group has come out of a rebalance.
    StoreClassic {
        /// The group.
        group: String,
        /// What it is now.
        record: ClassicRecord,
        /// Who reads what, where the members are Kafka's consumers.
        holdings: Vec<Holding>,
    },
    /// A group of the newer protocol comes a step further; a classic one of the same name ends.
    ChangeConsumer {
        /// What happens to it.
        change: Change,
        /// The partitions that change hands by it.
        hand_overs: Vec<HandOver>,
    },
    /// A group goes, with its offsets.
    DeleteGroup {
        /// The group.
        group: String,
    },
    /// Offsets that count once a transaction commits.
    StageOffsets {
        /// The group.
        group: String,
        /// Whose transaction.
        producer: ProducerId,
        /// The offsets.
        offsets: Vec<OffsetCommit>,
    },
    /// A transaction ends: its staged offsets of all groups of this lane count now, or never.
    EndStaged {
        /// Whose transaction.
        producer: ProducerId,
        /// Whether they count.
        commit: bool,
    },
    /// Settings of a group change, whether it is there or not.
    AlterConfigs {
        /// The group.
        group: String,
        /// What changes.
        change: OverrideChange,
    },
    /// A worker's change of a lease. The one command that is judged when it is applied: of two
    /// workers that saw the same lease, the one whose command comes first gets it.
    ChangeLease(ChangeLease),
}

/// A change of a lease that a worker asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLease {
    /// The application: a group's name.
    pub application: String,
    /// The shard.
    pub key: LeaseKey,
    /// What the worker saw of the lease.
    pub seen: Seen,
    /// What it wants.
    pub change: LeaseChange,
    /// What the catalog knew of the shard; `None` if it is gone.
    pub shard: Option<ShardFacts>,
}

impl GroupsCommand {
    /// The command for the journal: a version byte, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        FORMAT.encode(self)
    }

    /// Reads a journaled command back.
    pub fn decode(bytes: &[u8]) -> Result<GroupsCommand, DecodeError> {
        FORMAT.decode(bytes)
    }
}
