//! What an operation answers when it does not succeed, in the names that AWS's model gives.

use broker::BrokerError;
use state::catalog::{CONSUMERS_MAX, StreamError, TAGS_MAX};
use thiserror::Error;

/// An error's name in the model. Source: botocore's `kinesis/2013-12-02/service-2.json`, and for
/// the first ones the errors common to all AWS services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A member breaks a constraint of the model.
    Validation,
    /// A member's value makes no sense here.
    InvalidArgument,
    /// No such stream or shard.
    ResourceNotFound,
    /// The stream exists, or is being changed.
    ResourceInUse,
    /// An account's or stream's limit.
    LimitExceeded,
    /// Come back later: a limit of throughput, or of this server's memory.
    ProvisionedThroughputExceeded,
    /// A shard iterator older than five minutes.
    ExpiredIterator,
    /// A `NextToken` older than five minutes.
    ExpiredNextToken,
    /// The request asked to be checked only, and is in order.
    DryRunOperation,
    /// This server failed; the request may be sent again.
    InternalFailure,
    /// The model has it, this server not yet.
    NotImplemented,
}

impl ErrorKind {
    /// The name that clients know (`__type`).
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::Validation => "ValidationException",
            ErrorKind::InvalidArgument => "InvalidArgumentException",
            ErrorKind::ResourceNotFound => "ResourceNotFoundException",
            ErrorKind::ResourceInUse => "ResourceInUseException",
            ErrorKind::LimitExceeded => "LimitExceededException",
            ErrorKind::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            ErrorKind::ExpiredIterator => "ExpiredIteratorException",
            ErrorKind::ExpiredNextToken => "ExpiredNextTokenException",
            ErrorKind::DryRunOperation => "DryRunOperationException",
            ErrorKind::InternalFailure => "InternalFailureException",
            ErrorKind::NotImplemented => "NotImplementedException",
        }
    }

    /// The HTTP status that goes with it. SDKs send a request again after a 5xx.
    pub fn status(self) -> u16 {
        match self {
            ErrorKind::InternalFailure => 500,
            // 501 would be retried as a server fault, to no purpose.
            _ => 400,
        }
    }
}

/// An operation's refusal or failure, ready to be written by a protocol.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {message}", kind.code())]
pub struct ApiError {
    /// Its name.
    pub kind: ErrorKind,
    /// What is wrong, for people; in AWS's words where a public record of them exists.
    pub message: String,
}

impl ApiError {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> ApiError {
        ApiError { kind, message: message.into() }
    }

    /// A value that makes no sense here.
    pub fn invalid_argument(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::InvalidArgument, message)
    }

    /// AWS's text for a stream that is not there.
    pub fn no_stream(name: &str, account: &str) -> ApiError {
        ApiError::new(
            ErrorKind::ResourceNotFound,
            format!("Stream {name} under account {account} not found."),
        )
    }

    /// AWS's text for a shard that is not there.
    pub fn no_shard(shard: &str, stream: &str, account: &str) -> ApiError {
        ApiError::new(
            ErrorKind::ResourceNotFound,
            format!("Could not find shard {shard} in stream {stream} under account {account}."),
        )
    }

    /// What the broker says of a change of the stream `name`.
    pub fn of_stream(error: BrokerError, name: &str, account: &str) -> ApiError {
        let (kind, message) = match error {
            BrokerError::UnknownTopicOrPartition | BrokerError::UnknownTopicId => {
                return ApiError::no_stream(name, account);
            }
            BrokerError::Stream(StreamError::TooManyTags) => (
                ErrorKind::InvalidArgument,
                format!(
                    "Failed to add tags to stream {name} under account {account} because a given \
                     stream cannot have more than {TAGS_MAX} tags associated with it."
                ),
            ),
            BrokerError::Stream(StreamError::NoConsumer(consumer)) => (
                ErrorKind::ResourceNotFound,
                format!("Consumer {consumer}, account {account} not found."),
            ),
            BrokerError::Stream(StreamError::ConsumerExists(consumer)) => (
                ErrorKind::ResourceInUse,
                format!(
                    "Consumer {consumer} under stream {name} already exists for account {account}."
                ),
            ),
            BrokerError::Stream(StreamError::TooManyConsumers) => (
                ErrorKind::LimitExceeded,
                format!(
                    "Stream {name} under account {account} cannot have more than {CONSUMERS_MAX} \
                     registered consumers."
                ),
            ),
            error => return error.into(),
        };
        ApiError::new(kind, message)
    }

    /// What the model has and this server has not. Said by name, so that nobody waits or wonders.
    pub fn not_built(what: &str) -> ApiError {
        ApiError::new(ErrorKind::NotImplemented, format!("{what} is not served by thalweg yet."))
    }
}

/// The broker's refusals in Kinesis's names. A missing stream needs its name in the text, which
/// only the caller knows; see [`ApiError::no_stream`].
impl From<BrokerError> for ApiError {
    fn from(error: BrokerError) -> ApiError {
        let kind = match &error {
            BrokerError::UnknownTopicOrPartition | BrokerError::UnknownTopicId => {
                ErrorKind::ResourceNotFound
            }
            BrokerError::TopicAlreadyExists(_) | BrokerError::InUse(_) => ErrorKind::ResourceInUse,
            BrokerError::InvalidPartitions(_) | BrokerError::PolicyViolation(_) => {
                ErrorKind::LimitExceeded
            }
            BrokerError::Overloaded(_) | BrokerError::ShardMoved => {
                ErrorKind::ProvisionedThroughputExceeded
            }
            BrokerError::InvalidTopic(_)
            | BrokerError::InvalidConfig(_)
            | BrokerError::InvalidRequest(_)
            | BrokerError::Stream(_)
            | BrokerError::Reshard(_)
            | BrokerError::InvalidReplicationFactor(_)
            | BrokerError::InvalidReplicaAssignment(_)
            | BrokerError::MessageTooLarge(_)
            | BrokerError::RecordListTooLarge(_)
            | BrokerError::OffsetOutOfRange { .. }
            | BrokerError::TopicDeletionDisabled => ErrorKind::InvalidArgument,
            // Disk full, storage damaged, stopping: the client keeps its record and tries again.
            _ => ErrorKind::InternalFailure,
        };
        ApiError::new(kind, error.to_string())
    }
}
