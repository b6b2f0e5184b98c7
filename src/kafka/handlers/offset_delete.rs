//! OffsetDelete: committed offsets of partitions that no member reads are forgotten.

use kafka_protocol::messages::{
    OffsetDeleteRequest, OffsetDeleteResponse,
    offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    questions::Questions,
    request::{Reply, ReplyFuture, Request},
    topics,
};

/// The API's row. It has no flexible version.
pub const API: Api = Api {
    key: 47,
    name: "OffsetDelete",
    advertised_min: 0,
    served_min: 0,
    version_max: 0,
    flexible_since: i16::MAX,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] =
    &[guard::STRING, guard::structs(&[guard::STRING, guard::structs(&[guard::INT32])])];

async fn serve(mut request: Request) -> Reply {
    let message: OffsetDeleteRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut questions = Questions::new();
    {
        let catalog = request.broker.catalog();
        for topic in &message.topics {
            for partition in &topic.partitions {
                let index = partition.partition_index;
                questions.push(topics::named_partition(&catalog, &topic.name, index));
            }
        }
    }
    let (partitions, places) = questions.split();
    let outcomes = match request.broker.delete_offsets(&message.group_id, partitions).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let code = Refusal::from(error).code;
            return reply_to.send(&OffsetDeleteResponse::default().with_error_code(code));
        }
    };
    let mut answers = places.fill(outcomes);
    let topics = message.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let code = answers.take().map_or_else(|refusal| refusal.code, |()| 0);
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    reply_to.send(&OffsetDeleteResponse::default().with_topics(topics.collect()))
}
