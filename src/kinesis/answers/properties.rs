//! What is told of a stream's properties and settings.

use serde::Serialize;

use super::{EnhancedMetrics, Shard, StreamModeDetails};
use crate::wire::Time;

/// `DescribeStream`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeStream {
    /// The stream.
    pub stream_description: StreamDescription,
}

/// All that DescribeStream tells.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamDescription {
    /// Its name.
    pub stream_name: String,
    /// Its ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: String,
    /// Its state.
    pub stream_status: &'static str,
    /// Provisioned, or on demand.
    pub stream_mode_details: StreamModeDetails,
    /// Its shards by number, a page of them.
    pub shards: Vec<Shard>,
    /// Whether there are more.
    pub has_more_shards: bool,
    /// How long records are kept, in hours.
    pub retention_period_hours: i64,
    /// When it was made.
    pub stream_creation_timestamp: Time,
    /// Shard-level metrics that are on.
    pub enhanced_monitoring: [EnhancedMetrics; 1],
    /// `NONE`: encryption by KMS is not served.
    pub encryption_type: &'static str,
}

/// `WarmThroughputObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WarmThroughput {
    /// What it was told to be ready for, in MiB/s.
    #[serde(rename = "TargetMiBps")]
    pub target_mibps: u32,
    /// What it is ready for. The same, because nothing limits a stream's throughput here.
    #[serde(rename = "CurrentMiBps")]
    pub current_mibps: u32,
}

/// `UpdateStreamWarmThroughput`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateStreamWarmThroughput {
    /// The stream's name.
    pub stream_name: String,
    /// Its ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: String,
    /// What it is ready for now.
    pub warm_throughput: WarmThroughput,
}

/// `EnableEnhancedMonitoring` and `DisableEnhancedMonitoring`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnhancedMonitoring {
    /// The stream's name.
    pub stream_name: String,
    /// Its ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: String,
    /// The metrics that were on before.
    pub current_shard_level_metrics: Vec<String>,
    /// The metrics that are on now.
    pub desired_shard_level_metrics: Vec<String>,
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// `ListTagsForStream`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTagsForStream {
    /// Tags by key, a page of them.
    pub tags: Vec<Tag>,
    /// Whether there are more.
    pub has_more_tags: bool,
}

/// `ListTagsForResource`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTagsForResource {
    /// All tags by key.
    pub tags: Vec<Tag>,
}

/// `GetResourcePolicy`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetResourcePolicy {
    /// The policy as it was put, or `{}`.
    pub policy: String,
}

/// `DescribeLimits`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeLimits {
    /// How many shards there can be.
    pub shard_limit: usize,
    /// How many are open.
    pub open_shard_count: usize,
    /// How many streams are on demand.
    pub on_demand_stream_count: usize,
    /// How many can be.
    pub on_demand_stream_count_limit: usize,
    /// Channels: none.
    pub channel_count: u32,
    /// Nor can there be any.
    pub channel_count_limit: u32,
}

/// `DescribeAccountSettings` and `UpdateAccountSettings`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountSettings {
    /// The commitment to a minimum of throughput.
    pub minimum_throughput_billing_commitment: ThroughputCommitment,
}

/// `MinimumThroughputBillingCommitmentOutput`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ThroughputCommitment {
    /// `ENABLED` or `DISABLED`.
    pub status: &'static str,
    /// When it was last begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it was last ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
}
