//! The one error type of the broker's operations, free of any protocol.
//!
//! Each door maps it to its protocol's codes in one place (`kafka::errors`, `kinesis::errors`).

use model::Offset;
use state::catalog::StreamError;
use state::groups::{GroupError, consumer::ConsumerGroupError};
use state::leases::LeaseError;
use state::shards::ReshardError;
use state::transactions::TransactionError;
use thiserror::Error;

/// Why an operation was refused or failed. Texts are for people and may be sent to clients.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BrokerError {
    /// No topic or partition of that name.
    #[error("This server does not host this topic-partition.")]
    UnknownTopicOrPartition,
    /// No topic of that id.
    #[error("This server does not host this topic ID.")]
    UnknownTopicId,
    /// The name is no legal topic name, or collides with another.
    #[error("{0}")]
    InvalidTopic(String),
    /// A topic of that name exists.
    #[error("Topic '{0}' already exists.")]
    TopicAlreadyExists(String),
    /// A partition count that cannot be had.
    #[error("{0}")]
    InvalidPartitions(String),
    /// A replication factor that cannot be had.
    #[error("{0}")]
    InvalidReplicationFactor(String),
    /// A manual assignment that cannot be had.
    #[error("{0}")]
    InvalidReplicaAssignment(String),
    /// A configuration name or value that is not accepted.
    #[error("{0}")]
    InvalidConfig(String),
    /// The request makes no sense as it is.
    #[error("{0}")]
    InvalidRequest(String),
    /// A rule of the broker forbids it.
    #[error("{0}")]
    PolicyViolation(String),
    /// The offset is not within the log.
    #[error("The requested offset is not within the range of offsets maintained by the server.")]
    OffsetOutOfRange {
        /// The first offset there is.
        log_start: Offset,
        /// The offset that the next record will get.
        log_end: Offset,
    },
    /// A batch is damaged: wrong CRC, wrong length.
    #[error("{0}")]
    CorruptMessage(String),
    /// A batch breaks a rule.
    #[error("{message}")]
    InvalidRecord {
        /// What is wrong with the batch.
        message: String,
        /// What is wrong with which of its records (index within the batch).
        records: Vec<(u32, String)>,
    },
    /// A batch format that is not served.
    #[error("{0}")]
    UnsupportedForMessageFormat(String),
    /// A codec that is unknown or not allowed.
    #[error("{0}")]
    UnsupportedCompressionType(String),
    /// The batch is larger than `max.message.bytes`.
    #[error("{0}")]
    MessageTooLarge(String),
    /// The batch is larger than a segment.
    #[error("{0}")]
    RecordListTooLarge(String),
    /// A timestamp out of `message.timestamp.*.max.ms`.
    #[error("{message}")]
    InvalidTimestamp {
        /// What is wrong with the batch.
        message: String,
        /// What is wrong with which of its records (index within the batch).
        records: Vec<(u32, String)>,
    },
    /// A gap in a producer's sequence.
    #[error("{0}")]
    OutOfOrderSequence(String),
    /// A batch already written, and too long ago to know its offset.
    #[error("The broker received a duplicate sequence number.")]
    DuplicateSequence,
    /// A producer that was fenced by a newer epoch.
    #[error("{0}")]
    InvalidProducerEpoch(String),
    /// Producer state that is gone.
    #[error(
        "This exception is raised by the broker if it could not locate the producer metadata associated with the producer ID in question."
    )]
    UnknownProducerId,
    /// A transactional batch outside a transaction.
    #[error("{0}")]
    InvalidTxnState(String),
    /// The coordinator of a transaction refuses.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// `min.insync.replicas` is more than there are.
    #[error("{0}")]
    NotEnoughReplicas(String),
    /// The disk is full. Reads and deletes go on; writing resumes when space is back.
    #[error("{0}")]
    StorageFull(String),
    /// The disk failed or stored data is damaged.
    #[error("{0}")]
    Storage(String),
    /// The client's leader epoch is older than the broker's.
    #[error("The leader epoch in the request is older than the epoch on the broker.")]
    FencedLeaderEpoch,
    /// The client's leader epoch is newer than the broker's.
    #[error("The leader epoch in the request is newer than the epoch on the broker.")]
    UnknownLeaderEpoch,
    /// `delete.topic.enable=false`.
    #[error("Topic deletion is disabled.")]
    TopicDeletionDisabled,
    /// A consumer group refuses.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// A consumer group of the newer protocol refuses.
    #[error(transparent)]
    ConsumerGroup(#[from] ConsumerGroupError),
    /// A lease stays as it is.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// A stream's properties stay as they are.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Shards cannot be split or merged in this way.
    #[error(transparent)]
    Reshard(#[from] ReshardError),
    /// Somebody uses what was to be changed.
    #[error("{0}")]
    InUse(String),
    /// What was routed to a shard came when the shard had closed: route it anew.
    #[error("The shard has closed; its records go to other shards now.")]
    ShardMoved,
    /// The broker is shutting down.
    #[error("The broker is shutting down.")]
    Stopping,
    /// A limit on memory or work in progress is reached; retry later.
    #[error("{0}")]
    Overloaded(String),
}
