//! ListTransactions: the transactional ids of this broker, filtered (KIP-664, KIP-994).

use broker::TransactionFilter;
use kafka_protocol::{
    messages::{
        ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId,
        list_transactions_response::TransactionState,
    },
    protocol::StrBytes,
};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field, Shape},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 66,
    name: "ListTransactions",
    advertised_min: 0,
    served_min: 0,
    version_max: 1,
    flexible_since: 0,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] =
    &[guard::STRINGS, Field::new(Shape::Values(&Shape::Fixed(8))), guard::INT64.since(1)];

/// The states that a filter may name; Kafka knows two more, in which nothing ever is for long.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

async fn serve(mut request: Request) -> Reply {
    let message: ListTransactionsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let (known, unknown): (Vec<StrBytes>, Vec<StrBytes>) =
        message.state_filters.into_iter().partition(|state| STATES.contains(&state.as_str()));
    let response = ListTransactionsResponse::default();
    // Nothing is in a state that does not exist.
    if known.is_empty() && !unknown.is_empty() {
        return reply_to.send(&response.with_unknown_state_filters(unknown));
    }
    let filter = TransactionFilter {
        states: known.iter().map(ToString::to_string).collect(),
        producer_ids: message.producer_id_filters.iter().map(|id| id.0).collect(),
        open_for_ms: (message.duration_filter >= 0).then_some(message.duration_filter),
    };
    let response = response.with_unknown_state_filters(unknown);
    match request.broker.list_transactions(filter).await {
        Err(error) => reply_to.send(&response.with_error_code(Refusal::from(error).code)),
        Ok(listed) => {
            let states = listed.into_iter().map(|it| {
                TransactionState::default()
                    .with_transactional_id(TransactionalId(StrBytes::from_string(it.id)))
                    .with_producer_id(ProducerId(it.producer.0))
                    .with_transaction_state(StrBytes::from_static_str(it.status.name()))
            });
            reply_to.send(&response.with_transaction_states(states.collect()))
        }
    }
}
