//! A topic's effective settings, after its own, the broker's and Kafka's defaults are resolved.
//!
//! The table of names, defaults, bounds and documentation stands in `state`; here are only the
//! typed values that the data path acts on. Names and defaults: Kafka's `TopicConfig`.

use serde::{Deserialize, Serialize};

/// A batch's codec, as the low three bits of its attributes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
pub enum Compression {
    /// Records as they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy in xerial's framing.
    Snappy,
    /// LZ4's frame format.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// `compression.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
pub enum CompressionSetting {
    /// Keep the producer's codec and bytes.
    #[default]
    Producer,
    /// Recompress what comes in another codec ("uncompressed" is [`Compression::None`]).
    Codec(Compression),
}

/// `cleanup.policy`; both may be set. Neither (an empty list) keeps everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct CleanupPolicy {
    /// Old segments go by `retention.ms` and `retention.bytes`.
    pub delete: bool,
    /// Only the newest record of each key is kept.
    pub compact: bool,
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
pub enum TimestampType {
    /// The producer's time.
    #[default]
    CreateTime,
    /// The broker's time at append.
    LogAppendTime,
}

/// A topic's effective settings. Times are milliseconds, sizes bytes; -1 means "no limit" where
/// Kafka says so.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TopicConfig {
    /// `cleanup.policy`
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type`
    pub compression: CompressionSetting,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: i64,
    /// `flush.ms`
    pub flush_ms: i64,
    /// `index.interval.bytes`
    pub index_interval_bytes: i32,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `max.message.bytes`: the greatest batch size accepted
    pub max_message_bytes: i32,
    /// `message.timestamp.after.max.ms`
    pub message_timestamp_after_max_ms: i64,
    /// `message.timestamp.before.max.ms`
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.type`
    pub message_timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `min.insync.replicas`
    pub min_insync_replicas: i32,
    /// `retention.bytes`, of one partition; -1 is no limit
    pub retention_bytes: i64,
    /// `retention.ms`; -1 is no limit
    pub retention_ms: i64,
    /// `segment.bytes`
    pub segment_bytes: i32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `write.caching`: acknowledge from memory (Redpanda's name; DESIGN 7)
    pub write_caching: bool,
}

impl Default for TopicConfig {
    fn default() -> Self {
        TopicConfig {
            cleanup_policy: CleanupPolicy { delete: true, compact: false },
            compression: CompressionSetting::Producer,
            delete_retention_ms: 86_400_000,
            file_delete_delay_ms: 60_000,
            flush_ms: i64::MAX,
            index_interval_bytes: 4096,
            max_compaction_lag_ms: i64::MAX,
            max_message_bytes: 1_048_588,
            message_timestamp_after_max_ms: 3_600_000,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_type: TimestampType::CreateTime,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            min_insync_replicas: 1,
            retention_bytes: -1,
            retention_ms: 604_800_000,
            segment_bytes: 1_073_741_824,
            segment_ms: 604_800_000,
            write_caching: false,
        }
    }
}
