//! OffsetCommit: how far a group has read.

use broker::{CommitOffsets, OffsetToCommit};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse,
    offset_commit_request::OffsetCommitRequestPartition,
    offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
};
use model::Offset;
use state::{catalog::Catalog, groups::classic::Identity};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    questions::Questions,
    request::{Reply, ReplyFuture, Request},
    topics,
};

/// The API's row. Version 10 names topics by id; the `kafka-protocol` crate does not know it yet.
pub const API: Api = Api {
    key: 8,
    name: "OffsetCommit",
    advertised_min: 2,
    served_min: 2,
    version_max: 9,
    flexible_since: 8,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::STRING,
    guard::INT32,
    guard::STRING,
    guard::STRING.since(7).nullable_since(7),
    guard::INT64.until(4),
    guard::structs(&[
        guard::STRING,
        guard::structs(&[
            guard::INT32,
            guard::INT64,
            guard::INT32.since(6),
            guard::STRING.nullable_since(0),
        ]),
    ]),
];

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: OffsetCommitRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut questions = Questions::new();
    {
        let catalog = request.broker.catalog();
        for topic in &message.topics {
            for partition in &topic.partitions {
                questions.push(offset_of(&catalog, &topic.name, partition));
            }
        }
    }
    let (offsets, places) = questions.split();
    let count = offsets.len();
    let commit = CommitOffsets {
        group: message.group_id.to_string(),
        caller: Identity {
            member_id: message.member_id.to_string(),
            instance_id: message.group_instance_id.as_ref().map(ToString::to_string),
            generation: message.generation_id_or_member_epoch,
        },
        version,
        retention_ms: (message.retention_time_ms >= 0).then_some(message.retention_time_ms),
        offsets,
    };
    // What a group refuses, it refuses for every partition.
    let outcomes = match request.broker.commit_offsets(commit).await {
        Ok(outcomes) => outcomes.into_iter().map(|o| o.map_err(Refusal::from)).collect(),
        Err(error) => vec![Err(Refusal::from(error)); count],
    };
    let mut answers = places.fill(outcomes);
    let topics = message.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let code = answers.take().map_or_else(|refusal| refusal.code, |()| 0);
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    reply_to.send(&OffsetCommitResponse::default().with_topics(topics.collect()))
}

fn offset_of(
    catalog: &Catalog,
    topic: &str,
    partition: &OffsetCommitRequestPartition,
) -> Result<OffsetToCommit, Refusal> {
    let metadata = partition.committed_metadata.as_ref();
    Ok(OffsetToCommit {
        partition: topics::named_partition(catalog, topic, partition.partition_index)?,
        offset: Offset(partition.committed_offset),
        leader_epoch: partition.committed_leader_epoch,
        metadata: metadata.map_or_else(String::new, ToString::to_string),
    })
}
