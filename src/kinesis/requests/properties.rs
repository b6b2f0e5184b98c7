//! What is asked about a stream's properties and settings.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::StreamModeDetails;
use crate::bounded;

/// `DescribeStream`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DescribeStream {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// At most so many shards.
    pub limit: Option<i64>,
    /// Begin after this shard.
    pub exclusive_start_shard_id: Option<String>,
}

/// `IncreaseStreamRetentionPeriod` and `DecreaseStreamRetentionPeriod`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ChangeRetentionPeriod {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The new period, in hours.
    pub retention_period_hours: Option<i64>,
}

/// `UpdateMaxRecordSize`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateMaxRecordSize {
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The greatest record, data and partition key together.
    #[serde(rename = "MaxRecordSizeInKiB")]
    pub max_record_size_kib: Option<i64>,
}

/// `UpdateStreamMode`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateStreamMode {
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// Provisioned, or on demand.
    pub stream_mode_details: Option<StreamModeDetails>,
    /// The throughput to be ready for, in MiB/s.
    #[serde(rename = "WarmThroughputMiBps")]
    pub warm_throughput_mibps: Option<i64>,
}

/// `UpdateStreamWarmThroughput`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateStreamWarmThroughput {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The throughput to be ready for, in MiB/s.
    #[serde(rename = "WarmThroughputMiBps")]
    pub warm_throughput_mibps: Option<i64>,
}

/// `UpdateStreamRecordDistributionStrategy`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateStreamRecordDistributionStrategy {
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// Who chooses the shard.
    pub record_distribution_strategy: Option<String>,
}

/// `EnableEnhancedMonitoring` and `DisableEnhancedMonitoring`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ChangeEnhancedMonitoring {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// Names of metrics.
    #[serde(deserialize_with = "bounded::metrics")]
    pub shard_level_metrics: Option<Vec<String>>,
}

/// `AddTagsToStream`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddTagsToStream {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// Tags.
    #[serde(deserialize_with = "bounded::tags")]
    pub tags: Option<BTreeMap<String, String>>,
}

/// `RemoveTagsFromStream`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RemoveTagsFromStream {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The keys of tags.
    #[serde(deserialize_with = "bounded::tag_keys")]
    pub tag_keys: Option<Vec<String>>,
}

/// `ListTagsForStream`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListTagsForStream {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// Begin after this key.
    pub exclusive_start_tag_key: Option<String>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// `TagResource`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TagResource {
    /// The ARN of a stream or of a consumer.
    #[serde(rename = "ResourceARN")]
    pub resource_arn: Option<String>,
    /// Tags.
    #[serde(deserialize_with = "bounded::tags")]
    pub tags: Option<BTreeMap<String, String>>,
}

/// `UntagResource`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UntagResource {
    /// The ARN of a stream or of a consumer.
    #[serde(rename = "ResourceARN")]
    pub resource_arn: Option<String>,
    /// The keys of tags.
    #[serde(deserialize_with = "bounded::tag_keys")]
    pub tag_keys: Option<Vec<String>>,
}

/// `ListTagsForResource`, `GetResourcePolicy` and `DeleteResourcePolicy`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OfResource {
    /// The ARN of a stream or of a consumer.
    #[serde(rename = "ResourceARN")]
    pub resource_arn: Option<String>,
}

/// `PutResourcePolicy`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PutResourcePolicy {
    /// The ARN of a stream or of a consumer.
    #[serde(rename = "ResourceARN")]
    pub resource_arn: Option<String>,
    /// The policy, a JSON text.
    pub policy: Option<String>,
}

/// `DescribeLimits` and `DescribeAccountSettings`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OfAccount {}

/// `UpdateAccountSettings`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateAccountSettings {
    /// The commitment to a minimum of throughput.
    pub minimum_throughput_billing_commitment: Option<ThroughputCommitment>,
}

/// `MinimumThroughputBillingCommitmentInput`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThroughputCommitment {
    /// `ENABLED` or `DISABLED`.
    pub status: Option<String>,
}
