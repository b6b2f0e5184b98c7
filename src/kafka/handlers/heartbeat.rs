//! Heartbeat: a member of a classic group is alive, and hears whether to rejoin.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use state::groups::classic::Identity;

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 12,
    name: "Heartbeat",
    advertised_min: 0,
    served_min: 0,
    version_max: 4,
    flexible_since: 4,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] =
    &[guard::STRING, guard::INT32, guard::STRING, guard::STRING.since(3).nullable_since(3)];

async fn serve(mut request: Request) -> Reply {
    let message: HeartbeatRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let identity = Identity {
        member_id: message.member_id.to_string(),
        instance_id: message.group_instance_id.map(|id| id.to_string()),
        generation: message.generation_id,
    };
    let outcome = request.broker.group_heartbeat(&message.group_id, identity).await;
    let code = outcome.map_or_else(|error| Refusal::from(error).code, |()| 0);
    reply_to.send(&HeartbeatResponse::default().with_error_code(code))
}
