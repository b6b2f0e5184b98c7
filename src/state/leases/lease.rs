//! One lease: an application's claim on one shard.

use model::{HashKeyRange, Offset, PartitionIndex, ShardId, Timestamp, TopicId, TopicPartition};
use serde::{Deserialize, Serialize};

/// Which shard of which topic, in the order in which a partition's shards follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeaseKey {
    /// The topic.
    pub topic: TopicId,
    /// The partition that holds the shard's records.
    pub partition: PartitionIndex,
    /// The shard. A partition's later shards have greater numbers.
    pub shard: ShardId,
}

impl LeaseKey {
    /// The partition that holds the shard's records.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: self.topic, partition: self.partition }
    }
}

/// How far an application has come in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Checkpoint {
    /// Nothing is processed: read from the shard's first record.
    TrimHorizon,
    /// Nothing is processed: read what comes from now on.
    Latest,
    /// Nothing is processed: read from the first record at or after this time.
    AtTimestamp(Timestamp),
    /// The last record that is processed. Kafka's committed offset is the one after it.
    After(Offset),
    /// The closed shard is processed to its end.
    ShardEnd,
}

/// A checkpoint with its place within an aggregated record (KPL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreciseCheckpoint {
    /// Where in the shard.
    pub checkpoint: Checkpoint,
    /// Where in the record.
    pub sub_sequence: u64,
}

impl PreciseCheckpoint {
    /// At a whole record.
    pub fn whole(checkpoint: Checkpoint) -> PreciseCheckpoint {
        PreciseCheckpoint { checkpoint, sub_sequence: 0 }
    }
}

/// What Kafka keeps with a committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitDetails {
    /// The epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: String,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// When it goes, where the client said so itself (OffsetCommit 2 to 4).
    pub expires_at: Option<Timestamp>,
}

/// An application's claim on one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who reads the shard: a group's member, a KCL worker.
    pub owner: Option<String>,
    /// Rises with every change of the owner and every renewal. A writer says which one it saw.
    pub counter: u64,
    /// How far the application has come.
    pub at: PreciseCheckpoint,
    /// A checkpoint that is prepared and not yet made.
    pub pending: Option<PreciseCheckpoint>,
    /// Changes of the owner since the last checkpoint.
    pub owner_switches: u64,
    /// While a lease is handed over: the owner that may still checkpoint.
    pub checkpoint_owner: Option<String>,
    /// The shards that this one continues.
    pub parents: Vec<LeaseKey>,
    /// The shards that continue this one, once known.
    pub children: Vec<LeaseKey>,
    /// The shard's hash keys, if known.
    pub range: Option<HashKeyRange>,
    /// The shard's first offset.
    pub start: Offset,
    /// The offset after its last one, if it was closed when the lease last saw it.
    pub end: Option<Offset>,
    /// What Kafka keeps with the checkpoint, if it was made by a commit.
    pub commit: Option<CommitDetails>,
}

impl Lease {
    /// A lease that nobody holds, on a shard of which nothing is processed.
    pub fn new(start: Offset, end: Option<Offset>) -> Lease {
        Lease {
            owner: None,
            counter: 0,
            at: PreciseCheckpoint::whole(Checkpoint::TrimHorizon),
            pending: None,
            owner_switches: 0,
            checkpoint_owner: None,
            parents: Vec::new(),
            children: Vec::new(),
            range: None,
            start,
            end,
            commit: None,
        }
    }

    /// Whether nothing of the shard is left to process.
    pub fn is_finished(&self) -> bool {
        self.at.checkpoint == Checkpoint::ShardEnd
    }
}
