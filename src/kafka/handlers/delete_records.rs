//! DeleteRecords: moves a partition's first offset forward.

use kafka_protocol::{
    ResponseError,
    messages::{
        DeleteRecordsRequest, DeleteRecordsResponse,
        delete_records_request::DeleteRecordsPartition,
        delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
    },
};
use model::{Offset, TopicPartition};
use state::catalog::Catalog;

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
    key: 21,
    name: "DeleteRecords",
    advertised_min: 0,
    served_min: 0,
    version_max: 2,
    flexible_since: 2,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::structs(&[guard::STRING, guard::structs(&[guard::INT32, guard::INT64])]),
    guard::INT32,
];

async fn serve(mut request: Request) -> Reply {
    let message: DeleteRecordsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut questions = Questions::new();
    {
        let catalog = request.broker.catalog();
        for topic in &message.topics {
            for partition in &topic.partitions {
                questions.push(question(&catalog, &topic.name, partition));
            }
        }
    }
    let (asked, places) = questions.split();
    let mut answers = places.fill(request.broker.delete_records(asked).await);
    let topics = message.topics.into_iter().map(|topic| {
        let results = topic.partitions.iter().map(|partition| {
            let result = DeleteRecordsPartitionResult::default()
                .with_partition_index(partition.partition_index);
            match answers.take() {
                Ok(low_watermark) => result.with_low_watermark(low_watermark.0),
                Err(refusal) => result.with_low_watermark(-1).with_error_code(refusal.code),
            }
        });
        let results = results.collect();
        DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(results)
    });
    reply_to.send(&DeleteRecordsResponse::default().with_topics(topics.collect()))
}

/// Offset -1 means everything up to the high watermark.
fn question(
    catalog: &Catalog,
    name: &str,
    partition: &DeleteRecordsPartition,
) -> Result<(TopicPartition, Option<Offset>), Refusal> {
    let topic = topics::named_partition(catalog, name, partition.partition_index)?;
    match partition.offset {
        -1 => Ok((topic, None)),
        0.. => Ok((topic, Some(Offset(partition.offset)))),
        _ => Err(Refusal::new(
            ResponseError::OffsetOutOfRange,
            format!("The offset {} is negative.", partition.offset),
        )),
    }
}
