//! The assignors by themselves.

use std::{collections::BTreeSet, rc::Rc};

use proptest::prelude::*;

use super::*;
use crate::groups::consumer::assignor::{Asking, assign};

fn topic(number: u32) -> TopicId {
    TopicId(u128::from(number) + 1)
}

/// Assigns to members that subscribe to these topics; `had` is what they had before.
fn run(
    assignor: AssignorName,
    subscriptions: &[BTreeSet<u32>],
    counts: &[u32],
    had: &[Assignment],
) -> Vec<Assignment> {
    let ids: Vec<String> = (0..subscriptions.len()).map(|at| format!("m{at:04}")).collect();
    let members: Vec<_> = subscriptions
        .iter()
        .enumerate()
        .map(|(at, topics)| Asking {
            id: &ids[at],
            instance_id: None,
            subscribed: Rc::new(topics.iter().map(|number| topic(*number)).collect()),
            had: had.get(at),
        })
        .collect();
    let counts = (0..).zip(counts).map(|(number, count)| (topic(number), *count)).collect();
    assign(assignor, &members, &counts)
}

fn all(members: usize, topics: u32) -> Vec<BTreeSet<u32>> {
    vec![(0..topics).collect(); members]
}

/// Every partition that somebody subscribes to is with exactly one of the subscribers.
fn assert_complete(subscriptions: &[BTreeSet<u32>], counts: &[u32], targets: &[Assignment]) {
    let mut seen = BTreeSet::new();
    for (member, target) in targets.iter().enumerate() {
        for (id, partition) in target.iter() {
            let number = u32::try_from(id.0 - 1).unwrap();
            assert!(subscriptions[member].contains(&number));
            assert!(partition.0 < counts[number as usize]);
            assert!(seen.insert((id, partition)), "{id} {partition:?} twice");
        }
    }
    let wanted: BTreeSet<u32> = subscriptions.iter().flatten().copied().collect();
    let count: u32 = wanted.iter().map(|number| counts[*number as usize]).sum();
    assert_eq!(seen.len(), count as usize);
}

fn loads(targets: &[Assignment]) -> Vec<usize> {
    targets.iter().map(Assignment::partition_count).collect()
}

#[test]
fn range_divides_equal_topics_alike() {
    let targets = run(AssignorName::Range, &all(2, 2), &[3, 3], &[]);
    let expected = [vec![(0, 0), (0, 1), (1, 0), (1, 1)], vec![(0, 2), (1, 2)]];
    for (target, expected) in targets.iter().zip(expected) {
        let expected = expected.into_iter().map(|(t, p)| (topic(t), PartitionIndex(p)));
        assert_eq!(*target, expected.collect());
    }
}

#[test]
fn range_goes_by_instance_ids_so_that_restarts_move_nothing() {
    let subscribed: Rc<BTreeSet<_>> = Rc::new([topic(0)].into());
    let counts = BTreeMap::from([(topic(0), 4)]);
    let of = |ids: [&str; 2]| {
        let members: Vec<_> = ids
            .iter()
            .zip(["i1", "i2"])
            .map(|(id, instance_id)| Asking {
                id,
                instance_id: Some(instance_id),
                subscribed: Rc::clone(&subscribed),
                had: None,
            })
            .collect();
        assign(AssignorName::Range, &members, &counts)
    };
    assert_eq!(of(["a", "b"]), of(["z", "c"]));
}

#[test]
fn uniform_moves_only_what_a_newcomer_is_due() {
    let before = run(AssignorName::Uniform, &all(3, 1), &[12], &[]);
    assert_eq!(loads(&before), [4, 4, 4]);
    let after = run(AssignorName::Uniform, &all(4, 1), &[12], &before);
    assert_eq!(loads(&after), [3, 3, 3, 3]);
    for (old, new) in before.iter().zip(&after) {
        assert!(new.is_subset(old), "nobody but the newcomer gets anything new");
    }
}

#[test]
fn a_thousand_members_are_dealt_with() {
    let before = run(AssignorName::Uniform, &all(999, 10), &[1_000; 10], &[]);
    let after = run(AssignorName::Uniform, &all(1_000, 10), &[1_000; 10], &before);
    assert_eq!(loads(&after), [10; 1_000]);
}

fn subscriptions() -> impl Strategy<Value = (Vec<BTreeSet<u32>>, Vec<u32>)> {
    let subscription = prop::collection::btree_set(0..4_u32, 0..4);
    (prop::collection::vec(subscription, 1..8), prop::collection::vec(1..7_u32, 4))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn all_that_is_asked_for_is_assigned_once((subscribed, counts) in subscriptions()) {
        for assignor in AssignorName::ALL {
            let targets = run(assignor, &subscribed, &counts, &[]);
            assert_complete(&subscribed, &counts, &targets);
        }
    }

    #[test]
    fn uniform_leaves_no_move_that_would_help(
        (first, counts) in subscriptions(), (second, _) in subscriptions(),
    ) {
        let before = run(AssignorName::Uniform, &first, &counts, &[]);
        let targets = run(AssignorName::Uniform, &second, &counts, &before);
        assert_complete(&second, &counts, &targets);
        let loads = loads(&targets);
        for (from, target) in targets.iter().enumerate() {
            for (id, _) in target.topics() {
                let number = u32::try_from(id.0 - 1).unwrap();
                let others = (0..second.len()).filter(|at| second[*at].contains(&number));
                prop_assert!(others.into_iter().all(|to| loads[from] <= loads[to] + 1));
            }
        }
        // And it is at rest: the same question gets the same answer.
        prop_assert_eq!(run(AssignorName::Uniform, &second, &counts, &targets), targets);
    }

    #[test]
    fn uniform_moves_the_least_when_all_subscribe_alike(
        members in 1..8_usize, joined in 0..4_usize, left in 0..4_usize, counts in prop::collection::vec(1..9_u32, 3),
    ) {
        let before = run(AssignorName::Uniform, &all(members, 3), &counts, &[]);
        let stay = members.saturating_sub(left).max(1);
        let had = &before[..stay];
        let now = stay + joined;
        let after = run(AssignorName::Uniform, &all(now, 3), &counts, had);
        let total: usize = counts.iter().map(|count| *count as usize).sum();
        let (floor, extra) = (total / now, total % now);
        let mut sorted = loads(&after);
        sorted.sort_unstable();
        let even: Vec<_> = (0..now).map(|at| floor + usize::from(at >= now - extra)).collect();
        prop_assert_eq!(sorted, even);
        // Everybody keeps all that an even share allows.
        let kept: usize = had.iter().zip(&after).map(|(a, b)| a.intersection(b).partition_count()).sum();
        let mut had_loads: Vec<usize> = had.iter().map(Assignment::partition_count).collect();
        had_loads.sort_unstable_by(|a, b| b.cmp(a));
        let may_keep = |(at, load): (usize, &usize)| (*load).min(floor + usize::from(at < extra));
        prop_assert_eq!(kept, had_loads.iter().enumerate().map(may_keep).sum::<usize>());
    }

    #[test]
    fn range_co_partitions(members in 1..8_usize, count in 1..12_u32) {
        let targets = run(AssignorName::Range, &all(members, 2), &[count, count], &[]);
        for target in targets {
            let of = |number| {
                let mut topics = target.topics();
                topics.find(|(id, _)| *id == topic(number)).map(|(_, partitions)| partitions.clone())
            };
            prop_assert_eq!(of(0), of(1));
        }
    }
}
