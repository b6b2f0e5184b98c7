//! The groups of one core as of what is proposed, and the judging of requests against them.

use std::{
    cell::{Ref, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use lane::Lane;
use model::{CommandIndex, TopicPartition};
use runtime::sync::Notify;
use state::{
    groups::{
        GroupError, GroupRecord, GroupsCommand,
        classic::JoinRequest,
        consumer::{
            Change, ConsumerGroup, ConsumerGroupError, Heartbeat, HeartbeatAnswer, JOIN_EPOCH,
            LEAVE_EPOCH, MemberTimers, PatternCache, Planned, Record, Surroundings,
            embedded::JoinError,
        },
    },
    leases::{self, HandOver},
};

use crate::{
    Broker, BrokerError, Outcome,
    groups::{GroupSlot, now_ms},
};

/// Soft state of one core: it follows from what the lanes hold, and from the clock.
#[derive(Default)]
pub(crate) struct Coordinator {
    /// Groups that were touched since the start, with every proposed change in them.
    groups: RefCell<BTreeMap<String, Hot>>,
    /// Groups that go on with the classic protocol by a command that may not be applied yet.
    gone: RefCell<BTreeSet<String>>,
    patterns: RefCell<PatternCache>,
    pub(super) timers: RefCell<MemberTimers>,
    /// A deadline was set that may come before the one that is waited for.
    pub(super) deadline_set: Notify,
}

/// A group that does not speak this protocol yet.
struct Begun {
    group: ConsumerGroup,
    /// The classic group that it was, and what makes it one of this protocol.
    converts: Option<(Rc<GroupSlot>, Change)>,
}

struct Hot {
    group: ConsumerGroup,
    /// The version of the catalog that the group's topics were last compared with.
    topics_seen: Option<u64>,
    /// When its targets were worked out last, if that was since the start.
    assigned_at_ms: Option<u64>,
    /// The last command about it that was proposed.
    proposed: CommandIndex,
}

impl Hot {
    fn new(group: ConsumerGroup) -> Hot {
        Hot { group, topics_seen: None, assigned_at_ms: None, proposed: CommandIndex(0) }
    }

    /// Whether the targets are old enough to be worked out anew.
    fn may_assign(&self, interval_ms: u64) -> bool {
        self.assigned_at_ms.is_none_or(|at_ms| now_ms() >= at_ms.saturating_add(interval_ms))
    }
}

impl Coordinator {
    /// A group of this protocol as of what is proposed.
    pub fn current(&self, lane: &Lane, group_id: &str) -> Option<Ref<'_, ConsumerGroup>> {
        self.load(lane, group_id);
        let groups = self.groups.borrow();
        Ref::filter_map(groups, |groups| groups.get(group_id).map(|hot| &hot.group)).ok()
    }

    /// A group if it speaks this protocol as of what is proposed, with members or without.
    pub fn speaking(&self, lane: &Lane, group_id: &str) -> Option<Ref<'_, ConsumerGroup>> {
        self.load(lane, group_id);
        let of_record = matches!(lane.groups().record(group_id), Some(GroupRecord::Consumer(_)));
        Ref::filter_map(self.groups.borrow(), |groups| {
            let hot = groups.get(group_id)?;
            let is_coming = hot.proposed > lane.applied() || hot.group.member_count() > 0;
            (of_record || is_coming).then_some(&hot.group)
        })
        .ok()
    }

    /// Whether a group of this protocol has members.
    pub fn has_members(&self, lane: &Lane, group_id: &str) -> bool {
        self.current(lane, group_id).is_some_and(|group| group.member_count() > 0)
    }

    /// How many members a group has that is at hand.
    fn member_count(&self, group_id: &str) -> Option<usize> {
        self.groups.borrow().get(group_id).map(|hot| hot.group.member_count())
    }

    /// Notes with which version of the catalog a group's topics were compared.
    pub(super) fn saw_topics(&self, group_id: &str, version: u64) {
        if let Some(hot) = self.groups.borrow_mut().get_mut(group_id) {
            hot.topics_seen = Some(version);
        }
    }

    /// Lets a group go whose durable state is no longer of this protocol.
    pub fn forget(&self, group_id: &str) {
        let Some(hot) = self.groups.borrow_mut().remove(group_id) else { return };
        let mut timers = self.timers.borrow_mut();
        hot.group.members().for_each(|(member_id, _)| timers.forget(group_id, member_id));
    }

    /// The same for one whose record is to be replaced by a command that is proposed.
    pub fn go(&self, group_id: &str) {
        self.forget(group_id);
        self.gone.borrow_mut().insert(group_id.to_owned());
    }

    /// Resolves once all that was proposed about a group is applied.
    pub async fn wait_durable(&self, lane: &Lane, group_id: &str) {
        let proposed = self.groups.borrow().get(group_id).map(|hot| hot.proposed);
        if proposed.is_none_or(|proposed| proposed > lane.applied()) {
            lane.settled().await;
        }
        // An empty group need not be at hand.
        let mut groups = self.groups.borrow_mut();
        let at_rest = |hot: &Hot| hot.group.member_count() == 0 && hot.proposed <= lane.applied();
        if groups.get(group_id).is_some_and(at_rest) {
            groups.remove(group_id);
        }
    }

    /// Takes a group over from its lane, unless it is here.
    fn load(&self, lane: &Lane, group_id: &str) {
        let mut groups = self.groups.borrow_mut();
        if groups.contains_key(group_id) {
            return;
        }
        let mut gone = self.gone.borrow_mut();
        match lane.groups().record(group_id) {
            Some(GroupRecord::Consumer(_)) if gone.contains(group_id) => {}
            Some(GroupRecord::Consumer(group)) => {
                groups.insert(group_id.to_owned(), Hot::new(group.clone()));
            }
            _ => {
                gone.remove(group_id);
            }
        }
    }
}

impl Broker {
    pub(super) fn judge_heartbeat(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group_id: &str,
        heartbeat: &Heartbeat,
    ) -> Outcome<HeartbeatAnswer> {
        let coordinator = &self.consumer_groups;
        coordinator.load(lane, group_id);
        let planned = {
            let begun = match heartbeat.member_epoch == JOIN_EPOCH {
                true => self.begin_group(lane, group_id)?,
                false => None,
            };
            let groups = coordinator.groups.borrow();
            let hot = groups.get(group_id);
            let limits = self.group_limits();
            let surroundings = Surroundings {
                limits: &limits,
                directory: &*self.catalog.borrow(),
                topics_seen: hot.and_then(|hot| hot.topics_seen),
                may_assign: hot
                    .is_none_or(|hot| hot.may_assign(self.assignment_interval_ms(group_id))),
                patterns: &mut coordinator.patterns.borrow_mut(),
            };
            let group = begun.as_ref().map(|begun| &begun.group).or(hot.map(|hot| &hot.group));
            let group = group.ok_or_else(|| not_found(group_id))?;
            let planned = group.heartbeat(heartbeat, surroundings)?;
            drop(groups);
            if let Some(Begun { group, converts: Some((slot, change)) }) = begun {
                coordinator.forget(group_id);
                self.propose_consumer_change(lane, &change)?;
                self.abandon_slot(&slot);
                self.begin_converted_sessions(&group);
                tracing::info!(group = group_id, "a group goes on with the consumer protocol");
            }
            planned
        };
        if let Some(change) = &planned.change {
            self.propose_consumer_change(lane, change)?;
        }
        coordinator.saw_topics(group_id, planned.topics_version);
        self.set_deadlines(group_id, &planned);
        Ok(planned.answer)
    }

    pub(super) fn judge_leave(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group_id: &str,
        heartbeat: &Heartbeat,
    ) -> Outcome<HeartbeatAnswer> {
        let coordinator = &self.consumer_groups;
        let (change, answer) = match coordinator.current(lane, group_id) {
            Some(group) => group.leave(heartbeat)?,
            None => return Err(not_found(group_id)),
        };
        if heartbeat.member_epoch == LEAVE_EPOCH {
            self.remove_member(lane, group_id, &heartbeat.member_id, None)?;
        } else {
            // One that goes away for now keeps its session's time to come back.
            self.propose_consumer_change(lane, &change)?;
            let mut timers = coordinator.timers.borrow_mut();
            timers.clear_revocation(group_id, &heartbeat.member_id);
        }
        Ok(answer)
    }

    /// Journals a change, and makes it part of what later requests are judged against.
    pub(super) fn propose_consumer_change(&self, lane: &Lane, change: &Change) -> Outcome<()> {
        if lane.is_full() {
            return Err(BrokerError::StorageFull("the journal is full".to_owned()));
        }
        let hand_overs = self.hand_overs(change);
        let command = GroupsCommand::ChangeConsumer { change: change.clone(), hand_overs };
        let done = lane.propose_groups(runtime::wall_clock(), command);
        // Whoever needs it to be durable waits for the lane.
        drop(done.map_err(|error| BrokerError::Storage(error.to_string()))?);
        let mut groups = self.consumer_groups.groups.borrow_mut();
        let hot = groups.entry(change.group_id.clone());
        let hot = hot.or_insert_with_key(|id| Hot::new(ConsumerGroup::new(id)));
        hot.group.apply(&change.records);
        if change.records.iter().any(|record| matches!(record, Record::Targets { .. })) {
            hot.assigned_at_ms = Some(now_ms());
        }
        hot.proposed = lane.proposed();
        self.consumer_groups.gone.borrow_mut().remove(&change.group_id);
        Ok(())
    }

    /// The partitions that change hands by a change, as the lease table takes them.
    fn hand_overs(&self, change: &Change) -> Vec<HandOver> {
        let groups = self.consumer_groups.groups.borrow();
        let moved = match groups.get(&change.group_id) {
            Some(hot) => hot.group.hand_overs(&change.records),
            None => ConsumerGroup::new(&change.group_id).hand_overs(&change.records),
        };
        let catalog = self.catalog.borrow();
        let moved = moved.into_iter().map(|(topic, index, owner)| {
            let shards = catalog.topic_by_id(topic).map(|topic| &topic.shards);
            let newest = shards.and_then(|shards| leases::spans(shards, index).last().copied());
            let partition = TopicPartition { topic, partition: index };
            HandOver { partition, newest, owner }
        });
        moved.collect()
    }

    /// Judges a JoinGroup of a classic member.
    pub(super) fn plan_classic_join(
        &self,
        lane: &Lane,
        group_id: &str,
        request: &JoinRequest,
    ) -> Result<Planned, JoinError> {
        let coordinator = &self.consumer_groups;
        coordinator.load(lane, group_id);
        let groups = coordinator.groups.borrow();
        let hot = groups.get(group_id).ok_or(GroupError::UnknownMemberId)?;
        let limits = self.group_limits();
        let surroundings = Surroundings {
            limits: &limits,
            directory: &*self.catalog.borrow(),
            topics_seen: hot.topics_seen,
            may_assign: hot.may_assign(self.assignment_interval_ms(group_id)),
            patterns: &mut coordinator.patterns.borrow_mut(),
        };
        hot.group.join_as_classic(request, surroundings)
    }

    pub(super) fn set_deadlines(&self, group_id: &str, planned: &Planned) {
        let member_id = &planned.answer.member_id;
        let now_ms = now_ms();
        let mut timers = self.consumer_groups.timers.borrow_mut();
        if let Some(replaced) = &planned.replaced {
            timers.forget(group_id, replaced);
        }
        let groups = self.consumer_groups.groups.borrow();
        let member = groups.get(group_id).and_then(|hot| hot.group.member(member_id));
        let session_ms = member.map_or(0, |member| self.session_timeout_of(group_id, member));
        timers.set_session(group_id, member_id, now_ms + session_ms);
        match planned.revocation {
            Some((epoch, timeout_ms)) => {
                let timeout_ms = u64::try_from(timeout_ms).unwrap_or(0);
                timers.set_revocation(group_id, member_id, epoch, now_ms + timeout_ms);
            }
            None => timers.clear_revocation(group_id, member_id),
        }
        drop(timers);
        self.consumer_groups.deadline_set.notify_one();
    }

    /// The group that a first member joins, if it does not speak this protocol: a new one, or a
    /// classic one that is converted.
    fn begin_group(self: &Rc<Self>, lane: &Rc<Lane>, group_id: &str) -> Outcome<Option<Begun>> {
        let known = self.consumer_groups.member_count(group_id);
        if known.is_some_and(|members| members > 0) {
            return Ok(None);
        }
        let mut group = ConsumerGroup::new(group_id);
        let slot = self.slot(lane, group_id);
        let in_use = slot.filter(|slot| !slot.machine().borrow().is_idle());
        // Ids that were given out and not used are no members.
        let has_members = |slot: &Rc<GroupSlot>| !slot.machine().borrow().members().is_empty();
        let Some(slot) = in_use.filter(has_members) else {
            return Ok(known.is_none().then_some(Begun { group, converts: None }));
        };
        let change = self.plan_upgrade(&slot, group_id).ok_or_else(|| not_found(group_id))?;
        group.apply(&change.records);
        Ok(Some(Begun { group, converts: Some((slot, change)) }))
    }
}

fn not_found(group_id: &str) -> BrokerError {
    ConsumerGroupError::GroupIdNotFound { group_id: group_id.to_owned() }.into()
}
