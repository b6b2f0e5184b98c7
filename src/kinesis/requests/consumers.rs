//! What is asked about registered consumers.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{bounded, wire::Time};

/// `RegisterStreamConsumer`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegisterStreamConsumer {
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The consumer's name.
    pub consumer_name: Option<String>,
    /// Tags.
    #[serde(deserialize_with = "bounded::tags")]
    pub tags: Option<BTreeMap<String, String>>,
}

/// `DescribeStreamConsumer` and `DeregisterStreamConsumer`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OfConsumer {
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// The consumer's name.
    pub consumer_name: Option<String>,
    /// The consumer's ARN.
    #[serde(rename = "ConsumerARN")]
    pub consumer_arn: Option<String>,
}

/// `ListStreamConsumers`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListStreamConsumers {
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    /// Go on where an earlier answer ended.
    pub next_token: Option<String>,
    /// At most so many.
    pub max_results: Option<i64>,
    /// Tells a stream from an earlier one of the same name.
    pub stream_creation_timestamp: Option<Time>,
}

/// `SubscribeToShard`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SubscribeToShard {
    /// The consumer's ARN.
    #[serde(rename = "ConsumerARN")]
    pub consumer_arn: Option<String>,
    /// The shard.
    pub shard_id: Option<String>,
    /// Where to begin.
    pub starting_position: Option<StartingPosition>,
    /// Check only.
    pub dry_run: Option<bool>,
}

/// `StartingPosition`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StartingPosition {
    /// One of the five types that a shard iterator can have.
    #[serde(rename = "Type")]
    pub kind: Option<String>,
    /// For `AT_SEQUENCE_NUMBER` and `AFTER_SEQUENCE_NUMBER`.
    pub sequence_number: Option<String>,
    /// For `AT_TIMESTAMP`.
    pub timestamp: Option<Time>,
}
