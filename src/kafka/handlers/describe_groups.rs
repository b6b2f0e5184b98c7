//! DescribeGroups: groups of the classic protocol and their members.

use broker::{DescribedGroup as Described, DescribedMember};
use bytes::Bytes;
use kafka_protocol::{
    messages::{
        DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
        describe_groups_response::{DescribedGroup, DescribedGroupMember},
    },
    protocol::StrBytes,
};

use crate::{
    apis::Api,
    authorized_operations,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 15,
    name: "DescribeGroups",
    advertised_min: 0,
    served_min: 0,
    version_max: 6,
    flexible_since: 5,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::STRINGS, guard::INT8.since(3)];

/// The first version in which a group that is not there is an error; before, it is dead.
const UNKNOWN_SINCE: i16 = 6;
const GROUP_ID_NOT_FOUND: i16 = 69;

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: DescribeGroupsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let operations = match message.include_authorized_operations {
        true => authorized_operations::GROUP,
        false => i32::MIN,
    };
    let mut groups = Vec::with_capacity(message.groups.len());
    for id in message.groups {
        let described = match request.broker.describe_group(&id).await {
            Ok(group) => show(id, group).with_authorized_operations(operations),
            Err(error) => refused(version, id, &Refusal::from(error)),
        };
        groups.push(described);
    }
    reply_to.send(&DescribeGroupsResponse::default().with_groups(groups))
}

fn show(id: GroupId, group: Described) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(StrBytes::from_static_str(group.state.name()))
        .with_protocol_type(StrBytes::from_string(group.protocol_type))
        .with_protocol_data(StrBytes::from_string(group.protocol))
        .with_members(group.members.into_iter().map(show_member).collect())
}

fn show_member(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(StrBytes::from_string(member.id))
        .with_group_instance_id(member.instance_id.map(StrBytes::from_string))
        .with_client_id(StrBytes::from_string(member.client_id))
        .with_client_host(StrBytes::from_string(member.client_host))
        .with_member_metadata(Bytes::from(member.metadata))
        .with_member_assignment(Bytes::from(member.assignment))
}

fn refused(version: i16, id: GroupId, refusal: &Refusal) -> DescribedGroup {
    let described = DescribedGroup::default().with_group_id(id);
    if refusal.code != GROUP_ID_NOT_FOUND {
        return described.with_error_code(refusal.code);
    }
    let dead = described.with_group_state(StrBytes::from_static_str("Dead"));
    if version < UNKNOWN_SINCE {
        return dead;
    }
    let text = format!("Group {} not found.", dead.group_id.as_str());
    dead.with_error_code(refusal.code).with_error_message(Some(StrBytes::from_string(text)))
}
