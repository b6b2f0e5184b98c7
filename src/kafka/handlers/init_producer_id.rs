//! InitProducerId: an identity for an idempotent producer, or for a transactional one, which
//! fences whoever had its transactional id before.

use broker::NewTransactionalProducer;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use model::ProducerEpoch;
use state::transactions::Identity;

use crate::{
    apis::Api,
    errors::{self, Refusal},
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

/// The first version whose clients know PRODUCER_FENCED (KIP-588).
const FENCED_SINCE: i16 = 4;

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
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
        let response = match begin(&request, transactional_id, &message).await {
            Ok(identity) => InitProducerIdResponse::default()
                .with_producer_id(ProducerId(identity.id.0))
                .with_producer_epoch(identity.epoch.0),
            Err(refusal) => {
                let code = errors::fenced_since(FENCED_SINCE, version, refusal.code);
                refused(Refusal { code, ..refusal })
            }
        };
        return reply_to.send(&response);
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

async fn begin(
    request: &Request,
    transactional_id: &str,
    message: &InitProducerIdRequest,
) -> Result<Identity, Refusal> {
    if transactional_id.is_empty() {
        return Err(Refusal::invalid_request("A transactional id must not be empty."));
    }
    let expected = match (message.producer_id.0, message.producer_epoch) {
        (-1, -1) => None,
        (id, epoch) if id >= 0 && epoch >= 0 => {
            Some(Identity { id: model::ProducerId(id), epoch: ProducerEpoch(epoch) })
        }
        _ => {
            let text = "Producer id and producer epoch must both be given, or neither.";
            return Err(Refusal::invalid_request(text));
        }
    };
    let wanted = NewTransactionalProducer {
        id: transactional_id.to_owned(),
        expected,
        timeout_ms: message.transaction_timeout_ms,
    };
    Ok(request.broker.begin_transactional(wanted).await?)
}
