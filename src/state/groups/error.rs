//! Why a group refuses.

use thiserror::Error;

/// Kafka has one code for each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GroupError {
    /// INVALID_GROUP_ID
    #[error("The group id must not be empty.")]
    InvalidGroupId,
    /// GROUP_ID_NOT_FOUND
    #[error("The group id was not found.")]
    GroupIdNotFound,
    /// UNKNOWN_MEMBER_ID
    #[error("The group has no such member.")]
    UnknownMemberId,
    /// FENCED_INSTANCE_ID
    #[error("A newer member has taken over the group instance id.")]
    FencedInstanceId,
    /// ILLEGAL_GENERATION
    #[error("The generation is not the group's current one.")]
    IllegalGeneration,
    /// REBALANCE_IN_PROGRESS
    #[error("The group is rebalancing: rejoin.")]
    RebalanceInProgress,
    /// MEMBER_ID_REQUIRED
    #[error("Join again with the member id that was given.")]
    MemberIdRequired,
    /// INCONSISTENT_GROUP_PROTOCOL
    #[error("The member's protocol type or assignors do not fit the group's.")]
    InconsistentGroupProtocol,
    /// INVALID_SESSION_TIMEOUT
    #[error(
        "The session timeout is not within group.min.session.timeout.ms and group.max.session.timeout.ms."
    )]
    InvalidSessionTimeout,
    /// GROUP_MAX_SIZE_REACHED
    #[error("The group has as many members as group.max.size allows.")]
    GroupMaxSizeReached,
    /// NON_EMPTY_GROUP
    #[error("The group is not empty.")]
    NonEmptyGroup,
    /// GROUP_SUBSCRIBED_TO_TOPIC
    #[error("A member of the group is subscribed to the topic.")]
    SubscribedToTopic,
    /// OFFSET_METADATA_TOO_LARGE
    #[error("The commit's metadata is longer than offset.metadata.max.bytes.")]
    OffsetMetadataTooLarge,
    /// UNSTABLE_OFFSET_COMMIT
    #[error("A transaction that is not finished has committed an offset for the partition.")]
    UnstableOffsetCommit,
    /// COORDINATOR_NOT_AVAILABLE: try again later.
    #[error("The group cannot be changed now: try again later.")]
    Unavailable,
    /// UNKNOWN_SERVER_ERROR: what the group would have to store is larger than can be stored.
    #[error("The group's members and assignments are too large to be stored.")]
    TooLarge,
}
