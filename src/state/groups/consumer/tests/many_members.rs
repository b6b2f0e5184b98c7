//! A group of a thousand members.

use super::*;

const MEMBERS: usize = 1_000;

/// A member as its client knows it.
struct Client {
    id: String,
    epoch: i32,
    has: Assignment,
}

/// Sends a heartbeat, without [`Scene::apply`]'s checks of the whole group.
fn send(scene: &mut Scene, client: &mut Client, heartbeat: &Heartbeat) {
    let surroundings = Surroundings {
        limits: &scene.limits,
        directory: &scene.topics,
        topics_seen: scene.seen,
        may_assign: scene.may_assign,
        patterns: &mut scene.patterns,
    };
    let planned = scene.group.heartbeat(heartbeat, surroundings).unwrap();
    if let Some(change) = &planned.change {
        scene.group.apply(&change.records);
    }
    scene.seen = Some(planned.topics_version);
    client.epoch = planned.answer.member_epoch;
    if let Some(assignment) = planned.answer.assignment {
        client.has = assignment;
    }
}

/// Given a thousand members of which the first has everything, when they may be assigned anew, then
/// each has one partition after two heartbeats of each: one gives up, the others take.
#[test]
fn a_thousand_members_have_a_partition_each_after_two_rounds_of_heartbeats() {
    let mut scene = Scene::new(&[("a", MEMBERS as u32)]);
    let client = |n| Client { id: format!("m{n:03}"), epoch: JOIN_EPOCH, has: partitions("") };
    let mut clients: Vec<Client> = (0..MEMBERS).map(client).collect();
    for client in &mut clients {
        let heartbeat = join(&client.id, "a");
        send(&mut scene, client, &heartbeat);
        scene.may_assign = false;
    }
    assert_eq!(clients[0].has.partition_count(), MEMBERS);
    assert_eq!((scene.group.epoch(), scene.group.assignment_epoch()), (MEMBERS as i32, 1));
    scene.may_assign = true;
    for _ in 0..2 {
        for client in &mut clients {
            let owned = Some(client.has.clone());
            let heartbeat = Heartbeat { owned, ..beat(&client.id, client.epoch) };
            send(&mut scene, client, &heartbeat);
        }
    }
    assert_eq!(scene.group.state(), GroupState::Stable);
    assert!(clients.iter().all(|client| client.has.partition_count() == 1));
    assert_owned_once(&scene.group);
}
