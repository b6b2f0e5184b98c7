//! ConsumerGroupHeartbeat (KIP-848): the one request of a member of the newer protocol.

use std::collections::BTreeSet;

use broker::{BrokerError, ConsumerGroupHeartbeat};
use kafka_protocol::{
    ResponseError,
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
        consumer_group_heartbeat_response::{Assignment, TopicPartitions},
    },
    protocol::StrBytes,
};
use model::{PartitionIndex, TopicId};
use state::groups::consumer::{self, Heartbeat};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
    topics::wire_id,
};

/// The API's row.
pub const API: Api = Api {
    key: 68,
    name: "ConsumerGroupHeartbeat",
    advertised_min: 0,
    served_min: 0,
    version_max: 1,
    flexible_since: 0,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::STRING,
    guard::STRING,
    guard::INT32,
    guard::STRING.nullable_since(0),
    guard::STRING.nullable_since(0),
    guard::INT32,
    guard::STRINGS.nullable_since(0),
    guard::STRING.since(1).nullable_since(1),
    guard::STRING.nullable_since(0),
    guard::structs(&[guard::UUID, guard::INT32S]).nullable_since(0),
];

async fn serve(mut request: Request) -> Reply {
    let message: ConsumerGroupHeartbeatRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let question = ConsumerGroupHeartbeat {
        group_id: message.group_id.to_string(),
        server_assignor: message.server_assignor.as_ref().map(StrBytes::to_string),
        version: request.version(),
        heartbeat: heartbeat(&message, &request),
    };
    let response = match request.broker.consumer_group_heartbeat(question).await {
        Ok(told) => ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(StrBytes::from_string(told.answer.member_id)))
            .with_member_epoch(told.answer.member_epoch)
            .with_heartbeat_interval_ms(told.heartbeat_interval_ms)
            .with_assignment(told.answer.assignment.as_ref().map(assignment)),
        Err(error) => {
            let refusal = refusal(error);
            ConsumerGroupHeartbeatResponse::default()
                .with_error_code(refusal.code)
                .with_error_message(refusal.text())
        }
    };
    reply_to.send(&response)
}

fn heartbeat(message: &ConsumerGroupHeartbeatRequest, request: &Request) -> Heartbeat {
    let text = |text: &Option<StrBytes>| text.as_ref().map(StrBytes::to_string);
    let names = |names: &Vec<kafka_protocol::messages::TopicName>| {
        names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>()
    };
    let owned = message.topic_partitions.as_ref().map(|topics| {
        topics
            .iter()
            .flat_map(|topic| {
                let id = TopicId(topic.topic_id.as_u128());
                // A negative number is no partition that anybody can have.
                let numbers = topic.partitions.iter().filter_map(|at| u32::try_from(*at).ok());
                numbers.map(move |at| (id, PartitionIndex(at)))
            })
            .collect()
    });
    Heartbeat {
        member_id: message.member_id.to_string(),
        member_epoch: message.member_epoch,
        instance_id: text(&message.instance_id),
        rack_id: text(&message.rack_id),
        rebalance_timeout_ms: (message.rebalance_timeout_ms != -1)
            .then_some(message.rebalance_timeout_ms),
        client_id: request.client_id.clone(),
        client_host: request.client_host(),
        topic_names: message.subscribed_topic_names.as_ref().map(names),
        topic_regex: text(&message.subscribed_topic_regex),
        server_assignor: None,
        owned,
        classic: None,
    }
}

fn assignment(assignment: &consumer::Assignment) -> Assignment {
    let topics = assignment.topics().map(|(id, partitions)| {
        let numbers = partitions.iter().map(|at| i32::try_from(at.0).unwrap_or(i32::MAX));
        TopicPartitions::default().with_topic_id(wire_id(id)).with_partitions(numbers.collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}

/// Members try again after COORDINATOR_NOT_AVAILABLE, and take most other codes as final: it is
/// what they are told while the broker cannot serve them.
pub(super) fn refusal(error: BrokerError) -> Refusal {
    match error {
        BrokerError::StorageFull(_)
        | BrokerError::Storage(_)
        | BrokerError::Stopping
        | BrokerError::Overloaded(_) => {
            Refusal::new(ResponseError::CoordinatorNotAvailable, error.to_string())
        }
        error => Refusal::from(error),
    }
}
