//! Requests that are wrong by themselves, and the ways out of a group.

use super::{
    Assignment, AssignorName, Change, ConsumerGroup, ConsumerGroupError, Heartbeat,
    HeartbeatAnswer, JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH, Limits, Record, Standing,
};

/// The first version of ConsumerGroupHeartbeat in which members make their own ids.
pub const OWN_MEMBER_ID_SINCE: i16 = 1;

/// Whether a request makes sense by itself, whatever the group.
pub fn validate_request(
    group_id: &str,
    heartbeat: &Heartbeat,
    version: i16,
) -> Result<(), ConsumerGroupError> {
    let refuse_if = |wrong: bool, text| match wrong {
        true => Err(ConsumerGroupError::InvalidRequest(text)),
        false => Ok(()),
    };
    let blank = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
    let epoch = heartbeat.member_epoch;
    refuse_if(group_id.trim().is_empty(), "GroupId can't be empty.")?;
    refuse_if(blank(&heartbeat.instance_id), "InstanceId can't be empty.")?;
    refuse_if(blank(&heartbeat.rack_id), "RackId can't be empty.")?;
    let needs_id = version >= OWN_MEMBER_ID_SINCE || epoch != JOIN_EPOCH;
    refuse_if(needs_id && heartbeat.member_id.trim().is_empty(), "MemberId can't be empty.")?;
    refuse_if(epoch < LEAVE_STATIC_EPOCH, "MemberEpoch is invalid.")?;
    if epoch == LEAVE_STATIC_EPOCH {
        refuse_if(heartbeat.instance_id.is_none(), "InstanceId can't be null.")?;
    }
    if epoch == JOIN_EPOCH {
        refuse_if(
            heartbeat.rebalance_timeout_ms.is_none(),
            "RebalanceTimeoutMs must be provided in first request.",
        )?;
        refuse_if(
            heartbeat.owned.as_ref().is_none_or(|owned| !owned.is_empty()),
            "TopicPartitions must be empty when (re-)joining.",
        )?;
        refuse_if(
            heartbeat.topic_names.is_none() && heartbeat.topic_regex.is_none(),
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        )?;
    }
    Ok(())
}

/// The assignor of a name, if it may be asked for.
pub fn find_assignor(name: &str, limits: &Limits) -> Result<AssignorName, ConsumerGroupError> {
    let found = limits.assignors.iter().find(|assignor| assignor.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = limits.assignors.iter().map(|assignor| assignor.name()).collect();
        ConsumerGroupError::UnsupportedAssignor {
            name: name.to_owned(),
            supported: names.join(", "),
        }
    })
}

impl ConsumerGroup {
    /// Plans a member's leave ([`LEAVE_EPOCH`] or [`LEAVE_STATIC_EPOCH`]).
    pub fn leave(
        &self,
        heartbeat: &Heartbeat,
    ) -> Result<(Change, HeartbeatAnswer), ConsumerGroupError> {
        let Heartbeat { member_id, member_epoch, instance_id, .. } = heartbeat;
        let member = match instance_id {
            Some(instance_id) => self.owner_of_instance(instance_id, member_id)?,
            None => self.member(member_id).ok_or_else(|| self.unknown(member_id))?,
        };
        let answer = HeartbeatAnswer {
            member_id: member_id.clone(),
            member_epoch: *member_epoch,
            assignment: None,
        };
        let change = match *member_epoch == LEAVE_STATIC_EPOCH {
            true => {
                let standing = Standing {
                    pending_revocation: Assignment::default(),
                    ..member.standing.at_epoch(LEAVE_STATIC_EPOCH)
                };
                let member_id = member_id.clone();
                self.change(vec![Record::Standing { member_id, standing }])
            }
            false => self.removal(member_id),
        };
        Ok((change, answer))
    }

    /// Plans the end of a member whose time is up; `None` if it is gone, or left the epoch in
    /// which it was stuck.
    pub fn fence(&self, member_id: &str, stuck_in_epoch: Option<i32>) -> Option<Change> {
        let member = self.member(member_id)?;
        let is_stuck = stuck_in_epoch.is_none_or(|epoch| epoch == member.standing.epoch);
        is_stuck.then(|| self.removal(member_id))
    }

    fn removal(&self, member_id: &str) -> Change {
        let removed = Record::Removed { member_id: member_id.to_owned() };
        // Which topics are still asked for is found by whoever works out the next targets.
        let next = Record::NextEpoch { epoch: self.epoch() + 1 };
        self.change(vec![removed, next])
    }

    fn change(&self, records: Vec<Record>) -> Change {
        Change { group_id: self.id().to_owned(), records }
    }
}

const _: () = assert!(LEAVE_EPOCH > LEAVE_STATIC_EPOCH && LEAVE_EPOCH < JOIN_EPOCH);
