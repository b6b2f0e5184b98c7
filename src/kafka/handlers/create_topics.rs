//! CreateTopics.

use std::collections::BTreeMap;

use broker::{CreatedTopic, NewTopic};
use kafka_protocol::{
    ResponseError,
    messages::{
        CreateTopicsRequest, CreateTopicsResponse,
        create_topics_request::CreatableTopic,
        create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
    },
    protocol::StrBytes,
};
use state::configs::ConfigEntry;

use crate::{
    apis::Api,
    config_codes,
    errors::Refusal,
    guard::{self, Field},
    questions::Questions,
    request::{Reply, ReplyFuture, Request},
    topics::{wire_id, wire_index},
};

/// The API's row.
pub const API: Api = Api {
    key: 19,
    name: "CreateTopics",
    advertised_min: 2,
    served_min: 2,
    version_max: 7,
    flexible_since: 5,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::structs(&[
        guard::STRING,
        guard::INT32,
        guard::INT16,
        guard::structs(&[guard::INT32, guard::INT32S]),
        guard::structs(&[guard::STRING, guard::STRING.nullable_since(0)]),
    ]),
    guard::INT32,
    guard::INT8,
];

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: CreateTopicsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut times_named: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in &message.topics {
        *times_named.entry(topic.name.as_str()).or_default() += 1;
    }
    let mut questions = Questions::new();
    for topic in &message.topics {
        let repeated = times_named.get(topic.name.as_str()).is_some_and(|&times| times > 1);
        questions.push(if repeated {
            Err(Refusal::invalid_request("Duplicate topic name."))
        } else {
            new_topic(topic)
        });
    }
    // A name that stands there twice is answered once, as in Kafka.
    let mut names: Vec<_> = message.topics.iter().map(|topic| topic.name.clone()).collect();
    let (asked, places) = questions.split();
    let outcomes = request.broker.create_topics(asked, message.validate_only).await;
    let mut answers = places.fill(outcomes);
    let mut results: Vec<CreatableTopicResult> = Vec::with_capacity(names.len());
    let mut answered = std::collections::BTreeSet::new();
    for name in names.drain(..) {
        let answer = answers.take();
        if answered.insert(name.to_string()) {
            results.push(show(version, answer).with_name(name));
        }
    }
    reply_to.send(&CreateTopicsResponse::default().with_topics(results))
}

fn new_topic(topic: &CreatableTopic) -> Result<NewTopic, Refusal> {
    let assigned = !topic.assignments.is_empty();
    if assigned && (topic.num_partitions != -1 || topic.replication_factor != -1) {
        return Err(Refusal::invalid_request(
            "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time.",
        ));
    }
    let partitions = match topic.num_partitions {
        -1 => None,
        count => match u32::try_from(count) {
            Ok(count) if count > 0 => Some(count),
            _ => {
                return Err(Refusal::new(
                    ResponseError::InvalidPartitions,
                    "Number of partitions was set to an invalid non-positive value.",
                ));
            }
        },
    };
    let assignments = assigned.then(|| {
        let of_partition = |assignment: &kafka_protocol::messages::create_topics_request::CreatableReplicaAssignment| {
            let brokers = assignment.broker_ids.iter().map(|id| id.0).collect();
            (assignment.partition_index, brokers)
        };
        topic.assignments.iter().map(of_partition).collect()
    });
    let configs = topic
        .configs
        .iter()
        .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
        .collect();
    Ok(NewTopic {
        name: topic.name.to_string(),
        partitions,
        replication_factor: (topic.replication_factor != -1).then_some(topic.replication_factor),
        assignments,
        configs,
    })
}

fn show(version: i16, answer: Result<CreatedTopic, Refusal>) -> CreatableTopicResult {
    let result = CreatableTopicResult::default();
    let created = match answer {
        Ok(created) => created,
        Err(refusal) => {
            return result.with_error_code(refusal.code).with_error_message(refusal.text());
        }
    };
    if version < 5 {
        return result;
    }
    let result = result
        .with_num_partitions(wire_index(created.partitions as usize))
        .with_replication_factor(created.replication_factor)
        .with_configs(Some(created.configs.iter().map(show_config).collect()));
    if version < 7 { result } else { result.with_topic_id(wire_id(created.id)) }
}

fn show_config(entry: &ConfigEntry) -> CreatableTopicConfigs {
    CreatableTopicConfigs::default()
        .with_name(StrBytes::from_string(entry.name.to_string()))
        .with_value(config_codes::shown_value(entry))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source.code())
        .with_is_sensitive(entry.sensitive)
}
