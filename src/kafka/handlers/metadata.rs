//! Metadata: brokers, topics, partitions; makes topics that are missing, if it may.

use broker::{Broker, BrokerError, NewTopic};
use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, MetadataRequest, MetadataResponse,
        metadata_response::{
            MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
        },
    },
    protocol::StrBytes,
};
use model::{TopicId, TopicName};
use state::{catalog::Topic, configs::AUTO_CREATE_TOPICS_ENABLE};

use crate::{
    apis::Api,
    authorized_operations,
    codec::topic_ref::TopicRef,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
    topics::{self, wire_id, wire_index, wire_name},
};

/// The API's row.
pub const API: Api = Api {
    key: 3,
    name: "Metadata",
    advertised_min: 0,
    served_min: 0,
    version_max: 13,
    flexible_since: 9,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::structs(&[guard::UUID.since(10), guard::STRING.nullable_since(10)]).nullable_since(1),
    guard::INT8.since(4),
    guard::INT8.since(8).until(10),
    guard::INT8.since(8),
];

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: MetadataRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut response = head(&request.broker, version);
    if message.include_cluster_authorized_operations {
        response.cluster_authorized_operations = authorized_operations::CLUSTER;
    }
    let show = Show {
        version,
        authorized_operations: message.include_topic_authorized_operations,
        node_id: request.broker.node_id(),
    };
    match wanted(&message, version) {
        Wanted::All => {
            let catalog = request.broker.catalog();
            response.topics = catalog.topics().map(|topic| show.topic(topic)).collect();
        }
        Wanted::These(refs) => {
            let may_create = version < 4 || message.allow_auto_topic_creation;
            response.topics = describe(&request.broker, refs, may_create, show).await;
        }
        Wanted::Refused(refusal) => {
            if version >= 13 {
                response.error_code = refusal.code;
            }
            let names = message.topics.unwrap_or_default().into_iter();
            response.topics = names
                .map(|topic| {
                    let name = topic.name.unwrap_or_default();
                    refused(TopicRef::Name(name.to_string()), refusal.code, version)
                })
                .collect();
        }
    }
    reply_to.send(&response)
}

fn head(broker: &Broker, version: i16) -> MetadataResponse {
    let settings = broker.settings();
    let node = MetadataResponseBroker::default()
        .with_node_id(BrokerId(broker.node_id()))
        .with_host(StrBytes::from_string(settings.advertised_host.clone()))
        .with_port(i32::from(settings.advertised_port));
    let mut response = MetadataResponse::default()
        .with_brokers(vec![node])
        .with_controller_id(BrokerId(broker.node_id()));
    if version >= 2 {
        response.cluster_id = Some(StrBytes::from_string(broker.cluster_id().to_owned()));
    }
    response
}

/// Which topics a request is about.
enum Wanted {
    All,
    These(Vec<TopicRef>),
    Refused(Refusal),
}

/// Version 0 means all topics by an empty list, later ones by null. Ids count from version 12 on;
/// in 10 and 11 the field is there, but using it is an error.
fn wanted(message: &MetadataRequest, version: i16) -> Wanted {
    let Some(topics) = &message.topics else { return Wanted::All };
    if version == 0 && topics.is_empty() {
        return Wanted::All;
    }
    let mut refs = Vec::with_capacity(topics.len());
    for topic in topics {
        let id = TopicId(topic.topic_id.as_u128());
        if version < 12 && topic.name.is_none() {
            return Wanted::Refused(Refusal::invalid_request(format!(
                "Topic name can not be null for version {version}"
            )));
        }
        if version < 12 && id != TopicId::NONE {
            return Wanted::Refused(Refusal::invalid_request(format!(
                "Topic IDs are not supported in requests for version {version}"
            )));
        }
        match &topic.name {
            Some(name) if id == TopicId::NONE => refs.push(TopicRef::Name(name.to_string())),
            _ => refs.push(TopicRef::Id(id)),
        }
    }
    Wanted::These(refs)
}

async fn describe(
    broker: &std::rc::Rc<Broker>,
    refs: Vec<TopicRef>,
    may_create: bool,
    show: Show,
) -> Vec<MetadataResponseTopic> {
    let refusals = if may_create { create_missing(broker, &refs).await } else { Vec::new() };
    let catalog = broker.catalog();
    let mut seen = std::collections::BTreeSet::new();
    let mut described = Vec::with_capacity(refs.len());
    for topic in refs {
        if !seen.insert(topic.clone()) {
            continue;
        }
        let refusal = refusals.iter().find(|(name, _)| *name == topic).map(|(_, code)| *code);
        described.push(match (topics::resolve(&catalog, &topic), &topic) {
            (Ok(found), _) => show.topic(found),
            (Err(_), TopicRef::Name(name)) if TopicName::new(name).is_err() => {
                let code = ResponseError::InvalidTopicException.code();
                refused(topic, code, show.version)
            }
            (Err(error), _) => refused(topic, refusal.unwrap_or(error.code), show.version),
        });
    }
    described
}

/// Makes the missing topics. When this returns, they can be produced to. Returns what went wrong.
async fn create_missing(broker: &std::rc::Rc<Broker>, refs: &[TopicRef]) -> Vec<(TopicRef, i16)> {
    let (auto_create, missing): (bool, Vec<String>) = {
        let catalog = broker.catalog();
        let auto_create = catalog.broker_flag(AUTO_CREATE_TOPICS_ENABLE) == Some(true);
        let mut names: Vec<&String> = refs
            .iter()
            .filter_map(|topic| match topic {
                TopicRef::Name(name) if TopicName::new(name).is_ok() => Some(name),
                _ => None,
            })
            .filter(|name| topics::by_name(&catalog, name).is_none())
            .collect();
        names.sort_unstable();
        names.dedup();
        (auto_create, names.into_iter().cloned().collect())
    };
    if missing.is_empty() || !auto_create {
        return Vec::new();
    }
    let new = |name: &String| NewTopic { name: name.clone(), ..NewTopic::default() };
    let outcomes = broker.create_topics(missing.iter().map(new).collect(), false).await;
    let mut refusals = Vec::new();
    for (name, outcome) in missing.into_iter().zip(outcomes) {
        match outcome {
            // Another client may have been faster.
            Ok(_) | Err(BrokerError::TopicAlreadyExists(_)) => {}
            Err(error) => {
                tracing::info!(topic = name, %error, "a topic was not created automatically");
                refusals.push((TopicRef::Name(name), Refusal::from(error).code));
            }
        }
    }
    refusals
}

/// The epoch of every partition: a single node leads for ever in its first term.
pub const LEADER_EPOCH: i32 = 0;

/// How to show a topic.
#[derive(Clone, Copy)]
struct Show {
    version: i16,
    authorized_operations: bool,
    node_id: i32,
}

impl Show {
    fn topic(self, topic: &Topic) -> MetadataResponseTopic {
        let partitions = (0..topic.partitions.len())
            .map(|index| {
                MetadataResponsePartition::default()
                    .with_partition_index(wire_index(index))
                    .with_leader_id(BrokerId(self.node_id))
                    .with_leader_epoch(if self.version >= 7 { LEADER_EPOCH } else { -1 })
                    .with_replica_nodes(vec![BrokerId(self.node_id)])
                    .with_isr_nodes(vec![BrokerId(self.node_id)])
            })
            .collect();
        let mut shown = MetadataResponseTopic::default()
            .with_name(Some(wire_name(topic.name.as_str())))
            .with_is_internal(topics::is_internal(topic.name.as_str()))
            .with_partitions(partitions);
        if self.version >= 10 {
            shown.topic_id = wire_id(topic.id);
        }
        if self.authorized_operations {
            shown.topic_authorized_operations = authorized_operations::TOPIC;
        }
        shown
    }
}

fn refused(topic: TopicRef, error_code: i16, version: i16) -> MetadataResponseTopic {
    let mut shown = MetadataResponseTopic::default().with_error_code(error_code);
    match topic {
        TopicRef::Name(name) => {
            shown.is_internal = topics::is_internal(&name);
            shown.name = Some(wire_name(&name));
        }
        TopicRef::Id(id) => {
            // A null name is written from version 12 on, which alone can be asked by id.
            shown.name = if version >= 12 { None } else { Some(wire_name("")) };
            shown.topic_id = wire_id(id);
        }
    }
    shown
}
