//! ListGroups: every group, if wanted only those in some states or of some types.

use broker::{GroupKind, ListedGroup as Listed};
use kafka_protocol::{
    messages::{GroupId, ListGroupsRequest, ListGroupsResponse, list_groups_response::ListedGroup},
    protocol::StrBytes,
};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 16,
    name: "ListGroups",
    advertised_min: 0,
    served_min: 0,
    version_max: 5,
    flexible_since: 3,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::STRINGS.since(4), guard::STRINGS.since(5)];

async fn serve(mut request: Request) -> Reply {
    let message: ListGroupsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let response = ListGroupsResponse::default();
    let groups = match request.broker.list_groups().await {
        Ok(groups) => groups,
        Err(error) => return reply_to.send(&response.with_error_code(Refusal::from(error).code)),
    };
    let wanted = groups.into_iter().filter(|group| {
        contains(&message.states_filter, group.state)
            && contains(&message.types_filter, kind_name(group.kind))
    });
    reply_to.send(&response.with_groups(wanted.map(show).collect()))
}

/// An empty filter lets everything through; the case of letters does not count.
fn contains(filter: &[StrBytes], name: &str) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
}

fn kind_name(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Classic => "classic",
        GroupKind::Consumer => "consumer",
    }
}

fn show(group: Listed) -> ListedGroup {
    ListedGroup::default()
        .with_group_id(GroupId(StrBytes::from_string(group.group)))
        .with_protocol_type(StrBytes::from_string(group.protocol_type))
        .with_group_state(StrBytes::from_static_str(group.state))
        .with_group_type(StrBytes::from_static_str(kind_name(group.kind)))
}
