//! FindCoordinator: which broker coordinates a group or a transactional id. There is one broker.

use kafka_protocol::{
    messages::{
        BrokerId, FindCoordinatorRequest, FindCoordinatorResponse,
        find_coordinator_response::Coordinator,
    },
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
    key: 10,
    name: "FindCoordinator",
    advertised_min: 0,
    served_min: 0,
    version_max: 6,
    flexible_since: 3,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::STRING.until(3), guard::INT8.since(1), guard::STRINGS.since(4)];

/// The first version with several keys.
const BATCHED_SINCE: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

async fn serve(mut request: Request) -> Reply {
    let message: FindCoordinatorRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let kind = match message.key_type {
        GROUP | TRANSACTION => Ok(()),
        // Share groups (2) are not served.
        other => Err(Refusal::invalid_request(format!("There is no coordinator of kind {other}."))),
    };
    let find = |key: StrBytes| find(&request, key, &kind);
    let mut response = FindCoordinatorResponse::default();
    if request.version() >= BATCHED_SINCE {
        response.coordinators = message.coordinator_keys.into_iter().map(find).collect();
    } else {
        let found = find(message.key);
        response.error_code = found.error_code;
        response.error_message = found.error_message;
        response.node_id = found.node_id;
        response.host = found.host;
        response.port = found.port;
    }
    reply_to.send(&response)
}

fn find(request: &Request, key: StrBytes, kind: &Result<(), Refusal>) -> Coordinator {
    let found = Coordinator::default().with_key(key);
    if let Err(refusal) = kind {
        return found
            .with_error_code(refusal.code)
            .with_error_message(refusal.text())
            .with_node_id(BrokerId(-1))
            .with_port(-1);
    }
    let settings = request.broker.settings();
    found
        .with_node_id(BrokerId(request.broker.node_id()))
        .with_host(StrBytes::from_string(settings.advertised_host.clone()))
        .with_port(i32::from(settings.advertised_port))
}
