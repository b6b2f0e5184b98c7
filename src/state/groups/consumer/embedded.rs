//! Members that speak the classic protocol within a group of the newer one, while a group is being
//! moved from one to the other (`group.consumer.migration.policy`).
//!
//! To such a member the group looks like a classic one in which it is never the leader: JoinGroup
//! is its heartbeat with everything in it, the generation is its member epoch, and SyncGroup gives
//! it what it was assigned. A heartbeat that finds more to do says REBALANCE_IN_PROGRESS.

use std::collections::BTreeMap;

use model::PartitionIndex;

use super::{
    Assignment, Change, ClassicMember, ConsumerGroup, ConsumerGroupError, Heartbeat, Member,
    MemberState, Planned, Record, Standing, Subscription, Surroundings, TopicDirectory,
    topics::SubscribedTopics,
};
use crate::groups::{
    ClassicRecord, GroupError, MemberRecord,
    classic::{JoinRequest, consumer_protocol},
};

/// Whether a group with members is converted, by `group.consumer.migration.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationPolicy {
    /// From the classic protocol to the newer one.
    pub upgrade: bool,
    /// Back.
    pub downgrade: bool,
}

impl MigrationPolicy {
    /// The policy of a name; an unknown one forbids both.
    pub fn parse(name: &str) -> MigrationPolicy {
        let name = name.trim().to_ascii_lowercase();
        let either = |one: &str| name == one || name == "bidirectional";
        MigrationPolicy { upgrade: either("upgrade"), downgrade: either("downgrade") }
    }
}

impl ConsumerGroup {
    /// What makes a classic group of consumers one of the newer protocol, with the same members
    /// and assignments; `None` if its members' metadata cannot be read, or if their assignor has
    /// said more to them than partitions.
    pub fn upgrade(
        group_id: &str,
        classic: &ClassicRecord,
        directory: &dyn TopicDirectory,
    ) -> Option<Change> {
        if classic.protocol_type.as_deref() != Some(consumer_protocol::TYPE) {
            return None;
        }
        let epoch = classic.generation.max(1);
        let mut records = Vec::new();
        let mut topics = SubscribedTopics::new();
        let mut changed = Vec::new();
        for member in &classic.members {
            if consumer_protocol::has_assignor_data(&member.assignment) {
                return None;
            }
            let (_, metadata) = member.protocols.first()?;
            let topic_names = consumer_protocol::subscribed_topics(metadata)?;
            topics.extend(
                topic_names.iter().filter_map(|name| Some((name.clone(), directory.shape(name)?))),
            );
            let assigned = match member.assignment.is_empty() {
                true => Assignment::default(),
                false => {
                    by_id(consumer_protocol::assigned_partitions(&member.assignment)?, directory)
                }
            };
            let subscription = Subscription {
                instance_id: member.instance_id.clone(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                topic_names,
                classic: Some(ClassicMember {
                    session_timeout_ms: member.session_timeout_ms,
                    protocols: member.protocols.clone(),
                }),
                ..Subscription::default()
            };
            let member_id = member.id.clone();
            records.push(Record::Subscribed { member_id: member_id.clone(), subscription });
            changed.push((member_id.clone(), assigned.clone()));
            let standing =
                Standing { epoch, previous_epoch: epoch, assigned, ..Standing::default() };
            records.push(Record::Standing { member_id, standing });
        }
        records.push(Record::Epoch { epoch, topics });
        records.push(Record::Targets { assignment_epoch: epoch, changed });
        Some(Change { group_id: group_id.to_owned(), records })
    }

    /// Whether all members but this one speak the classic protocol, and there are such.
    pub fn is_classic_without(&self, member_id: &str) -> bool {
        let mut others = self.members().filter(|(id, _)| *id != member_id).peekable();
        others.peek().is_some() && others.all(|(_, member)| member.is_classic())
    }

    /// The group as one of the classic protocol, the member that leaves included: its departure is
    /// the classic group's to deal with.
    pub fn downgrade(&self, name_of: impl Fn(model::TopicId) -> Option<String>) -> ClassicRecord {
        let shared = self.shared_protocols();
        let protocol = self.members().find_map(|(_, member)| {
            let classic = member.subscription.classic.as_ref()?;
            let mut names = classic.protocols.iter().map(|(name, _)| name);
            names.find(|name| shared.contains_key(name.as_str()))
        });
        let members = self.members().map(|(id, member)| {
            let subscription = &member.subscription;
            let classic = subscription.classic.clone().unwrap_or_else(|| ClassicMember {
                session_timeout_ms: subscription.rebalance_timeout_ms,
                protocols: protocol.map(|name| (name.clone(), Vec::new())).into_iter().collect(),
            });
            let version = protocol_version(&classic);
            MemberRecord {
                id: id.to_owned(),
                instance_id: subscription.instance_id.clone(),
                client_id: subscription.client_id.clone(),
                client_host: subscription.client_host.clone(),
                rebalance_timeout_ms: subscription.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                protocols: classic.protocols,
                assignment: encode_assignment(&member.standing.assigned, version, &name_of),
            }
        });
        let leader = self.members().find(|(_, member)| member.is_classic());
        ClassicRecord {
            protocol_type: Some(consumer_protocol::TYPE.to_owned()),
            generation: self.epoch(),
            protocol: protocol.cloned(),
            leader: leader.map(|(id, _)| id.to_owned()),
            since: model::Timestamp::NONE,
            members: members.collect(),
        }
    }

    /// The assignors that all classic members have.
    fn shared_protocols(&self) -> BTreeMap<&str, usize> {
        let classic: Vec<_> =
            self.members().filter_map(|(_, member)| member.subscription.classic.as_ref()).collect();
        let mut counts = BTreeMap::new();
        for (name, _) in classic.iter().flat_map(|member| &member.protocols) {
            *counts.entry(name.as_str()).or_insert(0) += 1;
        }
        counts.retain(|_, count| *count == classic.len());
        counts
    }

    /// Plans a classic member's JoinGroup.
    pub fn join_as_classic(
        &self,
        request: &JoinRequest,
        surroundings: Surroundings<'_>,
    ) -> Result<Planned, JoinError> {
        let metadata = match request.protocols.first() {
            Some((_, metadata)) if request.protocol_type == consumer_protocol::TYPE => metadata,
            _ => return Err(GroupError::InconsistentGroupProtocol.into()),
        };
        let shared = self.shared_protocols();
        let has_classic = self.members().any(|(_, member)| member.is_classic());
        let fits = |(name, _): &(String, Vec<u8>)| shared.contains_key(name.as_str());
        if has_classic && !request.protocols.iter().any(fits) {
            return Err(GroupError::InconsistentGroupProtocol.into());
        }
        let said = consumer_protocol::subscription(metadata)
            .ok_or(GroupError::InconsistentGroupProtocol)?;
        let is_new = request.member_id.is_empty();
        let member_id = if is_new { &request.new_member_id } else { &request.member_id };
        let heartbeat = Heartbeat {
            member_id: member_id.clone(),
            member_epoch: self.member(member_id).map_or(0, |member| member.standing.epoch),
            instance_id: request.instance_id.clone(),
            rebalance_timeout_ms: Some(request.rebalance_timeout_ms),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            topic_names: Some(said.topics),
            topic_regex: Some(String::new()),
            owned: Some(by_id(said.owned, surroundings.directory)),
            classic: Some(ClassicMember {
                session_timeout_ms: request.session_timeout_ms,
                protocols: request.protocols.clone(),
            }),
            ..Heartbeat::default()
        };
        Ok(self.heartbeat(&heartbeat, surroundings)?)
    }

    /// A classic member that comes with this generation.
    pub fn classic_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<&Member, GroupError> {
        let member = match instance_id {
            Some(instance_id) => match self.static_member(instance_id) {
                Some((owner, _)) if owner != member_id => {
                    return Err(GroupError::FencedInstanceId);
                }
                found => found.map(|(_, member)| member),
            },
            None => self.member(member_id),
        };
        let member = member.filter(|member| member.is_classic());
        let member = member.ok_or(GroupError::UnknownMemberId)?;
        match member.standing.epoch == generation {
            true => Ok(member),
            false => Err(GroupError::IllegalGeneration),
        }
    }

    /// Whether a classic member has to join again: the group has moved on, or it has to give
    /// something up, or something that it waits for is free.
    pub fn must_rejoin(&self, member_id: &str, member: &Member) -> bool {
        let waits = || {
            let wanted = member.target.difference(&member.standing.assigned);
            let taken = |(topic, partition)| {
                self.owner(topic, partition).is_some_and(|owner| owner != member_id)
            };
            wanted.iter().any(taken)
        };
        member.standing.epoch < self.epoch()
            || match member.standing.state {
                MemberState::Stable => false,
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !waits(),
            }
    }
}

impl Member {
    /// What a classic member was assigned, as consumers read it.
    pub fn classic_assignment(
        &self,
        name_of: impl Fn(model::TopicId) -> Option<String>,
    ) -> Vec<u8> {
        let version = self.subscription.classic.as_ref().map_or(0, protocol_version);
        encode_assignment(&self.standing.assigned, version, name_of)
    }

    /// The assignor that a classic member was told.
    pub fn classic_protocol(&self) -> Option<&str> {
        let classic = self.subscription.classic.as_ref()?;
        classic.protocols.first().map(|(name, _)| name.as_str())
    }
}

/// Why a classic member may not join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinError {
    /// By the classic protocol's rules.
    Classic(GroupError),
    /// By those of the group.
    Consumer(ConsumerGroupError),
}

impl From<GroupError> for JoinError {
    fn from(error: GroupError) -> JoinError {
        JoinError::Classic(error)
    }
}

impl From<ConsumerGroupError> for JoinError {
    fn from(error: ConsumerGroupError) -> JoinError {
        JoinError::Consumer(error)
    }
}

/// Partitions by topic name as partitions by topic id; those of unknown topics are left out.
fn by_id(
    topics: impl IntoIterator<Item = (String, Vec<u32>)>,
    directory: &dyn TopicDirectory,
) -> Assignment {
    let known = topics
        .into_iter()
        .filter_map(|(name, partitions)| Some((directory.shape(&name)?.id, partitions)));
    known
        .flat_map(|(id, partitions)| partitions.into_iter().map(move |at| (id, PartitionIndex(at))))
        .collect()
}

/// The version of the consumers' own format that a member writes, and so reads.
fn protocol_version(classic: &ClassicMember) -> i16 {
    let head = classic.protocols.first().and_then(|(_, metadata)| metadata.first_chunk());
    head.map_or(0, |head| i16::from_be_bytes(*head))
}

fn encode_assignment(
    assignment: &Assignment,
    version: i16,
    name_of: impl Fn(model::TopicId) -> Option<String>,
) -> Vec<u8> {
    let topics: Vec<_> = assignment
        .topics()
        .filter_map(|(id, partitions)| {
            Some((name_of(id)?, partitions.iter().map(|at| at.0).collect::<Vec<_>>()))
        })
        .collect();
    consumer_protocol::encode_assignment(version, &topics)
}
