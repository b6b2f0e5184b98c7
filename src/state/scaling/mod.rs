//! When the shards of a stream on demand are split and merged, by what is written to them.
//!
//! [`StreamScaling`] is one stream's state machine: it is told now and then what each open shard
//! has taken so far, and answers with a [`Decision`], or none. It reads no clock and does nothing
//! itself; whoever asks makes the change and tells how it went.
//!
//! A shard that takes more than the limits over a whole window is split in the middle of its range,
//! as AWS does: with half of a shard's throughput as the limit, a stream has room for double of what
//! it takes. Two neighbours that together took little for long become one. Nothing flaps, because
//! neighbours are merged only below half of what a shard is split at, and because shards that are
//! new are judged by a whole window of their own.

use std::{collections::BTreeMap, fmt, time::Duration};

use model::{HashKey, ShardId};

use crate::shards::{ReshardStep, Shard};

mod history;
mod limits;
#[cfg(test)]
mod model_stream;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use history::History;
pub use history::Rate;
pub use limits::ScalingLimits;

/// The most shards that one decision splits.
pub const SPLITS_MAX: usize = 16;
/// So many splits in a row that left nearly all of the load in one child: it is taken to come from
/// one hash key, which no split divides. The shard is left alone until it cools down, or takes double.
const NARROWING_SPLITS_MAX: u32 = 4;
/// A split shares the load if the lesser child has at least this part of the greater one's.
const SHARED_PART: u64 = 10;

/// An open shard, and what its partition has taken since a moment that stays the same. Numbers that
/// begin anew are taken for a shard that was idle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardLoad {
    /// The shard.
    pub shard: Shard,
    /// Records taken.
    pub records: u64,
    /// Bytes of their batches, as they are stored.
    pub bytes: u64,
    /// How long ago Kafka's producers last wrote to the partition; `None` if nobody knows of any.
    pub kafka_idle: Option<Duration>,
}

/// A shard that takes too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotShard {
    /// Which one.
    pub shard: ShardId,
    /// The first key of the upper child.
    pub at: HashKey,
    /// What it takes.
    pub rate: Rate,
}

/// What is to be done with a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Split these, the hottest first; [`SPLITS_MAX`] at most.
    Split(Vec<HotShard>),
    /// Merge two neighbours that have been cold.
    Merge {
        /// The shard whose partition goes on.
        into: ShardId,
        /// The shard whose partition is sealed.
        from: ShardId,
        /// What both take together.
        rate: Rate,
    },
}

impl Decision {
    /// The change that it asks for.
    pub fn steps(&self) -> Vec<ReshardStep> {
        match self {
            Decision::Split(hot) => {
                let step = |hot: &HotShard| ReshardStep::Split { shard: hot.shard, at: hot.at };
                hot.iter().map(step).collect()
            }
            Decision::Merge { into, from, .. } => {
                vec![ReshardStep::Merge { into: *into, from: *from }]
            }
        }
    }

    /// How many more open shards the stream would have.
    pub fn additional(&self) -> usize {
        match self {
            Decision::Split(hot) => hot.len(),
            Decision::Merge { .. } => 0,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Split(hot) => {
                for (place, HotShard { shard, rate, .. }) in hot.iter().enumerate() {
                    let before = if place == 0 { "split " } else { ", " };
                    write!(f, "{before}{shard}, which takes {rate}")?;
                }
                Ok(())
            }
            Decision::Merge { into, from, rate } => {
                write!(f, "merge {into} and {from}, which take {rate} together")
            }
        }
    }
}

/// What is known of an open shard.
#[derive(Debug, Default)]
struct Known {
    history: History,
    /// How many splits in a row before this shard left nearly all of the load in one child.
    narrowing_splits: u32,
    /// Whether the split that made it was looked at for that …
    is_judged: bool,
    /// … and how hot it was then.
    judged_heat: Option<u64>,
}

impl Known {
    fn is_left_alone(&self) -> bool {
        self.narrowing_splits >= NARROWING_SPLITS_MAX
    }
}

/// One stream's state: what is known over the last window, and since when neighbours are cold.
#[derive(Debug, Default)]
pub struct StreamScaling {
    shards: BTreeMap<ShardId, Known>,
    /// Since when neighbours, the lower first, have been taking little.
    cold: BTreeMap<(ShardId, ShardId), Duration>,
    /// When a change was last tried.
    tried: Option<Duration>,
    /// Shards that no more splits are spent on, and that nobody was told of yet.
    left_alone: Vec<ShardId>,
}

/// A shard as one look finds it.
struct Seen<'a> {
    load: &'a ShardLoad,
    /// `None` before it was there for a whole window.
    rate: Option<Rate>,
}

impl StreamScaling {
    /// Takes in what the open shards, in the order of their keys, have taken up to `now` (the time
    /// since any moment that stays the same), and decides.
    pub fn look(
        &mut self,
        loads: &[ShardLoad],
        limits: &ScalingLimits,
        now: Duration,
    ) -> Option<Decision> {
        let limits = &limits.in_order();
        let seen = self.take_in(loads, limits, now);
        self.judge_splits(&seen, limits);
        self.note_cold(&seen, limits, now);
        let rests = |tried| now.saturating_sub(tried) < limits.cooldown;
        if self.tried.is_some_and(rests) {
            return None;
        }
        self.splits(&seen, limits).or_else(|| self.merge(&seen, limits, now))
    }

    /// Tells how it went. Either way the stream rests for the cool-down; neighbours that could not
    /// be merged must then be cold for as long again.
    pub fn tried(&mut self, decision: &Decision, was_made: bool, now: Duration) {
        self.tried = Some(now);
        if was_made {
            return;
        }
        if let Decision::Merge { into, from, .. } = *decision {
            for pair in [(into, from), (from, into)] {
                if let Some(since) = self.cold.get_mut(&pair) {
                    *since = now;
                }
            }
        }
    }

    /// Shards that are hot and not split any more, because splits did not share their load; each
    /// is named once.
    pub fn take_left_alone(&mut self) -> Vec<ShardId> {
        std::mem::take(&mut self.left_alone)
    }

    /// Forgets closed shards, and gives the rates of the open ones.
    fn take_in<'a>(
        &mut self,
        loads: &'a [ShardLoad],
        limits: &ScalingLimits,
        now: Duration,
    ) -> Vec<Seen<'a>> {
        let mut before = std::mem::take(&mut self.shards);
        // A child begins with what is known of its parent, which goes with this look.
        let inherited: Vec<u32> = loads
            .iter()
            .map(|load| match load.shard.parents.as_slice() {
                [parent] => before.get(parent).map_or(0, |parent| parent.narrowing_splits),
                _ => 0,
            })
            .collect();
        let mut seen = Vec::with_capacity(loads.len());
        for (load, narrowing_splits) in loads.iter().zip(inherited) {
            let known = before.remove(&load.shard.id);
            let mut known = known.unwrap_or(Known { narrowing_splits, ..Known::default() });
            let rate = known.history.note(load.records, load.bytes, now, limits.window);
            self.shards.insert(load.shard.id, known);
            seen.push(Seen { load, rate });
        }
        seen
    }

    /// Looks once at each split whether it has shared the load.
    fn judge_splits(&mut self, seen: &[Seen<'_>], limits: &ScalingLimits) {
        for one in seen {
            let Some(rate) = one.rate else { continue };
            let id = one.load.shard.id;
            let Some(known) = self.shards.get_mut(&id) else { continue };
            let heat = limits.heat(rate);
            let judged_heat = *known.judged_heat.get_or_insert(heat);
            if !limits.is_hot(rate) || heat / 2 >= judged_heat.max(1) {
                // Whatever it was, this is another load.
                known.narrowing_splits = 0;
                known.judged_heat = Some(heat);
            } else if !known.is_judged {
                let is_shared = sibling(seen, one)
                    .is_none_or(|sibling| limits.heat(sibling).saturating_mul(SHARED_PART) >= heat);
                known.narrowing_splits = if is_shared { 0 } else { known.narrowing_splits + 1 };
                if known.is_left_alone() {
                    self.left_alone.push(id);
                }
            }
            known.is_judged = true;
        }
    }

    fn note_cold(&mut self, seen: &[Seen<'_>], limits: &ScalingLimits, now: Duration) {
        let before = std::mem::take(&mut self.cold);
        for (lower, upper) in neighbours(seen) {
            if together(lower, upper).is_some_and(|rate| limits.is_cold(rate)) {
                let pair = (lower.load.shard.id, upper.load.shard.id);
                self.cold.insert(pair, before.get(&pair).copied().unwrap_or(now));
            }
        }
    }

    fn splits(&self, seen: &[Seen<'_>], limits: &ScalingLimits) -> Option<Decision> {
        let may_help =
            |id: &ShardId| self.shards.get(id).is_some_and(|known| !known.is_left_alone());
        let mut hot: Vec<HotShard> = seen
            .iter()
            .filter_map(|one| {
                let rate = one.rate.filter(|rate| limits.is_hot(*rate))?;
                let (_, upper) = one.load.shard.range.halves()?;
                let shard = one.load.shard.id;
                may_help(&shard).then_some(HotShard { shard, at: upper.start(), rate })
            })
            .collect();
        hot.sort_by_key(|hot| std::cmp::Reverse(limits.heat(hot.rate)));
        hot.truncate(limits.shards_max.saturating_sub(seen.len()).min(SPLITS_MAX));
        (!hot.is_empty()).then_some(Decision::Split(hot))
    }

    /// The narrowest neighbours that may be merged, so that ranges stay of one size.
    fn merge(&self, seen: &[Seen<'_>], limits: &ScalingLimits, now: Duration) -> Option<Decision> {
        // A merge seals a partition, and Kafka's producers, who choose partitions themselves, would
        // go on writing to it.
        let writes = |idle: Duration| idle < limits.merge_after;
        let kafka_writes = seen.iter().any(|one| one.load.kafka_idle.is_some_and(writes));
        if kafka_writes || seen.len() <= limits.shards_min.max(1) {
            return None;
        }
        let width = |one: &Seen<'_>| one.load.shard.range.width_less_one();
        let ripe = neighbours(seen).filter(|(lower, upper)| {
            let since = self.cold.get(&(lower.load.shard.id, upper.load.shard.id));
            since.is_some_and(|since| now.saturating_sub(*since) >= limits.merge_after)
        });
        let (lower, upper) =
            ripe.min_by_key(|(lower, upper)| width(lower).saturating_add(width(upper)))?;
        let rate = together(lower, upper)?;
        let (lower, upper) = (&lower.load.shard, &upper.load.shard);
        let lower_goes_on = lower.partition < upper.partition;
        let (into, from) = if lower_goes_on { (lower, upper) } else { (upper, lower) };
        Some(Decision::Merge { into: into.id, from: from.id, rate })
    }
}

fn neighbours<'a>(seen: &'a [Seen<'a>]) -> impl Iterator<Item = (&'a Seen<'a>, &'a Seen<'a>)> {
    seen.iter().zip(seen.iter().skip(1))
}

/// What the other child of the split takes that made this shard.
fn sibling(seen: &[Seen<'_>], one: &Seen<'_>) -> Option<Rate> {
    let shard = &one.load.shard;
    let is_sibling = |other: &&Seen<'_>| {
        let other = &other.load.shard;
        other.id != shard.id && other.parents.len() == 1 && other.parents == shard.parents
    };
    seen.iter().find(is_sibling)?.rate
}

fn together(lower: &Seen<'_>, upper: &Seen<'_>) -> Option<Rate> {
    Some(lower.rate? + upper.rate?)
}
