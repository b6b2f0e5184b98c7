//! DescribeTopicPartitions (KIP-966): topics in order of name, so many partitions at a time.

use std::collections::BTreeSet;

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
        describe_topic_partitions_response::{
            Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
        },
    },
};
use model::TopicName;
use state::catalog::{Catalog, Topic};

use super::metadata::LEADER_EPOCH;
use crate::{
    apis::Api,
    authorized_operations,
    guard::{self, Field, Shape},
    request::{Reply, ReplyFuture, Request},
    topics::{self, wire_id, wire_index, wire_name},
};

/// The API's row.
pub const API: Api = Api {
    key: 75,
    name: "DescribeTopicPartitions",
    advertised_min: 0,
    served_min: 0,
    version_max: 0,
    flexible_since: 0,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(std::future::ready(answer(request))) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::structs(&[guard::STRING]),
    guard::INT32,
    Field::new(Shape::NullableStruct(&[guard::STRING, guard::INT32])),
];

/// Most partitions in one answer, as Kafka's `max.request.partition.size.limit`.
const PARTITIONS_MAX: usize = 2000;

fn answer(mut request: Request) -> Reply {
    let message: DescribeTopicPartitionsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let (first_topic, first_partition) = match &message.cursor {
        None => (String::new(), 0),
        Some(cursor) => match usize::try_from(cursor.partition_index) {
            Ok(index) => (cursor.topic_name.to_string(), index),
            Err(_) => return Reply::Close("a cursor with a negative partition".to_owned()),
        },
    };
    let catalog = request.broker.catalog();
    let names = names(&catalog, &message, &first_topic);
    let asked = usize::try_from(message.response_partition_limit).unwrap_or(0);
    let mut left = asked.clamp(1, PARTITIONS_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        let Some(topic) = topics::by_name(&catalog, &name) else {
            response.topics.push(refused(&name));
            continue;
        };
        let first = if name == first_topic { first_partition } else { 0 };
        if left == 0 {
            response.next_cursor = Some(cursor(&name, first));
            break;
        }
        let end = topic.partitions.len().min(first.saturating_add(left));
        let count = end.saturating_sub(first);
        response.topics.push(show(topic, first..end, request.broker.node_id()));
        left -= count;
        if end < topic.partitions.len() && end >= first {
            response.next_cursor = Some(cursor(&name, end));
            break;
        }
    }
    reply_to.send(&response)
}

/// The names asked for, or all, in order and from the cursor on.
fn names(
    catalog: &Catalog,
    message: &DescribeTopicPartitionsRequest,
    first: &str,
) -> BTreeSet<String> {
    let from_cursor = |name: &String| name.as_str() >= first;
    if message.topics.is_empty() {
        return catalog.topics().map(|t| t.name.to_string()).filter(from_cursor).collect();
    }
    message.topics.iter().map(|topic| topic.name.to_string()).filter(from_cursor).collect()
}

fn cursor(name: &str, index: usize) -> Cursor {
    Cursor::default().with_topic_name(wire_name(name)).with_partition_index(wire_index(index))
}

fn show(
    topic: &Topic,
    indexes: std::ops::Range<usize>,
    node_id: i32,
) -> DescribeTopicPartitionsResponseTopic {
    let node = BrokerId(node_id);
    let partitions = indexes.map(|index| {
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(wire_index(index))
            .with_leader_id(node)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    });
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire_name(topic.name.as_str())))
        .with_topic_id(wire_id(topic.id))
        .with_is_internal(topics::is_internal(topic.name.as_str()))
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(authorized_operations::TOPIC)
}

fn refused(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match TopicName::new(name) {
        Ok(_) => ResponseError::UnknownTopicOrPartition,
        Err(_) => ResponseError::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire_name(name)))
        .with_error_code(error.code())
}
