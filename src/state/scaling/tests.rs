//! Tables: what leads to a change of shards, and what does not.

use super::{
    model_stream::{LIMITS, Load, ModelStream, PERIOD, of},
    *,
};

const MINUTE: Duration = Duration::from_secs(60);
const FIRST: ShardId = ShardId(0);

fn split_ids(decision: &Decision) -> Vec<u32> {
    match decision {
        Decision::Split(hot) => hot.iter().map(|hot| hot.shard.0).collect(),
        Decision::Merge { .. } => panic!("{decision}"),
    }
}

fn merged(decision: &Decision) -> (u32, u32) {
    match decision {
        Decision::Merge { into, from, .. } => (into.0, from.0),
        Decision::Split(_) => panic!("{decision}"),
    }
}

#[test]
fn a_shard_over_either_limit_for_a_window_is_split_in_the_middle() {
    for (bytes, records, is_split) in [
        (0, 0, false),
        (500_000, 500, false),
        (500_001, 0, true),
        (0, 501, true),
        (u64::MAX / 10_000, 1, true),
    ] {
        let mut stream = ModelStream::new(1, LIMITS);
        let load = Load { even: Rate { bytes, records }, keys: Vec::new() };
        let made = stream.pass(&load, MINUTE + PERIOD);
        let expected =
            HotShard { shard: FIRST, at: HashKey(1 << 127), rate: Rate { bytes, records } };
        let expected = is_split.then(|| (MINUTE + PERIOD, Decision::Split(vec![expected])));
        assert_eq!(made, Vec::from_iter(expected), "{bytes} bytes and {records} records a second");
    }
}

#[test]
fn a_burst_is_averaged_over_the_window() {
    // 60 s at 500 are 30,000 records; a window's worth within a period is 3,000 a second.
    for (burst, is_split) in [(3_000, false), (3_100, true)] {
        let mut stream = ModelStream::new(1, LIMITS);
        assert_eq!(stream.pass(&Load::default(), 2 * MINUTE), []);
        let mut made = stream.pass(&Load::even(burst), PERIOD);
        made.extend(stream.pass(&Load::default(), 10 * MINUTE));
        assert_eq!(!made.is_empty(), is_split, "{burst} records a second for 10 s");
    }
}

#[test]
fn nothing_is_decided_before_a_whole_window_was_seen() {
    let mut stream = ModelStream::new(1, LIMITS);
    let seen = |stream: &mut ModelStream| stream.look(&Load::even(10_000)).is_some();
    let looks: Vec<bool> = (0..8).map(|_| seen(&mut stream)).collect();
    assert_eq!(looks, [false, false, false, false, false, false, true, true]);
}

#[test]
fn the_hottest_are_split_first_and_only_as_many_as_there_may_be() {
    // Of four shards the second takes most, then the fourth; the third is not hot.
    let quarter = 1_u128 << 126;
    let load = Load::default()
        .and_key(0, 600)
        .and_key(quarter, 900)
        .and_key(2 * quarter, 400)
        .and_key(3 * quarter, 800);
    for (shards_max, expected) in
        [(32, Some(vec![1, 3, 0])), (6, Some(vec![1, 3])), (5, Some(vec![1])), (4, None), (1, None)]
    {
        let mut stream = ModelStream::new(4, ScalingLimits { shards_max, ..LIMITS });
        let made = stream.pass(&load, MINUTE + PERIOD);
        let first = made.first().map(|(_, decision)| split_ids(decision));
        assert_eq!(first, expected, "of at most {shards_max}");
    }
    // However many there may be, so many at a time.
    let mut stream = ModelStream::new(40, ScalingLimits { shards_max: 1000, ..LIMITS });
    let made = stream.pass(&Load::even(40 * 600), MINUTE + PERIOD);
    assert_eq!(made[0].1.additional(), SPLITS_MAX);
}

#[test]
fn changes_keep_the_cooldown_apart() {
    for cooldown in [Duration::ZERO, 3 * MINUTE] {
        let mut stream =
            ModelStream::new(40, ScalingLimits { shards_max: 1000, cooldown, ..LIMITS });
        let made = stream.pass(&Load::even(40 * 600), 20 * MINUTE);
        let times: Vec<Duration> = made.iter().map(|(at, _)| *at).collect();
        assert_eq!(made.len(), 3, "16, 16 and 8 of 40");
        for pair in times.windows(2) {
            assert_eq!(pair[1] - pair[0], cooldown.max(PERIOD), "{times:?}");
        }
    }
}

#[test]
fn there_is_room_for_double_of_what_an_even_load_takes() {
    // As AWS's example: a load that grows gets the shards that it needs at half of their
    // throughput, step by step.
    let mut stream = ModelStream::new(4, LIMITS);
    for (records, shards) in [(1_000, 4), (2_000, 4), (2_100, 8), (5_000, 16), (16_000, 32)] {
        stream.pass(&Load::even(records), 10 * MINUTE);
        assert_eq!(stream.open_count(), shards, "{records} records a second");
        assert!(stream.open_count() as u64 * 1000 >= 2 * records.min(16_000));
    }
}

#[test]
fn neighbours_become_one_after_they_were_cold_for_long() {
    let mut stream = ModelStream::new(2, LIMITS);
    // 50 records a second each: at the limit together.
    assert_eq!(stream.pass(&Load::even(100), 60 * MINUTE), []);
    let began = stream.now;
    let made = stream.pass(&Load::even(98), 60 * MINUTE);
    let [(at, decision)] = &made[..] else { panic!("{made:?}") };
    assert_eq!(merged(decision), (0, 1));
    // The average falls below the limit with the first look.
    assert_eq!(*at - began, LIMITS.merge_after + PERIOD);
    assert_eq!(decision.steps(), [ReshardStep::Merge { into: ShardId(0), from: ShardId(1) }]);
}

#[test]
fn who_is_written_to_in_between_is_cold_for_as_long_again() {
    let mut stream = ModelStream::new(2, LIMITS);
    assert_eq!(stream.pass(&Load::default(), LIMITS.merge_after), []);
    assert_eq!(stream.pass(&Load::even(1_000), PERIOD), []);
    let began = stream.now;
    let made = stream.pass(&Load::default(), 60 * MINUTE);
    assert_eq!(made.len(), 1);
    // A burst is within the window for a minute; then the time begins.
    assert!(made[0].0 - began >= LIMITS.merge_after + LIMITS.window, "{made:?}");
}

#[test]
fn merges_stop_at_the_least_number_and_zero_merges_none() {
    for (limits, shards, left) in [
        (LIMITS, 4, 1),
        (ScalingLimits { shards_min: 3, ..LIMITS }, 4, 3),
        (ScalingLimits { shards_min: 3, ..LIMITS }, 2, 2),
        (ScalingLimits { shards_min: 0, ..LIMITS }, 2, 1),
        (ScalingLimits { merge_bytes: 0, ..LIMITS }, 4, 4),
        (ScalingLimits { merge_records: 0, ..LIMITS }, 4, 4),
    ] {
        let mut stream = ModelStream::new(shards, limits);
        stream.pass(&Load::default(), 120 * MINUTE);
        assert_eq!(stream.open_count(), left, "of {shards} with {limits:?}");
    }
}

#[test]
fn the_narrowest_neighbours_are_merged_first_onto_the_older_partition() {
    let mut stream = ModelStream::new(2, LIMITS);
    // Shard 1 is split into 2 (on its partition) and 3 (on a new one).
    let hot = Load::default().and_key(1 << 127, 300).and_key(u128::MAX, 300);
    assert_eq!(stream.pass(&hot, 2 * MINUTE).len(), 1);
    // Until all neighbours have been cold for long enough.
    stream.kafka_idle = Some(Duration::ZERO);
    assert_eq!(stream.pass(&Load::default(), 20 * MINUTE), []);
    stream.kafka_idle = None;
    let made = stream.pass(&Load::default(), 60 * MINUTE);
    let pairs: Vec<_> = made.iter().map(|(_, decision)| merged(decision)).collect();
    assert_eq!(pairs, [(2, 3), (0, 4)]);
}

#[test]
fn nothing_is_merged_while_kafka_writes_to_the_stream() {
    for (idle, is_merged) in [
        (None, true),
        (Some(Duration::ZERO), false),
        (Some(LIMITS.merge_after - PERIOD), false),
        (Some(LIMITS.merge_after), true),
    ] {
        let mut stream = ModelStream::new(2, LIMITS);
        stream.kafka_idle = idle;
        let made = stream.pass(&Load::default(), 60 * MINUTE);
        assert_eq!(!made.is_empty(), is_merged, "{idle:?}");
        // Splits do not disturb Kafka's producers.
        let mut stream = ModelStream::new(1, LIMITS);
        stream.kafka_idle = idle;
        assert!(!stream.pass(&Load::even(600), 2 * MINUTE).is_empty());
    }
}

#[test]
fn a_key_that_no_split_divides_does_not_use_up_the_shards() {
    let mut stream = ModelStream::new(1, LIMITS);
    let load = Load::even(20).and_key(12345, 5_000);
    let made = stream.pass(&load, 60 * MINUTE);
    let splits = made.iter().filter(|(_, d)| matches!(d, Decision::Split(_))).count();
    // The first split is judged by the second look at its children, and so on.
    assert_eq!(splits, NARROWING_SPLITS_MAX as usize);
    let hot = stream.shards.route(HashKey(12345)).unwrap().id;
    assert_eq!(stream.left_alone, [hot], "told once");

    let splits_of = |stream: &mut ModelStream, load: &Load| {
        let made = stream.pass(load, 4 * MINUTE);
        made.iter().filter(|(_, d)| matches!(d, Decision::Split(_))).count()
    };
    assert_eq!(splits_of(&mut stream, &load), 0);
    // Once it takes double, or was cool in between, it may be another load.
    let double = Load::even(20).and_key(12345, 11_000);
    assert!(splits_of(&mut stream, &double) > 0);
    stream.pass(&double, 60 * MINUTE);
    assert_eq!(splits_of(&mut stream, &double), 0);
    stream.pass(&Load::even(20), 2 * MINUTE);
    assert!(splits_of(&mut stream, &load) > 0);
}

#[test]
fn what_a_split_shares_is_split_further() {
    // Two keys in the lowest quarter: one split does not part them, the others do.
    let mut stream = ModelStream::new(1, LIMITS);
    let load = Load::default().and_key(0, 1_000).and_key(1 << 125, 1_000);
    stream.pass(&load, 20 * MINUTE);
    let [low, high] = [0, 1 << 125].map(|key| stream.shards.route(HashKey(key)).unwrap().id);
    assert_ne!(low, high);
}

#[test]
fn a_refused_merge_gives_others_their_turn() {
    let mut stream = ModelStream::new(4, LIMITS);
    let mut refused = Vec::new();
    while stream.now < LIMITS.merge_after + 10 * MINUTE {
        if let Some(decision) = stream.look(&Load::default()) {
            stream.scaling.tried(&decision, false, stream.now);
            refused.push((stream.now, merged(&decision)));
        }
    }
    let (times, pairs): (Vec<_>, Vec<_>) = refused.into_iter().unzip();
    assert_eq!(pairs, [(0, 1), (1, 2), (2, 3)]);
    assert_eq!(times[1] - times[0], LIMITS.cooldown);
    // And then again, when they have been cold for as long again.
    let again = loop {
        if let Some(decision) = stream.look(&Load::default()) {
            break decision;
        }
    };
    assert_eq!((stream.now - times[0], merged(&again)), (LIMITS.merge_after, (0, 1)));
}

#[test]
fn a_refused_split_is_tried_again_after_the_cooldown() {
    let mut stream = ModelStream::new(1, LIMITS);
    let mut tried = Vec::new();
    while tried.len() < 3 {
        if let Some(decision) = stream.look(&Load::even(600)) {
            assert_eq!(split_ids(&decision), [0]);
            stream.scaling.tried(&decision, false, stream.now);
            tried.push(stream.now);
        }
    }
    assert_eq!([tried[1] - tried[0], tried[2] - tried[1]], [LIMITS.cooldown; 2]);
}

#[test]
fn limits_that_would_merge_what_is_split_again_do_not() {
    let limits = ScalingLimits { merge_records: 10_000, merge_bytes: 10_000_000, ..LIMITS };
    let mut stream = ModelStream::new(1, limits);
    let made = stream.pass(&Load::even(600), 120 * MINUTE);
    assert_eq!((made.len(), stream.open_count()), (1, 2), "{made:?}");
}

#[test]
fn numbers_that_begin_anew_are_an_idle_shard() {
    let mut scaling = StreamScaling::default();
    let shard = ModelStream::new(1, LIMITS).shards.all()[0].clone();
    for (seconds, records) in [(0, 1 << 40), (60, 5), (120, 5 + 60 * 600)] {
        let load = ShardLoad { shard: shard.clone(), records, bytes: 0, kafka_idle: None };
        let decision = scaling.look(&[load], &LIMITS, Duration::from_secs(seconds));
        assert_eq!(decision.is_some(), seconds == 120, "{decision:?} at {seconds} s");
    }
}

#[test]
fn a_history_is_bounded_however_often_one_looks() {
    let mut history = History::default();
    for ms in 0..200_000_u64 {
        let rate = history.note(ms, 2 * ms, Duration::from_millis(ms), LIMITS.window);
        let expected = (ms >= 60_000).then_some(Rate { records: 1000, bytes: 2000 });
        assert_eq!(rate, expected, "at {ms} ms");
        assert!(history.len() <= 18);
    }
}

#[test]
fn a_decision_says_why() {
    let hot = |shard| HotShard { shard: ShardId(shard), at: HashKey(7), rate: of(600) };
    assert_eq!(
        Decision::Split(vec![hot(3), hot(4)]).to_string(),
        "split shardId-000000000003, which takes 600000 bytes/s and 600 records/s, \
         shardId-000000000004, which takes 600000 bytes/s and 600 records/s"
    );
    assert_eq!(
        Decision::Merge { into: ShardId(1), from: ShardId(2), rate: of(3) }.to_string(),
        "merge shardId-000000000001 and shardId-000000000002, which take 3000 bytes/s and 3 \
         records/s together"
    );
}
