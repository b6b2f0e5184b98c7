//! OffsetForLeaderEpoch: where an epoch ended, so that consumers notice a truncation (KIP-320).

use kafka_protocol::messages::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
};
use model::LeaderEpoch;

use crate::{
    apis::Api,
    guard::{self, Field},
    questions::Questions,
    request::{Reply, ReplyFuture, Request},
    topics,
};

/// The API's row.
pub const API: Api = Api {
    key: 23,
    name: "OffsetForLeaderEpoch",
    advertised_min: 2,
    served_min: 2,
    version_max: 4,
    flexible_since: 4,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::INT32.since(3),
    guard::structs(&[guard::STRING, guard::structs(&[guard::INT32, guard::INT32, guard::INT32])]),
];

async fn serve(mut request: Request) -> Reply {
    let message: OffsetForLeaderEpochRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut questions = Questions::new();
    {
        let catalog = request.broker.catalog();
        for topic in &message.topics {
            for partition in &topic.partitions {
                let found = topics::named_partition(&catalog, &topic.topic, partition.partition);
                let current = LeaderEpoch(partition.current_leader_epoch);
                let wanted = LeaderEpoch(partition.leader_epoch);
                questions.push(found.map(|topic| (topic, current, wanted)));
            }
        }
    }
    let (asked, places) = questions.split();
    let mut answers = places.fill(request.broker.epoch_end_offsets(asked).await);
    let topics = message.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let result = EpochEndOffset::default().with_partition(partition.partition);
            match answers.take() {
                Ok((epoch, end)) => result.with_leader_epoch(epoch.0).with_end_offset(end.0),
                Err(refusal) => {
                    result.with_error_code(refusal.code).with_leader_epoch(-1).with_end_offset(-1)
                }
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
    });
    reply_to.send(&OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
}
