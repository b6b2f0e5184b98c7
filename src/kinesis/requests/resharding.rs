//! What is asked to split and merge shards.

use serde::Deserialize;

/// `SplitShard`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SplitShard {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The shard.
    pub shard_to_split: Option<String>,
    /// The first hash key of the upper child.
    pub new_starting_hash_key: Option<String>,
}

/// `MergeShards`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MergeShards {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The shard whose partition goes on.
    pub shard_to_merge: Option<String>,
    /// Its neighbour.
    pub adjacent_shard_to_merge: Option<String>,
}

/// `UpdateShardCount`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateShardCount {
    /// The stream's name.
    pub stream_name: Option<String>,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// How many open shards.
    pub target_shard_count: Option<i64>,
    /// `UNIFORM_SCALING`.
    pub scaling_type: Option<String>,
}
