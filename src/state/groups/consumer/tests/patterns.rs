//! Subscriptions by pattern.

use super::*;

fn pattern(regex: &str, heartbeat: Heartbeat) -> Heartbeat {
    Heartbeat { topic_regex: Some(regex.to_owned()), ..heartbeat }
}

#[test]
fn a_pattern_is_matched_against_whole_names() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("orders", &["orders"], &["orders-2", "my-orders"]),
        ("orders.*", &["orders", "orders-2"], &["my-orders"]),
        ("a|ab", &["a", "ab"], &["abc", "b"]),
        ("(?i)A[0-9]+", &["a1", "A22"], &["a", "a1b"]),
        (r"\pL{2}", &["ab"], &["a1", "abc"]),
        ("", &[""], &["a"]),
    ];
    for (text, yes, no) in cases {
        let compiled = Pattern::new(text).unwrap();
        yes.iter().for_each(|name| assert!(compiled.matches(name), "{text} {name}"));
        no.iter().for_each(|name| assert!(!compiled.matches(name), "{text} {name}"));
    }
}

#[test]
fn what_is_no_pattern_is_refused_and_changes_nothing() {
    let long = "a".repeat(pattern::PATTERN_BYTES_MAX + 1);
    let huge = "(a{1000}){1000}";
    for text in ["[", "a)(b", "*", r"(a)\1", "(?=a)", "(?x)a #", huge, &long] {
        let mut scene = Scene::new(&[("a", 1)]);
        let error = scene.send(&pattern(text, join("m1", ""))).unwrap_err();
        assert!(matches!(error, ConsumerGroupError::InvalidRegularExpression { .. }), "{text}");
        assert_eq!(scene.group, ConsumerGroup::new("g"));
    }
}

#[test]
fn names_and_patterns_add_up_and_new_topics_are_found() {
    let mut scene = Scene::new(&[("a", 1), ("b1", 1), ("c", 1)]);
    let answer = scene.send(&pattern("b.*", join("m1", "a"))).unwrap();
    assert_eq!(answer.assignment, Some(partitions("a:0 b1:0")));
    scene.topics.set("b2", 1);
    let answer = scene.send(&beat("m1", 1)).unwrap();
    assert_eq!(answer.assignment, Some(partitions("a:0 b1:0 b2:0")));
    // An empty pattern takes the old one away.
    let answer = scene.send(&pattern("", beat("m1", 2))).unwrap();
    assert_eq!(answer.assignment, Some(partitions("a:0")));
}
