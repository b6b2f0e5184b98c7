//! CreateStream, DeleteStream, ListStreams.
//!
//! A stream is a topic. What Kinesis keeps per stream is kept in the topic's own settings, so that
//! both doors show and change the same thing: the retention period is `retention.ms`, the greatest
//! record is `max.message.bytes` less a batch's overhead.

use broker::{BrokerError, NewTopic};
use model::TopicName;
use state::catalog::StreamProperties;

use crate::{
    Kinesis, answers,
    constraints::STREAM_NAME_CHARS_MAX,
    error::{ApiError, ErrorKind},
    limits::batch_bytes_max,
    log::{Log, StreamKey, StreamView},
    requests,
    settings::{HOUR_MS, RETENTION_MIN_HOURS, auto_needs_on_demand},
    stream::{Caller, named_stream},
    tags::check_tags,
    token::{ForeignToken, TokenKind},
    validation::validate,
    wire::Time,
};

/// Shards of a stream made on demand, unless it says how many.
const ON_DEMAND_SHARDS: u32 = 4;
/// Streams in one answer, unless more or fewer are asked for.
const PAGE_DEFAULT: usize = 100;
/// The one state of streams and consumers: changes are done when they are answered.
pub(crate) const ACTIVE: &str = "ACTIVE";

impl<L: Log> Kinesis<L> {
    /// Makes a stream. It is active when this returns.
    pub async fn create_stream(
        &self,
        caller: &Caller,
        request: requests::CreateStream,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let name = request.stream_name.clone().unwrap_or_default();
        let properties = self.new_properties(&request).await?;
        let topic = new_topic(request)?;
        match self.log.create(topic, properties).await {
            Err(BrokerError::TopicAlreadyExists(_)) => Err(ApiError::new(
                ErrorKind::ResourceInUse,
                format!("Stream {name} under account {} already exists.", caller.account),
            )),
            outcome => outcome.map_err(|error| ApiError::of_stream(error, &name, &caller.account)),
        }
    }

    /// What a validated CreateStream asks for that is no setting of a topic.
    async fn new_properties(
        &self,
        request: &requests::CreateStream,
    ) -> Result<StreamProperties, ApiError> {
        let on_demand = is_on_demand(request);
        let tags = request.tags.clone().unwrap_or_default();
        check_tags(&tags)?;
        let mibps = request.warm_throughput_mibps.unwrap_or_default();
        if mibps > 0 {
            self.check_warm_throughput(on_demand, mibps).await?;
        }
        let spreads_puts = request.record_distribution_strategy.as_deref() == Some("AUTO");
        if spreads_puts && !on_demand {
            return Err(auto_needs_on_demand());
        }
        Ok(StreamProperties {
            tags,
            warm_throughput_mibps: u32::try_from(mibps).unwrap_or_default(),
            spreads_puts,
            ..StreamProperties::default()
        })
    }

    /// Deletes a stream with its records. It is gone when this returns.
    pub async fn delete_stream(
        &self,
        caller: &Caller,
        request: requests::DeleteStream,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        let consumers = stream.properties.consumers.len();
        if consumers > 0 && request.enforce_consumer_deletion != Some(true) {
            let message = format!(
                "Stream {} under account {} has {consumers} registered consumers. Deregister them, \
                 or set EnforceConsumerDeletion.",
                stream.name, caller.account
            );
            return Err(ApiError::new(ErrorKind::ResourceInUse, message));
        }
        match self.log.delete(stream.id).await {
            Err(BrokerError::UnknownTopicOrPartition | BrokerError::UnknownTopicId) => {
                Err(ApiError::no_stream(stream.name.as_str(), &caller.account))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Lists the streams by name, page by page.
    pub async fn list_streams(
        &self,
        caller: &Caller,
        request: requests::ListStreams,
    ) -> Result<answers::ListStreams, ApiError> {
        validate(&request)?;
        let after = match (request.next_token, request.exclusive_start_stream_name) {
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid_argument(
                    "NextToken and ExclusiveStartStreamName cannot be provided together.",
                ));
            }
            (Some(token), None) => Some(self.stream_of_page(&token)?),
            (None, after) => after,
        };
        let limit = request.limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let mut streams = self.log.streams(after, limit + 1, STREAM_NAME_CHARS_MAX).await?;
        let has_more_streams = streams.len() > limit;
        streams.truncate(limit);
        let next_token = streams.last().filter(|_| has_more_streams).map(|last| {
            let name = last.name.as_str().as_bytes();
            self.tokens.seal(TokenKind::StreamsPage, self.log.now(), name)
        });
        Ok(answers::ListStreams {
            stream_names: streams.iter().map(|stream| stream.name.to_string()).collect(),
            has_more_streams,
            next_token,
            stream_summaries: streams.iter().map(|stream| listed(caller, stream)).collect(),
        })
    }

    /// The stream `name` with its shards, or AWS's error.
    pub(crate) async fn find_stream(
        &self,
        caller: &Caller,
        name: &TopicName,
    ) -> Result<StreamView, ApiError> {
        let no_stream = || ApiError::no_stream(name.as_str(), &caller.account);
        if name.as_str().len() > STREAM_NAME_CHARS_MAX {
            return Err(no_stream());
        }
        self.log.stream(StreamKey::Name(name.clone())).await?.ok_or_else(no_stream)
    }

    fn stream_of_page(&self, token: &str) -> Result<String, ApiError> {
        let foreign = || ApiError::invalid_argument("Invalid NextToken.");
        let opened = self.tokens.open(TokenKind::StreamsPage, token);
        let opened = opened.map_err(|ForeignToken| foreign())?;
        if opened.is_expired(self.log.now()) {
            return Err(ApiError::new(ErrorKind::ExpiredNextToken, "The NextToken has expired."));
        }
        String::from_utf8(opened.payload).map_err(|_| foreign())
    }
}

fn is_on_demand(request: &requests::CreateStream) -> bool {
    let details = request.stream_mode_details.as_ref();
    details.is_some_and(|details| details.stream_mode.as_deref() == Some("ON_DEMAND"))
}

/// The topic that a validated CreateStream asks for.
fn new_topic(request: requests::CreateStream) -> Result<NewTopic, ApiError> {
    let on_demand = is_on_demand(&request);
    let shards = match request.shard_count {
        Some(count) => u32::try_from(count).map_err(|_| {
            ApiError::new(ErrorKind::LimitExceeded, format!("{count} shards are too many."))
        })?,
        None if on_demand => ON_DEMAND_SHARDS,
        None => {
            return Err(ApiError::new(
                ErrorKind::Validation,
                "1 validation error detected: Value null at 'shardCount' failed to satisfy \
                 constraint: Member must not be null",
            ));
        }
    };
    let mut configs = vec![
        ("retention.ms".to_owned(), Some((RETENTION_MIN_HOURS * HOUR_MS).to_string())),
        (
            "max.message.bytes".to_owned(),
            Some(batch_bytes_max(request.max_record_size_kib).to_string()),
        ),
    ];
    if on_demand {
        configs.push((crate::STREAM_MODE_CONFIG.to_owned(), Some(crate::ON_DEMAND.to_owned())));
    }
    Ok(NewTopic {
        name: request.stream_name.unwrap_or_default(),
        partitions: Some(shards),
        configs,
        ..NewTopic::default()
    })
}

pub(crate) fn mode(stream: &StreamView) -> answers::StreamModeDetails {
    let stream_mode = if stream.on_demand { "ON_DEMAND" } else { "PROVISIONED" };
    answers::StreamModeDetails { stream_mode }
}

fn listed(caller: &Caller, stream: &StreamView) -> answers::StreamSummary {
    answers::StreamSummary {
        stream_name: stream.name.to_string(),
        stream_arn: caller.stream_arn(stream.name.as_str()),
        stream_status: ACTIVE,
        stream_mode_details: mode(stream),
        stream_creation_timestamp: Time(stream.created),
    }
}
