//! A stream with a load, that is looked at once a period and follows every decision.

use std::{collections::BTreeMap, time::Duration};

use model::{HashKey, Offset, PartitionIndex, ShardId, Timestamp};

use super::{Decision, Rate, ScalingLimits, ShardLoad, StreamScaling};
use crate::shards::{Shard, Shards};

pub const PERIOD: Duration = Duration::from_secs(10);

pub const LIMITS: ScalingLimits = ScalingLimits {
    split_bytes: 500_000,
    split_records: 500,
    merge_bytes: 100_000,
    merge_records: 100,
    window: Duration::from_secs(60),
    cooldown: Duration::from_secs(60),
    merge_after: Duration::from_secs(600),
    shards_min: 1,
    shards_max: 32,
};

/// What is written to a stream in a second.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Over all hash keys evenly.
    pub even: Rate,
    /// For single hash keys.
    pub keys: Vec<(HashKey, Rate)>,
}

impl Load {
    /// So many records of 1000 bytes.
    pub fn even(records: u64) -> Load {
        Load { even: of(records), keys: Vec::new() }
    }

    pub fn and_key(mut self, key: u128, records: u64) -> Load {
        self.keys.push((HashKey(key), of(records)));
        self
    }

    /// A shard's part of it.
    pub fn of(&self, shard: &Shard) -> Rate {
        let part = |all: u64| {
            // In parts of 2^32 of the key space; the last key is part of it.
            let width = (shard.range.width_less_one() >> 96) + 1;
            u64::try_from((u128::from(all) * width) >> 32).unwrap()
        };
        let even = Rate { bytes: part(self.even.bytes), records: part(self.even.records) };
        let within = self.keys.iter().filter(|(key, _)| shard.range.contains(*key));
        within.fold(even, |sum, (_, rate)| sum + *rate)
    }
}

pub fn of(records: u64) -> Rate {
    Rate { bytes: records * 1000, records }
}

pub struct ModelStream {
    pub limits: ScalingLimits,
    pub shards: Shards,
    pub now: Duration,
    pub scaling: StreamScaling,
    /// How long Kafka's producers have written nothing.
    pub kafka_idle: Option<Duration>,
    /// Every shard that is said to be left alone.
    pub left_alone: Vec<ShardId>,
    taken: BTreeMap<PartitionIndex, Rate>,
}

impl ModelStream {
    pub fn new(shards: u32, limits: ScalingLimits) -> ModelStream {
        ModelStream {
            limits,
            shards: Shards::uniform(shards, Timestamp(0)),
            now: Duration::ZERO,
            scaling: StreamScaling::default(),
            kafka_idle: None,
            left_alone: Vec::new(),
            taken: BTreeMap::new(),
        }
    }

    pub fn open_count(&self) -> usize {
        self.shards.open_count()
    }

    /// A period passes under this load, and the stream is looked at.
    pub fn look(&mut self, load: &Load) -> Option<Decision> {
        self.now += PERIOD;
        for shard in self.shards.open() {
            let taken = self.taken.entry(shard.partition).or_default();
            for _ in 0..PERIOD.as_secs() {
                *taken = *taken + load.of(shard);
            }
        }
        let load_of = |shard: &Shard| {
            let Rate { bytes, records } =
                self.taken.get(&shard.partition).copied().unwrap_or_default();
            ShardLoad { shard: shard.clone(), records, bytes, kafka_idle: self.kafka_idle }
        };
        let loads: Vec<ShardLoad> = self.shards.open().map(load_of).collect();
        let decision = self.scaling.look(&loads, &self.limits, self.now);
        self.left_alone.extend(self.scaling.take_left_alone());
        decision
    }

    /// Makes a decision true.
    pub fn follow(&mut self, decision: &Decision) {
        let next = self.shards.all().iter().map(|shard| shard.partition.0 + 1).max().unwrap();
        let end_of = |partition| {
            let taken = self.taken.get(&partition).copied().unwrap_or_default();
            Some(Offset(taken.records as i64))
        };
        let at = Timestamp(self.now.as_millis() as i64);
        let shards =
            self.shards.resharded(&decision.steps(), PartitionIndex(next), at, end_of).unwrap();
        assert_eq!(
            shards.open_count() as i64 - self.shards.open_count() as i64,
            if matches!(decision, Decision::Merge { .. }) {
                -1
            } else {
                decision.additional() as i64
            }
        );
        self.shards = shards;
        self.scaling.tried(decision, true, self.now);
    }

    /// Time passes; what is decided is done. Gives the decisions and when they were made.
    pub fn pass(&mut self, load: &Load, time: Duration) -> Vec<(Duration, Decision)> {
        let (mut made, end) = (Vec::new(), self.now + time);
        while self.now < end {
            if let Some(decision) = self.look(load) {
                self.follow(&decision);
                made.push((self.now, decision));
            }
        }
        made
    }
}
