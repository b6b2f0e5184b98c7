//! Who may commit and fetch offsets of a group.

use std::cmp::Ordering;

use model::TopicPartition;

use super::{Assignment, ConsumerGroup, ConsumerGroupError, Member};

/// The first version of OffsetCommit whose epochs members of the newer protocol may send.
const COMMIT_VERSION_MIN: i16 = 9;

/// Of which partitions a caller may commit offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitRights {
    /// Of all.
    All,
    /// Of those that it had already in the epoch that it names. That is older than its own: the
    /// answer with the newer one may be on its way (KIP-1251).
    Of {
        /// The partitions.
        held: Assignment,
        /// What it is told about others.
        refusal: ConsumerGroupError,
    },
}

impl CommitRights {
    /// Whether they cover a partition.
    pub fn check(&self, partition: TopicPartition) -> Result<(), ConsumerGroupError> {
        match self {
            CommitRights::Of { held, refusal }
                if !held.contains(partition.topic, partition.partition) =>
            {
                Err(refusal.clone())
            }
            CommitRights::All | CommitRights::Of { .. } => Ok(()),
        }
    }
}

impl ConsumerGroup {
    /// What may be committed by a caller. A negative epoch means that it is no member: a tool, or a
    /// consumer that assigns partitions to itself; both may while nobody is a member. Transactional
    /// producers know a wrong epoch as a wrong generation.
    pub fn validate_offset_commit(
        &self,
        member_id: &str,
        member_epoch: i32,
        is_transactional: bool,
        version: i16,
    ) -> Result<CommitRights, ConsumerGroupError> {
        if member_epoch < 0 && self.member_count() == 0 {
            return Ok(CommitRights::All);
        }
        // A producer of the first transaction protocol does not say which member it works for.
        if is_transactional && member_epoch < 0 && member_id.is_empty() {
            return Ok(CommitRights::All);
        }
        let member = self.member(member_id).ok_or_else(|| self.unknown(member_id))?;
        if !is_transactional && !member.is_classic() && version < COMMIT_VERSION_MIN {
            return Err(ConsumerGroupError::UnsupportedVersion);
        }
        match member_epoch.cmp(&member.standing.epoch) {
            Ordering::Equal => Ok(CommitRights::All),
            Ordering::Less => Ok(CommitRights::Of {
                held: self.held_since(&member.standing, member_epoch),
                refusal: wrong_epoch(member, member_epoch, is_transactional),
            }),
            Ordering::Greater => Err(wrong_epoch(member, member_epoch, is_transactional)),
        }
    }

    /// Whether offsets may be shown to the caller, who may be nobody in particular.
    pub fn validate_offset_fetch(
        &self,
        member_id: Option<&str>,
        member_epoch: i32,
    ) -> Result<(), ConsumerGroupError> {
        match member_id {
            None if member_epoch < 0 => Ok(()),
            None => Err(self.unknown("null")),
            Some(member_id) => {
                let member = self.member(member_id).ok_or_else(|| self.unknown(member_id))?;
                match member_epoch == member.standing.epoch {
                    true => Ok(()),
                    false => Err(wrong_epoch(member, member_epoch, false)),
                }
            }
        }
    }

    pub(super) fn unknown(&self, member_id: &str) -> ConsumerGroupError {
        ConsumerGroupError::UnknownMemberId {
            member_id: member_id.to_owned(),
            group_id: self.id().to_owned(),
        }
    }
}

fn wrong_epoch(member: &Member, found: i32, is_transactional: bool) -> ConsumerGroupError {
    let known = member.standing.epoch;
    match member.is_classic() || is_transactional {
        true => ConsumerGroupError::IllegalGeneration { found, known },
        false => ConsumerGroupError::StaleMemberEpoch { found, known },
    }
}
