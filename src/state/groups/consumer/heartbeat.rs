//! A member's heartbeat: it joins, says what it wants and has, and is told what is its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Assignment, AssignorName, Change, ClassicMember, ConsumerGroup, ConsumerGroupError, JOIN_EPOCH,
    Member, MemberState, PatternCache, Record, Standing, Subscription, TopicDirectory,
    assignor::{self, Asking},
    group::most_wanted,
    reconcile::Goal,
    topics::{Resolver, SubscribedTopics},
};

/// What the settings say about these groups (`group.consumer.…`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `group.consumer.max.size`
    pub members_max: usize,
    /// `group.consumer.assignors`: those that may be asked for, the default first.
    pub assignors: Vec<AssignorName>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { members_max: usize::MAX, assignors: AssignorName::ALL.to_vec() }
    }
}

impl Limits {
    /// The assignor that most members ask for, else the default.
    fn choose(&self, wanted: impl Iterator<Item = AssignorName>) -> AssignorName {
        let assignor = most_wanted(wanted.filter(|name| self.assignors.contains(name)));
        assignor.or(self.assignors.first().copied()).unwrap_or_default()
    }
}

/// What a heartbeat's outcome depends on besides the group.
pub struct Surroundings<'a> {
    /// The settings.
    pub limits: &'a Limits,
    /// The topics that there are.
    pub directory: &'a dyn TopicDirectory,
    /// The version of the directory that this group was last compared with, if that is known.
    pub topics_seen: Option<u64>,
    /// Whether the targets may be worked out anew; else the members stay with those there are
    /// (`group.consumer.assignment.interval.ms`).
    pub may_assign: bool,
    /// Patterns that were compiled before.
    pub patterns: &'a mut PatternCache,
}

/// What a member sends; `None` is "as I said before".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are those of Kafka's ConsumerGroupHeartbeat")]
pub struct Heartbeat {
    pub member_id: String,
    pub member_epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub rebalance_timeout_ms: Option<i32>,
    pub client_id: String,
    pub client_host: String,
    pub topic_names: Option<BTreeSet<String>>,
    pub topic_regex: Option<String>,
    pub server_assignor: Option<AssignorName>,
    pub owned: Option<Assignment>,
    /// Set if the member speaks the classic protocol: this is its JoinGroup.
    pub classic: Option<ClassicMember>,
}

/// What the member is told, once the change is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// Its id.
    pub member_id: String,
    /// Its epoch from now on.
    pub member_epoch: i32,
    /// All that is its own, if that changed or the member asked.
    pub assignment: Option<Assignment>,
}

/// What is to happen for a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// To be journaled and applied first; `None` if nothing changes.
    pub change: Option<Change>,
    /// The answer.
    pub answer: HeartbeatAnswer,
    /// If the member has to give up partitions: the epoch that it has to leave, and within how
    /// many milliseconds.
    pub revocation: Option<(i32, i32)>,
    /// A member whose place this one took; its timers are to be forgotten.
    pub replaced: Option<String>,
    /// For [`Surroundings::topics_seen`] of the next heartbeat, once the change is applied.
    pub topics_version: u64,
}

/// The member that a heartbeat is about, before it.
struct Sender<'a> {
    /// As it is stored, be it under the id that it had before.
    known: Option<&'a Member>,
    /// The id that it had before.
    replaces: Option<&'a str>,
    /// From where it goes on.
    standing: Standing,
}

impl Heartbeat {
    /// Whether it says everything, as it does to join and after errors.
    fn is_full(&self) -> bool {
        let topics = self.topic_names.is_some() || self.topic_regex.is_some();
        self.member_epoch == JOIN_EPOCH
            || (self.rebalance_timeout_ms.is_some() && topics && self.owned.is_some())
    }

    fn subscription_after(&self, known: Option<&Member>) -> Subscription {
        let mut next = known.map(|member| member.subscription.clone()).unwrap_or_default();
        next.instance_id = self.instance_id.clone().or(next.instance_id);
        next.rack_id = self.rack_id.clone().or(next.rack_id);
        next.rebalance_timeout_ms = self.rebalance_timeout_ms.unwrap_or(next.rebalance_timeout_ms);
        next.server_assignor = self.server_assignor.or(next.server_assignor);
        next.topic_names = self.topic_names.clone().unwrap_or(next.topic_names);
        next.topic_regex = match &self.topic_regex {
            Some(pattern) if pattern.is_empty() => None,
            Some(pattern) => Some(pattern.clone()),
            None => next.topic_regex,
        };
        next.client_id.clone_from(&self.client_id);
        next.client_host.clone_from(&self.client_host);
        next.classic.clone_from(&self.classic);
        next
    }
}

impl ConsumerGroup {
    /// Plans what a heartbeat brings about. The request has passed
    /// [`super::leave::validate_request`].
    pub fn heartbeat(
        &self,
        heartbeat: &Heartbeat,
        surroundings: Surroundings<'_>,
    ) -> Result<Planned, ConsumerGroupError> {
        let Surroundings { limits, directory, topics_seen, may_assign, patterns } = surroundings;
        let sender = self.sender(heartbeat, limits)?;
        let subscription = heartbeat.subscription_after(sender.known);
        if let Some(pattern) = &subscription.topic_regex {
            patterns.get(pattern)?;
        }
        let resolver = Resolver::new(directory, patterns);
        let topics_may_differ = topics_seen != Some(directory.version());
        let group = self;
        let step =
            Step { group, heartbeat, limits, sender, subscription, topics_may_differ, may_assign };
        Ok(step.plan(resolver))
    }

    fn sender(
        &self,
        heartbeat: &Heartbeat,
        limits: &Limits,
    ) -> Result<Sender<'_>, ConsumerGroupError> {
        let Heartbeat { member_id, member_epoch, .. } = heartbeat;
        if heartbeat.classic.is_some() && self.member(member_id).is_some() {
            return self.rejoining_classic(heartbeat);
        }
        if *member_epoch != JOIN_EPOCH {
            return self.returning(heartbeat);
        }
        let fresh = Standing::default();
        let instance = heartbeat.instance_id.as_deref();
        if let Some((owner, member)) = instance.and_then(|id| self.static_member(id)) {
            let both_are_newer = heartbeat.classic.is_none() && !member.is_classic();
            if owner != member_id && !member.is_away() && both_are_newer {
                return Err(ConsumerGroupError::UnreleasedInstanceId {
                    member_id: member_id.clone(),
                    instance_id: instance.unwrap_or_default().to_owned(),
                    owner: owner.to_owned(),
                });
            }
            // A static member finds its place as it left it. One that was never away has lost
            // what it had, and says so by joining.
            let standing = match member.is_away() || owner != member_id {
                true => Standing { assigned: member.standing.assigned.clone(), ..fresh },
                false => fresh,
            };
            let replaces = (owner != member_id).then_some(owner);
            return Ok(Sender { known: Some(member), replaces, standing });
        }
        let known = self.member(member_id);
        if known.is_none() && self.member_count() >= limits.members_max {
            let members_max = limits.members_max;
            return Err(ConsumerGroupError::GroupMaxSizeReached { members_max });
        }
        Ok(Sender { known, replaces: None, standing: fresh })
    }

    /// A classic member joins again, whatever it knows of epochs: it says what it has.
    fn rejoining_classic(&self, heartbeat: &Heartbeat) -> Result<Sender<'_>, ConsumerGroupError> {
        let member = match &heartbeat.instance_id {
            Some(instance_id) => self.owner_of_instance(instance_id, &heartbeat.member_id)?,
            None => self
                .member(&heartbeat.member_id)
                .ok_or_else(|| self.unknown(&heartbeat.member_id))?,
        };
        Ok(Sender { known: Some(member), replaces: None, standing: member.standing.clone() })
    }

    fn returning(&self, heartbeat: &Heartbeat) -> Result<Sender<'_>, ConsumerGroupError> {
        let member = match &heartbeat.instance_id {
            Some(instance_id) => self.owner_of_instance(instance_id, &heartbeat.member_id)?,
            None => self
                .member(&heartbeat.member_id)
                .ok_or_else(|| self.unknown(&heartbeat.member_id))?,
        };
        check_epoch(member, heartbeat)?;
        Ok(Sender { known: Some(member), replaces: None, standing: member.standing.clone() })
    }

    /// The member of an instance id, if it is this one.
    pub(super) fn owner_of_instance(
        &self,
        instance_id: &str,
        member_id: &str,
    ) -> Result<&Member, ConsumerGroupError> {
        let instance_id = || instance_id.to_owned();
        match self.static_member(&instance_id()) {
            None => Err(ConsumerGroupError::UnknownInstanceId { instance_id: instance_id() }),
            Some((owner, _)) if owner != member_id => Err(ConsumerGroupError::FencedInstanceId {
                member_id: member_id.to_owned(),
                instance_id: instance_id(),
                owner: owner.to_owned(),
            }),
            Some((_, member)) => Ok(member),
        }
    }
}

/// A member may come with its epoch, or with the one before if the answer with the new one can
/// have been lost: then it has nothing that it was not given.
fn check_epoch(member: &Member, heartbeat: &Heartbeat) -> Result<(), ConsumerGroupError> {
    let Standing { epoch: known, previous_epoch, assigned, .. } = &member.standing;
    let found = heartbeat.member_epoch;
    let comparison = match found.cmp(known) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => "greater",
        std::cmp::Ordering::Less => {
            let owned = heartbeat.owned.as_ref();
            if found == *previous_epoch && owned.is_some_and(|owned| owned.is_subset(assigned)) {
                return Ok(());
            }
            "smaller"
        }
    };
    Err(ConsumerGroupError::FencedMemberEpoch { comparison, found, known: *known })
}

/// Everything that a heartbeat's plan is made from.
struct Step<'a> {
    group: &'a ConsumerGroup,
    heartbeat: &'a Heartbeat,
    limits: &'a Limits,
    sender: Sender<'a>,
    subscription: Subscription,
    topics_may_differ: bool,
    may_assign: bool,
}

impl Step<'_> {
    fn plan(self, resolver: Resolver<'_>) -> Planned {
        let Step { group, heartbeat, sender, .. } = &self;
        let topics_version = resolver.version();
        let mut records = Vec::new();
        self.record_subscription(&mut records);
        let (assignment_epoch, target) = self.target(resolver, &mut records);

        let member_id = &heartbeat.member_id;
        let goal = Goal { assignment_epoch, target: &target, owned: heartbeat.owned.as_ref() };
        let standing = goal.step(&sender.standing, |topic, partition| {
            let owner = group.owner(topic, partition);
            owner.is_none_or(|owner| owner == member_id || Some(owner) == sender.replaces)
        });
        let had = sender.known.map(|member| &member.standing);
        let assignment_changed = had.is_none_or(|had| had.assigned != standing.assigned);
        if had != Some(&standing) {
            let (member_id, standing) = (member_id.clone(), standing.clone());
            records.push(Record::Standing { member_id, standing });
        }

        let revocation = (standing.state == MemberState::UnrevokedPartitions)
            .then_some((standing.epoch, self.subscription.rebalance_timeout_ms));
        let answer = HeartbeatAnswer {
            member_id: member_id.clone(),
            member_epoch: standing.epoch,
            assignment: (heartbeat.is_full() || assignment_changed).then_some(standing.assigned),
        };
        let replaced = sender.replaces.map(str::to_owned);
        let change =
            (!records.is_empty()).then(|| Change { group_id: group.id().to_owned(), records });
        Planned { change, answer, revocation, replaced, topics_version }
    }

    fn record_subscription(&self, records: &mut Vec<Record>) {
        let new_id = self.heartbeat.member_id.clone();
        if let Some(old_id) = self.sender.replaces {
            records.push(Record::Replaced { old_id: old_id.to_owned(), new_id: new_id.clone() });
        }
        if self.sender.known.map(|known| &known.subscription) != Some(&self.subscription) {
            let (member_id, subscription) = (new_id, self.subscription.clone());
            records.push(Record::Subscribed { member_id, subscription });
        }
    }

    /// Moves the epoch up if what the group asks for changed, and works out the targets if the
    /// epoch has none. Gives the sender's target and its epoch.
    fn target(&self, mut resolver: Resolver<'_>, records: &mut Vec<Record>) -> (i32, Assignment) {
        let group = self.group;
        let wants_else = self.sender.known.is_none_or(|known| {
            let known = &known.subscription;
            known.topic_names != self.subscription.topic_names
                || known.topic_regex != self.subscription.topic_regex
                || (known.server_assignor != self.subscription.server_assignor
                    && self.assignor() != self.assignor_before())
        });
        let is_behind = group.epoch() > group.assignment_epoch();
        let known_target = || self.sender.known.map(|m| m.target.clone()).unwrap_or_default();
        let is_due = is_behind && self.may_assign;
        if !wants_else && !is_due && !self.topics_may_differ {
            return (group.assignment_epoch(), known_target());
        }

        let asked = Asked::by(self, &mut resolver);
        let topics_changed = asked.topics != *group.topics();
        let epoch = match wants_else || (topics_changed && !is_behind) {
            true => group.epoch() + 1,
            false => group.epoch(),
        };
        if topics_changed {
            records.push(Record::Epoch { epoch, topics: asked.topics.clone() });
        } else if epoch != group.epoch() {
            records.push(Record::NextEpoch { epoch });
        }
        if epoch == group.assignment_epoch() || !self.may_assign {
            return (group.assignment_epoch(), known_target());
        }
        let mut targets = self.work_out_targets(&asked);
        let own = targets.remove(self.heartbeat.member_id.as_str()).unwrap_or_default();
        let mut changed: Vec<_> = targets
            .into_iter()
            .filter(|(id, target)| group.member(id).is_some_and(|m| m.target != *target))
            .map(|(id, target)| (id.to_owned(), target))
            .collect();
        if known_target() != own {
            changed.push((self.heartbeat.member_id.clone(), own.clone()));
        }
        records.push(Record::Targets { assignment_epoch: epoch, changed });
        (epoch, own)
    }

    fn work_out_targets<'a>(&'a self, asked: &Asked<'a>) -> BTreeMap<&'a str, Assignment> {
        let ids = self.members().map(|(id, ..)| id);
        ids.zip(assignor::assign(self.assignor(), &asked.members, &asked.partitions)).collect()
    }

    /// The assignor that counts from this heartbeat on.
    fn assignor(&self) -> AssignorName {
        let members = self.members();
        self.limits.choose(members.filter_map(|(_, subscription, _)| subscription.server_assignor))
    }

    /// The one that counted before it.
    fn assignor_before(&self) -> AssignorName {
        let members = self.group.members();
        self.limits.choose(members.filter_map(|(_, member)| member.subscription.server_assignor))
    }

    /// All members as they are after this heartbeat, with the targets that they had, by id.
    fn members(&self) -> impl Iterator<Item = (&str, &Subscription, Option<&Assignment>)> {
        let own_id = self.heartbeat.member_id.as_str();
        let others = self
            .group
            .members()
            .filter(move |(id, _)| *id != own_id && Some(*id) != self.sender.replaces);
        let own_target = self.sender.known.map(|member| &member.target);
        others.map(|(id, member)| (id, &member.subscription, Some(&member.target))).chain([(
            own_id,
            &self.subscription,
            own_target,
        )])
    }
}

/// What all members ask for.
struct Asked<'a> {
    topics: SubscribedTopics,
    partitions: BTreeMap<model::TopicId, u32>,
    members: Vec<Asking<'a>>,
}

impl<'a> Asked<'a> {
    fn by(step: &'a Step<'_>, resolver: &mut Resolver<'_>) -> Asked<'a> {
        let mut topics = SubscribedTopics::new();
        let mut subscriptions = BTreeMap::new();
        let mut members = Vec::new();
        for (id, subscription, had) in step.members() {
            let key = (&subscription.topic_names, &subscription.topic_regex);
            let subscribed = subscriptions.entry(key).or_insert_with(|| {
                let resolved = resolver.resolve(subscription);
                let ids: BTreeSet<_> = resolved.values().map(|shape| shape.id).collect();
                topics.extend(resolved);
                std::rc::Rc::new(ids)
            });
            let instance_id = subscription.instance_id.as_deref();
            let subscribed = std::rc::Rc::clone(subscribed);
            members.push(Asking { id, instance_id, subscribed, had });
        }
        let partitions = topics.values().map(|shape| (shape.id, shape.partitions)).collect();
        Asked { topics, partitions, members }
    }
}
