//! OffsetFetch: how far groups have read.
//!
//! Versions up to 7 ask for one group, later ones for several; a question of one group is made one
//! of several, and the answer is written in the form of the version.

use std::collections::BTreeMap;

use broker::{CommittedOffset, FetchOffsets, FetchedOffset};
use kafka_protocol::{
    messages::{
        OffsetFetchRequest, OffsetFetchResponse, TopicName as WireName,
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
    protocol::StrBytes,
};
use model::{TopicId, TopicPartition};
use state::catalog::Catalog;

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
    topics,
};

/// The API's row. Version 10 names topics by id; the `kafka-protocol` crate does not know it yet.
pub const API: Api = Api {
    key: 9,
    name: "OffsetFetch",
    advertised_min: 1,
    served_min: 1,
    version_max: 9,
    flexible_since: 6,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::STRING.until(7),
    guard::structs(&[guard::STRING, guard::INT32S]).until(7).nullable_since(2),
    guard::structs(&[
        guard::STRING,
        guard::STRING.since(9).nullable_since(9),
        guard::INT32.since(9),
        guard::structs(&[guard::STRING, guard::INT32S]).nullable_since(0),
    ])
    .since(BATCHED_SINCE),
    guard::INT8.since(7),
];

/// The first version with several groups.
const BATCHED_SINCE: i16 = 8;
/// The first version in which an error of the whole group has a place.
const GROUP_ERROR_SINCE: i16 = 2;

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let mut message: OffsetFetchRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let stable = message.require_stable;
    if version >= BATCHED_SINCE {
        let mut groups = Vec::with_capacity(message.groups.len());
        for group in message.groups {
            groups.push(answer(&request, group, stable).await);
        }
        return reply_to.send(&OffsetFetchResponse::default().with_groups(groups));
    }
    let topics = message.topics.take().map(|topics| {
        let topics = topics.into_iter().map(|topic| {
            OffsetFetchRequestTopics::default()
                .with_name(topic.name)
                .with_partition_indexes(topic.partition_indexes)
        });
        topics.collect()
    });
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(message.group_id)
        .with_member_epoch(-1)
        .with_topics(topics);
    let asked = group.topics.clone();
    let answered = answer(&request, group, stable).await;
    reply_to.send(&of_one_group(version, asked, answered))
}

/// The answer about one group as versions before 8 have it.
fn of_one_group(
    version: i16,
    asked: Option<Vec<OffsetFetchRequestTopics>>,
    answered: OffsetFetchResponseGroup,
) -> OffsetFetchResponse {
    let code = answered.error_code;
    if code != 0 && version < GROUP_ERROR_SINCE {
        // Version 1 tells it with every partition.
        let topics = asked.unwrap_or_default().into_iter().map(|topic| {
            let partitions = topic.partition_indexes.iter();
            let partitions = partitions.map(|index| plain(missing(*index).with_error_code(code)));
            OffsetFetchResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(partitions.collect())
        });
        return OffsetFetchResponse::default().with_topics(topics.collect());
    }
    let topics = answered.topics.into_iter().map(|topic| {
        OffsetFetchResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(topic.partitions.into_iter().map(plain).collect())
    });
    OffsetFetchResponse::default().with_error_code(code).with_topics(topics.collect())
}

fn plain(partition: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition::default()
        .with_partition_index(partition.partition_index)
        .with_committed_offset(partition.committed_offset)
        .with_committed_leader_epoch(partition.committed_leader_epoch)
        .with_metadata(partition.metadata)
        .with_error_code(partition.error_code)
}

/// A topic as it is asked for, and what its partitions are here.
struct Asked {
    topic: OffsetFetchRequestTopics,
    partitions: Vec<(i32, Option<TopicPartition>)>,
}

async fn answer(
    request: &Request,
    group: OffsetFetchRequestGroup,
    stable: bool,
) -> OffsetFetchResponseGroup {
    let asked: Option<Vec<Asked>> = {
        let catalog = request.broker.catalog();
        let resolve = |topic| resolve(&catalog, topic);
        group.topics.map(|topics| topics.into_iter().map(resolve).collect())
    };
    let partitions = asked.as_ref().map(|topics| {
        topics.iter().flat_map(|topic| &topic.partitions).filter_map(|(_, known)| *known).collect()
    });
    let fetch = FetchOffsets {
        group: group.group_id.to_string(),
        member_id: group.member_id.as_ref().map(ToString::to_string),
        member_epoch: group.member_epoch,
        partitions,
        stable,
    };
    let response = OffsetFetchResponseGroup::default().with_group_id(group.group_id);
    match request.broker.fetch_offsets(fetch).await {
        Err(error) => response.with_error_code(Refusal::from(error).code),
        Ok(fetched) => response.with_topics(match asked {
            Some(asked) => in_order_asked(asked, fetched),
            None => by_topic(&request.broker.catalog(), fetched),
        }),
    }
}

fn resolve(catalog: &Catalog, topic: OffsetFetchRequestTopics) -> Asked {
    let found = topics::by_name(catalog, &topic.name);
    let of = |index: &i32| found.and_then(|topic| topics::partition(topic, *index).ok());
    let partitions = topic.partition_indexes.iter().map(|index| (*index, of(index))).collect();
    Asked { topic, partitions }
}

/// What is not there has no offset, as Kafka answers.
fn in_order_asked(
    asked: Vec<Asked>,
    fetched: Vec<FetchedOffset>,
) -> Vec<OffsetFetchResponseTopics> {
    let mut fetched = fetched.into_iter();
    let topics = asked.into_iter().map(|Asked { topic, partitions }| {
        let partitions =
            partitions.into_iter().map(|(index, known)| match known.and_then(|_| fetched.next()) {
                Some((_, found)) => show(index, found),
                None => missing(index),
            });
        let partitions = partitions.collect();
        OffsetFetchResponseTopics::default().with_name(topic.name).with_partitions(partitions)
    });
    topics.collect()
}

fn by_topic(catalog: &Catalog, fetched: Vec<FetchedOffset>) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: BTreeMap<TopicId, Vec<OffsetFetchResponsePartitions>> = BTreeMap::new();
    for (TopicPartition { topic, partition }, found) in fetched {
        let index = i32::try_from(partition.0).unwrap_or(i32::MAX);
        topics.entry(topic).or_default().push(show(index, found));
    }
    let named = topics.into_iter().filter_map(|(id, partitions)| {
        let name: WireName = topics::wire_name(catalog.topic_by_id(id)?.name.as_str());
        let topic = OffsetFetchResponseTopics::default().with_name(name);
        Some(topic.with_partitions(partitions))
    });
    named.collect()
}

fn show(
    index: i32,
    found: Result<Option<CommittedOffset>, broker::BrokerError>,
) -> OffsetFetchResponsePartitions {
    match found {
        Ok(Some(committed)) => OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(committed.offset.0)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(StrBytes::from_string(committed.metadata))),
        Ok(None) => missing(index),
        Err(error) => missing(index).with_error_code(Refusal::from(error).code),
    }
}

fn missing(index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_committed_offset(-1)
        .with_committed_leader_epoch(-1)
        .with_metadata(Some(StrBytes::default()))
}
