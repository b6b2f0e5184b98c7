//! DeleteTopics, by name or from version 6 on by id.

use std::collections::BTreeMap;

use broker::TopicSelector;
use kafka_protocol::{
    ResponseError,
    messages::{
        DeleteTopicsRequest, DeleteTopicsResponse, delete_topics_response::DeletableTopicResult,
    },
};
use model::TopicId;

use crate::{
    apis::Api,
    codec::topic_ref::TopicRef,
    errors::Refusal,
    guard::{self, Field},
    questions::Questions,
    request::{Reply, ReplyFuture, Request},
    topics::{wire_id, wire_name},
};

/// The API's row.
pub const API: Api = Api {
    key: 20,
    name: "DeleteTopics",
    advertised_min: 1,
    served_min: 1,
    version_max: 6,
    flexible_since: 4,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::structs(&[guard::STRING.nullable_since(6), guard::UUID]).since(6),
    guard::STRINGS.until(5),
    guard::INT32,
];

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: DeleteTopicsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let wanted = wanted(&message);
    let mut times_named: BTreeMap<&TopicRef, usize> = BTreeMap::new();
    for topic in wanted.iter().flatten() {
        *times_named.entry(topic).or_default() += 1;
    }
    let mut questions = Questions::new();
    for topic in &wanted {
        questions.push(match topic {
            Err(refusal) => Err(refusal.clone()),
            Ok(topic) if times_named.get(topic).is_some_and(|&times| times > 1) => {
                Err(Refusal::invalid_request("Duplicate topic in the request."))
            }
            Ok(TopicRef::Name(name)) => Ok(TopicSelector::Name(name.clone())),
            Ok(TopicRef::Id(id)) => Ok(TopicSelector::Id(*id)),
        });
    }
    let (asked, places) = questions.split();
    let mut answers = places.fill(request.broker.delete_topics(asked).await);
    let mut responses = Vec::with_capacity(wanted.len());
    for topic in wanted {
        let mut result = DeletableTopicResult::default();
        if let Ok(TopicRef::Name(name)) = &topic {
            result.name = Some(wire_name(name));
        }
        if let Ok(TopicRef::Id(id)) = &topic {
            result.topic_id = wire_id(*id);
        }
        match answers.take() {
            Ok((name, id)) => {
                result.name = Some(wire_name(name.as_str()));
                if version >= 6 {
                    result.topic_id = wire_id(id);
                }
            }
            Err(refusal) => {
                result.error_code = code(version, refusal.code);
                if version >= 5 {
                    result.error_message = refusal.text();
                }
            }
        }
        responses.push(result);
    }
    reply_to.send(&DeleteTopicsResponse::default().with_responses(responses))
}

fn wanted(message: &DeleteTopicsRequest) -> Vec<Result<TopicRef, Refusal>> {
    let by_name = message.topic_names.iter().map(|name| Ok(TopicRef::Name(name.to_string())));
    let by_either = message.topics.iter().map(|topic| {
        let id = TopicId(topic.topic_id.as_u128());
        match &topic.name {
            Some(name) if id == TopicId::NONE => Ok(TopicRef::Name(name.to_string())),
            Some(_) => {
                Err(Refusal::invalid_request("You may not specify both topic name and topic id."))
            }
            None if id == TopicId::NONE => {
                Err(Refusal::invalid_request("Neither topic name nor id were specified."))
            }
            None => Ok(TopicRef::Id(id)),
        }
    });
    by_name.chain(by_either).collect()
}

/// Before version 3 clients do not know TOPIC_DELETION_DISABLED.
fn code(version: i16, code: i16) -> i16 {
    if version < 3 && code == ResponseError::TopicDeletionDisabled.code() {
        return ResponseError::InvalidRequest.code();
    }
    code
}
