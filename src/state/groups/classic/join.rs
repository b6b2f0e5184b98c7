//! JoinGroup: a member comes, comes back, or is replaced.

use super::{
    super::{GroupError, MemberRecord},
    CallId, ClassicGroup, Output, Phase, Reply,
    member::{Member, WaitingJoin},
};

/// A call of JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The member's id; empty if it has none yet.
    pub member_id: String,
    /// The id that a new member gets.
    pub new_member_id: String,
    /// The name of a static member.
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it connected from.
    pub client_host: String,
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// How long it may take to rejoin, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// What the group is used for.
    pub protocol_type: String,
    /// The assignors it can use, best first, with what it tells each of them.
    pub protocols: Vec<(String, Vec<u8>)>,
    /// A new member must come again with the id it is given (KIP-394, version 4 and later).
    pub id_first: bool,
    /// The client understands that a leader need not assign (version 9 and later).
    pub may_skip_assignment: bool,
}

/// The answer to a member that is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The member's id.
    pub member_id: String,
    /// The number of the rebalance.
    pub generation: i32,
    /// What the group is used for.
    pub protocol_type: Option<String>,
    /// The assignor to be used.
    pub protocol: Option<String>,
    /// The member that assigns.
    pub leader: String,
    /// The leader need not assign: what it assigned still holds.
    pub skip_assignment: bool,
    /// For the leader: everybody.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub id: String,
    /// Its name, if it is a static member.
    pub instance_id: Option<String>,
    /// What it tells the assignor.
    pub metadata: Vec<u8>,
}

/// The answer to a member that is not in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The id that it has, or with which it must come again.
    pub member_id: String,
}

impl ClassicGroup {
    /// A member wants to be in the next generation. Its reply may come much later.
    pub fn join(&mut self, now_ms: u64, call: CallId, request: JoinRequest) -> Output {
        let refused_id = request.member_id.clone();
        if let Err(error) = self.try_join(now_ms, call, request) {
            let known = matches!(error, Refusal::KeepId(_));
            let (error, member_id) = match error {
                Refusal::KeepId(error) | Refusal::DropId(error) => {
                    (error, if known { refused_id } else { String::new() })
                }
                Refusal::ComeAgain(member_id) => (GroupError::MemberIdRequired, member_id),
            };
            self.reply(call, Reply::Join(Err(JoinRefused { error, member_id })));
        }
        self.take_output()
    }

    fn try_join(&mut self, now_ms: u64, call: CallId, request: JoinRequest) -> Result<(), Refusal> {
        let settings = self.settings;
        let session = settings.session_timeout_min_ms..=settings.session_timeout_max_ms;
        if !session.contains(&request.session_timeout_ms) {
            return Err(Refusal::KeepId(GroupError::InvalidSessionTimeout));
        }
        if !self.accepts_one_more(&request.member_id) {
            self.remove(&request.member_id, GroupError::GroupMaxSizeReached);
            return Err(Refusal::DropId(GroupError::GroupMaxSizeReached));
        }
        if !self.supports(&request) {
            return Err(Refusal::KeepId(GroupError::InconsistentGroupProtocol));
        }
        if request.member_id.is_empty() {
            self.join_new(now_ms, call, request)
        } else {
            self.join_known(now_ms, call, request).map_err(Refusal::KeepId)
        }
    }

    /// `group.max.size` counts those who wait while a rebalance gathers members, and those who are
    /// in otherwise.
    fn accepts_one_more(&self, member_id: &str) -> bool {
        let known = self.members.get(member_id);
        match self.phase {
            Phase::Empty => true,
            Phase::Preparing { .. } => {
                let waiting = self.members.values().filter(|member| member.join.is_some()).count();
                known.is_some_and(|member| member.join.is_some())
                    || waiting < self.settings.members_max
            }
            Phase::Completing | Phase::Stable => {
                known.is_some() || self.members.len() < self.settings.members_max
            }
        }
    }

    /// Whether the member's type is the group's, and everybody has one of its assignors.
    fn supports(&self, request: &JoinRequest) -> bool {
        if self.members.is_empty() {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(&request.protocol_type)
            && request
                .protocols
                .iter()
                .any(|(name, _)| self.members.values().all(|member| member.supports(name)))
    }

    fn join_new(&mut self, now_ms: u64, call: CallId, request: JoinRequest) -> Result<(), Refusal> {
        let new_id = request.new_member_id.clone();
        if let Some(instance) = &request.instance_id {
            if let Some(old_id) = self.instances.get(instance).cloned() {
                self.replace_static(now_ms, call, request, &old_id);
                return Ok(());
            }
        } else if request.id_first {
            let until_ms = now_ms + u64::try_from(request.session_timeout_ms).unwrap_or(0);
            self.pending.insert(new_id.clone(), until_ms);
            self.deadline(until_ms);
            return Err(Refusal::ComeAgain(new_id));
        }
        self.add(now_ms, call, new_id, request);
        Ok(())
    }

    fn join_known(
        &mut self,
        now_ms: u64,
        call: CallId,
        request: JoinRequest,
    ) -> Result<(), GroupError> {
        let id = request.member_id.clone();
        if self.pending.contains_key(&id) && request.instance_id.is_none() {
            self.add(now_ms, call, id, request);
            return Ok(());
        }
        self.check_member(&id, request.instance_id.as_deref())?;
        let unchanged = self
            .members
            .get(&id)
            .is_some_and(|member| member.record.protocols == request.protocols);
        match self.phase {
            Phase::Empty => return Err(GroupError::UnknownMemberId),
            // It may have missed the reply; nothing has changed.
            Phase::Completing if unchanged => self.join_again(now_ms, call, &id),
            // A leader comes back to assign anew; a follower only if something changed.
            Phase::Stable if unchanged && self.leader.as_deref() != Some(&id) => {
                self.join_again(now_ms, call, &id);
            }
            Phase::Preparing { .. } | Phase::Completing | Phase::Stable => {
                self.update(&id, call, request);
                self.rebalance_or_complete(now_ms);
            }
        }
        Ok(())
    }

    /// Tells a member of the current generation what it is.
    fn join_again(&mut self, now_ms: u64, call: CallId, id: &str) {
        let joined = self.joined(id);
        self.reply(call, Reply::Join(Ok(joined)));
        self.start_session(id, now_ms);
    }

    fn add(&mut self, now_ms: u64, call: CallId, id: String, request: JoinRequest) {
        self.pending.remove(&id);
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if let Phase::Preparing { initial: Some(initial), .. } = &mut self.phase {
            initial.has_grown = true;
        }
        if let Some(instance) = &request.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        let record = MemberRecord {
            id: id.clone(),
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: Vec::new(),
        };
        let mut member = Member::new(record, self.members_seen);
        self.members_seen += 1;
        member.join = Some(WaitingJoin { call });
        // Without an answer it cannot send heartbeats, but it must not stay for ever either.
        let until_ms = now_ms + NEW_MEMBER_JOIN_TIMEOUT_MS;
        member.session_until_ms = Some(until_ms);
        self.deadline(until_ms);
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        self.members.insert(id, member);
        self.rebalance_or_complete(now_ms);
    }

    /// A member that is in joins again. A call of its that still waits is answered as one that the
    /// rebalance has overtaken: the client has given it up.
    fn update(&mut self, id: &str, call: CallId, request: JoinRequest) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.record.protocols = request.protocols;
        member.record.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.record.session_timeout_ms = request.session_timeout_ms;
        let earlier = member.join.replace(WaitingJoin { call });
        if !member.is_new {
            member.session_until_ms = None;
        }
        if let Some(earlier) = earlier {
            let (error, member_id) = (GroupError::RebalanceInProgress, id.to_owned());
            self.reply(earlier.call, Reply::Join(Err(JoinRefused { error, member_id })));
        }
    }

    /// A static member comes back under a new id. In a stable group nothing else changes.
    fn replace_static(&mut self, now_ms: u64, call: CallId, request: JoinRequest, old_id: &str) {
        let new_id = request.new_member_id.clone();
        let old_leader = self.leader.clone();
        let may_skip = request.may_skip_assignment;
        let Some(mut member) = self.members.remove(old_id) else { return };
        let fenced = GroupError::FencedInstanceId;
        if let Some(waiting) = member.join.take() {
            let refused = JoinRefused { error: fenced, member_id: old_id.to_owned() };
            self.reply(waiting.call, Reply::Join(Err(refused)));
        }
        if let Some(waiting) = member.sync.take() {
            self.reply(waiting, Reply::Sync(Err(fenced)));
        }
        member.record.id.clone_from(&new_id);
        member.record.client_id.clone_from(&request.client_id);
        member.record.client_host.clone_from(&request.client_host);
        if let Some(instance) = &request.instance_id {
            self.instances.insert(instance.clone(), new_id.clone());
        }
        if self.leader.as_deref() == Some(old_id) {
            self.leader = Some(new_id.clone());
        }
        self.members.insert(new_id.clone(), member);
        if self.phase != Phase::Stable {
            self.update(&new_id, call, request);
            self.rebalance_or_complete(now_ms);
            return;
        }
        self.update(&new_id, call, request);
        if self.select_protocol() != self.protocol {
            self.rebalance_or_complete(now_ms);
            return;
        }
        if let Some(member) = self.members.get_mut(&new_id) {
            member.join = None;
        }
        let mut joined = self.joined(&new_id);
        if may_skip {
            joined.skip_assignment = self.leader.as_deref() == Some(&new_id);
        } else {
            // An older client that were told it leads would assign; it takes itself for a follower.
            joined.leader = old_leader.unwrap_or_default();
            joined.members = Vec::new();
        }
        self.reply(call, Reply::Join(Ok(joined)));
        self.start_session(&new_id, now_ms);
        self.output.store = Some(self.record());
    }

    /// The answer to a member of this generation.
    pub(super) fn joined(&self, id: &str) -> Joined {
        let leader = self.leader.clone().unwrap_or_default();
        let members = if leader == id { self.members_for_leader() } else { Vec::new() };
        Joined {
            member_id: id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader,
            skip_assignment: false,
            members,
        }
    }

    fn members_for_leader(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let mut members: Vec<&Member> = self.members.values().collect();
        members.sort_by_key(|member| member.ordinal);
        members
            .into_iter()
            .map(|member| JoinedMember {
                id: member.record.id.clone(),
                instance_id: member.record.instance_id.clone(),
                metadata: member.metadata(protocol).unwrap_or_default().to_vec(),
            })
            .collect()
    }
}

/// How long a new member waits for its first answer: Kafka's `NEW_MEMBER_JOIN_TIMEOUT_MS`.
const NEW_MEMBER_JOIN_TIMEOUT_MS: u64 = 300_000;

/// Why a member is not in, and which id it is told.
enum Refusal {
    KeepId(GroupError),
    DropId(GroupError),
    ComeAgain(String),
}
