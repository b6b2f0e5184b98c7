//! What this room asks of the broker, cut to owned values that may cross threads.
//!
//! The catalog lives on the lane-owning cores and is not shared; a question about it runs there
//! and brings back only what the operation needs. The production side is [`crate::cores`]; tests
//! put a small log in memory behind the same trait.

use std::future::Future;

use broker::{
    AppendRequest, BrokerError, ConfigChange, FetchPartition, Fetched, FoundOffset, NewTopic,
    OffsetSpec, Resharding,
};
use model::{
    HashKey, Offset, PartitionIndex, ShardId, Timestamp, TopicConfig, TopicId, TopicName,
    TopicPartition,
};
use state::{
    catalog::{AccountSettings, StreamChange, StreamProperties},
    shards::Shard,
};

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
    /// Whether its shards follow its load.
    pub on_demand: bool,
    /// Whether it is held to AWS's limits of throughput.
    pub is_limited: bool,
    /// Its tags, consumers and the like.
    pub properties: StreamProperties,
    /// All its shards by number, closed ones too.
    pub shards: Vec<Shard>,
}

impl StreamView {
    /// The shards that take records.
    pub fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.is_open())
    }
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
    /// Whether the stream is held to AWS's limits of throughput.
    pub is_limited: bool,
}

/// Where the records of one put go.
#[derive(Debug, Clone)]
pub struct Routes {
    /// The stream's identity.
    pub topic: TopicId,
    /// The greatest batch that it takes, in bytes (`max.message.bytes`).
    pub batch_bytes_max: usize,
    /// Whether the stream chooses the shards, so that records need no partition key.
    pub spreads_puts: bool,
    /// Whether the stream is held to AWS's limits of throughput.
    pub is_limited: bool,
    /// For each hash key asked about, the open shard that takes it.
    pub shards: Vec<RoutedShard>,
}

/// An open shard as a put needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoutedShard {
    /// Its partition.
    pub partition: PartitionIndex,
    /// Its number.
    pub id: ShardId,
    /// When it was made.
    pub created: Timestamp,
}

/// What one read of a shard gave.
#[derive(Debug, Clone)]
pub struct ShardRead {
    /// Batches of its partition, perhaps with records that lie behind the shard's end.
    pub fetched: Fetched,
    /// The shard's end if it is closed, or about to close, as the core knows that owns it: the
    /// stream as it was looked up before may be older.
    pub end: Option<Offset>,
}

/// What a subscription follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The shard's partition.
    pub partition: TopicPartition,
    /// The shard.
    pub shard: ShardId,
    /// The consumer's name.
    pub consumer: String,
    /// When it was registered: a later one of its name is another consumer.
    pub consumer_created: Timestamp,
}

/// How things stand with what a subscription follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The shard takes records.
    Open,
    /// The shard has closed.
    Closed {
        /// Where: its records lie below.
        end: Offset,
        /// The shards that have it as a parent.
        children: Vec<Shard>,
    },
    /// The stream is gone.
    NoStream,
    /// The consumer is not registered any more.
    NoConsumer,
}

/// The account, over all streams.
#[derive(Debug, Clone, Copy)]
pub struct AccountView {
    /// Its settings.
    pub settings: AccountSettings,
    /// How many partitions, and so open shards, there can be.
    pub shards_max: usize,
    /// How many shards are open.
    pub open_shards: usize,
    /// How many streams are on demand.
    pub on_demand_streams: usize,
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

    /// Makes a topic with these properties.
    fn create(
        &self,
        topic: NewTopic,
        properties: StreamProperties,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Changes a topic's settings, all or none.
    fn alter(
        &self,
        stream: TopicName,
        changes: Vec<ConfigChange>,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Changes a stream's properties.
    fn change(
        &self,
        stream: TopicId,
        change: StreamChange,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Splits and merges shards; when it returns, records are routed by the new ones.
    fn reshard(
        &self,
        stream: TopicId,
        resharding: Resharding,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Returns when changes of shards that are under way are done with.
    fn settled(&self) -> impl Future<Output = Answer<()>> + Send;

    /// The account.
    fn account(&self) -> impl Future<Output = Answer<AccountView>> + Send;

    /// Begins or ends the account's commitment to a minimum of throughput.
    fn commit_throughput(&self, is_enabled: bool) -> impl Future<Output = Answer<()>> + Send;

    /// Deletes a topic.
    fn delete(&self, topic: TopicId) -> impl Future<Output = Answer<()>> + Send;

    /// Makes batches durable, in the order given, each in the open shard that it was routed to, and
    /// gives the offsets of their first records. [`BrokerError::ShardMoved`] says that the shard
    /// has closed.
    fn append(
        &self,
        batches: Vec<(AppendRequest, ShardId)>,
    ) -> impl Future<Output = Answer<Vec<Answer<Offset>>>> + Send;

    /// Reads a shard without waiting.
    fn fetch(
        &self,
        read: FetchPartition,
        shard: ShardId,
    ) -> impl Future<Output = Answer<ShardRead>> + Send;

    /// Waits until the partition's log end is above `beyond`, the stream or the consumer is gone, or
    /// the shard has closed (unless `is_closed` says that it had before), and tells how things stand
    /// then. Dropping the future ends the wait.
    fn follow(
        &self,
        followed: Followed,
        beyond: Offset,
        is_closed: bool,
    ) -> impl Future<Output = Answer<Standing>> + Send;

    /// Finds an offset; `None` if no record is that new.
    fn find_offset(
        &self,
        partition: TopicPartition,
        at: OffsetSpec,
    ) -> impl Future<Output = Answer<Option<FoundOffset>>> + Send;
}
