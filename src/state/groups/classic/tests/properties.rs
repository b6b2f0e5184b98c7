//! Whatever members do, and in whatever order: nothing has two owners, and every rebalance ends.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{super::*, given::*};

/// What a client does next, by the number of the client.
#[derive(Debug, Clone)]
enum Act {
    /// Joins as it should: for the first time, or again.
    Join(usize),
    /// Asks for its assignment; assigns if it leads.
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    /// Stops, and knows nothing of its former self.
    Forget(usize),
    Pass(u64),
    /// The broker starts again with what it stored.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..4_usize;
    prop_oneof![
        4 => who.clone().prop_map(Act::Join),
        4 => who.clone().prop_map(Act::Sync),
        2 => who.clone().prop_map(Act::Heartbeat),
        1 => who.clone().prop_map(Act::Leave),
        1 => who.prop_map(Act::Forget),
        2 => (0..12_000_u64).prop_map(Act::Pass),
        1 => Just(Act::Restart),
    ]
}

#[derive(Default)]
struct Client {
    id: Option<String>,
    generation: i32,
    /// It has been told a generation, so it sends heartbeats.
    is_in: bool,
    /// It has its assignment.
    has_synced: bool,
    /// Its calls that have not been answered.
    waits: Option<CallId>,
    leads: Vec<String>,
}

/// Four clients as they would behave; the second two are static members.
struct World {
    script: Script,
    clients: Vec<Client>,
    incarnations: u64,
    /// Who was told that it has a partition, by generation of a life of the broker.
    owners: BTreeMap<(u64, i32, u8), String>,
    lives: u64,
}

const PARTITIONS: u8 = 6;

impl World {
    fn new() -> World {
        World {
            script: Script::new(),
            clients: (0..4).map(|_| Client::default()).collect(),
            incarnations: 0,
            owners: BTreeMap::new(),
            lives: 0,
        }
    }

    fn identity(&self, who: usize) -> Identity {
        let client = &self.clients[who];
        Identity {
            member_id: client.id.clone().unwrap_or_default(),
            instance_id: (who >= 2).then(|| format!("instance-{who}")),
            generation: client.generation,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Join(who) if self.clients[who].waits.is_none() => self.join(who),
            Act::Sync(who) if self.clients[who].waits.is_none() => self.sync(who),
            Act::Heartbeat(who) => {
                let identity = self.identity(who);
                let _ = self.script.group.heartbeat(self.script.now_ms, &identity);
            }
            Act::Leave(who) => {
                let Identity { member_id, instance_id, .. } = self.identity(who);
                let departure = Departure { member_id, instance_id };
                let (_, output) = self.script.group.leave(self.script.now_ms, &[departure]);
                self.script.take_in(output);
            }
            Act::Forget(who) => self.clients[who] = Client::default(),
            Act::Pass(ms) => self.script.pass(ms),
            Act::Restart => self.restart(),
            Act::Join(_) | Act::Sync(_) => {}
        }
        self.hear();
    }

    fn join(&mut self, who: usize) {
        self.incarnations += 1;
        let id = self.clients[who].id.clone().unwrap_or_default();
        let request = JoinRequest {
            member_id: id,
            new_member_id: format!("{who}-{}", self.incarnations),
            instance_id: (who >= 2).then(|| format!("instance-{who}")),
            id_first: who.is_multiple_of(2),
            may_skip_assignment: who % 2 == 1,
            rebalance_timeout_ms: 20_000,
            ..new("unused")
        };
        self.clients[who].waits = Some(self.script.join(request));
    }

    fn sync(&mut self, who: usize) {
        let members = std::mem::take(&mut self.clients[who].leads);
        let mut assignments: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (partition, member) in (0..PARTITIONS).zip(members.iter().cycle()) {
            assignments.entry(member.clone()).or_default().push(partition);
        }
        let request = sync(self.identity(who), assignments.into_iter().collect());
        self.clients[who].waits = Some(self.script.sync(request));
    }

    fn restart(&mut self) {
        let stored = self.script.stored.last().cloned().unwrap_or_default();
        let settings = ClassicSettings::default();
        self.script.group = ClassicGroup::restore(settings, &stored, self.script.now_ms);
        for client in &mut self.clients {
            client.waits = None;
        }
        self.lives += 1;
    }

    /// Clients take in their replies.
    fn hear(&mut self) {
        for who in 0..self.clients.len() {
            let Some(reply) = self.clients[who].waits.and_then(|c| self.script.replies.get(&c))
            else {
                continue;
            };
            let reply = reply.clone();
            self.clients[who].waits = None;
            match reply {
                Reply::Join(Ok(joined)) => {
                    let client = &mut self.clients[who];
                    let leads = joined.leader == joined.member_id && !joined.skip_assignment;
                    let ids = joined.members.into_iter().map(|member| member.id);
                    client.leads = if leads { ids.collect() } else { Vec::new() };
                    client.id = Some(joined.member_id);
                    (client.is_in, client.has_synced) = (true, false);
                    client.generation = joined.generation;
                }
                Reply::Join(Err(refused)) => match refused.error {
                    GroupError::MemberIdRequired => self.clients[who].id = Some(refused.member_id),
                    _ => self.clients[who] = Client::default(),
                },
                Reply::Sync(Ok(synced)) => {
                    self.clients[who].has_synced = true;
                    self.owns(who, &synced.assignment);
                }
                Reply::Sync(Err(_)) => {}
            }
        }
    }

    /// A member heard what it has: nobody else may have heard that of the same generation. (A
    /// static member's successor inherits.)
    fn owns(&mut self, who: usize, partitions: &[u8]) {
        let generation = self.clients[who].generation;
        let name = if who >= 2 {
            format!("instance-{who}")
        } else {
            self.clients[who].id.clone().unwrap()
        };
        for partition in partitions {
            let key = (self.lives, generation, *partition);
            let owner = self.owners.entry(key).or_insert_with(|| name.clone());
            assert_eq!(*owner, name, "partition {partition} in generation {generation}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_partition_has_two_owners_in_a_generation(acts in prop::collection::vec(act(), 1..120)) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
    }

    /// Members that behave from now on are all stable together before long.
    #[test]
    fn every_rebalance_ends(acts in prop::collection::vec(act(), 0..80)) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
        // Five minutes are how long a member that never came back after its first call is kept.
        for _ in 0..(400_000 / 2_000) {
            for who in 0..world.clients.len() {
                let identity = world.identity(who);
                let now_ms = world.script.now_ms;
                if !world.clients[who].is_in {
                    world.act(Act::Join(who));
                    continue;
                }
                let alive = world.script.group.heartbeat(now_ms, &identity);
                match alive {
                    Ok(()) if world.clients[who].has_synced => {}
                    Ok(()) => world.act(Act::Sync(who)),
                    Err(GroupError::RebalanceInProgress) => world.act(Act::Join(who)),
                    Err(_) => {
                        if world.clients[who].waits.is_none() {
                            world.clients[who] = Client::default();
                        }
                        world.act(Act::Join(who));
                    }
                }
            }
            world.act(Act::Pass(2_000));
        }
        let group = &world.script.group;
        prop_assert_eq!(group.state(), ClassicState::Stable);
        let members: BTreeSet<_> = group.members().iter().map(|m| m.id.clone()).collect();
        let clients: BTreeSet<_> = world.clients.iter().filter_map(|c| c.id.clone()).collect();
        prop_assert_eq!(members, clients);
    }

    /// A record restores to a group that stores the same record.
    #[test]
    fn what_is_stored_is_restored(acts in prop::collection::vec(act(), 1..120)) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
        if let Some(stored) = world.script.stored.last() {
            let settings = ClassicSettings::default();
            let restored = ClassicGroup::restore(settings, stored, world.script.now_ms);
            prop_assert_eq!(&restored.record(), stored);
        }
    }
}
