//! What this room asks of the broker, cut to owned values that may cross threads.
//!
//! The catalog lives on the lane-owning cores and is not shared; a question about it runs there
//! and brings back only what the operation needs. The production side is [`crate::cores`]; tests
//! put a small log in memory behind the same trait.

use std::future::Future;

use broker::{
    AppendRequest, BrokerError, FetchPartition, Fetched, FoundOffset, NewTopic, OffsetSpec,
};
use model::{
    HashKey, Offset, PartitionIndex, ShardId, Timestamp, TopicConfig, TopicId, TopicName,
    TopicPartition,
};
use state::shards::Shard;

/// A stream as the catalog has it.
#[derive(Debug, Clone)]
pub struct StreamView {
    /// Its identity over its life.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// When it was made.
    pub created: Timestamp,
    /// Its effective settings.
    pub config: TopicConfig,
    /// Whether it was made to scale by itself. (It does not yet; the mode is kept and shown.)
    pub on_demand: bool,
    /// All its shards by number, closed ones too.
    pub shards: Vec<Shard>,
}

/// What GetRecords needs to know: one shard, and where its records go once it is closed.
#[derive(Debug, Clone)]
pub struct ShardLook {
    /// The stream's name.
    pub stream: TopicName,
    /// The shard.
    pub shard: Shard,
    /// The shards that have it as a parent.
    pub children: Vec<Shard>,
}

/// Where the records of one put go.
#[derive(Debug, Clone)]
pub struct Routes {
    /// The stream's identity.
    pub topic: TopicId,
    /// The greatest batch that it takes, in bytes (`max.message.bytes`).
    pub batch_bytes_max: usize,
    /// For each hash key asked about, the partition of the open shard that takes it.
    pub partitions: Vec<PartitionIndex>,
}

/// A batch that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The shard that holds it.
    pub shard: ShardId,
    /// When that shard was made.
    pub shard_created: Timestamp,
}

/// How an operation names a stream.
#[derive(Debug, Clone)]
pub enum StreamKey {
    /// By its name.
    Name(TopicName),
    /// By its identity, as tokens of ours do.
    Id(TopicId),
}

/// An answer of the broker's.
pub type Answer<T> = Result<T, BrokerError>;

/// The broker, as this room uses it.
pub trait Log: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// A stream and all its shards; `None` if there is none.
    fn stream(&self, key: StreamKey) -> impl Future<Output = Answer<Option<StreamView>>> + Send;

    /// Up to `limit` streams in name order after `after`, without their shards, whose names are
    /// not over `name_chars_max` characters long.
    fn streams(
        &self,
        after: Option<String>,
        limit: usize,
        name_chars_max: usize,
    ) -> impl Future<Output = Answer<Vec<StreamView>>> + Send;

    /// One shard; `None` if the stream or the shard is gone.
    fn shard(
        &self,
        topic: TopicId,
        shard: ShardId,
    ) -> impl Future<Output = Answer<Option<ShardLook>>> + Send;

    /// The way of records with these hash keys; `None` if there is no such stream.
    fn route(
        &self,
        stream: TopicName,
        keys: Vec<HashKey>,
    ) -> impl Future<Output = Answer<Option<Routes>>> + Send;

    /// Makes a topic.
    fn create(&self, topic: NewTopic) -> impl Future<Output = Answer<()>> + Send;

    /// Deletes a topic.
    fn delete(&self, topic: TopicId) -> impl Future<Output = Answer<()>> + Send;

    /// Makes batches durable, in the order given; the answers are in that order too.
    fn append(
        &self,
        batches: Vec<AppendRequest>,
    ) -> impl Future<Output = Answer<Vec<Answer<Stored>>>> + Send;

    /// Reads without waiting.
    fn fetch(&self, read: FetchPartition) -> impl Future<Output = Answer<Fetched>> + Send;

    /// Finds an offset; `None` if no record is that new.
    fn find_offset(
        &self,
        partition: TopicPartition,
        at: OffsetSpec,
    ) -> impl Future<Output = Answer<Option<FoundOffset>>> + Send;
}
