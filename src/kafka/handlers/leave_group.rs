//! LeaveGroup: members of a classic group go. Versions up to 2 name one, later ones several.

use kafka_protocol::{
    messages::{LeaveGroupRequest, LeaveGroupResponse, leave_group_response::MemberResponse},
    protocol::StrBytes,
};
use state::groups::classic::Departure;

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 13,
    name: "LeaveGroup",
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
    guard::STRING.until(2),
    guard::structs(&[
        guard::STRING,
        guard::STRING.nullable_since(0),
        guard::STRING.since(5).nullable_since(5),
    ])
    .since(BATCHED_SINCE),
];

/// The first version with several members.
const BATCHED_SINCE: i16 = 3;

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: LeaveGroupRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let departures: Vec<Departure> = if version >= BATCHED_SINCE {
        let members = message.members.iter().map(|member| Departure {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
        });
        members.collect()
    } else {
        vec![Departure { member_id: message.member_id.to_string(), instance_id: None }]
    };
    let left = request.broker.leave_group(&message.group_id, departures.clone()).await;
    let response = LeaveGroupResponse::default();
    let results = match left {
        Ok(results) => results,
        Err(error) => {
            return reply_to.send(&response.with_error_code(Refusal::from(error).code));
        }
    };
    let codes = results
        .into_iter()
        .map(|result| result.map_or_else(|error| Refusal::from(error).code, |()| 0));
    if version < BATCHED_SINCE {
        let code = codes.into_iter().next().unwrap_or_default();
        return reply_to.send(&response.with_error_code(code));
    }
    let members = departures.into_iter().zip(codes).map(|(departure, code)| {
        MemberResponse::default()
            .with_member_id(StrBytes::from_string(departure.member_id))
            .with_group_instance_id(departure.instance_id.map(StrBytes::from_string))
            .with_error_code(code)
    });
    reply_to.send(&response.with_members(members.collect()))
}
