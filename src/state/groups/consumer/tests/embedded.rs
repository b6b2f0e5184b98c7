//! Live conversion: classic members within a group, and the ways there and back.

use super::*;
use crate::groups::{
    ClassicRecord, GroupError, MemberRecord,
    classic::{JoinRequest, consumer_protocol},
    consumer::embedded::{JoinError, MigrationPolicy},
};

const GENERATION: i32 = 7;

fn name_of(id: TopicId) -> Option<String> {
    ["a", "b"].into_iter().find(|name| topic_id(name) == id).map(str::to_owned)
}

/// A subscription to topic `a` as a consumer writes it, in version 1: with what it has.
fn metadata(owned: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 1, b'a', 0xff, 0xff, 0xff, 0xff];
    let owned = consumer_protocol::encode_assignment(1, &[("a".to_owned(), owned.to_vec())]);
    bytes.extend(&owned[2..]);
    bytes
}

fn classic_record(assigned: &[(&str, &[u32])]) -> ClassicRecord {
    let members = assigned.iter().map(|(id, partitions)| MemberRecord {
        id: (*id).to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 45_000,
        protocols: vec![("cooperative-sticky".to_owned(), metadata(partitions))],
        assignment: consumer_protocol::encode_assignment(
            1,
            &[("a".to_owned(), partitions.to_vec())],
        ),
    });
    ClassicRecord {
        protocol_type: Some("consumer".to_owned()),
        generation: GENERATION,
        protocol: Some("cooperative-sticky".to_owned()),
        leader: Some("c1".to_owned()),
        members: members.collect(),
        ..ClassicRecord::default()
    }
}

fn upgraded(assigned: &[(&str, &[u32])]) -> Scene {
    let mut scene = Scene::new(&[("a", 4), ("b", 1)]);
    let change = ConsumerGroup::upgrade("g", &classic_record(assigned), &scene.topics).unwrap();
    scene.apply(Some(&change));
    scene
}

fn request(member_id: &str, owned: &[u32]) -> JoinRequest {
    JoinRequest {
        member_id: member_id.to_owned(),
        new_member_id: "new".to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("cooperative-sticky".to_owned(), metadata(owned))],
        id_first: true,
        may_skip_assignment: true,
    }
}

impl Scene {
    fn join_classic(&mut self, request: &JoinRequest) -> Result<i32, JoinError> {
        let surroundings = Surroundings {
            limits: &self.limits,
            directory: &self.topics,
            topics_seen: self.seen,
            may_assign: self.may_assign,
            patterns: &mut self.patterns,
        };
        let planned = self.group.join_as_classic(request, surroundings)?;
        self.apply(planned.change.as_ref());
        Ok(planned.answer.member_epoch)
    }

    /// What a classic member gets from SyncGroup.
    fn synced(&self, member_id: &str, generation: i32) -> Vec<u32> {
        let member = self.group.classic_member(member_id, None, generation).unwrap();
        let bytes = member.classic_assignment(name_of);
        let topics = consumer_protocol::assigned_partitions(&bytes).unwrap();
        topics.into_iter().flat_map(|(_, partitions)| partitions).collect()
    }

    fn is_to_rejoin(&self, member_id: &str) -> bool {
        self.group.must_rejoin(member_id, self.group.member(member_id).unwrap())
    }
}

#[test]
fn a_group_whose_assignor_says_more_than_partitions_stays_classic() {
    let topics = Topics::of(&[("a", 4)]);
    let mut record = classic_record(&[("c1", &[0, 1])]);
    assert!(ConsumerGroup::upgrade("g", &record, &topics).is_some());
    let assignment = &mut record.members[0].assignment;
    assignment.truncate(assignment.len() - 4);
    assignment.extend([0, 0, 0, 1, 9]);
    assert_eq!(ConsumerGroup::upgrade("g", &record, &topics), None);
}

#[test]
fn a_classic_group_goes_on_with_its_members_and_assignments() {
    let scene = upgraded(&[("c1", &[0, 1]), ("c2", &[2, 3])]);
    assert_eq!(scene.standing("c1"), (GENERATION, partitions("a:0,1")));
    assert_eq!(scene.group.state(), GroupState::Stable);
    assert!(!scene.is_to_rejoin("c1"));
    assert_eq!(scene.synced("c2", GENERATION), [2, 3]);
    let commit = |epoch| scene.group.validate_offset_commit("c1", epoch, false, 7);
    assert_eq!(commit(GENERATION), Ok(CommitRights::All));
    let refusal = ConsumerGroupError::IllegalGeneration { found: 1, known: GENERATION };
    assert_eq!(commit(1), Ok(CommitRights::Of { held: Assignment::default(), refusal }));
}

#[test]
fn a_member_of_each_protocol_share_and_nothing_is_with_both() {
    let mut scene = upgraded(&[("c1", &[0, 1, 2, 3])]);
    assert_eq!(scene.send(&join("m1", "a")).unwrap().assignment, Some(partitions("")));
    assert!(scene.is_to_rejoin("c1"));
    // It joins with all that it has, and is left with its share; now it has to join again.
    assert_eq!(scene.join_classic(&request("c1", &[0, 1, 2, 3])), Ok(GENERATION));
    assert_eq!(scene.synced("c1", GENERATION), [0, 1]);
    assert!(scene.is_to_rejoin("c1"));
    assert_eq!(scene.send(&beat("m1", 8)).unwrap().assignment, None);
    assert_eq!(scene.join_classic(&request("c1", &[0, 1])), Ok(8));
    assert!(!scene.is_to_rejoin("c1"));
    assert_eq!(scene.send(&beat("m1", 8)).unwrap().assignment, Some(partitions("a:2,3")));
    assert_eq!(scene.group.state(), GroupState::Stable);
    // The generation before is no more.
    let stale = scene.group.classic_member("c1", None, GENERATION).map(drop);
    assert_eq!(stale, Err(GroupError::IllegalGeneration));
}

#[test]
fn a_classic_member_that_gives_up_everything_first_is_done_with_one_join() {
    let mut scene = upgraded(&[("c1", &[0, 1, 2, 3])]);
    scene.send(&join("m1", "a")).unwrap();
    assert_eq!(scene.join_classic(&request("c1", &[])), Ok(8));
    assert_eq!(scene.synced("c1", 8), [0, 1]);
    assert_eq!(scene.send(&beat("m1", 8)).unwrap().assignment, Some(partitions("a:2,3")));
}

#[test]
fn a_new_classic_member_waits_like_any_other() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&join("m1", "a")).unwrap();
    assert_eq!(scene.join_classic(&request("", &[])), Ok(2));
    assert_eq!(scene.synced("new", 2), [0_u32; 0]);
    assert!(!scene.is_to_rejoin("new"), "nothing is free");
    scene.send(&beat("m1", 1)).unwrap();
    scene.send(&owning("m1", 1, "a:0")).unwrap();
    assert!(scene.is_to_rejoin("new"), "what it waits for is free");
    assert_eq!(scene.join_classic(&request("new", &[])), Ok(2));
    assert_eq!(scene.synced("new", 2), [1]);
}

#[test]
fn the_last_member_of_the_newer_protocol_leaves_a_classic_group() {
    let mut scene = upgraded(&[("c1", &[0, 1, 2, 3])]);
    scene.send(&join("m1", "a")).unwrap();
    assert!(scene.group.is_classic_without("m1"));
    assert!(!scene.group.is_classic_without("c1"));
    scene.join_classic(&request("c1", &[])).unwrap();
    scene.send(&beat("m1", 8)).unwrap();
    let record = scene.group.downgrade(name_of);
    assert_eq!((record.generation, record.protocol.as_deref()), (8, Some("cooperative-sticky")));
    assert_eq!(record.leader.as_deref(), Some("c1"));
    assert_eq!(record.members.len(), 2);
    // And it could come back.
    let again = ConsumerGroup::upgrade("g", &classic_record(&[("c1", &[0])]), &scene.topics);
    assert!(again.is_some());
}

#[test]
fn what_is_not_a_group_of_consumers_is_not_converted() {
    let topics = Topics::of(&[("a", 1)]);
    let mut connect = classic_record(&[("c1", &[0])]);
    connect.protocol_type = Some("connect".to_owned());
    assert_eq!(ConsumerGroup::upgrade("g", &connect, &topics), None);
    let mut unreadable = classic_record(&[("c1", &[0])]);
    unreadable.members[0].protocols[0].1 = vec![0];
    assert_eq!(ConsumerGroup::upgrade("g", &unreadable, &topics), None);

    let mut scene = upgraded(&[("c1", &[0])]);
    let other = |protocol: &str, name: &str| JoinRequest {
        protocol_type: protocol.to_owned(),
        protocols: vec![(name.to_owned(), metadata(&[]))],
        ..request("", &[])
    };
    let refused = Err(JoinError::Classic(GroupError::InconsistentGroupProtocol));
    assert_eq!(scene.join_classic(&other("connect", "cooperative-sticky")), refused);
    assert_eq!(scene.join_classic(&other("consumer", "range")), refused);
}

#[test]
fn policies_have_kafkas_names() {
    let cases = [
        ("bidirectional", true, true),
        ("UPGRADE", true, false),
        ("downgrade", false, true),
        ("disabled", false, false),
    ];
    for (name, upgrade, downgrade) in cases {
        assert_eq!(MigrationPolicy::parse(name), MigrationPolicy { upgrade, downgrade }, "{name}");
    }
}
