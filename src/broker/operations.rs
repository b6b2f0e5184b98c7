//! The words in which doors ask: one request and one answer type per operation.

use std::time::Duration;

use batch::BatchHeader;
use bytes::{Bytes, BytesMut};
use model::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicName, TopicPartition};
pub use partition::AbortedTransaction;
pub use state::configs::ConfigChange;
use state::configs::ConfigEntry;

use crate::BrokerError;

/// When a produce request is answered (DESIGN 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// `acks=0`: no answer is sent.
    None,
    /// `acks=1`: durable in this node's journal.
    Leader,
    /// `acks=all`: durable on `min.insync.replicas` nodes.
    All,
}

/// One batch for one partition. The bytes must be the whole of exactly one magic-2 batch.
#[derive(Debug)]
pub struct AppendRequest {
    /// Where to.
    pub topic: TopicPartition,
    /// The producer's batch; patched in place, hence owned.
    pub batch: BytesMut,
}

/// What became of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the batch's first record.
    pub base_offset: Offset,
    /// The broker's time, where the topic uses it (`message.timestamp.type=LogAppendTime`).
    pub log_append_time: Option<Timestamp>,
    /// The partition's first offset.
    pub log_start: Offset,
}

/// A read of several partitions at once, waiting for data if asked to.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// What to read, in the order in which the byte budget is spent.
    pub partitions: Vec<FetchPartition>,
    /// At most this many bytes in all, but always the first batch (KIP-74).
    pub max_bytes: usize,
    /// Wait until this many bytes are there …
    pub min_bytes: usize,
    /// … or this long.
    pub max_wait: Duration,
}

/// One partition of a [`FetchRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPartition {
    /// Where from.
    pub topic: TopicPartition,
    /// The first offset wanted.
    pub offset: Offset,
    /// At most this many bytes from this partition.
    pub max_bytes: usize,
    /// The epoch that the client believes in, if it says so.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Stop at the last stable offset.
    pub read_committed: bool,
}

/// What one partition gave.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// Whole batches as stored, in offset order; the first contains the offset asked for.
    pub batches: Vec<Bytes>,
    /// Readers see offsets below this.
    pub high_watermark: Offset,
    /// `read_committed` readers see offsets below this.
    pub last_stable: Offset,
    /// The first offset there is.
    pub log_start: Offset,
    /// The aborted transactions that the batches contain parts of, for `read_committed` readers.
    pub aborted: Vec<AbortedTransaction>,
}

impl Fetched {
    /// The bytes of all batches together.
    pub fn size_bytes(&self) -> usize {
        self.batches.iter().map(Bytes::len).sum()
    }

    /// Whether a batch of it is part of an aborted transaction.
    pub fn is_aborted(&self, batch: &BatchHeader) -> bool {
        self.aborted.iter().any(|aborted| aborted.contains(batch))
    }
}

/// Which offset of a partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first offset there is (-2; also -4, the first one stored locally).
    Earliest,
    /// The high watermark or the last stable offset (-1).
    Latest,
    /// The record with the greatest timestamp (-3).
    MaxTimestamp,
    /// The first record at or after a time.
    Timestamp(Timestamp),
    /// The last offset in tiered storage (-5): there is none here.
    LatestTiered,
}

/// A question about one partition.
#[derive(Debug, Clone, Copy)]
pub struct OffsetQuery {
    /// Which partition.
    pub topic: TopicPartition,
    /// Which offset.
    pub at: OffsetSpec,
    /// Bound by the last stable offset instead of the high watermark.
    pub read_committed: bool,
    /// The epoch that the client believes in, if it says so.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// An offset that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: Offset,
    /// The record's time; [`Timestamp::NONE`] for earliest and latest.
    pub timestamp: Timestamp,
    /// The epoch in which it was written.
    pub leader_epoch: LeaderEpoch,
}

/// A topic to be made.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    /// Its name, not yet checked.
    pub name: String,
    /// How many partitions; `None` takes `num.partitions`.
    pub partitions: Option<u32>,
    /// How many replicas; `None` takes `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Replicas by partition, if the client placed them itself.
    pub assignments: Option<Vec<(i32, Vec<i32>)>>,
    /// Settings that differ from the defaults. A value of `None` means the default.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic that was made (or would have been, if only validated).
#[derive(Debug, Clone)]
pub struct CreatedTopic {
    /// Its id; [`TopicId::NONE`] if only validated.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// How many partitions.
    pub partitions: u32,
    /// How many replicas.
    pub replication_factor: i16,
    /// All its settings.
    pub configs: Vec<ConfigEntry>,
}

/// How a client names a topic.
#[derive(Debug, Clone)]
pub enum TopicSelector {
    /// By name, not yet checked.
    Name(String),
    /// By id.
    Id(TopicId),
}

/// More partitions for a topic.
#[derive(Debug, Clone)]
pub struct NewPartitions {
    /// The topic's name.
    pub topic: String,
    /// The count wanted, more than there are now.
    pub count: i32,
    /// Replicas of each new partition, if the client placed them itself.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Whose settings are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic's.
    Topic(String),
    /// This broker's; the name is the node id as text.
    Broker(String),
    /// Every broker's default (the empty broker name).
    BrokerDefault,
    /// A consumer group's, whether it is there or not.
    Group(String),
}

/// What a partition takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionSize {
    /// Which partition.
    pub topic: TopicPartition,
    /// Bytes in its segments and its tail.
    pub size_bytes: u64,
}

/// The answer to one entry of a request.
pub type Outcome<T> = Result<T, BrokerError>;

/// A partition of a topic.
pub fn partition_of(topic: TopicId, partition: u32) -> TopicPartition {
    TopicPartition { topic, partition: PartitionIndex(partition) }
}
