//! Joining, rebalancing step by step, leaving.

use super::*;

#[test]
fn the_first_member_gets_everything_at_once() {
    let mut scene = Scene::new(&[("a", 3)]);
    let answer = scene.send(&join("m1", "a")).unwrap();
    assert_eq!(answer.member_epoch, 1);
    assert_eq!(answer.assignment, Some(partitions("a:0,1,2")));
    assert_eq!(scene.group.state(), GroupState::Stable);
    // A heartbeat that changes nothing writes nothing and repeats nothing.
    let planned = scene.plan(&beat("m1", 1)).unwrap();
    assert_eq!((planned.change, planned.answer.assignment), (None, None));
}

#[test]
fn a_partition_is_given_only_after_its_owner_gave_it_up() {
    let mut scene = Scene::new(&[("a", 4)]);
    scene.send(&join("m1", "a")).unwrap();
    // The newcomer takes the new epoch with nothing in hand, and waits.
    let answer = scene.send(&join("m2", "a")).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, Some(partitions(""))));
    assert_eq!(scene.group.member("m2").unwrap().standing.state, MemberState::UnreleasedPartitions);
    // The owner is told to keep less, and stays in its epoch until it says that it did.
    let planned = scene.plan(&beat("m1", 1)).unwrap();
    assert_eq!(planned.answer.member_epoch, 1);
    assert_eq!(planned.answer.assignment, Some(partitions("a:0,1")));
    assert_eq!(planned.revocation, Some((1, 60_000)));
    assert_eq!(scene.send(&beat("m2", 2)).unwrap().assignment, None);
    assert_eq!(scene.send(&owning("m1", 1, "a:0,1,2,3")).unwrap().member_epoch, 1);
    assert_eq!(scene.group.state(), GroupState::Reconciling);
    // It did; now they are the other's.
    let planned = scene.plan(&owning("m1", 1, "a:0,1")).unwrap();
    assert_eq!((planned.answer.member_epoch, planned.revocation), (2, None));
    assert_eq!(scene.send(&beat("m2", 2)).unwrap().assignment, Some(partitions("a:2,3")));
    assert_eq!(scene.group.state(), GroupState::Stable);
}

#[test]
fn a_member_that_waits_gets_what_is_free_bit_by_bit() {
    let mut scene = Scene::new(&[("a", 2), ("b", 2)]);
    scene.send(&join("m1", "a")).unwrap();
    scene.send(&join("m2", "b")).unwrap();
    // Each of the old ones is to give one up for the third, which takes both topics.
    scene.send(&join("m3", "a b")).unwrap();
    scene.send(&beat("m2", 2)).unwrap();
    scene.send(&owning("m2", 2, "b:0")).unwrap();
    assert_eq!(scene.standing("m2").0, scene.group.epoch());
    assert_eq!(scene.standing("m3"), (3, partitions("")));
    let wanted = scene.group.member("m3").unwrap().target.clone();
    assert_eq!(scene.send(&beat("m3", 3)).unwrap().assignment, Some(wanted));
}

#[test]
fn what_a_leaver_had_goes_to_the_others_at_once() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&join("m1", "a")).unwrap();
    scene.send(&join("m2", "a")).unwrap();
    let answer = scene.send(&beat("m1", LEAVE_EPOCH)).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (LEAVE_EPOCH, None));
    assert_eq!(scene.group.state(), GroupState::Assigning);
    let answer = scene.send(&beat("m2", 2)).unwrap();
    assert_eq!(answer.assignment, Some(partitions("a:0,1")));
    scene.send(&beat("m2", LEAVE_EPOCH)).unwrap();
    assert_eq!(scene.group.state(), GroupState::Empty);
}

#[test]
fn a_fenced_member_loses_all_and_may_join_again() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&join("m1", "a")).unwrap();
    scene.fence("m1");
    let error = scene.send(&beat("m1", 1)).unwrap_err();
    assert!(matches!(error, ConsumerGroupError::UnknownMemberId { .. }));
    assert_eq!(scene.send(&join("m1", "a")).unwrap().assignment, Some(partitions("a:0,1")));
}

#[test]
fn a_member_is_fenced_for_a_slow_revocation_only_in_the_epoch_in_which_it_began() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&join("m1", "a")).unwrap();
    scene.send(&join("m2", "a")).unwrap();
    scene.send(&beat("m1", 1)).unwrap();
    assert!(scene.group.fence("m1", Some(1)).is_some());
    scene.send(&owning("m1", 1, "a:0")).unwrap();
    assert_eq!(scene.group.fence("m1", Some(1)), None);
}

#[test]
fn new_topics_and_partitions_are_taken_in_at_the_next_heartbeat() {
    let mut scene = Scene::new(&[("a", 1)]);
    scene.send(&join("m1", "a later")).unwrap();
    scene.topics.set("later", 1);
    let answer = scene.send(&beat("m1", 1)).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, Some(partitions("a:0 later:0"))));
    scene.topics.set("a", 2);
    let answer = scene.send(&beat("m1", 2)).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (3, Some(partitions("a:0,1 later:0"))));
    // A topic that has gone is given up like any other.
    scene.topics.remove("a");
    assert_eq!(scene.send(&beat("m1", 3)).unwrap().assignment, Some(partitions("later:0")));
    assert_eq!(scene.send(&owning("m1", 3, "later:0")).unwrap().member_epoch, 4);
    // Topics that nobody asked for are nobody's business.
    scene.topics.set("other", 1);
    assert_eq!(scene.plan(&beat("m1", 4)).unwrap().change, None);
}

#[test]
fn a_member_may_come_with_the_epoch_before_if_the_answer_was_lost() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&join("m1", "a")).unwrap();
    scene.send(&join("m2", "a")).unwrap();
    scene.send(&beat("m1", 1)).unwrap();
    assert_eq!(scene.send(&owning("m1", 1, "a:0")).unwrap().member_epoch, 2);
    assert_eq!(scene.send(&owning("m1", 1, "a:0")).unwrap().member_epoch, 2);
    // But not with more than it was left.
    let error = scene.send(&owning("m1", 1, "a:0,1")).unwrap_err();
    assert!(matches!(error, ConsumerGroupError::FencedMemberEpoch { .. }));
}

#[test]
fn joining_again_gives_up_everything_and_starts_anew() {
    let mut scene = Scene::new(&[("a", 4)]);
    scene.send(&join("m1", "a")).unwrap();
    scene.send(&join("m2", "a")).unwrap();
    // It joins again with nothing in hand: what it had and is not to keep is free at once.
    let answer = scene.send(&join("m1", "a")).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, Some(partitions("a:0,1"))));
    assert_eq!(scene.send(&beat("m2", 2)).unwrap().assignment, Some(partitions("a:2,3")));
}

#[test]
fn the_assignor_that_most_members_ask_for_is_used() {
    let mut scene = Scene::new(&[("a", 2)]);
    let range = Heartbeat { server_assignor: Some(AssignorName::Range), ..join("m1", "a") };
    scene.send(&range).unwrap();
    assert_eq!(scene.group.preferred_assignor(), Some(AssignorName::Range));
    let uniform = |id| Heartbeat { server_assignor: Some(AssignorName::Uniform), ..join(id, "a") };
    scene.send(&uniform("m2")).unwrap();
    // Of equals the one that Kafka prefers.
    assert_eq!(scene.group.preferred_assignor(), Some(AssignorName::Uniform));
}

#[test]
fn another_assignor_in_the_lead_is_a_reason_to_work_out_the_targets_anew() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&join("m1", "a")).unwrap();
    let wants =
        |assignor, epoch| Heartbeat { server_assignor: Some(assignor), ..beat("m1", epoch) };
    // The default is the same, so nothing changes.
    scene.send(&wants(AssignorName::Uniform, 1)).unwrap();
    assert_eq!(scene.group.epoch(), 1);
    assert_eq!(scene.send(&wants(AssignorName::Range, 1)).unwrap().member_epoch, 2);
    assert_eq!(scene.plan(&wants(AssignorName::Range, 2)).unwrap().change, None);
    assert_eq!(scene.send(&wants(AssignorName::Uniform, 2)).unwrap().member_epoch, 3);
}

#[test]
fn targets_stand_until_they_may_be_worked_out_anew() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&join("m1", "a")).unwrap();
    scene.may_assign = false;
    // A newcomer is in, in the epoch of the targets that stand, and has nothing.
    let answer = scene.send(&join("m2", "a")).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (1, Some(partitions(""))));
    assert_eq!(scene.group.state(), GroupState::Assigning);
    assert_eq!(scene.plan(&beat("m1", 1)).unwrap().change, None);
    scene.may_assign = true;
    let answer = scene.send(&beat("m1", 1)).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (1, Some(partitions("a:0"))));
    assert_eq!(scene.send(&owning("m1", 1, "a:0")).unwrap().member_epoch, 2);
    let answer = scene.send(&beat("m2", 1)).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, Some(partitions("a:1"))));
}

#[test]
fn timers_tell_who_ran_out_of_time() {
    let mut timers = MemberTimers::default();
    timers.set_session("g", "m1", 100);
    timers.set_session("g", "m2", 90);
    timers.set_session("g", "m2", 110);
    timers.set_revocation("g", "m1", 3, 50);
    timers.set_revocation("g", "m1", 3, 70);
    assert_eq!(timers.next_ms(), Some(50));
    let expired = |member: &str, stuck_in_epoch| Expired {
        group_id: "g".to_owned(),
        member_id: member.to_owned(),
        stuck_in_epoch,
    };
    assert_eq!(timers.pop(49), None);
    assert_eq!(timers.pop(50), Some(expired("m1", Some(3))));
    timers.set_revocation("g", "m2", 4, 95);
    timers.clear_revocation("g", "m2");
    assert_eq!(timers.pop(105), Some(expired("m1", None)));
    timers.forget("g", "m2");
    assert_eq!((timers.pop(1000), timers.next_ms()), (None, None));
}
