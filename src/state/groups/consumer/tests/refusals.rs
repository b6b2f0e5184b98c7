//! Each way in which a request is wrong, and the error that it gets.

use ConsumerGroupError as E;

use super::*;

fn refused(scene: &mut Scene, heartbeat: &Heartbeat) -> ConsumerGroupError {
    let before = scene.group.clone();
    let error = scene.send(heartbeat).expect_err("a refusal");
    assert_eq!(scene.group, before, "a refusal changes nothing");
    error
}

#[test]
fn requests_that_make_no_sense_are_invalid() {
    let cases: &[(&str, Heartbeat, &str)] = &[
        (" ", join("m", "a"), "GroupId can't be empty."),
        ("g", join("", "a"), "MemberId can't be empty."),
        ("g", beat("", LEAVE_EPOCH), "MemberId can't be empty."),
        ("g", instance("", join("m", "a")), "InstanceId can't be empty."),
        ("g", Heartbeat { rack_id: Some(" ".into()), ..join("m", "a") }, "RackId can't be empty."),
        ("g", beat("m", -3), "MemberEpoch is invalid."),
        ("g", beat("m", LEAVE_STATIC_EPOCH), "InstanceId can't be null."),
        (
            "g",
            Heartbeat { rebalance_timeout_ms: None, ..join("m", "a") },
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            "g",
            Heartbeat { owned: None, ..join("m", "a") },
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            "g",
            Heartbeat { owned: Some(partitions("a:0")), ..join("m", "a") },
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            "g",
            Heartbeat { topic_names: None, ..join("m", "a") },
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
    ];
    for (group_id, heartbeat, expected) in cases {
        let found = validate_request(group_id, heartbeat, 1);
        assert_eq!(found, Err(E::InvalidRequest(expected)), "{heartbeat:?}");
    }
    // In version 0 the coordinator makes the ids.
    assert_eq!(validate_request("g", &join("", "a"), 0), Ok(()));
}

#[test]
fn strangers_and_wrong_epochs_are_refused() {
    let mut scene = Scene::new(&[("a", 1)]);
    scene.send(&join("m1", "a")).unwrap();
    assert!(matches!(refused(&mut scene, &beat("m2", 1)), E::UnknownMemberId { .. }));
    assert!(matches!(refused(&mut scene, &beat("m2", LEAVE_EPOCH)), E::UnknownMemberId { .. }));
    let error = refused(&mut scene, &beat("m1", 2));
    assert_eq!(error, E::FencedMemberEpoch { comparison: "greater", found: 2, known: 1 });
    scene.topics.set("a", 2);
    scene.send(&beat("m1", 1)).unwrap();
    scene.topics.set("a", 3);
    scene.send(&beat("m1", 2)).unwrap();
    let error = refused(&mut scene, &owning("m1", 1, "a:0"));
    assert_eq!(error, E::FencedMemberEpoch { comparison: "smaller", found: 1, known: 3 });
}

#[test]
fn a_full_group_takes_nobody_new() {
    let mut scene = Scene::new(&[("a", 1)]);
    scene.limits.members_max = 1;
    scene.send(&instance("i", join("m1", "a"))).unwrap();
    assert_eq!(refused(&mut scene, &join("m2", "a")), E::GroupMaxSizeReached { members_max: 1 });
    // Whoever is in may go on, and a static member may come back.
    scene.send(&instance("i", beat("m1", 1))).unwrap();
    scene.send(&instance("i", beat("m1", LEAVE_STATIC_EPOCH))).unwrap();
    scene.send(&instance("i", join("m3", "a"))).unwrap();
}

#[test]
fn assignors_are_those_of_the_settings() {
    let limits = Limits { assignors: vec![AssignorName::Range], ..Limits::default() };
    assert_eq!(leave::find_assignor("range", &limits), Ok(AssignorName::Range));
    for name in ["uniform", "cooperative-sticky", ""] {
        let error = leave::find_assignor(name, &limits).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("ServerAssignor {name} is not supported. Supported assignors: range.")
        );
    }
}
