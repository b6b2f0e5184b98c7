//! What is told of registered consumers, and of a change of shards.

use serde::Serialize;

use super::{ChildShard, Record};
use crate::wire::Time;

/// `RegisterStreamConsumer`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegisterStreamConsumer {
    /// The new consumer.
    pub consumer: Consumer,
}

/// `DescribeStreamConsumer`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeStreamConsumer {
    /// The consumer.
    pub consumer_description: ConsumerDescription,
}

/// `ListStreamConsumers`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListStreamConsumers {
    /// The consumers by name, a page of them.
    pub consumers: Vec<Consumer>,
    /// For the next call, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// One consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Consumer {
    /// Its name.
    pub consumer_name: String,
    /// Its ARN.
    #[serde(rename = "ConsumerARN")]
    pub consumer_arn: String,
    /// Its state.
    pub consumer_status: &'static str,
    /// When it was registered.
    pub consumer_creation_timestamp: Time,
}

/// One consumer, and whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConsumerDescription {
    /// Its name.
    pub consumer_name: String,
    /// Its ARN.
    #[serde(rename = "ConsumerARN")]
    pub consumer_arn: String,
    /// Its state.
    pub consumer_status: &'static str,
    /// When it was registered.
    pub consumer_creation_timestamp: Time,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: String,
}

/// `UpdateShardCount`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateShardCount {
    /// The stream's name.
    pub stream_name: String,
    /// How many shards were open.
    pub current_shard_count: usize,
    /// How many are.
    pub target_shard_count: usize,
    /// The stream's ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: String,
}

/// `SubscribeToShardEvent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SubscribeToShardEvent {
    /// The records, in order; none in an event that only says how far things are.
    pub records: Vec<Record>,
    /// What to go on after; none at the end of a closed shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuation_sequence_number: Option<String>,
    /// How far behind the shard's end this event is, in ms.
    pub millis_behind_latest: i64,
    /// At the end of a closed shard: where its records go now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub child_shards: Vec<ChildShard>,
}
