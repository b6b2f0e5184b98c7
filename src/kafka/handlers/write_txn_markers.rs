//! WriteTxnMarkers: an administrator ends a transaction that hangs (KIP-664).

use kafka_protocol::messages::{
    WriteTxnMarkersRequest, WriteTxnMarkersResponse,
    write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    },
};
use model::{ProducerEpoch, ProducerId};

use crate::{
    apis::Api,
    errors,
    guard::{self, Field},
    questions::Questions,
    request::{Reply, ReplyFuture, Request},
    topics,
};

/// The API's row.
pub const API: Api = Api {
    key: 27,
    name: "WriteTxnMarkers",
    advertised_min: 1,
    served_min: 1,
    version_max: 1,
    flexible_since: 1,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::structs(&[
    guard::INT64,
    guard::INT16,
    guard::INT8,
    guard::structs(&[guard::STRING, guard::INT32S]),
    guard::INT32,
])];

async fn serve(mut request: Request) -> Reply {
    let message: WriteTxnMarkersRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut questions = Questions::new();
    {
        let catalog = request.broker.catalog();
        for marker in &message.markers {
            let producer = ProducerId(marker.producer_id.0);
            let epoch = ProducerEpoch(marker.producer_epoch);
            let end = broker::marker(producer, epoch, marker.transaction_result);
            for topic in &marker.topics {
                for index in &topic.partition_indexes {
                    let partition = topics::named_partition(&catalog, &topic.name, *index);
                    questions.push(partition.map(|partition| (partition, end)));
                }
            }
        }
    }
    let (asked, places) = questions.split();
    let mut answers = places.fill(request.broker.write_markers(asked).await);
    let results = message.markers.iter().map(|marker| {
        let topics = marker.topics.iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                let (code, _) = errors::code_and_text(&answers.take());
                WritableTxnMarkerPartitionResult::default()
                    .with_partition_index(*index)
                    .with_error_code(code)
            });
            WritableTxnMarkerTopicResult::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        WritableTxnMarkerResult::default()
            .with_producer_id(marker.producer_id)
            .with_topics(topics.collect())
    });
    reply_to.send(&WriteTxnMarkersResponse::default().with_markers(results.collect()))
}
