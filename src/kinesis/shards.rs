//! ListShards.

use model::{SequenceNumber, ShardId, Timestamp, TopicId};
use state::shards::Shard;

use crate::{
    Kinesis, answers,
    error::{ApiError, ErrorKind},
    lineage::{self, Filter},
    log::{Log, StreamKey, StreamView},
    requests,
    stream::{Caller, named_stream},
    token::{ForeignToken, TokenKind, Tokens, be_i64},
    validation::validate,
};

/// Shards in one answer, unless fewer are asked for.
const PAGE_DEFAULT: usize = 1000;

impl<L: Log> Kinesis<L> {
    /// Lists a stream's shards, all or those that a filter selects.
    pub async fn list_shards(
        &self,
        caller: &Caller,
        request: requests::ListShards,
    ) -> Result<answers::ListShards, ApiError> {
        validate(&request)?;
        let now = self.log.now();
        let (stream, page) = match &request.next_token {
            Some(token) => {
                refuse_beside_token(&request)?;
                let page = Page::open(&self.tokens, token, now)?;
                (self.log.stream(StreamKey::Id(page.topic)).await?, page)
            }
            None => {
                let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
                let name = named_stream(caller, name, arn)?;
                let found = self.log.stream(StreamKey::Name(name.clone())).await?;
                let stream =
                    found.ok_or_else(|| ApiError::no_stream(name.as_str(), &caller.account))?;
                let page = Page {
                    topic: stream.id,
                    after: after_shard(caller, &stream, request.exclusive_start_shard_id)?,
                    filter: filter(caller, &stream, request.shard_filter)?,
                };
                (Some(stream), page)
            }
        };
        let stream = stream.ok_or_else(|| {
            ApiError::new(ErrorKind::ResourceNotFound, "The stream of this NextToken is gone.")
        })?;
        check_creation_time(caller, &stream, request.stream_creation_timestamp.map(|t| t.0))?;

        let limit = request.max_results.and_then(|max| usize::try_from(max).ok());
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let mut shards = lineage::select(&stream, page.filter, now);
        shards.retain(|shard| page.after.is_none_or(|after| shard.id > after));
        let more = shards.len() > limit;
        shards.truncate(limit);
        let next = match shards.last() {
            Some(last) if more => Some(Page { after: Some(last.id), ..page }),
            _ => None,
        };
        Ok(answers::ListShards {
            shards: shards.into_iter().map(described).collect(),
            next_token: next.map(|page| page.seal(&self.tokens, now)),
        })
    }
}

/// A shard as clients see it.
pub(crate) fn described(shard: &Shard) -> answers::Shard {
    let mut parents = shard.parents.iter().map(ShardId::to_string);
    let number = |offset| SequenceNumber { shard_created: shard.created, offset, shard: shard.id };
    answers::Shard {
        shard_id: shard.id.to_string(),
        parent_shard_id: parents.next(),
        adjacent_parent_shard_id: parents.next(),
        hash_key_range: shard.range.into(),
        sequence_number_range: answers::SequenceNumberRange {
            starting_sequence_number: number(shard.start_offset).to_string(),
            ending_sequence_number: shard.end_offset.map(|end| number(end).to_string()),
        },
    }
}

/// The shard of `stream` that `text` names.
pub(crate) fn find_shard<'a>(
    caller: &Caller,
    stream: &'a StreamView,
    text: &str,
) -> Result<&'a Shard, ApiError> {
    let id = text.parse::<ShardId>().ok();
    let found = id.and_then(|id| stream.shards.iter().find(|shard| shard.id == id));
    found.ok_or_else(|| {
        let text = id.map_or_else(|| text.to_owned(), |id| id.to_string());
        ApiError::no_shard(&text, stream.name.as_str(), &caller.account)
    })
}

fn refuse_beside_token(request: &requests::ListShards) -> Result<(), ApiError> {
    for (there, name) in [
        (request.stream_name.is_some(), "StreamName"),
        (request.exclusive_start_shard_id.is_some(), "ExclusiveStartShardId"),
        (request.shard_filter.is_some(), "ShardFilter"),
    ] {
        if there {
            let message = format!("NextToken and {name} cannot be provided together.");
            return Err(ApiError::invalid_argument(message));
        }
    }
    Ok(())
}

pub(crate) fn after_shard(
    caller: &Caller,
    stream: &StreamView,
    text: Option<String>,
) -> Result<Option<ShardId>, ApiError> {
    let no_shard = |text: &str| ApiError::no_shard(text, stream.name.as_str(), &caller.account);
    text.map(|text| text.parse().map_err(|_| no_shard(&text))).transpose()
}

fn filter(
    caller: &Caller,
    stream: &StreamView,
    filter: Option<requests::ShardFilter>,
) -> Result<Filter, ApiError> {
    let Some(filter) = filter else { return Ok(Filter::FromTrimHorizon) };
    let kind = filter.kind.unwrap_or_default();
    let needs = |member: &str| {
        ApiError::invalid_argument(format!("ShardFilter of type {kind} needs a {member}."))
    };
    let timestamp = || filter.timestamp.map(|time| time.0).ok_or_else(|| needs("Timestamp"));
    Ok(match kind.as_str() {
        "AFTER_SHARD_ID" => {
            let after = after_shard(caller, stream, filter.shard_id)?;
            Filter::AfterShard(after.ok_or_else(|| needs("ShardId"))?)
        }
        "AT_TRIM_HORIZON" => Filter::AtTrimHorizon,
        "AT_LATEST" => Filter::AtLatest,
        "AT_TIMESTAMP" => Filter::AtTimestamp(timestamp()?),
        "FROM_TIMESTAMP" => Filter::FromTimestamp(timestamp()?),
        _ => Filter::FromTrimHorizon,
    })
}

/// `StreamCreationTimestamp` tells a stream from an earlier one of its name; whole seconds are
/// compared, since clients round.
pub(crate) fn check_creation_time(
    caller: &Caller,
    stream: &StreamView,
    asked: Option<Timestamp>,
) -> Result<(), ApiError> {
    match asked {
        Some(asked) if asked.0 / 1000 != stream.created.0 / 1000 => {
            Err(ApiError::no_stream(stream.name.as_str(), &caller.account))
        }
        _ => Ok(()),
    }
}

/// What a `NextToken` of ListShards carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    topic: TopicId,
    after: Option<ShardId>,
    filter: Filter,
}

impl Page {
    fn seal(self, tokens: &Tokens, now: Timestamp) -> String {
        let (kind, number) = match self.filter {
            Filter::FromTrimHorizon => (0, 0),
            Filter::AtTrimHorizon => (1, 0),
            Filter::AtLatest => (2, 0),
            Filter::AtTimestamp(at) => (3, at.0),
            Filter::FromTimestamp(from) => (4, from.0),
            Filter::AfterShard(after) => (5, i64::from(after.0)),
        };
        let mut payload = self.topic.to_bytes().to_vec();
        payload.extend_from_slice(&self.after.map_or(-1, |after| i64::from(after.0)).to_be_bytes());
        payload.push(kind);
        payload.extend_from_slice(&number.to_be_bytes());
        tokens.seal(TokenKind::ShardsPage, now, &payload)
    }

    fn open(tokens: &Tokens, text: &str, now: Timestamp) -> Result<Page, ApiError> {
        let foreign = || ApiError::invalid_argument("Invalid NextToken.");
        let opened = tokens.open(TokenKind::ShardsPage, text);
        let opened = opened.map_err(|ForeignToken| foreign())?;
        if opened.is_expired(now) {
            return Err(ApiError::new(ErrorKind::ExpiredNextToken, "The NextToken has expired."));
        }
        Page::decode(&opened.payload).ok_or_else(foreign)
    }

    fn decode(payload: &[u8]) -> Option<Page> {
        let topic = u128::from_be_bytes(payload.get(..16)?.try_into().ok()?);
        let after = be_i64(payload, 16)?;
        let number = be_i64(payload, 25)?;
        let filter = match payload.get(24)? {
            0 => Filter::FromTrimHorizon,
            1 => Filter::AtTrimHorizon,
            2 => Filter::AtLatest,
            3 => Filter::AtTimestamp(Timestamp(number)),
            4 => Filter::FromTimestamp(Timestamp(number)),
            5 => Filter::AfterShard(ShardId(u32::try_from(number).ok()?)),
            _ => return None,
        };
        let after = u32::try_from(after).ok().map(ShardId);
        Some(Page { topic: TopicId(topic), after, filter })
    }
}
