//! What Kafka says for each way in which an operation can fail: the one place where the broker's
//! errors become Kafka's codes (<https://kafka.apache.org/protocol.html#protocol_error_codes>).

use broker::BrokerError;
use kafka_protocol::{ResponseError, protocol::StrBytes};
use model::Offset;
use state::groups::{GroupError, consumer::ConsumerGroupError};
use state::transactions::TransactionError;

/// An error as a reply carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Kafka's code.
    pub code: i16,
    /// For people, where the reply has a place for it.
    pub message: String,
    /// What is wrong with single records of a batch: index and text (Produce from version 8).
    pub records: Vec<(u32, String)>,
    /// The log's first offset and its end, where the error is that an offset lies outside.
    pub log_bounds: Option<(Offset, Offset)>,
}

impl Refusal {
    /// A refusal of the door's own.
    pub fn new(error: ResponseError, message: impl Into<String>) -> Refusal {
        Refusal {
            code: error.code(),
            message: message.into(),
            records: Vec::new(),
            log_bounds: None,
        }
    }

    /// INVALID_REQUEST
    pub fn invalid_request(message: impl Into<String>) -> Refusal {
        Refusal::new(ResponseError::InvalidRequest, message)
    }

    /// The message as the crate's replies take it.
    pub fn text(&self) -> Option<StrBytes> {
        Some(StrBytes::from_string(self.message.clone()))
    }
}

/// The code and the text of an outcome, 0 and null if it is none.
pub fn code_and_text<T>(outcome: &Result<T, Refusal>) -> (i16, Option<StrBytes>) {
    match outcome {
        Ok(_) => (0, None),
        Err(refusal) => (refusal.code, refusal.text()),
    }
}

/// PRODUCER_FENCED, where the request's version is at least `since`; before that clients know
/// INVALID_PRODUCER_EPOCH only (KIP-588). Other codes stay.
pub fn fenced_since(since: i16, version: i16, code: i16) -> i16 {
    if code == ResponseError::ProducerFenced.code() && version < since {
        return ResponseError::InvalidProducerEpoch.code();
    }
    code
}

impl From<BrokerError> for Refusal {
    fn from(error: BrokerError) -> Refusal {
        let code = code_of(&error);
        let message = error.to_string();
        let log_bounds = match error {
            BrokerError::OffsetOutOfRange { log_start, log_end } => Some((log_start, log_end)),
            _ => None,
        };
        let records = match error {
            BrokerError::InvalidRecord { records, .. }
            | BrokerError::InvalidTimestamp { records, .. } => records,
            _ => Vec::new(),
        };
        Refusal { code: code.code(), message, records, log_bounds }
    }
}

fn code_of(error: &BrokerError) -> ResponseError {
    use BrokerError as B;
    use ResponseError as R;
    match error {
        B::UnknownTopicOrPartition => R::UnknownTopicOrPartition,
        B::UnknownTopicId => R::UnknownTopicId,
        B::InvalidTopic(_) => R::InvalidTopicException,
        B::TopicAlreadyExists(_) => R::TopicAlreadyExists,
        B::InvalidPartitions(_) => R::InvalidPartitions,
        B::InvalidReplicationFactor(_) => R::InvalidReplicationFactor,
        B::InvalidReplicaAssignment(_) => R::InvalidReplicaAssignment,
        B::InvalidConfig(_) => R::InvalidConfig,
        B::InvalidRequest(_) => R::InvalidRequest,
        // All but the first are the other door's: no request of Kafka's ends so.
        B::PolicyViolation(_) | B::Stream(_) | B::Reshard(_) | B::InUse(_) | B::Lease(_) => {
            R::PolicyViolation
        }
        B::OffsetOutOfRange { .. } => R::OffsetOutOfRange,
        B::CorruptMessage(_) => R::CorruptMessage,
        B::InvalidRecord { .. } => R::InvalidRecord,
        B::UnsupportedForMessageFormat(_) => R::UnsupportedForMessageFormat,
        B::UnsupportedCompressionType(_) => R::UnsupportedCompressionType,
        B::MessageTooLarge(_) => R::MessageTooLarge,
        B::RecordListTooLarge(_) => R::RecordListTooLarge,
        B::InvalidTimestamp { .. } => R::InvalidTimestamp,
        B::OutOfOrderSequence(_) => R::OutOfOrderSequenceNumber,
        B::DuplicateSequence => R::DuplicateSequenceNumber,
        B::InvalidProducerEpoch(_) => R::InvalidProducerEpoch,
        B::UnknownProducerId => R::UnknownProducerId,
        B::InvalidTxnState(_) => R::InvalidTxnState,
        B::Transaction(error) => transaction_code(error),
        B::NotEnoughReplicas(_) => R::NotEnoughReplicas,
        // Retriable: clients try again until the disk has room or is replaced.
        B::StorageFull(_) | B::Storage(_) => R::KafkaStorageError,
        B::FencedLeaderEpoch => R::FencedLeaderEpoch,
        B::UnknownLeaderEpoch => R::UnknownLeaderEpoch,
        B::TopicDeletionDisabled => R::TopicDeletionDisabled,
        B::Group(error) => code_of_group(*error),
        B::ConsumerGroup(error) => code_of_consumer_group(error),
        // Retriable, after asking for metadata again: by then the broker is back, or gone.
        B::Stopping | B::ShardMoved => R::NotLeaderOrFollower,
        // Retriable, without doubt about where the leader is.
        B::Overloaded(_) => R::RequestTimedOut,
    }
}

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Refusal {
        Refusal::new(code_of_group(error), error.to_string())
    }
}

fn code_of_group(error: GroupError) -> ResponseError {
    use GroupError as G;
    use ResponseError as R;
    match error {
        G::InvalidGroupId => R::InvalidGroupId,
        G::GroupIdNotFound => R::GroupIdNotFound,
        G::UnknownMemberId => R::UnknownMemberId,
        G::FencedInstanceId => R::FencedInstanceId,
        G::IllegalGeneration => R::IllegalGeneration,
        G::RebalanceInProgress => R::RebalanceInProgress,
        G::MemberIdRequired => R::MemberIdRequired,
        G::InconsistentGroupProtocol => R::InconsistentGroupProtocol,
        G::InvalidSessionTimeout => R::InvalidSessionTimeout,
        G::GroupMaxSizeReached => R::GroupMaxSizeReached,
        G::NonEmptyGroup => R::NonEmptyGroup,
        G::SubscribedToTopic => R::GroupSubscribedToTopic,
        G::OffsetMetadataTooLarge => R::OffsetMetadataTooLarge,
        G::UnstableOffsetCommit => R::UnstableOffsetCommit,
        G::Unavailable => R::CoordinatorNotAvailable,
        G::TooLarge => R::UnknownServerError,
    }
}

fn code_of_consumer_group(error: &ConsumerGroupError) -> ResponseError {
    use ConsumerGroupError as G;
    use ResponseError as R;
    match error {
        G::InvalidRequest(_) => R::InvalidRequest,
        G::GroupIdNotFound { .. } => R::GroupIdNotFound,
        G::UnknownMemberId { .. } | G::UnknownInstanceId { .. } => R::UnknownMemberId,
        G::FencedMemberEpoch { .. } => R::FencedMemberEpoch,
        G::FencedInstanceId { .. } => R::FencedInstanceId,
        G::UnreleasedInstanceId { .. } => R::UnreleasedInstanceId,
        G::UnsupportedAssignor { .. } => R::UnsupportedAssignor,
        G::GroupMaxSizeReached { .. } => R::GroupMaxSizeReached,
        G::InvalidRegularExpression { .. } => R::InvalidRegularExpression,
        G::StaleMemberEpoch { .. } => R::StaleMemberEpoch,
        G::IllegalGeneration { .. } => R::IllegalGeneration,
        G::UnsupportedVersion => R::UnsupportedVersion,
    }
}

fn transaction_code(error: &TransactionError) -> ResponseError {
    use ResponseError as R;
    use TransactionError as T;
    match error {
        T::UnknownProducer => R::InvalidProducerIdMapping,
        T::Fenced { .. } => R::ProducerFenced,
        T::Concurrent => R::ConcurrentTransactions,
        T::InvalidState { .. } => R::InvalidTxnState,
        T::NotInTransaction => R::TransactionAbortable,
        T::InvalidTimeout { .. } => R::InvalidTransactionTimeout,
        // The broker asks again with one: a client never sees this.
        T::NeedsProducerId => R::UnknownServerError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_clients_must_retry_have_retriable_codes() {
        let retriable = [
            BrokerError::StorageFull("disk full".into()),
            BrokerError::Storage("read failed".into()),
            BrokerError::Stopping,
            BrokerError::Overloaded("no memory".into()),
            BrokerError::NotEnoughReplicas("1 of 2".into()),
            BrokerError::CorruptMessage("crc".into()),
        ];
        for error in retriable {
            assert!(code_of(&error).is_retriable(), "{error:?}");
        }
    }

    #[test]
    fn errors_of_single_records_are_kept() {
        let refusal = Refusal::from(BrokerError::InvalidRecord {
            message: "no key".into(),
            records: vec![(3, "record 3 has no key".into())],
        });
        assert_eq!(refusal.code, 87);
        assert_eq!(refusal.records, [(3, "record 3 has no key".to_owned())]);
    }
}
