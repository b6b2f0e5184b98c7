//! Lives of groups, event by event.

use super::{super::*, given::*};

#[test]
fn the_first_members_are_gathered_for_the_initial_delay_and_each_gets_its_assignment() {
    let mut script = Script::new();
    let a = script.join(new("a"));
    script.pass(2_000);
    let b = script.join(new("b"));
    script.pass(999);
    assert!(script.waits(a) && script.waits(b));
    // Somebody joined meanwhile, so the delay runs once more.
    script.pass(2_999);
    assert!(script.waits(a) && script.waits(b));
    script.pass(2);
    assert_eq!(script.joined(a).generation, 1);
    assert_eq!(script.joined(b).generation, 1);
    assert_eq!((&*script.joined(b).leader, &*script.joined(b).member_id), ("a", "b"));
    assert!(script.joined(b).members.is_empty(), "only the leader learns of the others");
    let seen: Vec<_> = script.joined(a).members.iter().map(|m| (&*m.id, &*m.metadata)).collect();
    assert_eq!(seen, [("a", &b"topics"[..]), ("b", b"topics")]);
    script.sync_all();
    let stored = script.stored.last().unwrap();
    assert_eq!((stored.generation, stored.members.len()), (1, 2));
    assert_eq!(stored.members[1].assignment, b"b");
}

#[test]
fn the_initial_delay_is_prolonged_no_further_than_the_rebalance_timeout() {
    let mut script = Script::new();
    let first = JoinRequest { rebalance_timeout_ms: 8_000, ..new("m0") };
    let call = script.join(first);
    for n in 1..40 {
        script.pass(250);
        script.join(JoinRequest { rebalance_timeout_ms: 8_000, ..new(&format!("m{n}")) });
        if n * 250 < 8_000 {
            assert!(script.waits(call), "after {} ms", n * 250);
        }
    }
    assert_eq!(script.joined(call).generation, 1);
}

#[test]
fn a_member_that_comes_later_makes_the_others_rejoin_by_their_heartbeats() {
    let mut script = Script::new();
    script.stable(&["a", "b"]);
    let c = script.join(new("c"));
    assert!(script.waits(c));
    assert_eq!(script.heartbeat("a"), Err(GroupError::RebalanceInProgress));
    let a = script.join(again("a"));
    assert!(script.waits(a) && script.waits(c));
    let b = script.join(again("b"));
    for call in [a, b, c] {
        assert_eq!(script.joined(call).generation, 2);
    }
    script.sync_all();
    assert_eq!(script.heartbeat("c"), Ok(()));
}

#[test]
fn a_member_that_does_not_rejoin_in_time_is_out() {
    let mut script = Script::new();
    script.stable(&["a", "b"]);
    let c = script.join(new("c"));
    let b = script.join(again("b"));
    // It still says that it is alive, but does not come.
    for _ in 0..12 {
        assert!(script.waits(c) && script.waits(b));
        assert_eq!(script.heartbeat("a"), Err(GroupError::RebalanceInProgress));
        script.pass(5_000);
    }
    assert_eq!(script.joined(c).generation, 2);
    assert_eq!(script.joined(b).leader, "b", "the leader is gone, so another leads");
    assert_eq!(script.heartbeat("a"), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_silent_member_is_missed_after_its_session_and_a_rebalance_follows() {
    let mut script = Script::new();
    script.stable(&["a", "b"]);
    for _ in 0..3 {
        script.pass(3_000);
        assert_eq!(script.heartbeat("b"), Ok(()));
    }
    script.pass(999);
    assert_eq!(script.heartbeat("b"), Ok(()));
    script.pass(1);
    assert_eq!(script.heartbeat("b"), Err(GroupError::RebalanceInProgress));
    let b = script.join(again("b"));
    assert_eq!((script.joined(b).generation, &*script.joined(b).leader), (2, "b"));
}

#[test]
fn a_member_that_waits_needs_no_heartbeats() {
    let mut script = Script::new();
    script.stable(&["a", "b"]);
    let c = script.join(new("c"));
    let a = script.join(again("a"));
    // Twice their session: only b, which could have come, is missed.
    script.pass(20_000);
    assert_eq!((script.joined(a).generation, script.joined(c).generation), (2, 2));
}

#[test]
fn a_member_that_never_fetches_its_assignment_is_out_after_the_rebalance_timeout() {
    let mut script = Script::new();
    let a = script.join(new("a"));
    script.join(new("b"));
    script.pass(6_000);
    assert_eq!(script.joined(a).generation, 1);
    // b is alive and never syncs; a waits for nobody, for it assigns.
    let assignment = script.assignment();
    let call = script.sync(sync(script.identity("a"), assignment));
    script.synced(call);
    for _ in 0..12 {
        let _ = (script.heartbeat("a"), script.heartbeat("b"));
        script.pass(5_000);
    }
    assert_eq!(script.heartbeat("b"), Err(GroupError::UnknownMemberId));
    assert_eq!(script.heartbeat("a"), Err(GroupError::RebalanceInProgress));
}

#[test]
fn the_last_member_leaves_an_empty_group_behind_that_is_stored() {
    let mut script = Script::new();
    script.stable(&["a"]);
    assert_eq!(script.leave("a"), Ok(()));
    assert_eq!(script.group.state(), ClassicState::Empty);
    let stored = script.stored.last().unwrap();
    assert_eq!((stored.generation, stored.members.len(), &stored.protocol), (2, 0, &None));
    assert!(script.group.is_idle());
    script.pass(10_000);
    assert_eq!(script.group.next_deadline_ms(), u64::MAX, "nothing is left to wait for");
}

#[test]
fn a_new_member_of_version_4_comes_twice() {
    let mut script = Script::new();
    let first = script.join(JoinRequest { id_first: true, ..new("given") });
    let refused = script.join_refused(first);
    assert_eq!((refused.error, &*refused.member_id), (GroupError::MemberIdRequired, "given"));
    let second = script.join(JoinRequest { id_first: true, ..again("given") });
    script.pass(6_000);
    assert_eq!(script.joined(second).member_id, "given");
    // An id that is not used lapses with the session it would have had.
    let unused = script.join(JoinRequest { id_first: true, ..new("unused") });
    assert_eq!(script.join_refused(unused).error, GroupError::MemberIdRequired);
    let mut other = Script::new();
    other.join(JoinRequest { id_first: true, ..new("late") });
    other.pass(10_000);
    let late = other.join(again("late"));
    assert_eq!(other.join_refused(late).error, GroupError::UnknownMemberId);
    assert!(other.group.is_idle());
}

#[test]
fn a_rebalance_waits_for_members_that_were_given_an_id() {
    let mut script = Script::new();
    script.stable(&["a"]);
    script.join(JoinRequest { id_first: true, ..new("b") });
    let a = script.join(again("a"));
    assert!(script.waits(a), "b may be about to come");
    let b = script.join(again("b"));
    assert_eq!((script.joined(a).generation, script.joined(b).generation), (2, 2));
}

#[test]
fn a_static_member_that_restarts_keeps_its_place_without_a_rebalance() {
    let mut script = Script::new();
    let a = script.join(named("one", "a"));
    let b = script.join(named("two", "b"));
    script.pass(6_000);
    assert_eq!((script.joined(a).generation, script.joined(b).generation), (1, 1));
    script.sync_all();
    let restarted = script.join(named("two", "b2"));
    let joined = script.joined(restarted);
    assert_eq!((joined.generation, &*joined.member_id, &*joined.leader), (1, "b2", "a"));
    let stored = script.stored.last().unwrap();
    assert_eq!(stored.members[1].id, "b2");
    let identity = Identity { instance_id: Some("two".into()), ..script.identity("b2") };
    let call = script.sync(sync(identity, Vec::new()));
    assert_eq!(script.synced(call), b"b", "what its predecessor had");
    // The predecessor is fenced.
    let old = Identity { instance_id: Some("two".into()), ..script.identity("b") };
    let now_ms = script.now_ms;
    assert_eq!(script.group.heartbeat(now_ms, &old), Err(GroupError::FencedInstanceId));
    assert_eq!(script.heartbeat("a"), Ok(()));
}

#[test]
fn a_static_leader_that_restarts_is_told_to_skip_the_assignment_if_it_understands() {
    let mut script = Script::new();
    script.join(named("one", "a"));
    script.pass(6_000);
    script.sync_all();
    let newer = JoinRequest { may_skip_assignment: true, ..named("one", "a2") };
    let call = script.join(newer);
    let joined = script.joined(call);
    assert!(joined.skip_assignment);
    assert_eq!((&*joined.leader, joined.members.len()), ("a2", 1));
    let older = script.join(named("one", "a3"));
    let joined = script.joined(older);
    assert!(!joined.skip_assignment);
    assert_eq!((&*joined.leader, joined.members.len()), ("a2", 0), "it must not assign");
}

#[test]
fn a_static_member_that_restarts_before_the_assignment_makes_a_new_rebalance() {
    // KAFKA-9801: the leader may have been told of the old id.
    let mut script = Script::new();
    script.join(named("one", "a"));
    script.join(named("two", "b"));
    script.pass(6_000);
    assert_eq!(script.group.state(), ClassicState::CompletingRebalance);
    let restarted = script.join(named("two", "b2"));
    assert!(script.waits(restarted));
    assert_eq!(script.group.state(), ClassicState::PreparingRebalance);
}

#[test]
fn a_leader_that_joins_again_starts_a_rebalance_and_a_follower_does_not() {
    let mut script = Script::new();
    script.stable(&["a", "b"]);
    let follower = script.join(again("b"));
    assert_eq!(script.joined(follower).generation, 1);
    let leader = script.join(again("a"));
    assert!(script.waits(leader));
    let changed = vec![("range".to_owned(), b"other topics".to_vec())];
    let call = script.join(JoinRequest { protocols: changed, ..again("b") });
    assert_eq!((script.joined(call).generation, script.joined(leader).generation), (2, 2));
    assert_eq!(script.joined(leader).members[1].metadata, b"other topics");
}

#[test]
fn the_assignor_is_one_that_all_have_and_most_prefer() {
    let with = |id: &str, names: &[&str]| JoinRequest {
        protocols: names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect(),
        ..new(id)
    };
    let mut script = Script::new();
    script.join(with("a", &["range", "sticky", "robin"]));
    script.join(with("b", &["robin", "sticky", "range"]));
    let call = script.join(with("c", &["robin", "sticky"]));
    script.pass(6_000);
    assert_eq!(script.joined(call).protocol.as_deref(), Some("robin"));
    let unfit = script.join(with("d", &["range"]));
    assert_eq!(script.join_refused(unfit).error, GroupError::InconsistentGroupProtocol);
}

#[test]
fn a_stored_group_goes_on_with_its_generation_and_members() {
    let mut script = Script::new();
    script.stable(&["a", "b"]);
    let record = script.stored.last().unwrap().clone();
    script.group = ClassicGroup::restore(ClassicSettings::default(), &record, script.now_ms);
    assert_eq!(script.group.state(), ClassicState::Stable);
    script.pass(9_999);
    assert_eq!((script.heartbeat("a"), script.heartbeat("b")), (Ok(()), Ok(())));
    let call = script.sync(sync(script.identity("b"), Vec::new()));
    assert_eq!(script.synced(call), b"b");
    // Who does not come back after the restart is missed as ever.
    script.pass(9_999);
    assert_eq!(script.heartbeat("a"), Ok(()));
    script.pass(1);
    assert_eq!(script.heartbeat("a"), Err(GroupError::RebalanceInProgress));
}

#[test]
fn subscriptions_are_read_from_what_members_tell_the_assignor() {
    let subscription = |topic: &str| {
        let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, topic.len() as u8];
        bytes.extend_from_slice(topic.as_bytes());
        vec![("range".to_owned(), bytes)]
    };
    let mut script = Script::new();
    script.join(JoinRequest { protocols: subscription("orders"), ..new("a") });
    script.pass(6_000);
    assert!(script.group.is_subscribed_to("orders"));
    assert!(!script.group.is_subscribed_to("payments"));
    // What cannot be read might name anything.
    let mut other = Script::new();
    other.stable(&["a"]);
    assert!(other.group.is_subscribed_to("payments"));
}

#[test]
fn a_thousand_members_rebalance_as_soon_as_the_last_one_has_come() {
    let mut script = Script::new();
    let ids: Vec<String> = (0..1000).map(|n| format!("m{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    script.stable(&ids);
    script.join(new("last"));
    let calls: Vec<_> = ids.iter().map(|id| script.join(again(id))).collect();
    // No time has passed: the last one's call completes it.
    assert!(calls.iter().all(|call| script.joined(*call).generation == 2));
}
