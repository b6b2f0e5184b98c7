//! DescribeTransactions: what is known of transactional ids (KIP-664).

use std::collections::BTreeMap;

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId,
        describe_transactions_response::{TopicData, TransactionState},
    },
    protocol::StrBytes,
};
use state::{catalog::Catalog, transactions::Transaction};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
    topics,
};

/// The API's row.
pub const API: Api = Api {
    key: 65,
    name: "DescribeTransactions",
    advertised_min: 0,
    served_min: 0,
    version_max: 0,
    flexible_since: 0,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::STRINGS];

async fn serve(mut request: Request) -> Reply {
    let message: DescribeTransactionsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut states = Vec::with_capacity(message.transactional_ids.len());
    for id in message.transactional_ids {
        let outcome = request.broker.describe_transaction(&id).await;
        let shown = TransactionState::default().with_transactional_id(id.clone());
        states.push(match outcome {
            Ok(Some(transaction)) => show(shown, &request.broker.catalog(), &transaction),
            Ok(None) if id.is_empty() => {
                shown.with_error_code(ResponseError::InvalidRequest.code())
            }
            Ok(None) => shown.with_error_code(ResponseError::TransactionalIdNotFound.code()),
            Err(error) => shown.with_error_code(Refusal::from(error).code),
        });
    }
    reply_to.send(&DescribeTransactionsResponse::default().with_transaction_states(states))
}

fn show(shown: TransactionState, catalog: &Catalog, transaction: &Transaction) -> TransactionState {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in &transaction.partitions {
        // A topic that was deleted since has no name any more.
        let Some(topic) = catalog.topic_by_id(partition.topic) else { continue };
        let index = topics::wire_index(partition.partition.0 as usize);
        by_topic.entry(topic.name.as_str()).or_default().push(index);
    }
    let topics = by_topic.into_iter().map(|(name, partitions)| {
        TopicData::default().with_topic(topics::wire_name(name)).with_partitions(partitions)
    });
    shown
        .with_transaction_state(StrBytes::from_static_str(transaction.status.name()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(transaction.started.0)
        .with_producer_id(ProducerId(transaction.identity.id.0))
        .with_producer_epoch(transaction.identity.epoch.0)
        .with_topics(topics.collect())
}
