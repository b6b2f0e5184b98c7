//! Staying in the group, leaving it, and being taken for dead.

use super::{
    super::{GroupError, MemberRecord},
    ClassicGroup, Output, Phase,
};

/// Who a call comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The member's id.
    pub member_id: String,
    /// The name of a static member.
    pub instance_id: Option<String>,
    /// The generation it believes in; negative for none.
    pub generation: i32,
}

/// A member that leaves: by its id, or a static one by its name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The member's id; empty if only the name is given.
    pub member_id: String,
    /// The name of a static member.
    pub instance_id: Option<String>,
}

impl ClassicGroup {
    /// A member is alive.
    pub fn heartbeat(&mut self, now_ms: u64, identity: &Identity) -> Result<(), GroupError> {
        self.check_identity(identity)?;
        match self.phase {
            Phase::Empty => Err(GroupError::UnknownMemberId),
            Phase::Preparing { .. } => {
                self.start_session(&identity.member_id, now_ms);
                Err(GroupError::RebalanceInProgress)
            }
            Phase::Completing | Phase::Stable => {
                self.start_session(&identity.member_id, now_ms);
                Ok(())
            }
        }
    }

    /// Whether offsets may be committed by a caller. One that names neither a member nor a
    /// generation may do so while nobody is in the group (and any time within a transaction).
    pub fn check_commit(
        &mut self,
        now_ms: u64,
        identity: &Identity,
        transactional: bool,
    ) -> Result<(), GroupError> {
        if identity.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        let named = !identity.member_id.is_empty() || identity.instance_id.is_some();
        if identity.generation >= 0 || named {
            self.check_identity(identity)?;
        } else if !transactional && self.phase != Phase::Empty {
            return Err(GroupError::UnknownMemberId);
        }
        match self.phase {
            // The member has to learn its assignment first.
            Phase::Completing => Err(GroupError::RebalanceInProgress),
            Phase::Empty => Ok(()),
            // A rebalance that begins does not keep its members from committing what they did.
            Phase::Preparing { .. } | Phase::Stable => {
                if named {
                    self.start_session(&identity.member_id, now_ms);
                }
                Ok(())
            }
        }
    }

    /// Members leave. Each gets its own answer.
    pub fn leave(
        &mut self,
        now_ms: u64,
        departures: &[Departure],
    ) -> (Vec<Result<(), GroupError>>, Output) {
        let results = departures.iter().map(|departure| self.leave_one(departure)).collect();
        self.after_removal(now_ms);
        (results, self.take_output())
    }

    fn leave_one(&mut self, departure: &Departure) -> Result<(), GroupError> {
        let Departure { member_id, instance_id } = departure;
        let id = if member_id.is_empty() {
            let of_instance = instance_id.as_ref().and_then(|name| self.instances.get(name));
            of_instance.cloned().ok_or(GroupError::UnknownMemberId)?
        } else if self.pending.remove(member_id).is_some() {
            return Ok(());
        } else {
            self.check_member(member_id, instance_id.as_deref())?;
            member_id.clone()
        };
        self.remove(&id, GroupError::UnknownMemberId);
        Ok(())
    }

    /// Does what has become due.
    pub fn tick(&mut self, now_ms: u64) -> Output {
        if now_ms < self.earliest_ms {
            return Output::default();
        }
        self.pending.retain(|_, until_ms| *until_ms > now_ms);
        let silent: Vec<String> = self
            .members
            .values()
            .filter(|member| member.session_until_ms.is_some_and(|until| until <= now_ms))
            .map(|member| member.record.id.clone())
            .collect();
        for id in &silent {
            self.remove(id, GroupError::UnknownMemberId);
        }
        if self.sync_until_ms <= now_ms {
            self.sync_until_ms = u64::MAX;
            let late: Vec<String> = self
                .members
                .values()
                .filter(|member| !member.synced)
                .map(|member| member.record.id.clone())
                .collect();
            for id in &late {
                self.remove(id, GroupError::UnknownMemberId);
            }
        }
        self.after_removal(now_ms);
        if matches!(self.phase, Phase::Preparing { until_ms, .. } if until_ms <= now_ms) {
            self.join_deadline(now_ms);
        }
        self.earliest_ms = self.earliest_deadline_ms();
        self.take_output()
    }

    /// A rebalance follows if the generation has lost members since it began.
    fn after_removal(&mut self, now_ms: u64) {
        match self.phase {
            Phase::Empty => {}
            Phase::Preparing { .. } => self.complete_join_if_all_are_in(now_ms),
            Phase::Completing | Phase::Stable => {
                if std::mem::take(&mut self.has_lost) {
                    self.rebalance_or_complete(now_ms);
                }
            }
        }
    }

    fn earliest_deadline_ms(&self) -> u64 {
        let sessions = self.members.values().filter_map(|member| member.session_until_ms);
        let pending = self.pending.values().copied();
        let joining = match self.phase {
            Phase::Preparing { until_ms, .. } => until_ms,
            Phase::Empty | Phase::Completing | Phase::Stable => u64::MAX,
        };
        let first = sessions.chain(pending).min().unwrap_or(u64::MAX);
        first.min(joining).min(self.sync_until_ms)
    }

    /// Begins a member's session anew, unless a call of its waits.
    pub(super) fn start_session(&mut self, id: &str, now_ms: u64) {
        let Some(member) = self.members.get_mut(id) else { return };
        if member.join.is_some() || member.sync.is_some() {
            return;
        }
        let until_ms = now_ms + member.session_timeout_ms();
        member.session_until_ms = Some(until_ms);
        self.deadline(until_ms);
    }

    pub(super) fn check_identity(&self, identity: &Identity) -> Result<(), GroupError> {
        self.check_member(&identity.member_id, identity.instance_id.as_deref())?;
        if identity.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        Ok(())
    }

    /// Whether the caller is in; a static one must not have been replaced.
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance) = instance_id {
            return match self.instances.get(instance) {
                None => Err(GroupError::UnknownMemberId),
                Some(current) if current != member_id => Err(GroupError::FencedInstanceId),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    /// The members as tools see them, in the order of joining. Before the group is stable their
    /// metadata and assignments mean nothing.
    pub fn members(&self) -> Vec<&MemberRecord> {
        let mut members: Vec<_> = self.members.values().collect();
        members.sort_by_key(|member| member.ordinal);
        members.into_iter().map(|member| &member.record).collect()
    }

    /// What a member tells the assignor of this generation.
    pub fn metadata_of(&self, member_id: &str) -> &[u8] {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = self.members.get(member_id);
        member.and_then(|member| member.metadata(protocol)).unwrap_or_default()
    }
}
