//! The bounds within which a stream scales: the settings `stream.scaling.*`.

use std::time::Duration;

use super::Rate;
use crate::configs::{self, BrokerLayers, ConfigError, Overrides};

/// When a stream on demand gets more shards, or fewer. The defaults are the settings'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalingLimits {
    /// A shard is split that takes more bytes a second …
    pub split_bytes: u64,
    /// … or more records a second.
    pub split_records: u64,
    /// Two neighbours are cold that together take fewer bytes a second …
    pub merge_bytes: u64,
    /// … and fewer records a second. Zero: none are ever cold.
    pub merge_records: u64,
    /// Over which time rates are averages.
    pub window: Duration,
    /// How long a stream rests after a change.
    pub cooldown: Duration,
    /// How long neighbours must have been cold to be merged.
    pub merge_after: Duration,
    /// So many shards are left by merges.
    pub shards_min: usize,
    /// So many shards are made by splits.
    pub shards_max: usize,
}

const SPLIT_BYTES: &str = "stream.scaling.split.bytes.per.second";
const SPLIT_RECORDS: &str = "stream.scaling.split.records.per.second";
const MERGE_BYTES: &str = "stream.scaling.merge.bytes.per.second";
const MERGE_RECORDS: &str = "stream.scaling.merge.records.per.second";
const SHARDS_MIN: &str = "stream.scaling.shards.min";
const SHARDS_MAX: &str = "stream.scaling.shards.max";

impl ScalingLimits {
    /// A topic's, from its own settings and the broker's.
    pub fn resolve(overrides: &Overrides, broker: &BrokerLayers) -> ScalingLimits {
        // Every one of them is a number of the table, with a default and a bound above or at zero.
        let number = |name| {
            let number = configs::topic_number(overrides, broker, name).unwrap_or_default();
            u64::try_from(number).unwrap_or_default()
        };
        let ms = |name| Duration::from_millis(number(name));
        let count = |name| usize::try_from(number(name)).unwrap_or(usize::MAX);
        ScalingLimits {
            split_bytes: number(SPLIT_BYTES),
            split_records: number(SPLIT_RECORDS),
            merge_bytes: number(MERGE_BYTES),
            merge_records: number(MERGE_RECORDS),
            window: ms("stream.scaling.window.ms"),
            cooldown: ms("stream.scaling.cooldown.ms"),
            merge_after: ms("stream.scaling.merge.after.ms"),
            shards_min: count(SHARDS_MIN),
            shards_max: count(SHARDS_MAX),
        }
    }

    /// Refuses limits that contradict each other.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let pairs = [
            (MERGE_BYTES, self.merge_bytes, SPLIT_BYTES, self.split_bytes),
            (MERGE_RECORDS, self.merge_records, SPLIT_RECORDS, self.split_records),
        ];
        for (merge, low, split, high) in pairs {
            if low > high / 2 {
                return Err(ConfigError::Conflict(format!(
                    "{merge} ({low}) must not be greater than half of {split} ({high}): what was merged would be split again"
                )));
            }
        }
        let (least, most) = (self.shards_min, self.shards_max);
        if least > most {
            return Err(ConfigError::Conflict(format!(
                "{SHARDS_MIN} ({least}) must not be greater than {SHARDS_MAX} ({most})"
            )));
        }
        Ok(())
    }

    /// The same, with merges at half of what a shard is split at, at most. A topic's own settings
    /// and the broker's are checked when they are set, but a broker's may change under a topic's.
    pub(super) fn in_order(self) -> ScalingLimits {
        ScalingLimits {
            merge_bytes: self.merge_bytes.min(self.split_bytes / 2),
            merge_records: self.merge_records.min(self.split_records / 2),
            ..self
        }
    }

    pub(super) fn is_hot(&self, rate: Rate) -> bool {
        rate.bytes > self.split_bytes || rate.records > self.split_records
    }

    pub(super) fn is_cold(&self, rate: Rate) -> bool {
        rate.bytes < self.merge_bytes && rate.records < self.merge_records
    }

    /// How much a shard takes, in thousandths of what it is split at.
    pub(super) fn heat(&self, rate: Rate) -> u64 {
        let part = |rate: u64, limit: u64| rate.saturating_mul(1000) / limit.max(1);
        part(rate.bytes, self.split_bytes).max(part(rate.records, self.split_records))
    }
}
