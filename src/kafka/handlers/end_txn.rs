//! EndTxn: a transaction is committed or aborted. Version 5 is that of the second protocol: the
//! answer carries the identity to go on with (KIP-890).

use broker::BrokerError;
use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId as WireProducerId};
use model::{ProducerEpoch, ProducerId};
use state::transactions::{Identity, Protocol};

use crate::{
    apis::Api,
    errors::{self, Refusal},
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 26,
    name: "EndTxn",
    advertised_min: 0,
    served_min: 0,
    version_max: 5,
    flexible_since: 3,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::STRING, guard::INT64, guard::INT16, guard::INT8];

const SECOND_PROTOCOL_SINCE: i16 = 5;

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: EndTxnRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let id = message.transactional_id.as_str();
    let identity = Identity {
        id: ProducerId(message.producer_id.0),
        epoch: ProducerEpoch(message.producer_epoch),
    };
    let protocol = if version >= SECOND_PROTOCOL_SINCE { Protocol::V2 } else { Protocol::V1 };
    let outcome = if id.is_empty() {
        Err(BrokerError::InvalidRequest("A transactional id must not be empty.".into()))
    } else {
        request.broker.end_transaction(id, identity, message.committed, protocol).await
    };
    let response = EndTxnResponse::default();
    let response = match outcome {
        Ok(next) if protocol == Protocol::V2 => {
            response.with_producer_id(WireProducerId(next.id.0)).with_producer_epoch(next.epoch.0)
        }
        Ok(_) => response,
        Err(error) => {
            let code = errors::fenced_since(2, version, Refusal::from(error).code);
            response.with_error_code(code)
        }
    };
    reply_to.send(&response)
}
