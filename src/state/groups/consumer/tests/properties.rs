//! Members that obey the protocol, in any order of events: no partition is ever read by two, and
//! once nothing happens any more everybody gets what is theirs.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const TOPICS: [&str; 3] = ["a", "b", "c"];
const MEMBERS: usize = 5;

#[derive(Debug, Clone)]
enum Event {
    /// A member sends what is due: it joins, or it tells what it has.
    Beat(usize),
    /// A member shows itself and says nothing.
    Quiet(usize),
    /// A member's last answer was lost: it sends again what it sent.
    LostAnswer(usize),
    /// A member has given up what it was told to.
    Revoke(usize),
    /// A member subscribes to other topics.
    Subscribe(usize, BTreeSet<usize>),
    /// A member takes one of the patterns of `PATTERNS`, or none.
    SubscribePattern(usize, Option<usize>),
    Leave(usize),
    /// A static member goes away for now, and comes back as somebody else.
    Restart(usize),
    /// The coordinator's timers took a member out.
    Fence(usize),
    Grow(usize),
    DeleteTopic(usize),
}

const PATTERNS: [&str; 3] = ["[ab]", "c", ".*"];

/// A member as its client knows it.
#[derive(Debug, Clone, Default)]
struct Client {
    incarnation: u32,
    is_static: bool,
    topics: BTreeSet<usize>,
    pattern: Option<usize>,
    /// 0: not a member.
    epoch: i32,
    /// What it reads from.
    reading: Assignment,
    /// What it was told last.
    told: Assignment,
}

struct World {
    scene: Scene,
    clients: Vec<Client>,
}

impl World {
    fn new() -> World {
        let clients = (0..MEMBERS).map(|at| Client { is_static: at % 2 == 1, ..Client::default() });
        World { scene: Scene::new(&[("a", 2), ("b", 3), ("c", 1)]), clients: clients.collect() }
    }

    fn heartbeat(&self, at: usize) -> Heartbeat {
        let client = &self.clients[at];
        let mut heartbeat = join(&self.id(at), "");
        let names = client.topics.iter().map(|topic| TOPICS[*topic].to_owned());
        heartbeat.topic_names = Some(names.collect());
        heartbeat.topic_regex = Some(client.pattern.map_or("", |p| PATTERNS[p]).to_owned());
        heartbeat.member_epoch = client.epoch;
        heartbeat.owned = Some(client.reading.clone());
        heartbeat.instance_id = client.is_static.then(|| format!("i{at}"));
        heartbeat
    }

    fn id(&self, at: usize) -> String {
        format!("m{at}-{}", self.clients[at].incarnation)
    }

    fn run(&mut self, event: &Event) {
        match event {
            Event::Beat(at) => self.beat(*at, self.heartbeat(*at)),
            Event::Quiet(at) if self.clients[*at].epoch == JOIN_EPOCH => {}
            Event::Quiet(at) => {
                let full = self.heartbeat(*at);
                let quiet = beat(&full.member_id, full.member_epoch);
                self.beat(*at, Heartbeat { instance_id: full.instance_id, ..quiet });
            }
            Event::LostAnswer(at) => {
                let heartbeat = self.heartbeat(*at);
                let _ = self.scene.send(&heartbeat);
            }
            Event::Revoke(at) => {
                let client = &mut self.clients[*at];
                client.reading = client.reading.intersection(&client.told);
            }
            Event::Subscribe(at, topics) => self.clients[*at].topics.clone_from(topics),
            Event::SubscribePattern(at, pattern) => self.clients[*at].pattern = *pattern,
            Event::Leave(at) if self.clients[*at].epoch == JOIN_EPOCH => {}
            Event::Leave(at) => self.leave(*at, LEAVE_EPOCH),
            Event::Restart(at) => {
                // One that does not know whether it is in has no place to keep.
                if self.clients[*at].is_static && self.clients[*at].epoch != JOIN_EPOCH {
                    self.leave(*at, LEAVE_STATIC_EPOCH);
                    self.clients[*at].incarnation += 1;
                }
            }
            Event::Fence(at) => {
                let id = self.id(*at);
                if self.scene.group.member(&id).is_some() {
                    // A client whose session ended has stopped reading by its own clock.
                    self.clients[*at].reading = Assignment::default();
                    self.scene.fence(&id);
                }
            }
            Event::Grow(topic) => {
                let count = self.scene.topics.shape(TOPICS[*topic]).map_or(0, |t| t.partitions);
                self.scene.topics.set(TOPICS[*topic], (count + 1).min(6));
            }
            Event::DeleteTopic(topic) => self.scene.topics.remove(TOPICS[*topic]),
        }
        self.assert_nothing_is_read_twice();
    }

    fn beat(&mut self, at: usize, heartbeat: Heartbeat) {
        let answer = self.scene.send(&heartbeat);
        let client = &mut self.clients[at];
        match answer {
            Ok(answer) => {
                client.epoch = answer.member_epoch;
                if let Some(assignment) = answer.assignment {
                    // What is new may be read at once; what is to go is read until revoked.
                    let new = assignment.difference(&client.told);
                    client.reading.extend(new.iter());
                    client.told = assignment;
                }
            }
            Err(ConsumerGroupError::UnreleasedInstanceId { .. }) => {}
            Err(
                ConsumerGroupError::UnknownMemberId { .. }
                | ConsumerGroupError::UnknownInstanceId { .. }
                | ConsumerGroupError::FencedMemberEpoch { .. },
            ) => self.abandon(at),
            Err(other) => panic!("{other}"),
        }
    }

    fn leave(&mut self, at: usize, epoch: i32) {
        let heartbeat = Heartbeat { member_epoch: epoch, ..self.heartbeat(at) };
        self.abandon(at);
        match self.scene.send(&heartbeat) {
            Ok(_)
            | Err(
                ConsumerGroupError::UnknownMemberId { .. }
                | ConsumerGroupError::UnknownInstanceId { .. },
            ) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn abandon(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.epoch = JOIN_EPOCH;
        client.reading = Assignment::default();
        client.told = Assignment::default();
    }

    fn assert_nothing_is_read_twice(&self) {
        let mut readers = BTreeMap::new();
        for (at, client) in self.clients.iter().enumerate() {
            for held in client.reading.iter() {
                assert_eq!(readers.insert(held, at), None, "{held:?} is read by {at} too");
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..8 {
            for at in 0..MEMBERS {
                self.beat(at, self.heartbeat(at));
                let client = &mut self.clients[at];
                client.reading = client.reading.intersection(&client.told);
                self.assert_nothing_is_read_twice();
            }
        }
        let group = &self.scene.group;
        assert_eq!(group.state(), GroupState::Stable);
        assert_eq!(group.member_count(), MEMBERS);
        let mut read = 0;
        for (at, client) in self.clients.iter().enumerate() {
            let member = group.member(&self.id(at)).expect("everybody is in");
            assert_eq!(member.standing.epoch, group.epoch());
            assert_eq!(member.standing.assigned, member.target);
            assert_eq!(client.reading, member.target);
            read += client.reading.partition_count();
        }
        let all: u32 = group.topics().values().map(|topic| topic.partitions).sum();
        assert_eq!(read, all as usize, "all that is asked for is read");
    }
}

fn event() -> impl Strategy<Value = Event> {
    let member = 0..MEMBERS;
    prop_oneof![
        8 => member.clone().prop_map(Event::Beat),
        4 => member.clone().prop_map(Event::Quiet),
        2 => member.clone().prop_map(Event::LostAnswer),
        4 => member.clone().prop_map(Event::Revoke),
        3 => (member.clone(), prop::collection::btree_set(0..TOPICS.len(), 0..3))
            .prop_map(|(at, topics)| Event::Subscribe(at, topics)),
        1 => (member.clone(), prop::option::of(0..PATTERNS.len()))
            .prop_map(|(at, pattern)| Event::SubscribePattern(at, pattern)),
        1 => member.clone().prop_map(Event::Leave),
        2 => member.clone().prop_map(Event::Restart),
        1 => member.prop_map(Event::Fence),
        1 => (0..TOPICS.len()).prop_map(Event::Grow),
        1 => (0..TOPICS.len()).prop_map(Event::DeleteTopic),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_partition_is_read_by_two_and_every_change_converges(
        events in prop::collection::vec(event(), 0..80),
    ) {
        let mut world = World::new();
        events.iter().for_each(|event| world.run(event));
        world.settle();
    }
}
