//! CreatePartitions: the count that a topic is to have, not how many to add.

use std::collections::{BTreeMap, BTreeSet};

use broker::NewPartitions;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse,
    create_partitions_response::CreatePartitionsTopicResult,
};

use crate::{
    apis::Api,
    errors::{Refusal, code_and_text},
    guard::{self, Field},
    questions::Questions,
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 37,
    name: "CreatePartitions",
    advertised_min: 0,
    served_min: 0,
    version_max: 3,
    flexible_since: 2,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::structs(&[
        guard::STRING,
        guard::INT32,
        guard::structs(&[guard::INT32S]).nullable_since(0),
    ]),
    guard::INT32,
    guard::INT8,
];

async fn serve(mut request: Request) -> Reply {
    let message: CreatePartitionsRequest = match request.decode() {
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
        if times_named.get(topic.name.as_str()).is_some_and(|&times| times > 1) {
            questions.push(Err(Refusal::invalid_request("Duplicate topic name.")));
            continue;
        }
        let assignments = topic.assignments.as_ref().map(|assignments| {
            let brokers =
                |ids: &Vec<kafka_protocol::messages::BrokerId>| ids.iter().map(|id| id.0).collect();
            assignments.iter().map(|assignment| brokers(&assignment.broker_ids)).collect()
        });
        let name = topic.name.to_string();
        questions.push(Ok(NewPartitions { topic: name, count: topic.count, assignments }));
    }
    let (asked, places) = questions.split();
    let outcomes = request.broker.create_partitions(asked, message.validate_only).await;
    let mut answers = places.fill(outcomes);
    let mut results = Vec::with_capacity(message.topics.len());
    let mut answered = BTreeSet::new();
    for topic in message.topics {
        let (code, text) = code_and_text(&answers.take());
        if answered.insert(topic.name.to_string()) {
            let result = CreatePartitionsTopicResult::default().with_name(topic.name);
            results.push(result.with_error_code(code).with_error_message(text));
        }
    }
    reply_to.send(&CreatePartitionsResponse::default().with_results(results))
}
