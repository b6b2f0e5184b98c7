//! Every bad input and Kafka's answer to it.

use super::{super::*, given::*};

#[test]
fn joins_that_are_refused() {
    let settings = ClassicSettings { members_max: 2, ..ClassicSettings::default() };
    let typed = |name: &str| JoinRequest { protocol_type: name.to_owned(), ..new("x") };
    let session = |ms| JoinRequest { session_timeout_ms: ms, ..new("x") };
    let static_as = |id: &str| JoinRequest { instance_id: Some("one".into()), ..again(id) };
    let cases = [
        ("a session below the minimum", session(5_999), GroupError::InvalidSessionTimeout),
        ("a session above the maximum", session(1_800_001), GroupError::InvalidSessionTimeout),
        ("a negative session", session(-1), GroupError::InvalidSessionTimeout),
        ("a member too many", new("x"), GroupError::GroupMaxSizeReached),
        ("an id that is not known", again("x"), GroupError::GroupMaxSizeReached),
        (
            "another protocol type",
            JoinRequest { member_id: "b".into(), ..typed("connect") },
            GroupError::InconsistentGroupProtocol,
        ),
        (
            "no assignor",
            JoinRequest { protocols: Vec::new(), ..again("b") },
            GroupError::InconsistentGroupProtocol,
        ),
        ("a name with another's id", static_as("b"), GroupError::FencedInstanceId),
        (
            "a name that is not known",
            JoinRequest { instance_id: Some("two".into()), ..again("b") },
            GroupError::UnknownMemberId,
        ),
    ];
    for (what, request, error) in cases {
        let mut script = Script::with(settings);
        script.join(named("one", "a"));
        script.join(new("b"));
        script.pass(6_000);
        script.sync_all();
        let call = script.join(request);
        assert_eq!(script.join_refused(call).error, error, "{what}");
    }
    let mut empty = Script::new();
    for (what, request) in [
        ("no protocol type", typed("")),
        ("no assignor", JoinRequest { protocols: Vec::new(), ..new("x") }),
    ] {
        let call = empty.join(request);
        assert_eq!(empty.join_refused(call).error, GroupError::InconsistentGroupProtocol, "{what}");
    }
    let call = empty.join(again("x"));
    assert_eq!(empty.join_refused(call).error, GroupError::UnknownMemberId);
}

/// Calls of SyncGroup and Heartbeat in every state.
#[test]
fn calls_that_are_refused() {
    type Make = fn(&mut Script);
    let states: [(&str, Make); 4] = [
        ("Empty", |script| {
            script.stable(&["a"]);
            script.leave("a").unwrap();
        }),
        ("PreparingRebalance", |script| {
            script.stable(&["a", "b"]);
            script.join(new("c"));
        }),
        ("CompletingRebalance", |script| {
            script.join(new("a"));
            script.join(new("b"));
            script.pass(6_000);
        }),
        ("Stable", |script| script.stable(&["a", "b"])),
    ];
    for (state, make) in states {
        let mut script = Script::new();
        make(&mut script);
        assert_eq!(script.group.state().name(), state);
        let stranger = script.identity("x");
        let stale = Identity { generation: 77, ..script.identity("a") };
        let named = Identity { instance_id: Some("one".into()), ..script.identity("a") };
        let expected_stale = match state {
            "Empty" => GroupError::UnknownMemberId,
            _ => GroupError::IllegalGeneration,
        };
        for (identity, error) in [
            (stranger, GroupError::UnknownMemberId),
            (stale, expected_stale),
            (named, GroupError::UnknownMemberId),
        ] {
            let now_ms = script.now_ms;
            assert_eq!(script.group.heartbeat(now_ms, &identity), Err(error), "{state}");
            let commit = Identity { generation: identity.generation.max(0), ..identity.clone() };
            assert_eq!(script.group.check_commit(now_ms, &commit, false), Err(error), "{state}");
            let call = script.sync(sync(identity, Vec::new()));
            assert_eq!(script.sync_refused(call), error, "{state}");
        }
    }
}

#[test]
fn a_sync_for_another_protocol_is_refused() {
    let mut script = Script::new();
    script.stable(&["a"]);
    let base = sync(script.identity("a"), Vec::new());
    let other_type = SyncRequest { protocol_type: Some("connect".into()), ..base.clone() };
    let other_protocol = SyncRequest { protocol: Some("sticky".into()), ..base.clone() };
    let same = SyncRequest {
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        ..base
    };
    for request in [other_type, other_protocol] {
        let call = script.sync(request);
        assert_eq!(script.sync_refused(call), GroupError::InconsistentGroupProtocol);
    }
    let call = script.sync(same);
    script.synced(call);
}

#[test]
fn an_assignment_that_cannot_be_stored_fails_and_the_group_starts_over() {
    let mut script = Script::new();
    script.join(new("a"));
    script.join(new("b"));
    script.pass(6_000);
    let follower = script.sync(sync(script.identity("b"), Vec::new()));
    let huge = vec![("a".to_owned(), vec![0; 3 << 20])];
    let leader = script.sync(sync(script.identity("a"), huge));
    assert_eq!(script.sync_refused(leader), GroupError::TooLarge);
    assert_eq!(script.sync_refused(follower), GroupError::TooLarge);
    assert!(script.stored.is_empty());
    assert_eq!(script.group.state(), ClassicState::PreparingRebalance);
}

#[test]
fn who_may_commit_offsets() {
    let nobody = Identity { generation: -1, ..Identity::default() };
    let mut script = Script::new();
    let check = |script: &mut Script, identity: &Identity, transactional| {
        let now_ms = script.now_ms;
        script.group.check_commit(now_ms, identity, transactional)
    };
    assert_eq!(check(&mut script, &nobody, false), Ok(()), "nobody is in");
    script.join(new("a"));
    script.pass(6_000);
    let member = script.identity("a");
    let rebalancing = Err(GroupError::RebalanceInProgress);
    assert_eq!(check(&mut script, &member, false), rebalancing, "it has no assignment yet");
    script.sync_all();
    assert_eq!(check(&mut script, &member, false), Ok(()));
    let unknown = Err(GroupError::UnknownMemberId);
    assert_eq!(check(&mut script, &nobody, false), unknown, "the group has members");
    assert_eq!(check(&mut script, &nobody, true), Ok(()), "a transaction may");
    script.join(new("b"));
    assert_eq!(check(&mut script, &member, false), Ok(()), "before it gives its partitions up");
}

#[test]
fn who_may_leave() {
    let mut script = Script::new();
    script.join(named("one", "a"));
    script.join(new("b"));
    script.join(new("c"));
    script.pass(6_000);
    script.sync_all();
    script.join(JoinRequest { id_first: true, ..new("pending") });
    let gone = |id: &str, instance: Option<&str>| Departure {
        member_id: id.to_owned(),
        instance_id: instance.map(ToOwned::to_owned),
    };
    let departures = [
        (gone("x", None), Err(GroupError::UnknownMemberId)),
        (gone("", None), Err(GroupError::UnknownMemberId)),
        (gone("", Some("two")), Err(GroupError::UnknownMemberId)),
        (gone("b", Some("one")), Err(GroupError::FencedInstanceId)),
        (gone("pending", None), Ok(())),
        (gone("b", None), Ok(())),
        (gone("b", None), Err(GroupError::UnknownMemberId)),
        (gone("", Some("one")), Ok(())),
    ];
    let (who, expected): (Vec<_>, Vec<_>) = departures.into_iter().unzip();
    let now_ms = script.now_ms;
    let (results, output) = script.group.leave(now_ms, &who);
    script.take_in(output);
    assert_eq!(results, expected);
    assert_eq!(script.group.state(), ClassicState::PreparingRebalance);
    assert_eq!(script.group.leader(), Some("c"));
}
