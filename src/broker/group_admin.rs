//! What tools ask of consumer groups: list, describe, delete them and their offsets.

use std::{collections::BTreeSet, rc::Rc};

use lane::Lane;
use model::TopicPartition;
use state::groups::{GroupError, GroupRecord, GroupsCommand, classic::ClassicState};

use crate::{Broker, BrokerError, Outcome, broker::ask_all};

/// By which protocol a group works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// Members agree among themselves, or there are only offsets.
    Classic,
    /// The coordinator assigns (KIP-848).
    Consumer,
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its name.
    pub group: String,
    /// By which protocol it works.
    pub kind: GroupKind,
    /// What it is used for; empty if it only has offsets.
    pub protocol_type: String,
    /// Its state by Kafka's name.
    pub state: &'static str,
}

/// A classic group as tools see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Its state.
    pub state: ClassicState,
    /// What it is used for; empty if it only has offsets.
    pub protocol_type: String,
    /// The assignor; empty unless the group is stable.
    pub protocol: String,
    /// Its members, in the order of joining.
    pub members: Vec<DescribedMember>,
}

/// A member as tools see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub id: String,
    /// Its name, if it is a static member.
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it connected from.
    pub client_host: String,
    /// What it tells the assignor; empty unless the group is stable.
    pub metadata: Vec<u8>,
    /// What it was assigned; empty unless the group is stable.
    pub assignment: Vec<u8>,
}

impl Broker {
    /// Every group, by name.
    pub async fn list_groups(self: &Rc<Self>) -> Outcome<Vec<ListedGroup>> {
        let of_cores =
            ask_all(&self.cores, |broker: Rc<Broker>| async move { broker.groups_here() }).await?;
        let mut groups: Vec<ListedGroup> = of_cores.into_iter().flatten().collect();
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(groups)
    }

    fn groups_here(&self) -> Vec<ListedGroup> {
        let mut listed = Vec::new();
        for lane in self.lanes() {
            let groups = lane.groups();
            let mut names: BTreeSet<String> =
                groups.names().into_iter().map(ToOwned::to_owned).collect();
            names.extend(self.group_slots.names_on(lane.id()));
            for group in names {
                listed.push(self.listed(groups.record(&group), group));
            }
        }
        listed
    }

    fn listed(&self, record: Option<&GroupRecord>, group: String) -> ListedGroup {
        if let Some(GroupRecord::Consumer(consumer)) = record {
            let (kind, state) = (GroupKind::Consumer, consumer.state().name());
            return ListedGroup { group, kind, protocol_type: "consumer".to_owned(), state };
        }
        let kind = GroupKind::Classic;
        if let Some(slot) = self.group_slots.get(&group) {
            let machine = slot.machine().borrow();
            let protocol_type = machine.protocol_type().unwrap_or_default().to_owned();
            return ListedGroup { group, kind, protocol_type, state: machine.state().name() };
        }
        let protocol_type = match record {
            Some(GroupRecord::Classic(record)) => record.protocol_type.clone().unwrap_or_default(),
            _ => String::new(),
        };
        ListedGroup { group, kind, protocol_type, state: ClassicState::Empty.name() }
    }

    /// A group of the classic protocol.
    pub async fn describe_group(self: &Rc<Self>, group: &str) -> Outcome<DescribedGroup> {
        let name = group.to_owned();
        self.at_group(group, |owner, lane| async move { owner.describe_here(&lane, &name) }).await
    }

    fn describe_here(self: &Rc<Self>, lane: &Rc<Lane>, group: &str) -> Outcome<DescribedGroup> {
        let unknown = || Err(GroupError::GroupIdNotFound.into());
        if matches!(lane.groups().record(group), Some(GroupRecord::Consumer(_))) {
            return unknown();
        }
        let Some(slot) = self.slot(lane, group) else {
            let empty = DescribedGroup {
                state: ClassicState::Empty,
                protocol_type: String::new(),
                protocol: String::new(),
                members: Vec::new(),
            };
            return if lane.groups().knows(group) { Ok(empty) } else { unknown() };
        };
        let machine = slot.machine().borrow();
        let is_stable = machine.state() == ClassicState::Stable;
        let members = machine.members().into_iter().map(|member| DescribedMember {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if is_stable { machine.metadata_of(&member.id).to_vec() } else { Vec::new() },
            assignment: if is_stable { member.assignment.clone() } else { Vec::new() },
        });
        let protocol = machine.protocol().filter(|_| is_stable);
        Ok(DescribedGroup {
            state: machine.state(),
            protocol_type: machine.protocol_type().unwrap_or_default().to_owned(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: members.collect(),
        })
    }

    /// Deletes a group without members, and its offsets. The nameless one may have offsets too.
    pub async fn delete_group(self: &Rc<Self>, group: &str) -> Outcome<()> {
        let name = group.to_owned();
        self.at_group(group, |owner, lane| async move {
            owner.check_deletable(&lane, &name)?;
            let command = GroupsCommand::DeleteGroup { group: name.clone() };
            propose(&lane, command).await?;
            owner.group_slots.forget_idle(&name);
            Ok(())
        })
        .await
    }

    fn check_deletable(self: &Rc<Self>, lane: &Rc<Lane>, group: &str) -> Result<(), GroupError> {
        // Its first member's command may be on its way.
        if self.consumer_groups.has_members(lane, group) || self.is_read_by_workers(lane, group) {
            return Err(GroupError::NonEmptyGroup);
        }
        if let Some(GroupRecord::Consumer(_)) = lane.groups().record(group) {
            self.consumer_groups.go(group);
            return Ok(());
        }
        match self.slot(lane, group) {
            Some(slot) if slot.machine().borrow().state() != ClassicState::Empty => {
                Err(GroupError::NonEmptyGroup)
            }
            None if !lane.groups().knows(group) => Err(GroupError::GroupIdNotFound),
            _ => Ok(()),
        }
    }

    /// Deletes committed offsets of partitions that no member reads. Answers in their order.
    pub async fn delete_offsets(
        self: &Rc<Self>,
        group: &str,
        partitions: Vec<TopicPartition>,
    ) -> Outcome<Vec<Outcome<()>>> {
        let name = group.to_owned();
        self.at_group(group, |owner, lane| async move {
            owner.delete_offsets_here(&lane, name, partitions).await
        })
        .await
    }

    async fn delete_offsets_here(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group: String,
        partitions: Vec<TopicPartition>,
    ) -> Outcome<Vec<Outcome<()>>> {
        if group.is_empty() {
            return Err(GroupError::InvalidGroupId.into());
        }
        if !self.knows_group(lane, &group) {
            return Err(GroupError::GroupIdNotFound.into());
        }
        if self.slot(lane, &group).is_some_and(|slot| slot.machine().borrow().is_of_others()) {
            return Err(GroupError::NonEmptyGroup.into());
        }
        let outcomes: Vec<Outcome<()>> = partitions
            .iter()
            .map(|partition| match self.is_read_by(lane, &group, *partition) {
                true => Err(GroupError::SubscribedToTopic.into()),
                false => Ok(()),
            })
            .collect();
        let free = partitions.into_iter().zip(&outcomes);
        let partitions: Vec<_> =
            free.filter(|(_, outcome)| outcome.is_ok()).map(|(partition, _)| partition).collect();
        if !partitions.is_empty() {
            propose(lane, GroupsCommand::DeleteOffsets { group, partitions }).await?;
        }
        Ok(outcomes)
    }

    fn knows_group(&self, lane: &Lane, group: &str) -> bool {
        lane.groups().knows(group) || self.group_slots.get(group).is_some()
    }

    /// Whether a member of the group is subscribed to the partition's topic.
    pub(crate) fn is_read_by(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group: &str,
        partition: TopicPartition,
    ) -> bool {
        if self.is_read_by_workers(lane, group) {
            let groups = lane.groups();
            return groups
                .leases()
                .of_partition(group, partition)
                .any(|(_, it)| it.owner.is_some());
        }
        let name = {
            let catalog = self.catalog.borrow();
            catalog.topic_by_id(partition.topic).map(|topic| topic.name.to_string())
        };
        let Some(name) = name else { return false };
        if let Some(consumer) = self.consumer_groups.speaking(lane, group) {
            return consumer.topics().contains_key(&name);
        }
        let slot = self.group_slots.get(group);
        slot.is_some_and(|slot| slot.machine().borrow().is_subscribed_to(&name))
    }
}

/// Journals a command and waits until it is applied.
pub(crate) async fn propose(lane: &Lane, command: GroupsCommand) -> Outcome<()> {
    let proposed = lane.propose_groups(runtime::wall_clock(), command);
    let durable = proposed.map_err(|error| BrokerError::Storage(error.to_string()))?;
    durable.await.map_err(|_| BrokerError::Stopping)
}
