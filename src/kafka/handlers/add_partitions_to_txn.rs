//! AddPartitionsToTxn: partitions join a transaction before they are written to. From version 4 on
//! it is what brokers ask each other (KIP-890): several transactions at once, and only to verify.

use broker::{Broker, BrokerError, Joining};
use kafka_protocol::{
    ResponseError,
    messages::{
        AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
        add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
        add_partitions_to_txn_response::{
            AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult,
            AddPartitionsToTxnTopicResult,
        },
    },
};
use model::TopicPartition;
use state::transactions::{Identity, Protocol};
use std::rc::Rc;

use crate::{
    apis::Api,
    errors::{self, Refusal},
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
    topics,
};

/// The API's row.
pub const API: Api = Api {
    key: 24,
    name: "AddPartitionsToTxn",
    advertised_min: 0,
    served_min: 0,
    version_max: 5,
    flexible_since: 3,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const TOPICS: Field = guard::structs(&[guard::STRING, guard::INT32S]);

const BODY: &[Field] = &[
    guard::structs(&[guard::STRING, guard::INT64, guard::INT16, guard::INT8, TOPICS]).since(4),
    guard::STRING.until(3),
    guard::INT64.until(3),
    guard::INT16.until(3),
    TOPICS.until(3),
];

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: AddPartitionsToTxnRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let response = AddPartitionsToTxnResponse::default();
    if version < 4 {
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(message.v3_and_below_transactional_id)
            .with_producer_id(message.v3_and_below_producer_id)
            .with_producer_epoch(message.v3_and_below_producer_epoch)
            .with_topics(message.v3_and_below_topics);
        let results = answer(&request.broker, version, &transaction).await;
        return reply_to.send(&response.with_results_by_topic_v3_and_below(results));
    }
    let mut results = Vec::with_capacity(message.transactions.len());
    for transaction in &message.transactions {
        let topics = answer(&request.broker, version, transaction).await;
        let result = AddPartitionsToTxnResult::default()
            .with_transactional_id(transaction.transactional_id.clone())
            .with_topic_results(topics);
        results.push(result);
    }
    reply_to.send(&response.with_results_by_transaction(results))
}

/// All partitions of a transaction are added, or none.
async fn answer(
    broker: &Rc<Broker>,
    version: i16,
    transaction: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let found: Vec<Result<TopicPartition, Refusal>> = {
        let catalog = broker.catalog();
        let of_topic = |topic: &AddPartitionsToTxnTopic| {
            let name = topic.name.clone();
            topic.partitions.clone().into_iter().map(move |index| (name.clone(), index))
        };
        let wanted = transaction.topics.iter().flat_map(of_topic);
        wanted.map(|(name, index)| topics::named_partition(&catalog, &name, index)).collect()
    };
    let codes: Vec<i16> = if found.iter().any(Result::is_err) {
        let not_attempted = ResponseError::OperationNotAttempted.code();
        found.iter().map(|it| it.as_ref().err().map_or(not_attempted, |it| it.code)).collect()
    } else {
        let partitions: Vec<TopicPartition> = found.into_iter().flatten().collect();
        let count = partitions.len();
        match ask(broker, transaction, partitions).await {
            Ok(codes) => codes,
            Err(error) => {
                let code = errors::fenced_since(2, version, Refusal::from(error).code);
                vec![code; count]
            }
        }
    };
    let mut codes = codes.into_iter();
    let results = transaction.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(codes.next().unwrap_or(-1))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    results.collect()
}

async fn ask(
    broker: &Rc<Broker>,
    transaction: &AddPartitionsToTxnTransaction,
    partitions: Vec<TopicPartition>,
) -> Result<Vec<i16>, BrokerError> {
    let id = transaction.transactional_id.as_str();
    if id.is_empty() {
        return Err(BrokerError::InvalidRequest("A transactional id must not be empty.".into()));
    }
    let identity = Identity {
        id: model::ProducerId(transaction.producer_id.0),
        epoch: model::ProducerEpoch(transaction.producer_epoch),
    };
    let count = partitions.len();
    if transaction.verify_only {
        let verified = broker.verify_in_transaction(id, identity, partitions).await?;
        let missing = ResponseError::TransactionAbortable.code();
        return Ok(verified.into_iter().map(|is_in| if is_in { 0 } else { missing }).collect());
    }
    let joining = Joining { partitions, ..Joining::default() };
    broker.add_to_transaction(id, identity, joining, Protocol::V1).await?;
    Ok(vec![0; count])
}
