//! Which shards were open when: the filters of ListShards.
//!
//! A shard without parents was open from the stream's beginning. A closed shard closed when its
//! first child was made, and all its children count as open from that same moment, so that at any
//! time the open shards cover every hash key exactly once. A KCL that begins on a resharded stream
//! relies on it.

use std::collections::BTreeMap;

use model::{ShardId, Timestamp};

use state::shards::Shard;

use crate::log::StreamView;

/// When one shard was open: `opened <= t < closed`, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Life {
    opened_ms: i64,
    closed_ms: i64,
}

/// `ShardFilter` of ListShards, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Shards numbered after this one.
    AfterShard(ShardId),
    /// Shards that were open at the oldest moment of which records are kept.
    AtTrimHorizon,
    /// All shards that may still have records. Also what no filter means.
    FromTrimHorizon,
    /// Shards open now.
    AtLatest,
    /// Shards open at a moment.
    AtTimestamp(Timestamp),
    /// Shards open at a moment or later.
    FromTimestamp(Timestamp),
}

/// The shards of `stream` that `filter` lets through, by number. Shards that closed before the
/// retention period have no records left and are never among them.
pub fn select(stream: &StreamView, filter: Filter, now: Timestamp) -> Vec<&Shard> {
    let lives = lives(&stream.shards);
    let horizon_ms = match stream.config.retention_ms {
        retention_ms if retention_ms >= 0 && stream.config.cleanup_policy.delete => {
            now.0.saturating_sub(retention_ms)
        }
        _ => i64::MIN,
    };
    let passes = |shard: &Shard, life: Life| {
        let open_at = |ms: i64| life.opened_ms <= ms && ms < life.closed_ms;
        match filter {
            Filter::AfterShard(after) => shard.id > after,
            Filter::AtTrimHorizon => open_at(horizon_ms),
            Filter::FromTrimHorizon => true,
            Filter::AtLatest => shard.end_offset.is_none(),
            Filter::AtTimestamp(at) => open_at(at.0.max(horizon_ms)),
            Filter::FromTimestamp(from) => life.closed_ms > from.0,
        }
    };
    let shards = stream.shards.iter().zip(lives);
    shards
        .filter(|(shard, life)| life.closed_ms > horizon_ms && passes(shard, *life))
        .map(|(shard, _)| shard)
        .collect()
}

/// The life of each shard, in the order given.
fn lives(shards: &[Shard]) -> Vec<Life> {
    let mut closed_ms: BTreeMap<ShardId, i64> = BTreeMap::new();
    for child in shards {
        for &parent in &child.parents {
            let first = closed_ms.entry(parent).or_insert(i64::MAX);
            *first = child.created.0.min(*first);
        }
    }
    let closed = |id: ShardId| closed_ms.get(&id).copied();
    let life = |shard: &Shard| Life {
        opened_ms: shard.parents.iter().filter_map(|&p| closed(p)).min().unwrap_or(i64::MIN),
        closed_ms: closed(shard.id).unwrap_or(i64::MAX),
    };
    shards.iter().map(life).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::stream_of;
    use model::{CleanupPolicy, HashKey, HashKeyRange, Offset, PartitionIndex, TopicConfig};

    fn shard(id: u32, range: (u128, u128), parents: &[u32], created: i64, closed: bool) -> Shard {
        Shard {
            id: ShardId(id),
            partition: PartitionIndex(id),
            start_offset: Offset(0),
            end_offset: closed.then_some(Offset(10)),
            range: HashKeyRange::new(HashKey(range.0), HashKey(range.1)).unwrap(),
            parents: parents.iter().copied().map(ShardId).collect(),
            created: Timestamp(created),
            closed: None,
        }
    }

    /// 0 splits into 2 and 3 at 2000; 3 and 1 merge into 4 at 3000.
    fn resharded() -> StreamView {
        let (quarter, half) = (u128::MAX / 4, u128::MAX / 2);
        let mut stream = stream_of("s", 1);
        stream.created = Timestamp(1000);
        stream.shards = vec![
            shard(0, (0, half), &[], 1000, true),
            shard(1, (half + 1, u128::MAX), &[], 1001, true),
            shard(2, (0, quarter), &[0], 2000, false),
            shard(3, (quarter + 1, half), &[0], 2001, true),
            shard(4, (quarter + 1, u128::MAX), &[3, 1], 3000, false),
        ];
        stream
    }

    fn ids(stream: &StreamView, filter: Filter, now: i64) -> Vec<u32> {
        select(stream, filter, Timestamp(now)).iter().map(|shard| shard.id.0).collect()
    }

    #[test]
    fn each_filter_selects_what_the_model_says() {
        let stream = resharded();
        for (filter, expect) in [
            (Filter::FromTrimHorizon, vec![0, 1, 2, 3, 4]),
            (Filter::AtTrimHorizon, vec![0, 1]),
            (Filter::AtLatest, vec![2, 4]),
            (Filter::AfterShard(ShardId(2)), vec![3, 4]),
            (Filter::AtTimestamp(Timestamp(0)), vec![0, 1]),
            (Filter::AtTimestamp(Timestamp(1500)), vec![0, 1]),
            (Filter::AtTimestamp(Timestamp(2000)), vec![1, 2, 3]),
            (Filter::AtTimestamp(Timestamp(3000)), vec![2, 4]),
            (Filter::FromTimestamp(Timestamp(2500)), vec![1, 2, 3, 4]),
            (Filter::FromTimestamp(Timestamp(9000)), vec![2, 4]),
        ] {
            assert_eq!(ids(&stream, filter, 10_000), expect, "{filter:?}");
        }
    }

    #[test]
    fn shards_that_closed_before_the_retention_period_are_gone() {
        let mut stream = resharded();
        stream.config = TopicConfig { retention_ms: 5000, ..TopicConfig::default() };
        assert_eq!(ids(&stream, Filter::FromTrimHorizon, 7500), [1, 2, 3, 4]);
        assert_eq!(ids(&stream, Filter::AtTrimHorizon, 7500), [1, 2, 3]);
        assert_eq!(ids(&stream, Filter::AtTimestamp(Timestamp(0)), 7500), [1, 2, 3]);
        stream.config.cleanup_policy = CleanupPolicy { delete: false, compact: true };
        assert_eq!(ids(&stream, Filter::FromTrimHorizon, 7500), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn at_every_moment_the_open_shards_cover_every_key_once() {
        let stream = resharded();
        for ms in 0..4000 {
            let mut open = select(&stream, Filter::AtTimestamp(Timestamp(ms)), Timestamp(4000));
            open.sort_by_key(|shard| shard.range.start());
            let mut next = 0_u128;
            for shard in open {
                assert_eq!(shard.range.start().0, next, "at {ms}");
                next = shard.range.end().0.wrapping_add(1);
            }
            assert_eq!(next, 0, "at {ms}");
        }
    }
}
