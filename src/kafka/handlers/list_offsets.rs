//! ListOffsets: the first or last offset, or that of a time.

use broker::{FoundOffset, OffsetQuery, OffsetSpec};
use kafka_protocol::{
    ResponseError,
    messages::{
        ListOffsetsRequest, ListOffsetsResponse,
        list_offsets_request::ListOffsetsPartition,
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
    },
};
use model::Timestamp;
use state::catalog::Catalog;

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    questions::Questions,
    request::{Reply, ReplyFuture, Request},
    topics,
};

/// The API's row. Version 11 (KIP-1023) has the schema of 10 and one more special timestamp.
pub const API: Api = Api {
    key: 2,
    name: "ListOffsets",
    advertised_min: 1,
    served_min: 1,
    version_max: 11,
    flexible_since: 6,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::INT32,
    guard::INT8.since(2),
    guard::structs(&[
        guard::STRING,
        guard::structs(&[guard::INT32, guard::INT32.since(4), guard::INT64]),
    ]),
    guard::INT32.since(10),
];

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: ListOffsetsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let questions = ask(&request.broker.catalog(), version, &message);
    let (asked, places) = questions.split();
    let mut answers = places.fill(request.broker.list_offsets(asked).await);
    let topics = message.topics.into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| show(version, partition.partition_index, answers.take()))
            .collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    reply_to.send(&ListOffsetsResponse::default().with_topics(topics.collect()))
}

fn ask(catalog: &Catalog, version: i16, message: &ListOffsetsRequest) -> Questions<OffsetQuery> {
    let mut questions = Questions::new();
    let repeated = repeated_partitions(message);
    for topic in &message.topics {
        for partition in &topic.partitions {
            if repeated.contains(&(topic.name.as_str(), partition.partition_index)) {
                questions.push(Err(Refusal::invalid_request("The partition is asked for twice.")));
                continue;
            }
            let read_committed = message.isolation_level == 1;
            questions.push(question(catalog, version, &topic.name, partition, read_committed));
        }
    }
    questions
}

/// Partitions that stand in the request more than once: Kafka answers INVALID_REQUEST for them.
fn repeated_partitions(message: &ListOffsetsRequest) -> std::collections::BTreeSet<(&str, i32)> {
    let mut seen = std::collections::BTreeSet::new();
    let mut repeated = std::collections::BTreeSet::new();
    for topic in &message.topics {
        for partition in &topic.partitions {
            let key = (topic.name.as_str(), partition.partition_index);
            if !seen.insert(key) {
                repeated.insert(key);
            }
        }
    }
    repeated
}

fn question(
    catalog: &Catalog,
    version: i16,
    name: &str,
    partition: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<OffsetQuery, Refusal> {
    let topic = topics::named_partition(catalog, name, partition.partition_index)?;
    let Some(at) = spec(version, partition.timestamp) else {
        return Err(Refusal::new(
            ResponseError::UnsupportedVersion,
            format!("Timestamp {} is not known in version {version}.", partition.timestamp),
        ));
    };
    let leader_epoch = topics::leader_epoch(partition.current_leader_epoch);
    Ok(OffsetQuery { topic, at, read_committed, leader_epoch })
}

/// What a timestamp means; `None` where the version does not know it.
fn spec(version: i16, timestamp: i64) -> Option<OffsetSpec> {
    match timestamp {
        0.. => Some(OffsetSpec::Timestamp(Timestamp(timestamp))),
        -1 => Some(OffsetSpec::Latest),
        -2 => Some(OffsetSpec::Earliest),
        -3 if version >= 7 => Some(OffsetSpec::MaxTimestamp),
        // The earliest local offset (KIP-405): all is local.
        -4 if version >= 8 => Some(OffsetSpec::Earliest),
        // The last tiered (KIP-1005) and the first not yet tiered (KIP-1023): nothing is tiered.
        -5 if version >= 9 => Some(OffsetSpec::LatestTiered),
        -6 if version >= 11 => Some(OffsetSpec::LatestTiered),
        _ => None,
    }
}

fn show(
    version: i16,
    index: i32,
    answer: Result<Option<FoundOffset>, Refusal>,
) -> ListOffsetsPartitionResponse {
    // Nothing found and an error both show offset -1 and timestamp -1.
    let shown = ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_offset(-1)
        .with_timestamp(-1)
        .with_leader_epoch(-1);
    match answer {
        Err(refusal) => shown.with_error_code(refusal.code),
        Ok(None) => shown,
        Ok(Some(found)) => {
            let epoch = if version >= 4 { found.leader_epoch.0 } else { -1 };
            shown
                .with_offset(found.offset.0)
                .with_timestamp(found.timestamp.0)
                .with_leader_epoch(epoch)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_count_from_their_versions_on() {
        assert_eq!(spec(1, -2), Some(OffsetSpec::Earliest));
        assert_eq!(spec(1, -1), Some(OffsetSpec::Latest));
        assert_eq!((spec(6, -3), spec(7, -3)), (None, Some(OffsetSpec::MaxTimestamp)));
        assert_eq!((spec(7, -4), spec(8, -4)), (None, Some(OffsetSpec::Earliest)));
        assert_eq!((spec(8, -5), spec(9, -5)), (None, Some(OffsetSpec::LatestTiered)));
        assert_eq!((spec(10, -6), spec(11, -6)), (None, Some(OffsetSpec::LatestTiered)));
        assert_eq!(spec(11, -7), None);
    }
}
