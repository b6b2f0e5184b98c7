//! SyncGroup: the leader of a classic group brings the assignment, every member fetches its own.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use kafka_protocol::{
    messages::{SyncGroupRequest, SyncGroupResponse},
    protocol::StrBytes,
};
use state::groups::classic::{Identity, SyncRequest, Synced};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 14,
    name: "SyncGroup",
    advertised_min: 0,
    served_min: 0,
    version_max: 5,
    flexible_since: 4,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::STRING,
    guard::INT32,
    guard::STRING,
    guard::STRING.since(3).nullable_since(3),
    guard::STRING.since(PROTOCOL_SINCE).nullable_since(5),
    guard::STRING.since(PROTOCOL_SINCE).nullable_since(5),
    guard::structs(&[guard::STRING, guard::BYTES]),
];

/// The first version that names the protocol, and must.
const PROTOCOL_SINCE: i16 = 5;

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: SyncGroupRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let named = message.protocol_type.is_some() && message.protocol_name.is_some();
    if version >= PROTOCOL_SINCE && !named {
        let refusal = Refusal::from(state::groups::GroupError::InconsistentGroupProtocol);
        return reply_to.send(&SyncGroupResponse::default().with_error_code(refusal.code));
    }
    let group = message.group_id.to_string();
    let sync = SyncRequest {
        identity: Identity {
            member_id: message.member_id.to_string(),
            instance_id: message.group_instance_id.map(|id| id.to_string()),
            generation: message.generation_id,
        },
        protocol_type: message.protocol_type.map(|name| name.to_string()),
        protocol: message.protocol_name.map(|name| name.to_string()),
        assignments: message
            .assignments
            .into_iter()
            .map(|member| (member.member_id.to_string(), member.assignment.to_vec()))
            .collect(),
    };
    let gone = pin!(request.disconnect.clone().wait());
    let synced = match select(pin!(request.broker.sync_group(&group, sync)), gone).await {
        Either::Left((synced, _)) => synced,
        // Nobody waits any more.
        Either::Right(_) => return Reply::Nothing,
    };
    reply_to.send(&match synced {
        Ok(Synced { protocol_type, protocol, assignment }) => SyncGroupResponse::default()
            .with_protocol_type(protocol_type.map(StrBytes::from_string))
            .with_protocol_name(protocol.map(StrBytes::from_string))
            .with_assignment(Bytes::from(assignment)),
        Err(error) => SyncGroupResponse::default().with_error_code(Refusal::from(error).code),
    })
}
