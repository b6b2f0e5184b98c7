//! The nouns of the house: names, ids, offsets, hash keys, sequence numbers.
//!
//! Owns no behaviour beyond making illegal values unrepresentable and converting between a noun's
//! written forms. Runs on any core or thread; does no I/O, reads no clock, draws no randomness.
//!
//! Start reading at [`topic`] (names and ids), then [`record`] (offsets, producers, time), then
//! [`shard`] (what Kinesis sees). [`topic_config`] holds a topic's effective settings.

pub mod placement;
pub mod record;
pub mod shard;
pub mod topic;
pub mod topic_config;

pub use placement::{CommandIndex, CoreId, LaneId, Term};
pub use record::{BatchSequence, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
pub use shard::{HashKey, HashKeyRange, SequenceNumber, ShardId};
pub use topic::{InvalidTopicName, PartitionIndex, TopicId, TopicName, TopicPartition};
pub use topic_config::{
    CleanupPolicy, Compression, CompressionSetting, TimestampType, TopicConfig,
};
