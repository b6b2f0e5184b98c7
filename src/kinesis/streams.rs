//! CreateStream, DeleteStream, ListStreams, DescribeStreamSummary.
//!
//! A stream is a topic. What Kinesis keeps per stream is kept in the topic's own settings, so that
//! both doors show and change the same thing: the retention period is `retention.ms`, the greatest
//! record is `max.message.bytes` less a batch's overhead.

use broker::{BrokerError, NewTopic};
use model::{TopicConfig, TopicName};

use crate::{
    Kinesis, answers,
    constraints::STREAM_NAME_CHARS_MAX,
    error::{ApiError, ErrorKind},
    limits::{batch_bytes_max, record_bytes_max},
    log::{Log, StreamKey, StreamView},
    requests,
    stream::{Caller, named_stream, stream_id},
    token::{ForeignToken, TokenKind},
    validation::validate,
    wire::Time,
};

/// Shards of a stream made on demand, unless it says how many.
const ON_DEMAND_SHARDS: u32 = 4;
/// AWS keeps records for a day unless told otherwise.
const RETENTION_DEFAULT_HOURS: i64 = 24;
/// A year: the longest that AWS knows, and what "for ever" is shown as.
const RETENTION_MAX_HOURS: i64 = 8760;
const HOUR_MS: i64 = 3_600_000;
/// Streams in one answer, unless more or fewer are asked for.
const PAGE_DEFAULT: usize = 100;
const ACTIVE: &str = "ACTIVE";

impl<L: Log> Kinesis<L> {
    /// Makes a stream. It is active when this returns.
    pub async fn create_stream(
        &self,
        caller: &Caller,
        request: requests::CreateStream,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let name = request.stream_name.clone().unwrap_or_default();
        let topic = new_topic(request)?;
        match self.log.create(topic).await {
            Err(BrokerError::TopicAlreadyExists(_)) => Err(ApiError::new(
                ErrorKind::ResourceInUse,
                format!("Stream {name} under account {} already exists.", caller.account),
            )),
            outcome => Ok(outcome?),
        }
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

    /// Tells all of a stream but its shards.
    pub async fn describe_stream_summary(
        &self,
        caller: &Caller,
        request: requests::DescribeStreamSummary,
    ) -> Result<answers::DescribeStreamSummary, ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        let stream_description_summary = summary(caller, &stream);
        Ok(answers::DescribeStreamSummary { stream_description_summary })
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

/// The topic that a validated CreateStream asks for.
fn new_topic(request: requests::CreateStream) -> Result<NewTopic, ApiError> {
    if request.tags.is_some_and(|tags| !tags.is_empty()) {
        return Err(ApiError::not_built("A stream's Tags"));
    }
    if request.warm_throughput_mibps.is_some_and(|mibps| mibps > 0) {
        return Err(ApiError::not_built("WarmThroughputMiBps"));
    }
    if request.record_distribution_strategy.as_deref() == Some("AUTO") {
        return Err(ApiError::not_built("RecordDistributionStrategy AUTO"));
    }
    let mode = request.stream_mode_details.and_then(|details| details.stream_mode);
    let on_demand = mode.as_deref() == Some("ON_DEMAND");
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
        ("retention.ms".to_owned(), Some((RETENTION_DEFAULT_HOURS * HOUR_MS).to_string())),
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

fn mode(stream: &StreamView) -> answers::StreamModeDetails {
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

fn summary(caller: &Caller, stream: &StreamView) -> answers::StreamDescriptionSummary {
    answers::StreamDescriptionSummary {
        stream_name: stream.name.to_string(),
        stream_arn: caller.stream_arn(stream.name.as_str()),
        stream_id: stream_id(stream.id),
        stream_status: ACTIVE,
        stream_mode_details: mode(stream),
        retention_period_hours: retention_hours(&stream.config),
        stream_creation_timestamp: Time(stream.created),
        enhanced_monitoring: [answers::EnhancedMetrics::default()],
        encryption_type: crate::NOT_ENCRYPTED,
        open_shard_count: stream.shards.iter().filter(|shard| shard.end_offset.is_none()).count(),
        consumer_count: 0,
        // Shown within the model's bounds, which a Kafka topic's setting may lie outside of.
        max_record_size_kib: (record_bytes_max(&stream.config) as i64 >> 10).clamp(1024, 10_240),
        channel_count: 0,
        queue_count: 0,
        record_distribution_strategy: "USER_PARTITION_KEY",
    }
}

/// `retention.ms` in hours, rounded up, within what AWS's shape can say.
fn retention_hours(config: &TopicConfig) -> i64 {
    if config.retention_ms < 0 || !config.cleanup_policy.delete {
        return RETENTION_MAX_HOURS;
    }
    let hours = config.retention_ms / HOUR_MS + i64::from(config.retention_ms % HOUR_MS > 0);
    hours.clamp(1, RETENTION_MAX_HOURS)
}
