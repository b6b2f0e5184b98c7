//! Whatever the load does: bounds hold at any time, and a load that stays comes to rest with the
//! shards that it asks for.

use model::HashKey;
use proptest::prelude::*;

use super::{
    model_stream::{LIMITS, Load, ModelStream, PERIOD, of},
    *,
};

fn load() -> impl Strategy<Value = Load> {
    let key = (any::<u128>(), 0_u64..4_000);
    let even = prop_oneof![Just(0), 0_u64..500, 0_u64..20_000];
    (even, prop::collection::vec(key, 0..4)).prop_map(|(even, keys)| {
        let keys = keys.into_iter().map(|(key, records)| (HashKey(key), of(records)));
        Load { even: of(even), keys: keys.collect() }
    })
}

fn limits() -> impl Strategy<Value = ScalingLimits> {
    (1_usize..8, 0_usize..40, 0_u64..200, 0_u64..900).prop_map(|(min, more, cooldown, after)| {
        ScalingLimits {
            shards_min: min,
            shards_max: min + more,
            cooldown: Duration::from_secs(cooldown),
            merge_after: Duration::from_secs(after),
            ..LIMITS
        }
    })
}

/// Lets the load go on until nothing has changed for long. `None` if it never comes to rest.
fn settle(stream: &mut ModelStream, load: &Load) -> Option<()> {
    let quiet = 2 * (stream.limits.merge_after + stream.limits.window + stream.limits.cooldown);
    let end = stream.now + 2_000 * quiet;
    while stream.now < end {
        if stream.pass(load, quiet).is_empty() {
            return Some(());
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn shards_stay_within_the_bounds_and_changes_keep_apart(
        limits in limits(),
        shards in 1_u32..12,
        phases in prop::collection::vec((load(), 1_u32..60), 1..12),
    ) {
        let mut stream = ModelStream::new(shards, limits);
        let least = limits.shards_min.min(stream.open_count());
        let most = limits.shards_max.max(stream.open_count());
        let mut last: Option<Duration> = None;
        for (load, periods) in phases {
            for _ in 0..periods {
                let Some(decision) = stream.look(&load) else { continue };
                prop_assert!(last.is_none_or(|last| stream.now - last >= limits.cooldown));
                last = Some(stream.now);
                prop_assert!(decision.additional() <= SPLITS_MAX);
                // Fails if a step cannot be made.
                stream.follow(&decision);
                prop_assert!((least..=most).contains(&stream.open_count()), "{decision}");
            }
        }
    }

    #[test]
    fn a_load_that_stays_gets_its_shards_and_then_nothing_changes(
        limits in limits(),
        shards in 1_u32..12,
        before in load(),
        load in load(),
    ) {
        let mut stream = ModelStream::new(shards, limits);
        stream.pass(&before, 60 * PERIOD);
        // What was left alone is judged anew once it was cool.
        stream.pass(&Load::default(), limits.window + PERIOD);
        stream.left_alone.clear();
        prop_assert!(settle(&mut stream, &load).is_some(), "no rest");

        let open: Vec<_> = stream.shards.open().cloned().collect();
        for shard in &open {
            let is_hot = limits.is_hot(load.of(shard));
            // One with a key may be left alone.
            let has_key = load.keys.iter().any(|(key, _)| shard.range.contains(*key));
            prop_assert!(
                !is_hot || open.len() >= limits.shards_max || has_key,
                "{} is hot: {}", shard.id, load.of(shard)
            );
        }
        if load.keys.is_empty() {
            prop_assert_eq!(&stream.left_alone, &[]);
        }
        for pair in open.windows(2) {
            let rate = load.of(&pair[0]) + load.of(&pair[1]);
            prop_assert!(
                !limits.is_cold(rate) || open.len() <= limits.shards_min,
                "{} and {} are cold: {rate}", pair[0].id, pair[1].id
            );
        }
    }

    #[test]
    fn keys_that_can_be_parted_are(first in any::<u128>(), second in any::<u128>()) {
        // Four splits in a row that part nothing are taken for one key: so keys that differ in one
        // of the first four bits are parted for certain.
        prop_assume!(first >> 124 != second >> 124);
        let mut stream = ModelStream::new(1, LIMITS);
        let load = Load::default().and_key(first, 600).and_key(second, 600);
        prop_assert!(settle(&mut stream, &load).is_some(), "no rest");
        let [first, second] =
            [first, second].map(|key| stream.shards.route(HashKey(key)).map(|shard| shard.id));
        prop_assert_ne!(first, second);
    }
}
