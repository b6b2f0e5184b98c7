//! Groups on their way between the protocols: the calls of classic members of a group that speaks
//! the newer one, and the conversion of a group with members in either direction.

use std::rc::Rc;

use lane::Lane;
use model::TopicId;
use state::groups::{
    GroupError, GroupsCommand,
    classic::{Departure, Identity, JoinRefused, JoinRequest, Joined, SyncRequest, Synced},
    consumer::{
        Change, ConsumerGroup, ConsumerGroupError, GroupState, MigrationPolicy, embedded::JoinError,
    },
};

use crate::{
    Broker, BrokerError, Outcome,
    groups::{GroupSlot, now_ms},
};

/// The protocol type of consumers, the only one that the newer protocol knows.
const CONSUMER: &str = "consumer";

impl Broker {
    /// A classic member joins a group of the newer protocol: it never waits for others.
    pub(crate) async fn join_as_classic(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group_id: &str,
        request: JoinRequest,
    ) -> Outcome<Result<Joined, JoinRefused>> {
        let refuse = |error, member_id: &str| {
            Ok(Err(JoinRefused { error, member_id: member_id.to_owned() }))
        };
        let (least_ms, most_ms) = self.classic_session_bounds_ms();
        if !(least_ms..=most_ms).contains(&request.session_timeout_ms) {
            return refuse(GroupError::InvalidSessionTimeout, &request.member_id);
        }
        let planned = match self.plan_classic_join(lane, group_id, &request) {
            Ok(planned) => planned,
            Err(JoinError::Classic(error)) => return refuse(error, &request.member_id),
            Err(JoinError::Consumer(error)) => {
                return refuse(in_classic_words(&error), &request.member_id);
            }
        };
        // One that could not be in is told so before it is told to come again.
        let is_new = request.member_id.is_empty();
        if is_new && request.id_first && request.instance_id.is_none() {
            return refuse(GroupError::MemberIdRequired, &request.new_member_id);
        }
        let is_classic_then = self.takes_group_along(lane, group_id, &request);
        if let Some(change) = &planned.change {
            self.propose_consumer_change(lane, change)?;
        }
        self.consumer_groups.saw_topics(group_id, planned.topics_version);
        self.set_deadlines(group_id, &planned);
        if is_classic_then {
            self.downgrade(lane, group_id, None)?;
        }
        self.consumer_groups.wait_durable(lane, group_id).await;
        Ok(Ok(Joined {
            member_id: planned.answer.member_id,
            generation: planned.answer.member_epoch,
            protocol_type: Some(CONSUMER.to_owned()),
            protocol: request.protocols.first().map(|(name, _)| name.clone()),
            // Nobody: the coordinator assigns.
            leader: String::new(),
            skip_assignment: false,
            members: Vec::new(),
        }))
    }

    /// Whether a static member takes the place of the last one of the newer protocol, so that the
    /// group becomes a classic one.
    fn takes_group_along(&self, lane: &Lane, group_id: &str, request: &JoinRequest) -> bool {
        let Some(group) = self.consumer_groups.current(lane, group_id) else { return false };
        let replaced = request.instance_id.as_deref().and_then(|name| group.static_member(name));
        let Some((replaced, member)) = replaced else { return false };
        let most = self.catalog.borrow().broker_number("group.max.size");
        let fits = most.is_none_or(|most| {
            usize::try_from(most).is_ok_and(|most| group.member_count() <= most)
        });
        let mut others = group.members().filter(|(id, _)| *id != replaced);
        !member.is_classic()
            && others.all(|(_, other)| other.is_classic())
            && fits
            && self.migration_policy().downgrade
    }

    /// A classic member of a group of the newer protocol asks for its assignment.
    pub(crate) fn sync_as_classic(
        &self,
        lane: &Lane,
        group_id: &str,
        request: &SyncRequest,
    ) -> Outcome<Synced> {
        let identity = &request.identity;
        let groups = &self.consumer_groups;
        let group = groups.current(lane, group_id).ok_or(GroupError::UnknownMemberId)?;
        let instance_id = identity.instance_id.as_deref();
        let member = group.classic_member(&identity.member_id, instance_id, identity.generation)?;
        let protocol = member.classic_protocol();
        let differs = |theirs: &Option<String>, ours| {
            theirs.as_deref().is_some_and(|theirs| Some(theirs) != ours)
        };
        if differs(&request.protocol_type, Some(CONSUMER)) || differs(&request.protocol, protocol) {
            return Err(GroupError::InconsistentGroupProtocol.into());
        }
        // One that has to give something up is told first what it is left with.
        if member.standing.epoch < group.epoch() && member.standing.pending_revocation.is_empty() {
            return Err(GroupError::RebalanceInProgress.into());
        }
        Ok(Synced {
            protocol_type: Some(CONSUMER.to_owned()),
            protocol: protocol.map(str::to_owned),
            assignment: member.classic_assignment(|id| self.topic_name(id)),
        })
    }

    /// A classic member of a group of the newer protocol shows itself.
    pub(crate) fn beat_as_classic(
        &self,
        lane: &Lane,
        group_id: &str,
        identity: &Identity,
    ) -> Outcome<()> {
        let Identity { member_id, instance_id, generation } = identity;
        let (session_ms, rejoin) = {
            let group = self.consumer_groups.current(lane, group_id);
            let group = group.ok_or(GroupError::UnknownMemberId)?;
            let member = group.classic_member(member_id, instance_id.as_deref(), *generation)?;
            let rejoin = group
                .must_rejoin(member_id, member)
                .then_some((member.standing.epoch, member.subscription.rebalance_timeout_ms));
            (self.session_timeout_of(group_id, member), rejoin)
        };
        let mut timers = self.consumer_groups.timers.borrow_mut();
        timers.set_session(group_id, member_id, now_ms() + session_ms);
        let Some((epoch, timeout_ms)) = rejoin else { return Ok(()) };
        let at_ms = now_ms() + u64::try_from(timeout_ms).unwrap_or(0);
        timers.set_revocation(group_id, member_id, epoch, at_ms);
        drop(timers);
        self.consumer_groups.deadline_set.notify_one();
        Err(GroupError::RebalanceInProgress.into())
    }

    /// Members leave a group of the newer protocol by LeaveGroup; tools remove members of either.
    pub(crate) async fn leave_as_classic(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group_id: &str,
        departures: &[Departure],
    ) -> Outcome<Vec<Result<(), GroupError>>> {
        let mut results = Vec::with_capacity(departures.len());
        for departure in departures {
            results.push(match self.leaver(lane, group_id, departure) {
                Ok(member_id) => {
                    self.remove_member(lane, group_id, &member_id, None)?;
                    Ok(())
                }
                Err(error) => Err(error),
            });
        }
        self.consumer_groups.wait_durable(lane, group_id).await;
        Ok(results)
    }

    fn leaver(
        &self,
        lane: &Lane,
        group_id: &str,
        departure: &Departure,
    ) -> Result<String, GroupError> {
        let group = self.consumer_groups.current(lane, group_id);
        let group = group.ok_or(GroupError::UnknownMemberId)?;
        let Departure { member_id, instance_id } = departure;
        let Some(instance_id) = instance_id else {
            let known = group.member(member_id).map(|_| member_id.clone());
            return known.ok_or(GroupError::UnknownMemberId);
        };
        match group.static_member(instance_id) {
            None => Err(GroupError::UnknownMemberId),
            Some((owner, _)) if !member_id.is_empty() && owner != member_id => {
                Err(GroupError::FencedInstanceId)
            }
            Some((owner, _)) => Ok(owner.to_owned()),
        }
    }

    /// Takes a member out for good. If only classic members are left, the group becomes theirs.
    pub(super) fn remove_member(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group_id: &str,
        member_id: &str,
        stuck_in_epoch: Option<i32>,
    ) -> Outcome<()> {
        let groups = &self.consumer_groups;
        let (change, is_classic_then) = {
            let Some(group) = groups.current(lane, group_id) else { return Ok(()) };
            let Some(change) = group.fence(member_id, stuck_in_epoch) else { return Ok(()) };
            let is_newer = group.member(member_id).is_some_and(|member| !member.is_classic());
            (change, is_newer && group.is_classic_without(member_id))
        };
        if is_classic_then && self.migration_policy().downgrade {
            return self.downgrade(lane, group_id, Some(member_id));
        }
        self.propose_consumer_change(lane, &change)?;
        groups.timers.borrow_mut().forget(group_id, member_id);
        Ok(())
    }

    /// Makes a group classic whose members are, but for one that leaves, if any does.
    fn downgrade(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group_id: &str,
        leaver: Option<&str>,
    ) -> Outcome<()> {
        let (record, is_stable) = {
            let group = self.consumer_groups.current(lane, group_id);
            let Some(group) = group else { return Ok(()) };
            (group.downgrade(|id| self.topic_name(id)), group.state() == GroupState::Stable)
        };
        let command = GroupsCommand::StoreClassic {
            group: group_id.to_owned(),
            record: record.clone(),
            holdings: self.holdings(&record),
        };
        let done = lane.propose_groups(runtime::wall_clock(), command);
        drop(done.map_err(|error| BrokerError::Storage(error.to_string()))?);
        self.consumer_groups.go(group_id);
        tracing::info!(group = group_id, "a group goes on with the classic protocol");
        let slot = self.slot_of_record(lane, group_id, &record);
        let output = match leaver {
            // The leaver is a member still, so that its departure makes the others rebalance.
            Some(leaver) => {
                let departure = Departure { member_id: leaver.to_owned(), instance_id: None };
                slot.machine().borrow_mut().leave(now_ms(), &[departure]).1
            }
            None if is_stable => return Ok(()),
            None => slot.machine().borrow_mut().rebalance(now_ms()),
        };
        self.take_in(&slot, output);
        Ok(())
    }

    /// What turns a classic group into one of the newer protocol, if it may and can be done.
    pub(super) fn plan_upgrade(&self, slot: &GroupSlot, group_id: &str) -> Option<Change> {
        let machine = slot.machine().borrow();
        let record = machine.record();
        let fits = record.members.len() <= self.group_limits().members_max;
        if !self.migration_policy().upgrade || !fits || record.members.is_empty() {
            return None;
        }
        ConsumerGroup::upgrade(group_id, &record, &*self.catalog.borrow())
    }

    /// Gives the members of a group that was just converted their sessions.
    pub(super) fn begin_converted_sessions(&self, group: &ConsumerGroup) {
        let mut timers = self.consumer_groups.timers.borrow_mut();
        for (member_id, member) in group.members() {
            timers.set_session(
                group.id(),
                member_id,
                now_ms() + self.session_timeout_of(group.id(), member),
            );
        }
    }

    fn migration_policy(&self) -> MigrationPolicy {
        let name = self.catalog.borrow().broker_value("group.consumer.migration.policy");
        MigrationPolicy::parse(&name.unwrap_or_default())
    }

    fn topic_name(&self, id: TopicId) -> Option<String> {
        self.catalog.borrow().topic_by_id(id).map(|topic| topic.name.to_string())
    }
}

/// The classic protocol has fewer words.
fn in_classic_words(error: &ConsumerGroupError) -> GroupError {
    match error {
        ConsumerGroupError::FencedInstanceId { .. }
        | ConsumerGroupError::UnreleasedInstanceId { .. } => GroupError::FencedInstanceId,
        ConsumerGroupError::GroupMaxSizeReached { .. } => GroupError::GroupMaxSizeReached,
        ConsumerGroupError::UnknownMemberId { .. }
        | ConsumerGroupError::UnknownInstanceId { .. } => GroupError::UnknownMemberId,
        _ => GroupError::InconsistentGroupProtocol,
    }
}
