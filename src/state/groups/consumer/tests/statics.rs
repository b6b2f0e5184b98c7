//! Static members: instance ids, leaving for now, coming back, fencing.

use super::*;

#[test]
fn a_restart_keeps_the_place_and_moves_nobody() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&instance("i1", join("m1", "a"))).unwrap();
    scene.send(&instance("i2", join("m2", "a"))).unwrap();
    scene.send(&instance("i1", beat("m1", 1))).unwrap();
    scene.send(&instance("i1", owning("m1", 1, "a:0"))).unwrap();
    scene.send(&instance("i2", beat("m2", 2))).unwrap();
    let epoch = scene.group.epoch();

    let answer = scene.send(&instance("i1", beat("m1", LEAVE_STATIC_EPOCH))).unwrap();
    assert_eq!(answer.member_epoch, LEAVE_STATIC_EPOCH);
    // Nobody else gets what it has meanwhile.
    assert_eq!(scene.plan(&instance("i2", beat("m2", 2))).unwrap().change, None);
    let planned = scene.plan(&instance("i1", join("m1-again", "a"))).unwrap();
    assert_eq!(planned.replaced, Some("m1".to_owned()));
    assert_eq!(planned.answer.assignment, Some(partitions("a:0")));
    assert_eq!((planned.answer.member_epoch, scene.group.epoch()), (epoch, epoch));
    assert!(scene.group.member("m1").is_none());
    assert_eq!(scene.group.static_member("i1").unwrap().0, "m1-again");
}

#[test]
fn an_instance_id_in_use_is_not_released() {
    let mut scene = Scene::new(&[("a", 1)]);
    scene.send(&instance("i", join("m1", "a"))).unwrap();
    let error = scene.send(&instance("i", join("m2", "a"))).unwrap_err();
    assert!(matches!(error, ConsumerGroupError::UnreleasedInstanceId { .. }), "{error}");
    // The member itself may join again.
    assert_eq!(scene.send(&instance("i", join("m1", "a"))).unwrap().member_epoch, 1);
}

#[test]
fn the_old_process_of_an_instance_is_fenced() {
    let mut scene = Scene::new(&[("a", 1)]);
    scene.send(&instance("i", join("m1", "a"))).unwrap();
    scene.send(&instance("i", beat("m1", LEAVE_STATIC_EPOCH))).unwrap();
    scene.send(&instance("i", join("m2", "a"))).unwrap();
    for old in [beat("m1", 1), beat("m1", LEAVE_EPOCH), beat("m1", LEAVE_STATIC_EPOCH)] {
        let error = scene.send(&instance("i", old)).unwrap_err();
        assert!(matches!(error, ConsumerGroupError::FencedInstanceId { .. }), "{error}");
    }
    let error = scene.send(&instance("other", beat("m2", 1))).unwrap_err();
    assert!(matches!(error, ConsumerGroupError::UnknownInstanceId { .. }), "{error}");
}

#[test]
fn one_that_does_not_come_back_loses_its_place() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&instance("i", join("m1", "a"))).unwrap();
    scene.send(&join("m2", "a")).unwrap();
    scene.send(&instance("i", beat("m1", LEAVE_STATIC_EPOCH))).unwrap();
    assert_eq!(scene.send(&beat("m2", 2)).unwrap().assignment, None);
    scene.fence("m1");
    assert_eq!(scene.send(&beat("m2", 2)).unwrap().assignment, Some(partitions("a:0,1")));
    assert!(scene.group.static_member("i").is_none());
}

#[test]
fn one_that_leaves_for_good_is_gone_at_once() {
    let mut scene = Scene::new(&[("a", 1)]);
    scene.send(&instance("i", join("m1", "a"))).unwrap();
    scene.send(&instance("i", beat("m1", LEAVE_EPOCH))).unwrap();
    assert_eq!(scene.group.member_count(), 0);
    scene.send(&instance("i", join("m2", "a"))).unwrap();
}

#[test]
fn one_that_was_away_while_its_target_changed_gives_up_first_and_then_takes() {
    let mut scene = Scene::new(&[("a", 2)]);
    scene.send(&instance("i", join("m1", "a"))).unwrap();
    scene.send(&instance("i", beat("m1", LEAVE_STATIC_EPOCH))).unwrap();
    scene.send(&join("m2", "a")).unwrap();
    // It comes back with nothing in hand, so what it is not to have is free at once.
    let answer = scene.send(&instance("i", join("m3", "a"))).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, Some(partitions("a:0"))));
    assert_eq!(scene.send(&beat("m2", 2)).unwrap().assignment, Some(partitions("a:1")));
}
