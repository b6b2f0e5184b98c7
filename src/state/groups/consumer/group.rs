//! One group: the fold of its changes.

use std::collections::BTreeMap;

use model::{PartitionIndex, TopicId};
use serde::{Deserialize, Serialize};

use super::{
    Assignment, AssignorName, Member, Record, Standing, owners::Owners, topics::SubscribedTopics,
};

/// What a group is doing, by Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// It has no member.
    Empty,
    /// Its epoch has no assignment yet.
    Assigning,
    /// Not every member has reached its target.
    Reconciling,
    /// Everybody has what is theirs.
    Stable,
}

impl GroupState {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::Assigning => "Assigning",
            GroupState::Reconciling => "Reconciling",
            GroupState::Stable => "Stable",
        }
    }
}

/// A consumer group of the newer protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "StoredGroup", into = "StoredGroup")]
pub struct ConsumerGroup {
    id: String,
    epoch: i32,
    assignment_epoch: i32,
    topics: SubscribedTopics,
    members: BTreeMap<String, Member>,
    owners: Owners,
    /// The member behind each instance id.
    instances: BTreeMap<String, String>,
}

/// A group as it is stored; the rest follows from it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredGroup {
    body: GroupV1,
    /// The epochs in which members got what they have.
    since: BTreeMap<TopicId, BTreeMap<PartitionIndex, i32>>,
}

/// A group as format 1 stored it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::groups) struct GroupV1 {
    id: String,
    epoch: i32,
    assignment_epoch: i32,
    topics: SubscribedTopics,
    members: BTreeMap<String, Member>,
}

impl ConsumerGroup {
    /// A group that nobody has joined yet.
    pub fn new(id: &str) -> ConsumerGroup {
        ConsumerGroup { id: id.to_owned(), ..ConsumerGroup::default() }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Moves up whenever the targets have to be worked out anew.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The epoch that the targets were worked out for.
    pub fn assignment_epoch(&self) -> i32 {
        self.assignment_epoch
    }

    /// The topics that the epoch was made for.
    pub fn topics(&self) -> &SubscribedTopics {
        &self.topics
    }

    /// A member by its id.
    pub fn member(&self, member_id: &str) -> Option<&Member> {
        self.members.get(member_id)
    }

    /// All members, by id.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.members.iter().map(|(id, member)| (id.as_str(), member))
    }

    /// How many members there are.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// The static member of an instance id.
    pub fn static_member(&self, instance_id: &str) -> Option<(&str, &Member)> {
        let id = self.instances.get(instance_id)?;
        Some((id.as_str(), self.members.get(id)?))
    }

    /// Who has a partition.
    pub fn owner(&self, topic: TopicId, partition: PartitionIndex) -> Option<&str> {
        self.owners.get(topic, partition).map(|owner| owner.member_id.as_str())
    }

    /// What a member already had in this epoch of its and still has, if only until it says that it
    /// gave it up.
    pub(super) fn held_since(&self, standing: &Standing, epoch: i32) -> Assignment {
        let held = standing.assigned.iter().chain(standing.pending_revocation.iter());
        held.filter(|(topic, partition)| {
            self.owners.get(*topic, *partition).is_some_and(|owner| owner.since_epoch <= epoch)
        })
        .collect()
    }

    /// What the group is doing.
    pub fn state(&self) -> GroupState {
        let reconciled = |member: &Member| member.standing.is_reconciled_to(self.assignment_epoch);
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.epoch > self.assignment_epoch {
            GroupState::Assigning
        } else if self.members.values().all(reconciled) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// The assignor that most members ask for, if any does.
    pub fn preferred_assignor(&self) -> Option<AssignorName> {
        most_wanted(self.members.values().filter_map(|m| m.subscription.server_assignor))
    }

    /// The partitions that other members have, or nobody, once these records are applied.
    pub fn hand_overs(&self, records: &[Record]) -> Vec<(TopicId, PartitionIndex, Option<String>)> {
        // Of the members that the records name: what they have by then.
        let mut standings: BTreeMap<&str, Option<&Standing>> = BTreeMap::new();
        let stored = |id: &str| self.members.get(id).map(|member| &member.standing);
        let mut owners: BTreeMap<(TopicId, PartitionIndex), Option<&str>> = BTreeMap::new();
        let mut set = |standing: &Standing, owner| {
            for held in standing.assigned.iter().chain(standing.pending_revocation.iter()) {
                owners.insert(held, owner);
            }
        };
        for record in records {
            match record {
                Record::Removed { member_id } => {
                    let had = standings.insert(member_id, None);
                    if let Some(had) = had.unwrap_or_else(|| stored(member_id)) {
                        set(had, None);
                    }
                }
                Record::Replaced { old_id, new_id } => {
                    let had = standings.insert(old_id, None);
                    if let Some(had) = had.unwrap_or_else(|| stored(old_id)) {
                        set(had, Some(new_id));
                        standings.insert(new_id, Some(had));
                    }
                }
                Record::Standing { member_id, standing } => {
                    let had = standings.insert(member_id, Some(standing));
                    if let Some(had) = had.unwrap_or_else(|| stored(member_id)) {
                        set(had, None);
                    }
                    set(standing, Some(member_id));
                }
                Record::Subscribed { .. }
                | Record::Epoch { .. }
                | Record::NextEpoch { .. }
                | Record::Targets { .. } => {}
            }
        }
        owners
            .into_iter()
            .filter(|((topic, partition), owner)| self.owner(*topic, *partition) != *owner)
            .map(|((topic, partition), owner)| (topic, partition, owner.map(str::to_owned)))
            .collect()
    }

    /// Applies the records of a durable change.
    pub fn apply(&mut self, records: &[Record]) {
        for record in records {
            self.apply_one(record.clone());
        }
    }

    fn apply_one(&mut self, record: Record) {
        match record {
            Record::Subscribed { member_id, subscription } => {
                if let Some(instance_id) = &subscription.instance_id {
                    self.instances.insert(instance_id.clone(), member_id.clone());
                }
                self.members.entry(member_id).or_default().subscription = subscription;
            }
            Record::Removed { member_id } => self.remove(&member_id),
            Record::Replaced { old_id, new_id } => self.replace(&old_id, new_id),
            Record::Epoch { epoch, topics } => {
                self.epoch = epoch;
                self.topics = topics;
            }
            Record::NextEpoch { epoch } => self.epoch = epoch,
            Record::Targets { assignment_epoch, changed } => {
                self.assignment_epoch = assignment_epoch;
                for (member_id, target) in changed {
                    if let Some(member) = self.members.get_mut(&member_id) {
                        member.target = target;
                    }
                }
            }
            Record::Standing { member_id, standing } => {
                let Some(member) = self.members.get_mut(&member_id) else { return };
                let had = self.owners.release(&member_id, &member.standing);
                self.owners.give(&member_id, &standing, &had);
                member.standing = standing;
            }
        }
    }

    fn remove(&mut self, member_id: &str) {
        let Some(member) = self.members.remove(member_id) else { return };
        self.owners.release(member_id, &member.standing);
        if let Some(instance_id) = &member.subscription.instance_id
            && self.instances.get(instance_id).is_some_and(|owner| owner == member_id)
        {
            self.instances.remove(instance_id);
        }
    }

    fn replace(&mut self, old_id: &str, new_id: String) {
        let Some(member) = self.members.remove(old_id) else { return };
        let had = self.owners.release(old_id, &member.standing);
        self.owners.give(&new_id, &member.standing, &had);
        if let Some(instance_id) = &member.subscription.instance_id {
            self.instances.insert(instance_id.clone(), new_id.clone());
        }
        self.members.insert(new_id, member);
    }
}

impl From<ConsumerGroup> for StoredGroup {
    fn from(group: ConsumerGroup) -> StoredGroup {
        let ConsumerGroup { id, epoch, assignment_epoch, topics, members, owners, .. } = group;
        let body = GroupV1 { id, epoch, assignment_epoch, topics, members };
        StoredGroup { body, since: owners.since() }
    }
}

impl From<StoredGroup> for ConsumerGroup {
    fn from(StoredGroup { body, since }: StoredGroup) -> ConsumerGroup {
        let GroupV1 { id, epoch, assignment_epoch, topics, members } = body;
        let mut group =
            ConsumerGroup { id, epoch, assignment_epoch, topics, members, ..Default::default() };
        let since = since.into_iter().flat_map(|(topic, partitions)| {
            partitions.into_iter().map(move |(partition, epoch)| ((topic, partition), epoch))
        });
        let since = since.collect();
        for (id, member) in &group.members {
            group.owners.give(id, &member.standing, &since);
            if let Some(instance_id) = &member.subscription.instance_id {
                group.instances.insert(instance_id.clone(), id.clone());
            }
        }
        group
    }
}

/// Of what format 1 did not store, members have everything since the epoch in which they are.
impl From<GroupV1> for ConsumerGroup {
    fn from(body: GroupV1) -> ConsumerGroup {
        StoredGroup { body, since: BTreeMap::new() }.into()
    }
}

/// The assignor that is named most often; of equals the one that Kafka names first.
pub(super) fn most_wanted(assignors: impl Iterator<Item = AssignorName>) -> Option<AssignorName> {
    let mut votes = BTreeMap::new();
    for assignor in assignors {
        *votes.entry(assignor).or_insert(0_usize) += 1;
    }
    votes.into_iter().rev().max_by_key(|(_, count)| *count).map(|(assignor, _)| assignor)
}
