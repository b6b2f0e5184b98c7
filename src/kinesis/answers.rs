//! What the operations answer: one struct per output shape of the model.

mod consumers;
mod properties;

pub use consumers::*;
pub use properties::*;

use serde::Serialize;

use crate::wire::{Blob, Time};

/// `ListStreams`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListStreams {
    /// Names, sorted.
    pub stream_names: Vec<String>,
    /// Whether there are more.
    pub has_more_streams: bool,
    /// For the next call, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
    /// The same streams, with a little more about each.
    pub stream_summaries: Vec<StreamSummary>,
}

/// One stream of [`ListStreams`].
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamSummary {
    /// Its name.
    pub stream_name: String,
    /// Its ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: String,
    /// Its state.
    pub stream_status: &'static str,
    /// Provisioned, or on demand.
    pub stream_mode_details: StreamModeDetails,
    /// When it was made.
    pub stream_creation_timestamp: Time,
}

/// `StreamModeDetails`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamModeDetails {
    /// `PROVISIONED` or `ON_DEMAND`.
    pub stream_mode: &'static str,
}

/// `DescribeStreamSummary`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeStreamSummary {
    /// The stream.
    pub stream_description_summary: StreamDescriptionSummary,
}

/// All that is told of a stream but its shards.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamDescriptionSummary {
    /// Its name.
    pub stream_name: String,
    /// Its ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: String,
    /// Its identity over its life, in the form of AWS's ids.
    pub stream_id: String,
    /// Its state.
    pub stream_status: &'static str,
    /// Provisioned, or on demand.
    pub stream_mode_details: StreamModeDetails,
    /// How long records are kept, in hours.
    pub retention_period_hours: i64,
    /// When it was made.
    pub stream_creation_timestamp: Time,
    /// Shard-level metrics that are on.
    pub enhanced_monitoring: [EnhancedMetrics; 1],
    /// `NONE`: encryption by KMS is not served.
    pub encryption_type: &'static str,
    /// Shards that take records.
    pub open_shard_count: usize,
    /// Registered consumers.
    pub consumer_count: usize,
    /// The throughput to be ready for, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_throughput: Option<WarmThroughput>,
    /// The greatest record, data and partition key together.
    #[serde(rename = "MaxRecordSizeInKiB")]
    pub max_record_size_kib: i64,
    /// Channels on the stream: none.
    pub channel_count: u32,
    /// Queues on the stream: none.
    pub queue_count: u32,
    /// `USER_PARTITION_KEY`: the partition key chooses the shard; `AUTO`: the stream does.
    pub record_distribution_strategy: &'static str,
}

/// `EnhancedMetrics`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnhancedMetrics {
    /// Names of metrics.
    pub shard_level_metrics: Vec<String>,
}

/// `ListShards`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListShards {
    /// The shards, by number.
    pub shards: Vec<Shard>,
    /// For the next call, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shard {
    /// Its id.
    pub shard_id: String,
    /// The shard that it was split from, or the first of the two that were merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_shard_id: Option<String>,
    /// The second of the two that were merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjacent_parent_shard_id: Option<String>,
    /// Its range of hash keys.
    pub hash_key_range: HashKeyRange,
    /// Its range of sequence numbers.
    pub sequence_number_range: SequenceNumberRange,
}

/// `HashKeyRange`: both ends belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HashKeyRange {
    /// The lowest key.
    pub starting_hash_key: String,
    /// The highest key.
    pub ending_hash_key: String,
}

impl From<model::HashKeyRange> for HashKeyRange {
    fn from(range: model::HashKeyRange) -> HashKeyRange {
        HashKeyRange {
            starting_hash_key: range.start().to_string(),
            ending_hash_key: range.end().to_string(),
        }
    }
}

/// `SequenceNumberRange`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SequenceNumberRange {
    /// The number of the first record, whether there is one or not.
    pub starting_sequence_number: String,
    /// Of a closed shard: a number above all its records'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending_sequence_number: Option<String>,
}

/// `PutRecord`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecord {
    /// The shard that took the record.
    pub shard_id: String,
    /// The record's place.
    pub sequence_number: String,
    /// `NONE`.
    pub encryption_type: &'static str,
}

/// `PutRecords`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecords {
    /// How many of the records were not taken.
    pub failed_record_count: usize,
    /// What became of each, in the order of the request.
    pub records: Vec<PutRecordsResult>,
    /// `NONE`.
    pub encryption_type: &'static str,
}

/// What became of one record: a place, or an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PutRecordsResult {
    /// It is durable.
    #[serde(rename_all = "PascalCase")]
    Taken {
        /// The record's place.
        sequence_number: String,
        /// The shard that took it.
        shard_id: String,
    },
    /// It was not taken, and may be sent again.
    #[serde(rename_all = "PascalCase")]
    Failed {
        /// `ProvisionedThroughputExceededException` or `InternalFailure`.
        error_code: &'static str,
        /// What is wrong.
        error_message: String,
    },
}

/// `GetShardIterator`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetShardIterator {
    /// To be given to `GetRecords` within five minutes.
    pub shard_iterator: String,
}

/// `GetRecords`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetRecords {
    /// The records, in order.
    pub records: Vec<Record>,
    /// For the next call; none at the end of a closed shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_shard_iterator: Option<String>,
    /// How far behind the shard's end this answer is, in ms.
    pub millis_behind_latest: i64,
    /// At the end of a closed shard: where its records go now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub child_shards: Vec<ChildShard>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// Its place.
    pub sequence_number: String,
    /// When it arrived.
    pub approximate_arrival_timestamp: Time,
    /// Its content.
    pub data: Blob,
    /// Its partition key, or what stands in for a Kafka key that is none.
    pub partition_key: String,
    /// `NONE`.
    pub encryption_type: &'static str,
}

/// `ChildShard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChildShard {
    /// Its id.
    pub shard_id: String,
    /// The shards that it continues.
    pub parent_shards: Vec<String>,
    /// Its range of hash keys.
    pub hash_key_range: HashKeyRange,
}
