//! Why a member's request is refused.

use thiserror::Error;

/// A refusal, in Kafka's words; the variants have the names of Kafka's errors.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the names are Kafka's and the texts say the rest")]
pub enum ConsumerGroupError {
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("Group {group_id} not found.")]
    GroupIdNotFound { group_id: String },
    #[error("Member {member_id} is not a member of group {group_id}.")]
    UnknownMemberId { member_id: String, group_id: String },
    #[error("Instance id {instance_id} is unknown.")]
    UnknownInstanceId { instance_id: String },
    #[error(
        "The consumer group member has a {comparison} member epoch ({found}) than the one known by the group coordinator ({known}). The member must abandon all its partitions and rejoin."
    )]
    FencedMemberEpoch { comparison: &'static str, found: i32, known: i32 },
    #[error(
        "Static member {member_id} with instance id {instance_id} was fenced by member {owner}."
    )]
    FencedInstanceId { member_id: String, instance_id: String, owner: String },
    #[error(
        "Static member {member_id} with instance id {instance_id} cannot join the group because the instance id is owned by {owner} member."
    )]
    UnreleasedInstanceId { member_id: String, instance_id: String, owner: String },
    #[error("ServerAssignor {name} is not supported. Supported assignors: {supported}.")]
    UnsupportedAssignor { name: String, supported: String },
    #[error("The consumer group has reached its maximum capacity of {members_max} members.")]
    GroupMaxSizeReached { members_max: usize },
    #[error("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {why}.")]
    InvalidRegularExpression { pattern: String, why: String },
    #[error("The received member epoch {found} does not match the expected member epoch {known}.")]
    StaleMemberEpoch { found: i32, known: i32 },
    #[error("The received generation id {found} does not match the expected member epoch {known}.")]
    IllegalGeneration { found: i32, known: i32 },
    #[error(
        "OffsetCommit version 9 or above must be used by members using the modern group protocol"
    )]
    UnsupportedVersion,
}
