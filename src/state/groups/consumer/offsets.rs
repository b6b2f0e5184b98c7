//! Who may commit and fetch offsets of a group.

use super::{ConsumerGroup, ConsumerGroupError};

/// The first version of OffsetCommit whose epochs members of the newer protocol may send.
const COMMIT_VERSION_MIN: i16 = 9;

impl ConsumerGroup {
    /// Whether a commit is to be taken. A negative epoch means that the caller is no member: a
    /// tool, or a consumer that assigns partitions to itself; both may while nobody is a member.
    pub fn validate_offset_commit(
        &self,
        member_id: &str,
        member_epoch: i32,
        is_transactional: bool,
        version: i16,
    ) -> Result<(), ConsumerGroupError> {
        if member_epoch < 0 && self.member_count() == 0 {
            return Ok(());
        }
        let member = self.member(member_id).ok_or_else(|| self.unknown(member_id))?;
        if !is_transactional && !member.is_classic() && version < COMMIT_VERSION_MIN {
            return Err(ConsumerGroupError::UnsupportedVersion);
        }
        self.validate_epoch(member_id, member_epoch)
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
            Some(member_id) => self.validate_epoch(member_id, member_epoch),
        }
    }

    fn validate_epoch(&self, member_id: &str, found: i32) -> Result<(), ConsumerGroupError> {
        let member = self.member(member_id).ok_or_else(|| self.unknown(member_id))?;
        let known = member.standing.epoch;
        match found == known {
            true => Ok(()),
            false if member.is_classic() => {
                Err(ConsumerGroupError::IllegalGeneration { found, known })
            }
            false => Err(ConsumerGroupError::StaleMemberEpoch { found, known }),
        }
    }

    pub(super) fn unknown(&self, member_id: &str) -> ConsumerGroupError {
        ConsumerGroupError::UnknownMemberId {
            member_id: member_id.to_owned(),
            group_id: self.id().to_owned(),
        }
    }
}
