//! RegisterStreamConsumer, DescribeStreamConsumer, ListStreamConsumers, DeregisterStreamConsumer.

use state::catalog::{StreamChange, StreamConsumer};

use crate::{
    Kinesis, answers,
    error::{ApiError, ErrorKind},
    log::{Log, StreamView},
    requests,
    resource::{ConsumerArn, no_consumer},
    shards::check_creation_time,
    stream::{Caller, named_stream},
    streams::ACTIVE,
    tags::check_tags,
    token::{ForeignToken, TokenKind},
    validation::validate,
    wire::Time,
};

/// Consumers in one answer, unless more or fewer are asked for.
const PAGE_DEFAULT: usize = 100;
const TOPIC_ID_BYTES: usize = 16;

impl<L: Log> Kinesis<L> {
    /// Registers a consumer. It is active when this returns.
    pub async fn register_stream_consumer(
        &self,
        caller: &Caller,
        request: requests::RegisterStreamConsumer,
    ) -> Result<answers::RegisterStreamConsumer, ApiError> {
        validate(&request)?;
        let stream_name = named_stream(caller, None, request.stream_arn.as_deref())?;
        let name = request.consumer_name.unwrap_or_default();
        let tags = request.tags.unwrap_or_default();
        check_tags(&tags)?;
        let stream = self.find_stream(caller, &stream_name).await?;
        let register = StreamChange::RegisterConsumer { name: name.clone(), tags };
        self.change(caller, &stream, register).await?;
        // The catalog says when.
        let stream = self.find_stream(caller, &stream_name).await?;
        let consumer = stream.properties.consumers.get(&name);
        let consumer = consumer.ok_or_else(|| no_consumer(&name, caller))?;
        let consumer = shown(&caller.stream_arn(stream.name.as_str()), &name, consumer);
        Ok(answers::RegisterStreamConsumer { consumer })
    }

    /// Tells of a consumer.
    pub async fn describe_stream_consumer(
        &self,
        caller: &Caller,
        request: requests::OfConsumer,
    ) -> Result<answers::DescribeStreamConsumer, ApiError> {
        validate(&request)?;
        let (stream, name) = self.consumer_of(caller, &request).await?;
        let consumer = stream.properties.consumers.get(&name);
        let consumer = consumer.ok_or_else(|| no_consumer(&name, caller))?;
        let stream_arn = caller.stream_arn(stream.name.as_str());
        let consumer = shown(&stream_arn, &name, consumer);
        Ok(answers::DescribeStreamConsumer {
            consumer_description: answers::ConsumerDescription {
                consumer_name: consumer.consumer_name,
                consumer_arn: consumer.consumer_arn,
                consumer_status: consumer.consumer_status,
                consumer_creation_timestamp: consumer.consumer_creation_timestamp,
                stream_arn,
            },
        })
    }

    /// Forgets a consumer.
    pub async fn deregister_stream_consumer(
        &self,
        caller: &Caller,
        request: requests::OfConsumer,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let (stream, name) = self.consumer_of(caller, &request).await?;
        self.change(caller, &stream, StreamChange::DeregisterConsumer { name }).await
    }

    /// Lists a stream's consumers by name, page by page.
    pub async fn list_stream_consumers(
        &self,
        caller: &Caller,
        request: requests::ListStreamConsumers,
    ) -> Result<answers::ListStreamConsumers, ApiError> {
        validate(&request)?;
        let name = named_stream(caller, None, request.stream_arn.as_deref())?;
        let stream = self.find_stream(caller, &name).await?;
        check_creation_time(caller, &stream, request.stream_creation_timestamp.map(|t| t.0))?;
        let after = match &request.next_token {
            Some(token) => Some(self.consumer_of_page(&stream, token)?),
            None => None,
        };
        let limit = request.max_results.and_then(|max| usize::try_from(max).ok());
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let stream_arn = caller.stream_arn(stream.name.as_str());
        let consumers = stream.properties.consumers.iter();
        let mut consumers: Vec<_> = consumers
            .filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after))
            .map(|(name, consumer)| shown(&stream_arn, name, consumer))
            .collect();
        let more = consumers.len() > limit;
        consumers.truncate(limit);
        let next_token = consumers.last().filter(|_| more).map(|last| {
            let payload = [&stream.id.to_bytes()[..], last.consumer_name.as_bytes()].concat();
            self.tokens.seal(TokenKind::ConsumersPage, self.log.now(), &payload)
        });
        Ok(answers::ListStreamConsumers { consumers, next_token })
    }

    /// The stream and the name of the consumer that a request names: by its ARN, or by the stream's
    /// and its name.
    async fn consumer_of(
        &self,
        caller: &Caller,
        request: &requests::OfConsumer,
    ) -> Result<(StreamView, String), ApiError> {
        let (arn, stream_arn) = (request.consumer_arn.as_deref(), request.stream_arn.as_deref());
        match (arn.and_then(ConsumerArn::parse), stream_arn, &request.consumer_name) {
            (Some(arn), stream_arn, name) => {
                let agree = stream_arn.is_none_or(|stream| stream == arn.stream)
                    && name.as_ref().is_none_or(|name| name == arn.name);
                if !agree {
                    return Err(ApiError::invalid_argument(
                        "ConsumerARN names another consumer than StreamARN and ConsumerName.",
                    ));
                }
                self.find_consumer(caller, arn).await
            }
            (None, Some(stream_arn), Some(name)) => {
                let stream = named_stream(caller, None, Some(stream_arn))?;
                let stream = self.find_stream(caller, &stream).await?;
                if stream.properties.consumers.contains_key(name) {
                    Ok((stream, name.clone()))
                } else {
                    Err(no_consumer(name, caller))
                }
            }
            _ => Err(ApiError::invalid_argument(
                "Either ConsumerARN or both StreamARN and ConsumerName must be provided.",
            )),
        }
    }

    fn consumer_of_page(&self, stream: &StreamView, token: &str) -> Result<String, ApiError> {
        let foreign = || ApiError::invalid_argument("Invalid NextToken.");
        let opened = self.tokens.open(TokenKind::ConsumersPage, token);
        let opened = opened.map_err(|ForeignToken| foreign())?;
        if opened.is_expired(self.log.now()) {
            return Err(ApiError::new(ErrorKind::ExpiredNextToken, "The NextToken has expired."));
        }
        let (id, name) = opened.payload.split_at_checked(TOPIC_ID_BYTES).ok_or_else(foreign)?;
        if id != stream.id.to_bytes() {
            return Err(foreign());
        }
        String::from_utf8(name.to_vec()).map_err(|_| foreign())
    }
}

fn shown(stream_arn: &str, name: &str, consumer: &StreamConsumer) -> answers::Consumer {
    answers::Consumer {
        consumer_name: name.to_owned(),
        consumer_arn: ConsumerArn::of(stream_arn, name, consumer.created),
        consumer_status: ACTIVE,
        consumer_creation_timestamp: Time(consumer.created),
    }
}
