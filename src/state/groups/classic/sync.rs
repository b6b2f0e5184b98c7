//! SyncGroup: the leader assigns, everybody learns what it has.

use super::{super::GroupError, CallId, ClassicGroup, Identity, Output, Phase, Reply};

/// A call of SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// Who calls.
    pub identity: Identity,
    /// What the caller believes the group is used for, if it says so.
    pub protocol_type: Option<String>,
    /// The assignor that the caller believes in, if it says so.
    pub protocol: Option<String>,
    /// From the leader: what each member has.
    pub assignments: Vec<(String, Vec<u8>)>,
}

/// What a member has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// What the group is used for.
    pub protocol_type: Option<String>,
    /// The assignor that was used.
    pub protocol: Option<String>,
    /// The leader's own words.
    pub assignment: Vec<u8>,
}

/// What a group's members and assignments may take when they are stored, in bytes: below what the
/// journal takes in one command, and twice what Kafka takes by default.
const STORED_BYTES_MAX: usize = 2 << 20;

impl ClassicGroup {
    /// A member asks for its assignment; the leader brings everybody's.
    pub fn sync(&mut self, now_ms: u64, call: CallId, request: SyncRequest) -> Output {
        if let Err(error) = self.try_sync(now_ms, call, request) {
            self.reply(call, Reply::Sync(Err(error)));
        }
        self.take_output()
    }

    fn try_sync(
        &mut self,
        now_ms: u64,
        call: CallId,
        request: SyncRequest,
    ) -> Result<(), GroupError> {
        self.check_identity(&request.identity)?;
        let differs = |theirs: &Option<String>, ours: &Option<String>| {
            theirs.is_some() && ours.is_some() && theirs != ours
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol, &self.protocol)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let id = request.identity.member_id;
        match self.phase {
            Phase::Empty => Err(GroupError::UnknownMemberId),
            Phase::Preparing { .. } => Err(GroupError::RebalanceInProgress),
            Phase::Completing => {
                self.await_assignment(&id, call);
                if self.leader.as_deref() == Some(&id) {
                    self.assign(now_ms, request.assignments);
                }
                Ok(())
            }
            Phase::Stable => {
                let synced = self.synced(&id);
                if let Some(member) = self.members.get_mut(&id) {
                    member.synced = true;
                }
                self.reply(call, Reply::Sync(Ok(synced)));
                self.start_session(&id, now_ms);
                Ok(())
            }
        }
    }

    fn await_assignment(&mut self, id: &str, call: CallId) {
        let Some(member) = self.members.get_mut(id) else { return };
        (member.synced, member.session_until_ms) = (true, None);
        if let Some(earlier) = member.sync.replace(call) {
            self.reply(earlier, Reply::Sync(Err(GroupError::RebalanceInProgress)));
        }
    }

    fn assign(&mut self, now_ms: u64, assignments: Vec<(String, Vec<u8>)>) {
        for member in self.members.values_mut() {
            member.record.assignment.clear();
        }
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.record.assignment = assignment;
            }
        }
        if self.stored_bytes() > STORED_BYTES_MAX {
            for member in self.members.values_mut() {
                member.record.assignment.clear();
            }
            let waiting: Vec<CallId> =
                self.members.values_mut().filter_map(|member| member.sync.take()).collect();
            for call in waiting {
                self.reply(call, Reply::Sync(Err(GroupError::TooLarge)));
            }
            let ids: Vec<String> = self.members.keys().cloned().collect();
            for id in ids {
                self.start_session(&id, now_ms);
            }
            return self.rebalance_or_complete(now_ms);
        }
        self.phase = Phase::Stable;
        self.output.store = Some(self.record());
        let waiting: Vec<(String, CallId)> = self
            .members
            .iter_mut()
            .filter_map(|(id, member)| Some((id.clone(), member.sync.take()?)))
            .collect();
        for (id, call) in waiting {
            let synced = self.synced(&id);
            self.reply(call, Reply::Sync(Ok(synced)));
            self.start_session(&id, now_ms);
        }
    }

    fn synced(&self, id: &str) -> Synced {
        let assignment = self.members.get(id).map(|member| member.record.assignment.clone());
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: assignment.unwrap_or_default(),
        }
    }

    /// The variable part of what is stored.
    fn stored_bytes(&self) -> usize {
        let of_member = |member: &super::Member| {
            let protocols = member.record.protocols.iter();
            let protocols: usize = protocols.map(|(name, data)| name.len() + data.len()).sum();
            protocols + member.record.assignment.len() + member.record.id.len()
        };
        self.members.values().map(of_member).sum()
    }
}
