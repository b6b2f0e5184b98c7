//! JoinGroup: a member of a classic group comes, or comes back. The answer is the next generation.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use kafka_protocol::{
    messages::{JoinGroupRequest, JoinGroupResponse, join_group_response::JoinGroupResponseMember},
    protocol::StrBytes,
};
use state::groups::classic::{JoinRefused, JoinRequest, Joined};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 11,
    name: "JoinGroup",
    advertised_min: 0,
    served_min: 0,
    version_max: 9,
    flexible_since: 6,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::STRING,
    guard::INT32,
    guard::INT32.since(REBALANCE_TIMEOUT_SINCE),
    guard::STRING,
    guard::STRING.since(5).nullable_since(5),
    guard::STRING,
    guard::structs(&[guard::STRING, guard::BYTES]),
    guard::STRING.since(8).nullable_since(8),
];

/// Before it, a member may take as long to rejoin as it may be silent.
const REBALANCE_TIMEOUT_SINCE: i16 = 1;
/// From it on a new member comes twice (KIP-394).
const ID_FIRST_SINCE: i16 = 4;
/// From it on a null protocol can be written.
const NULL_PROTOCOL_SINCE: i16 = 7;
/// From it on a leader understands that it need not assign (KIP-814).
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: JoinGroupRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let group = message.group_id.to_string();
    let join = join_request(&request, message);
    let member_id = join.member_id.clone();
    let gone = pin!(request.disconnect.clone().wait());
    let joined = match select(pin!(request.broker.join_group(&group, join)), gone).await {
        Either::Left((joined, _)) => joined,
        // Nobody waits any more; the member stays in the group until its session ends.
        Either::Right(_) => return Reply::Nothing,
    };
    reply_to.send(&match joined {
        Ok(Ok(joined)) => response(version, joined),
        Ok(Err(JoinRefused { error, member_id })) => {
            refused(version, &Refusal::from(error), member_id)
        }
        Err(error) => refused(version, &Refusal::from(error), member_id),
    })
}

fn join_request(request: &Request, message: JoinGroupRequest) -> JoinRequest {
    let version = request.version();
    let instance_id = message.group_instance_id.map(|id| id.to_string());
    let name = instance_id.as_deref().unwrap_or(&request.client_id);
    let rebalance_timeout_ms = if version >= REBALANCE_TIMEOUT_SINCE {
        message.rebalance_timeout_ms
    } else {
        message.session_timeout_ms
    };
    JoinRequest {
        member_id: message.member_id.to_string(),
        new_member_id: format!("{name}-{}", uuid::Uuid::from_u128(runtime::random_u128())),
        client_id: request.client_id.clone(),
        client_host: request.client_host(),
        session_timeout_ms: message.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: message.protocol_type.to_string(),
        protocols: message
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name.to_string(), protocol.metadata.to_vec()))
            .collect(),
        id_first: version >= ID_FIRST_SINCE,
        may_skip_assignment: version >= SKIP_ASSIGNMENT_SINCE,
        instance_id,
    }
}

fn response(version: i16, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(StrBytes::from_string(member.id))
            .with_group_instance_id(member.instance_id.map(StrBytes::from_string))
            .with_metadata(Bytes::from(member.metadata))
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(StrBytes::from_string))
        .with_protocol_name(protocol(version, joined.protocol))
        .with_leader(StrBytes::from_string(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(StrBytes::from_string(joined.member_id))
        .with_members(members.collect())
}

fn refused(version: i16, refusal: &Refusal, member_id: String) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(refusal.code)
        .with_generation_id(-1)
        .with_protocol_name(protocol(version, None))
        .with_member_id(StrBytes::from_string(member_id))
}

fn protocol(version: i16, name: Option<String>) -> Option<StrBytes> {
    match name {
        None if version >= NULL_PROTOCOL_SINCE => None,
        name => Some(StrBytes::from_string(name.unwrap_or_default())),
    }
}
