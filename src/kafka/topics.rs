//! From what a request calls a topic or partition to what the catalog knows.

use std::time::Duration;

use kafka_protocol::{ResponseError, messages::TopicName as WireName, protocol::StrBytes};
use model::{LeaderEpoch, PartitionIndex, TopicId, TopicName, TopicPartition};
use state::catalog::{Catalog, Topic};

use crate::{codec::topic_ref::TopicRef, errors::Refusal};

/// Topics that Kafka marks as its own in metadata.
pub fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state")
}

/// The topic of a name, if it is legal and there is one.
pub fn by_name<'a>(catalog: &'a Catalog, name: &str) -> Option<&'a Topic> {
    catalog.topic(&TopicName::new(name).ok()?)
}

/// The topic, or UNKNOWN_TOPIC_OR_PARTITION or UNKNOWN_TOPIC_ID.
pub fn resolve<'a>(catalog: &'a Catalog, topic: &TopicRef) -> Result<&'a Topic, Refusal> {
    let (found, error) = match topic {
        TopicRef::Name(name) => (by_name(catalog, name), ResponseError::UnknownTopicOrPartition),
        TopicRef::Id(id) => (catalog.topic_by_id(*id), ResponseError::UnknownTopicId),
    };
    found.ok_or_else(|| unknown(error))
}

fn unknown(error: ResponseError) -> Refusal {
    let what = match error {
        ResponseError::UnknownTopicId => "This server does not host this topic ID.",
        _ => "This server does not host this topic-partition.",
    };
    Refusal::new(error, what)
}

/// A refusal as somebody understands it who called the topic so: one that went away under its name was never
/// called by an id.
pub fn refusal_of(topic: &TopicRef, refusal: Refusal) -> Refusal {
    let by_id = refusal.code == ResponseError::UnknownTopicId.code();
    match topic {
        TopicRef::Name(_) if by_id => unknown(ResponseError::UnknownTopicOrPartition),
        TopicRef::Name(_) | TopicRef::Id(_) => refusal,
    }
}

/// The partition of a topic, or UNKNOWN_TOPIC_OR_PARTITION.
pub fn partition(topic: &Topic, index: i32) -> Result<TopicPartition, Refusal> {
    match u32::try_from(index) {
        Ok(index) if (index as usize) < topic.partitions.len() => {
            Ok(TopicPartition { topic: topic.id, partition: PartitionIndex(index) })
        }
        _ => Err(unknown(ResponseError::UnknownTopicOrPartition)),
    }
}

/// The partition of a named topic, or UNKNOWN_TOPIC_OR_PARTITION.
pub fn named_partition(
    catalog: &Catalog,
    name: &str,
    index: i32,
) -> Result<TopicPartition, Refusal> {
    let topic =
        by_name(catalog, name).ok_or_else(|| unknown(ResponseError::UnknownTopicOrPartition))?;
    partition(topic, index)
}

/// A leader epoch as a request has it: negative is "not given".
pub fn leader_epoch(epoch: i32) -> Option<LeaderEpoch> {
    (epoch >= 0).then_some(LeaderEpoch(epoch))
}

/// A time to wait as a request has it: negative is none.
pub fn wait(milliseconds: i32) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

/// A partition's number as the protocol writes it.
pub fn wire_index(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// A topic id as the crate writes it.
pub fn wire_id(id: TopicId) -> uuid::Uuid {
    uuid::Uuid::from_u128(id.0)
}

/// A topic's name as the crate writes it.
pub fn wire_name(name: &str) -> WireName {
    WireName(StrBytes::from_string(name.to_owned()))
}
