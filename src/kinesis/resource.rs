//! What an ARN names besides a stream: one of its consumers, or something that is not served.

use model::{Timestamp, TopicName};

use crate::{
    Kinesis,
    error::{ApiError, ErrorKind},
    log::{Log, StreamView},
    stream::{Caller, StreamArn, named_stream},
};

/// The parts of `STREAM-ARN/consumer/NAME:SECONDS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerArn<'a> {
    /// The ARN of the stream.
    pub stream: &'a str,
    /// The consumer's name.
    pub name: &'a str,
    /// When it was registered, in seconds since 1970, as the ARN writes it.
    pub created_seconds: &'a str,
}

impl<'a> ConsumerArn<'a> {
    /// Takes the ARN of a consumer.
    pub fn parse(text: &'a str) -> Option<ConsumerArn<'a>> {
        let (stream, consumer) = text.split_once("/consumer/")?;
        let (name, created_seconds) = consumer.rsplit_once(':')?;
        let is_name = |text: &str| {
            let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
            !text.is_empty() && text.bytes().all(legal)
        };
        let is_number =
            !created_seconds.is_empty() && created_seconds.bytes().all(|b| b.is_ascii_digit());
        let stream_name = StreamArn::parse(stream)?.name;
        (is_name(stream_name) && is_name(name) && is_number).then_some(ConsumerArn {
            stream,
            name,
            created_seconds,
        })
    }

    /// The ARN of a consumer of the stream that `stream` is the ARN of.
    pub fn of(stream: &str, name: &str, created: Timestamp) -> String {
        format!("{stream}/consumer/{name}:{}", created.0.div_euclid(1000))
    }
}

/// A resource by its ARN.
pub struct Resource;

impl Resource {
    /// Whether a text has the form of an ARN of a resource that has tags and policies.
    pub fn is_legal(text: &str) -> bool {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (arn, partition, service) = (next(), next(), next());
        let (_region, account, resource) = (next(), next(), next());
        let named = |kind: &str| {
            let rest = resource.split_once(kind).map(|(_, rest)| rest);
            rest.is_some_and(|rest| rest.starts_with(|c: char| !c.is_whitespace()))
        };
        arn == "arn"
            && partition.starts_with("aws")
            && service == "kinesis"
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && ["stream/", "channel/", "queue/"].into_iter().any(named)
    }
}

/// What a resource ARN names, found.
pub(crate) struct FoundResource {
    /// The stream.
    pub stream: StreamView,
    /// One of its consumers, if that is what is named.
    pub consumer: Option<String>,
}

impl<L: Log> Kinesis<L> {
    /// The stream or the consumer that a validated ARN names.
    pub(crate) async fn find_resource(
        &self,
        caller: &Caller,
        arn: &str,
    ) -> Result<FoundResource, ApiError> {
        if let Some(consumer) = ConsumerArn::parse(arn) {
            let (stream, name) = self.find_consumer(caller, consumer).await?;
            return Ok(FoundResource { stream, consumer: Some(name) });
        }
        if StreamArn::parse(arn).is_none() {
            // A queue or a channel: there are none.
            let message = format!("Resource {arn} not found.");
            return Err(ApiError::new(ErrorKind::ResourceNotFound, message));
        }
        let stream = self.find_stream(caller, &named_stream(caller, None, Some(arn))?).await?;
        Ok(FoundResource { stream, consumer: None })
    }

    /// The stream of a consumer, and the consumer's name, if it is the one that the ARN means.
    pub(crate) async fn find_consumer(
        &self,
        caller: &Caller,
        arn: ConsumerArn<'_>,
    ) -> Result<(StreamView, String), ApiError> {
        let name: TopicName = named_stream(caller, None, Some(arn.stream))?;
        let stream = self.find_stream(caller, &name).await?;
        let consumer = stream.properties.consumers.get(arn.name);
        let is_meant = consumer.is_some_and(|consumer| {
            consumer.created.0.div_euclid(1000).to_string() == arn.created_seconds
        });
        if is_meant {
            Ok((stream, arn.name.to_owned()))
        } else {
            Err(no_consumer(arn.name, caller))
        }
    }
}

/// No consumer of that name.
pub(crate) fn no_consumer(name: &str, caller: &Caller) -> ApiError {
    ApiError::new(
        ErrorKind::ResourceNotFound,
        format!("Consumer {name}, account {} not found.", caller.account),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";

    #[test]
    fn a_consumers_arn_is_written_and_read_back() {
        let text = ConsumerArn::of(STREAM, "app", Timestamp(1_795_000_000_999));
        assert_eq!(text, format!("{STREAM}/consumer/app:1795000000"));
        let arn = ConsumerArn::parse(&text).unwrap();
        assert_eq!((arn.stream, arn.name, arn.created_seconds), (STREAM, "app", "1795000000"));
        for bad in ["", STREAM, "x/consumer/app:1", &format!("{STREAM}/consumer/app")] {
            assert_eq!(ConsumerArn::parse(bad), None, "{bad}");
        }
        for bad in ["app:", "a b:1", ":1", "app:x"] {
            assert_eq!(ConsumerArn::parse(&format!("{STREAM}/consumer/{bad}")), None, "{bad}");
        }
    }

    #[test]
    fn streams_consumers_queues_and_channels_are_resources() {
        for good in [
            STREAM,
            "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/app:1",
            "arn:aws-cn:kinesis:cn-north-1:000000000000:queue/x",
            "arn:aws:kinesis::000000000000:channel/x",
        ] {
            assert!(Resource::is_legal(good), "{good}");
        }
        for bad in ["", " ", "orders", "arn:aws:s3:::stream/x", &STREAM.replace("stream", "bucket")]
        {
            assert!(!Resource::is_legal(bad), "{bad}");
        }
    }
}
