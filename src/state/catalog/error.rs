//! Why a request about topics or settings is refused, in Kafka's words.

use model::{InvalidTopicName, TopicId};
use thiserror::Error;

use super::StreamError;
use crate::{
    configs::ConfigError,
    shards::{ReshardError, SplitError},
};

/// Why the catalog refuses. The variants are named after Kafka's error codes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CatalogError {
    /// INVALID_TOPIC_EXCEPTION: the name is not legal, or differs from another topic's in `.` and
    /// `_` only.
    #[error("{0}")]
    InvalidTopic(String),
    /// TOPIC_ALREADY_EXISTS, with the topic's name.
    #[error("Topic '{0}' already exists.")]
    TopicAlreadyExists(String),
    /// UNKNOWN_TOPIC_OR_PARTITION, with the name or id.
    #[error("This server does not host this topic-partition: {0}")]
    UnknownTopic(String),
    /// INVALID_PARTITIONS.
    #[error("{0}")]
    InvalidPartitions(String),
    /// INVALID_REPLICATION_FACTOR.
    #[error("{0}")]
    InvalidReplicationFactor(String),
    /// INVALID_REPLICA_ASSIGNMENT.
    #[error("{0}")]
    InvalidReplicaAssignment(String),
    /// INVALID_CONFIG.
    #[error(transparent)]
    InvalidConfig(ConfigError),
    /// INVALID_REQUEST.
    #[error("{0}")]
    InvalidRequest(String),
    /// A change of a stream's properties that cannot be made. No code of Kafka's.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A split or merge that cannot be made. No code of Kafka's.
    #[error(transparent)]
    Reshard(#[from] ReshardError),
}

impl CatalogError {
    pub(super) fn unknown_id(id: TopicId) -> CatalogError {
        CatalogError::UnknownTopic(id.to_string())
    }

    pub(super) fn no_partitions() -> CatalogError {
        let text = "Number of partitions was set to an invalid non-positive value.";
        CatalogError::InvalidPartitions(text.to_owned())
    }
}

impl From<InvalidTopicName> for CatalogError {
    fn from(error: InvalidTopicName) -> Self {
        CatalogError::InvalidTopic(error.to_string())
    }
}

impl From<ConfigError> for CatalogError {
    fn from(error: ConfigError) -> Self {
        if error.is_malformed_request() {
            CatalogError::InvalidRequest(error.to_string())
        } else {
            CatalogError::InvalidConfig(error)
        }
    }
}

impl From<SplitError> for CatalogError {
    fn from(error: SplitError) -> Self {
        CatalogError::InvalidPartitions(error.to_string())
    }
}
