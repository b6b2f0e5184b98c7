//! What the operations are asked: one struct per input shape of the model.
//!
//! Every member is optional here, also where the model requires it, because AWS reports a missing
//! one together with all other breaches of the constraints ([`crate::constraints`]). Members that
//! the model does not name are ignored, as AWS ignores them.

mod consumers;
mod properties;
mod resharding;

pub use consumers::*;
pub use properties::*;
pub use resharding::*;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    bounded,
    wire::{Blob, Time},
};

/// `CreateStream`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateStream {
    /// The new stream's name.
    pub stream_name: Option<String>,
    /// How many shards.
    pub shard_count: Option<i64>,
    /// Provisioned, or on demand.
    pub stream_mode_details: Option<StreamModeDetails>,
    /// Tags.
    #[serde(deserialize_with = "bounded::tags")]
    pub tags: Option<BTreeMap<String, String>>,
    /// Warm throughput.
    #[serde(rename = "WarmThroughputMiBps")]
    pub warm_throughput_mibps: Option<i64>,
    /// The greatest record, data and partition key together.
    #[serde(rename = "MaxRecordSizeInKiB")]
    pub max_record_size_kib: Option<i64>,
    /// Who chooses the shard.
    pub record_distribution_strategy: Option<String>,
}

/// `StreamModeDetails` as it is asked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StreamModeDetails {
    /// `PROVISIONED` or `ON_DEMAND`.
    pub stream_mode: Option<String>,
}

/// `DeleteStream`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeleteStream {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// Delete it although consumers are registered.
    pub enforce_consumer_deletion: Option<bool>,
}

/// `ListStreams`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListStreams {
    /// At most so many.
    pub limit: Option<i64>,
    /// Begin after this name.
    pub exclusive_start_stream_name: Option<String>,
    /// Go on where an earlier answer ended.
    pub next_token: Option<String>,
}

/// `DescribeStreamSummary`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DescribeStreamSummary {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
}

/// `ListShards`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListShards {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// Go on where an earlier answer ended.
    pub next_token: Option<String>,
    /// Begin after this shard.
    pub exclusive_start_shard_id: Option<String>,
    /// At most so many.
    pub max_results: Option<i64>,
    /// Tells a stream from an earlier one of the same name.
    pub stream_creation_timestamp: Option<Time>,
    /// Which shards.
    pub shard_filter: Option<ShardFilter>,
}

/// `ShardFilter`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ShardFilter {
    /// The kind of filter.
    #[serde(rename = "Type")]
    pub kind: Option<String>,
    /// For `AFTER_SHARD_ID`.
    pub shard_id: Option<String>,
    /// For `AT_TIMESTAMP` and `FROM_TIMESTAMP`.
    pub timestamp: Option<Time>,
}

/// `PutRecord`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PutRecord {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The record's content.
    pub data: Option<Blob>,
    /// Its MD5 chooses the shard.
    pub partition_key: Option<String>,
    /// Chooses the shard instead of the partition key.
    pub explicit_hash_key: Option<String>,
    /// The sequence number of the client's last record; the order holds without it.
    pub sequence_number_for_ordering: Option<String>,
    /// Check only.
    pub dry_run: Option<bool>,
}

/// `PutRecords`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PutRecords {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The records.
    #[serde(deserialize_with = "bounded::records")]
    pub records: Option<Vec<PutRecordsEntry>>,
    /// Check only.
    pub dry_run: Option<bool>,
}

/// One record of [`PutRecords`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PutRecordsEntry {
    /// The record's content.
    pub data: Option<Blob>,
    /// Its MD5 chooses the shard.
    pub partition_key: Option<String>,
    /// Chooses the shard instead of the partition key.
    pub explicit_hash_key: Option<String>,
}

/// `GetShardIterator`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GetShardIterator {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The shard.
    pub shard_id: Option<String>,
    /// Where to begin.
    pub shard_iterator_type: Option<String>,
    /// For the types `AT_SEQUENCE_NUMBER` and `AFTER_SEQUENCE_NUMBER`.
    pub starting_sequence_number: Option<String>,
    /// For the type `AT_TIMESTAMP`.
    pub timestamp: Option<Time>,
    /// Check only.
    pub dry_run: Option<bool>,
}

/// `GetRecords`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GetRecords {
    /// Where to go on.
    pub shard_iterator: Option<String>,
    /// At most so many records.
    pub limit: Option<i64>,
    /// The stream's ARN; the iterator says it too.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// Check only.
    pub dry_run: Option<bool>,
}
