//! Who may commit and fetch offsets, and of which partitions.

use ConsumerGroupError as E;

use super::*;

#[test]
fn offsets_are_for_members_in_their_epoch() {
    let mut scene = Scene::new(&[("a", 1)]);
    assert_eq!(scene.group.validate_offset_commit("", -1, false, 8), Ok(CommitRights::All));
    scene.send(&join("m1", "a")).unwrap();
    let group = &scene.group;
    let commit = |member: &str, epoch, transactional, version| {
        group.validate_offset_commit(member, epoch, transactional, version)
    };
    assert_eq!(commit("m1", 1, false, 9), Ok(CommitRights::All));
    assert_eq!(commit("m1", 1, true, 3), Ok(CommitRights::All));
    assert_eq!(commit("m1", 1, false, 8), Err(E::UnsupportedVersion));
    assert_eq!(commit("m1", 2, false, 9), Err(E::StaleMemberEpoch { found: 2, known: 1 }));
    assert_eq!(commit("m1", 2, true, 5), Err(E::IllegalGeneration { found: 2, known: 1 }));
    assert!(matches!(commit("m2", 1, false, 9), Err(E::UnknownMemberId { .. })));
    assert!(matches!(commit("", -1, false, 9), Err(E::UnknownMemberId { .. })));
    assert_eq!(commit("", -1, true, 2), Ok(CommitRights::All), "a producer that names no member");
    assert_eq!(group.validate_offset_fetch(None, -1), Ok(()));
    assert_eq!(group.validate_offset_fetch(Some("m1"), 1), Ok(()));
    for found in [0, 2] {
        let stale = Err(E::StaleMemberEpoch { found, known: 1 });
        assert_eq!(group.validate_offset_fetch(Some("m1"), found), stale);
    }
    let stranger = group.validate_offset_fetch(Some("m2"), 1);
    assert!(matches!(stranger, Err(E::UnknownMemberId { .. })));
}

/// What a member may commit that comes with an epoch older than its own.
fn held(scene: &Scene, member_id: &str, epoch: i32) -> Assignment {
    let rights = scene.group.validate_offset_commit(member_id, epoch, false, 9);
    let Ok(CommitRights::Of { held, refusal }) = rights else { panic!("{rights:?}") };
    assert!(matches!(refusal, E::StaleMemberEpoch { .. }));
    held
}

/// KIP-1251: the answer that moved the member's epoch up may not have reached it yet.
#[test]
fn with_an_older_epoch_a_member_commits_what_it_had_already_then() {
    let mut scene = Scene::new(&[("a", 4)]);
    scene.send(&join("m1", "a")).unwrap();
    scene.send(&join("m2", "a")).unwrap();
    scene.send(&beat("m1", 1)).unwrap();
    scene.send(&owning("m1", 1, "a:0,1")).unwrap();
    assert_eq!(scene.standing("m1"), (2, partitions("a:0,1")));
    assert_eq!(held(&scene, "m1", 1), partitions("a:0,1"));
    assert_eq!(held(&scene, "m1", 0), partitions(""), "it had nothing before it joined");
    // What it gave up and gets back later counts from then on.
    scene.send(&beat("m2", LEAVE_EPOCH)).unwrap();
    scene.send(&beat("m1", 2)).unwrap();
    assert_eq!(scene.standing("m1"), (3, partitions("a:0,1,2,3")));
    for epoch in [1, 2] {
        assert_eq!(held(&scene, "m1", epoch), partitions("a:0,1"));
    }
    let rights = scene.group.validate_offset_commit("m1", 2, false, 9).unwrap();
    let of = |partition| model::TopicPartition {
        topic: topic_id("a"),
        partition: PartitionIndex(partition),
    };
    assert_eq!(rights.check(of(1)), Ok(()));
    assert_eq!(rights.check(of(2)), Err(E::StaleMemberEpoch { found: 2, known: 3 }));
    // What it is to give up it still has.
    scene.send(&join("m3", "a")).unwrap();
    scene.send(&beat("m1", 3)).unwrap();
    assert_eq!(scene.standing("m1").1, partitions("a:0,1"));
    assert_eq!(held(&scene, "m1", 2), partitions("a:0,1"));
    let rights = scene.group.validate_offset_commit("m1", 3, false, 9).unwrap();
    assert_eq!(rights, CommitRights::All);
}

#[test]
fn a_static_member_that_restarts_keeps_since_when_it_has_its_partitions() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&instance("i", join("m1", "a"))).unwrap();
    scene.send(&instance("i", beat("m1", LEAVE_STATIC_EPOCH))).unwrap();
    scene.send(&instance("i", join("m2", "a"))).unwrap();
    scene.topics.set("a", 3);
    scene.send(&instance("i", beat("m2", 1))).unwrap();
    assert_eq!(scene.standing("m2"), (2, partitions("a:0,1,2")));
    assert_eq!(held(&scene, "m2", 1), partitions("a:0,1"));
}
