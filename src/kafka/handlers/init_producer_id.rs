//! InitProducerId: an identity for an idempotent producer.

use kafka_protocol::{
    ResponseError,
    messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId},
};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 22,
    name: "InitProducerId",
    advertised_min: 0,
    served_min: 0,
    version_max: 5,
    flexible_since: 2,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] =
    &[guard::STRING.nullable_since(0), guard::INT32, guard::INT64.since(3), guard::INT16.since(3)];

async fn serve(mut request: Request) -> Reply {
    let message: InitProducerIdRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let refused = |refusal: Refusal| {
        InitProducerIdResponse::default()
            .with_error_code(refusal.code)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if let Some(transactional_id) = &message.transactional_id {
        if transactional_id.is_empty() {
            let text = "A transactional id must not be empty.";
            return reply_to.send(&refused(Refusal::invalid_request(text)));
        }
        // A reply has no place for a text, so the log says why. The code is one after which
        // clients give up, as they should: retrying cannot help.
        tracing::info!(
            transactional_id = transactional_id.as_str(),
            "a transactional producer was refused: this broker has no transactions yet"
        );
        let text = "Transactions are not supported by this broker.";
        let refusal = Refusal::new(ResponseError::TransactionalIdAuthorizationFailed, text);
        return reply_to.send(&refused(refusal));
    }
    // A producer without a transactional id always gets a new identity, whatever it had before.
    let response = match request.broker.allocate_producer_id().await {
        Ok((id, epoch)) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id.0))
            .with_producer_epoch(epoch.0),
        Err(error) => refused(Refusal::from(error)),
    };
    reply_to.send(&response)
}
