//! ConsumerGroupDescribe (KIP-848): groups of the newer protocol and their members.

use broker::Outcome;
use kafka_protocol::{
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId,
        consumer_group_describe_response::{
            Assignment, DescribedGroup, Member as WireMember, TopicPartitions,
        },
    },
    protocol::StrBytes,
};
use state::{
    Catalog,
    groups::consumer::{self, ConsumerGroup, Member},
};

use super::consumer_group_heartbeat::refusal;
use crate::{
    apis::Api,
    authorized_operations,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
    topics::{wire_id, wire_name},
};

/// The API's row.
pub const API: Api = Api {
    key: 69,
    name: "ConsumerGroupDescribe",
    advertised_min: 0,
    served_min: 0,
    version_max: 1,
    flexible_since: 0,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::STRINGS, guard::INT8];

/// A member's protocol, as version 1 tells it.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

async fn serve(mut request: Request) -> Reply {
    let message: ConsumerGroupDescribeRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let operations = match message.include_authorized_operations {
        true => authorized_operations::GROUP,
        false => i32::MIN,
    };
    let mut groups = Vec::with_capacity(message.group_ids.len());
    for group_id in message.group_ids {
        let outcome = request.broker.describe_consumer_group(group_id.to_string()).await;
        let described = describe(group_id, outcome, &request);
        groups.push(described.with_authorized_operations(operations));
    }
    reply_to.send(&ConsumerGroupDescribeResponse::default().with_groups(groups))
}

fn describe(
    group_id: GroupId,
    outcome: Outcome<ConsumerGroup>,
    request: &Request,
) -> DescribedGroup {
    let described = DescribedGroup::default().with_group_id(group_id);
    let group = match outcome {
        Ok(group) => group,
        Err(error) => {
            let refusal = refusal(error);
            return described.with_error_code(refusal.code).with_error_message(refusal.text());
        }
    };
    let assignor = group.preferred_assignor().unwrap_or_else(|| request.broker.default_assignor());
    let catalog = request.broker.catalog();
    let members = group.members().map(|(id, member)| show(id, member, &catalog));
    described
        .with_group_state(StrBytes::from_static_str(group.state().name()))
        .with_group_epoch(group.epoch())
        .with_assignment_epoch(group.assignment_epoch())
        .with_assignor_name(StrBytes::from_static_str(assignor.name()))
        .with_members(members.collect())
}

fn show(id: &str, member: &Member, catalog: &Catalog) -> WireMember {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let subscription = &member.subscription;
    WireMember::default()
        .with_member_id(text(id))
        .with_instance_id(subscription.instance_id.as_deref().map(text))
        .with_rack_id(subscription.rack_id.as_deref().map(text))
        .with_member_epoch(member.standing.epoch)
        .with_client_id(text(&subscription.client_id))
        .with_client_host(text(&subscription.client_host))
        .with_subscribed_topic_names(
            subscription.topic_names.iter().map(|name| wire_name(name)).collect(),
        )
        .with_subscribed_topic_regex(subscription.topic_regex.as_deref().map(text))
        .with_assignment(assignment(&member.standing.assigned, catalog))
        .with_target_assignment(assignment(&member.target, catalog))
        .with_member_type(if member.is_classic() { CLASSIC } else { CONSUMER })
}

/// Partitions with the names of their topics; those of topics that have gone are left out.
fn assignment(assignment: &consumer::Assignment, catalog: &Catalog) -> Assignment {
    let topics = assignment.topics().filter_map(|(id, partitions)| {
        let name = catalog.topic_by_id(id)?.name.as_str();
        let numbers = partitions.iter().map(|at| i32::try_from(at.0).unwrap_or(i32::MAX));
        let topic = TopicPartitions::default().with_topic_id(wire_id(id));
        Some(topic.with_topic_name(wire_name(name)).with_partitions(numbers.collect()))
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
