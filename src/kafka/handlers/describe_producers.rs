//! DescribeProducers: which producers a partition remembers, and where their transactions began
//! (KIP-664).

use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, ProducerId,
    describe_producers_response::{PartitionResponse, ProducerState, TopicResponse},
};
use state::producers::ProducerView;

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    questions::Questions,
    request::{Reply, ReplyFuture, Request},
    topics,
};

/// The API's row.
pub const API: Api = Api {
    key: 61,
    name: "DescribeProducers",
    advertised_min: 0,
    served_min: 0,
    version_max: 0,
    flexible_since: 0,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::structs(&[guard::STRING, guard::INT32S])];

async fn serve(mut request: Request) -> Reply {
    let message: DescribeProducersRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut questions = Questions::new();
    {
        let catalog = request.broker.catalog();
        for topic in &message.topics {
            for index in &topic.partition_indexes {
                questions.push(topics::named_partition(&catalog, &topic.name, *index));
            }
        }
    }
    let (asked, places) = questions.split();
    let mut answers = places.fill(request.broker.describe_producers(asked).await);
    let described = message.topics.into_iter().map(|topic| {
        let partitions =
            topic.partition_indexes.iter().map(|index| show(*index, answers.take())).collect();
        TopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    reply_to.send(&DescribeProducersResponse::default().with_topics(described.collect()))
}

fn show(index: i32, answer: Result<Vec<ProducerView>, Refusal>) -> PartitionResponse {
    let shown = PartitionResponse::default().with_partition_index(index);
    match answer {
        Err(refusal) => shown.with_error_code(refusal.code).with_error_message(refusal.text()),
        Ok(producers) => {
            let states = producers.iter().map(|producer| {
                ProducerState::default()
                    .with_producer_id(ProducerId(producer.id.0))
                    .with_producer_epoch(i32::from(producer.epoch.0))
                    .with_last_sequence(producer.last_sequence.0)
                    .with_last_timestamp(producer.last_seen.0)
                    // One node coordinates in one term.
                    .with_coordinator_epoch(if producer.has_marker { 0 } else { -1 })
                    .with_current_txn_start_offset(
                        producer.transaction_start.map_or(-1, |offset| offset.0),
                    )
            });
            shown.with_active_producers(states.collect())
        }
    }
}
