//! DeleteGroups: groups without members go, with their offsets.

use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, delete_groups_response::DeletableGroupResult,
};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 42,
    name: "DeleteGroups",
    advertised_min: 0,
    served_min: 0,
    version_max: 2,
    flexible_since: 2,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::STRINGS];

async fn serve(mut request: Request) -> Reply {
    let message: DeleteGroupsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut results = Vec::with_capacity(message.groups_names.len());
    for group in message.groups_names {
        let outcome = request.broker.delete_group(&group).await;
        let code = outcome.map_or_else(|error| Refusal::from(error).code, |()| 0);
        results.push(DeletableGroupResult::default().with_group_id(group).with_error_code(code));
    }
    reply_to.send(&DeleteGroupsResponse::default().with_results(results))
}
