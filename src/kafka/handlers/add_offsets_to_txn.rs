//! AddOffsetsToTxn: a consumer group's offsets join a transaction (KIP-98).

use broker::{BrokerError, Joining};
use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
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
    key: 25,
    name: "AddOffsetsToTxn",
    advertised_min: 0,
    served_min: 0,
    version_max: 4,
    flexible_since: 3,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::STRING, guard::INT64, guard::INT16, guard::STRING];

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: AddOffsetsToTxnRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let id = message.transactional_id.as_str();
    let identity = Identity {
        id: ProducerId(message.producer_id.0),
        epoch: ProducerEpoch(message.producer_epoch),
    };
    let outcome = if id.is_empty() {
        Err(BrokerError::InvalidRequest("A transactional id must not be empty.".into()))
    } else {
        let joining = Joining { groups: vec![message.group_id.to_string()], ..Joining::default() };
        request.broker.add_to_transaction(id, identity, joining, Protocol::V1).await
    };
    let code = outcome.err().map_or(0, |error| Refusal::from(error).code);
    let code = errors::fenced_since(2, version, code);
    reply_to.send(&AddOffsetsToTxnResponse::default().with_error_code(code))
}
