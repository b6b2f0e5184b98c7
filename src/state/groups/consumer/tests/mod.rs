//! A group by scripts of heartbeats, and by properties.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what must be there"
)]

mod assignors;
mod embedded;
mod heartbeats;
mod many_members;
mod offsets;
mod patterns;
mod properties;
mod refusals;
mod statics;

use std::collections::BTreeMap;

use model::{PartitionIndex, TopicId};

use super::*;
use crate::groups::consumer::leave::validate_request;

/// Topics by name, each with its own id.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    shapes: BTreeMap<String, TopicShape>,
    version: u64,
}

impl Topics {
    pub fn of(topics: &[(&str, u32)]) -> Topics {
        let mut all = Topics::default();
        topics.iter().for_each(|(name, partitions)| all.set(name, *partitions));
        all
    }

    /// Makes a topic, or gives it another number of partitions.
    pub fn set(&mut self, name: &str, partitions: u32) {
        self.version += 1;
        let id = topic_id(name);
        self.shapes.insert(name.to_owned(), TopicShape { id, partitions });
    }

    pub fn remove(&mut self, name: &str) {
        self.version += 1;
        self.shapes.remove(name);
    }
}

impl TopicDirectory for Topics {
    fn version(&self) -> u64 {
        self.version
    }

    fn shape(&self, name: &str) -> Option<TopicShape> {
        self.shapes.get(name).copied()
    }

    fn for_each_name(&self, see: &mut dyn FnMut(&str)) {
        self.shapes.keys().for_each(|name| see(name));
    }
}

/// The id of a topic is in its name: up to 16 bytes.
pub fn topic_id(name: &str) -> TopicId {
    TopicId(name.bytes().fold(0, |id, byte| id << 8 | u128::from(byte)))
}

/// `a:0,1 b:2` as an assignment.
pub fn partitions(text: &str) -> Assignment {
    let topics = text.split_whitespace().map(|topic| topic.split_once(':').unwrap());
    topics
        .flat_map(|(topic, numbers)| {
            numbers
                .split(',')
                .map(move |number| (topic_id(topic), PartitionIndex(number.parse().unwrap())))
        })
        .collect()
}

/// A group and its surroundings, with every change stored and read back.
pub struct Scene {
    pub group: ConsumerGroup,
    pub topics: Topics,
    pub limits: Limits,
    pub patterns: PatternCache,
    pub seen: Option<u64>,
    pub may_assign: bool,
}

impl Scene {
    pub fn new(topics: &[(&str, u32)]) -> Scene {
        Scene {
            group: ConsumerGroup::new("g"),
            topics: Topics::of(topics),
            limits: Limits::default(),
            patterns: PatternCache::default(),
            seen: None,
            may_assign: true,
        }
    }

    /// Judges and applies a heartbeat.
    pub fn send(&mut self, heartbeat: &Heartbeat) -> Result<HeartbeatAnswer, ConsumerGroupError> {
        self.plan(heartbeat).map(|planned| planned.answer)
    }

    pub fn plan(&mut self, heartbeat: &Heartbeat) -> Result<Planned, ConsumerGroupError> {
        validate_request("g", heartbeat, 1)?;
        if heartbeat.member_epoch < 0 {
            let (change, answer) = self.group.leave(heartbeat)?;
            self.apply(Some(&change));
            let topics_version = self.topics.version;
            let (change, revocation, replaced) = (Some(change), None, None);
            return Ok(Planned { change, answer, revocation, replaced, topics_version });
        }
        let surroundings = Surroundings {
            limits: &self.limits,
            directory: &self.topics,
            topics_seen: self.seen,
            may_assign: self.may_assign,
            patterns: &mut self.patterns,
        };
        let planned = self.group.heartbeat(heartbeat, surroundings)?;
        self.apply(planned.change.as_ref());
        self.seen = Some(planned.topics_version);
        Ok(planned)
    }

    pub fn apply(&mut self, change: Option<&Change>) {
        let Some(change) = change else { return };
        let hand_overs = self.group.hand_overs(&change.records);
        let mut owners = self::owners(&self.group);
        self.group.apply(&change.records);
        for (topic, partition, owner) in hand_overs {
            match owner {
                Some(owner) => drop(owners.insert((topic, partition), owner)),
                None => drop(owners.remove(&(topic, partition))),
            }
        }
        assert_eq!(owners, self::owners(&self.group), "hand-overs tell all that changes hands");
        let bytes = postcard::to_allocvec(&self.group).unwrap();
        let again: ConsumerGroup = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(again, self.group, "a stored group is the group");
        assert_owned_once(&self.group);
    }

    /// Takes a member out as a timer does.
    pub fn fence(&mut self, member_id: &str) {
        let change = self.group.fence(member_id, None).expect("a member");
        self.apply(Some(&change));
    }

    /// The epoch of a member and what it was given, as `(3, "a:0,1")` is compared with.
    pub fn standing(&self, member_id: &str) -> (i32, Assignment) {
        let standing = &self.group.member(member_id).expect("a member").standing;
        (standing.epoch, standing.assigned.clone())
    }
}

fn owners(group: &ConsumerGroup) -> BTreeMap<(TopicId, PartitionIndex), String> {
    let held = group.members().flat_map(|(id, member)| {
        let Standing { assigned, pending_revocation, .. } = &member.standing;
        assigned.iter().chain(pending_revocation.iter()).map(|held| (held, id.to_owned()))
    });
    held.collect()
}

/// No partition is with two members, and the index of owners says who has it.
pub fn assert_owned_once(group: &ConsumerGroup) {
    let mut owners = BTreeMap::new();
    for (id, member) in group.members() {
        let Standing { assigned, pending_revocation, .. } = &member.standing;
        for held in assigned.iter().chain(pending_revocation.iter()) {
            let before = owners.insert(held, id);
            assert_eq!(before, None, "{held:?} is with {id} too");
            assert_eq!(group.owner(held.0, held.1), Some(id));
        }
    }
}

/// A member that joins with these topics.
pub fn join(member_id: &str, topics: &str) -> Heartbeat {
    Heartbeat {
        member_id: member_id.to_owned(),
        rebalance_timeout_ms: Some(60_000),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        topic_names: Some(topics.split_whitespace().map(str::to_owned).collect()),
        owned: Some(Assignment::default()),
        ..Heartbeat::default()
    }
}

/// A heartbeat that says nothing new.
pub fn beat(member_id: &str, member_epoch: i32) -> Heartbeat {
    Heartbeat {
        member_id: member_id.to_owned(),
        member_epoch,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        ..Heartbeat::default()
    }
}

/// A heartbeat that says what the member has.
pub fn owning(member_id: &str, member_epoch: i32, owned: &str) -> Heartbeat {
    Heartbeat { owned: Some(partitions(owned)), ..beat(member_id, member_epoch) }
}

/// The same as a static member.
pub fn instance(instance_id: &str, heartbeat: Heartbeat) -> Heartbeat {
    Heartbeat { instance_id: Some(instance_id.to_owned()), ..heartbeat }
}
