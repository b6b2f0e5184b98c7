//! Splits and merges of chosen shards: SplitShard, MergeShards, UpdateShardCount (DESIGN 5).
//!
//! A change is a list of steps that takes effect at once. A step may name a shard that an earlier
//! one makes: numbers are given in order, a split's lower child first.

use std::collections::{BTreeMap, BTreeSet};

use model::{HashKey, HashKeyRange, Offset, PartitionIndex, ShardId, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Shard, Shards, SplitError};

/// One step of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReshardStep {
    /// The shard closes. The keys below `at` go on on its partition, the others on a new one.
    Split {
        /// Which shard.
        shard: ShardId,
        /// The first key of the upper child.
        at: HashKey,
    },
    /// Two neighbours close. Their keys go on on the first one's partition; nothing is written to
    /// the other's any more.
    Merge {
        /// The shard whose partition goes on.
        into: ShardId,
        /// The shard whose partition is sealed.
        from: ShardId,
    },
}

/// Why a step cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReshardError {
    /// No such shard, or it is closed.
    #[error("{0} is not an open shard")]
    NotOpen(ShardId),
    /// The split would leave a child without a key.
    #[error("{shard} cannot be split at {at}, which is not within its range behind the first key")]
    KeyOutside {
        /// The shard.
        shard: ShardId,
        /// The key.
        at: HashKey,
    },
    /// The shards to merge are no neighbours.
    #[error("{0} and {1} are no neighbours")]
    NotAdjacent(ShardId, ShardId),
    /// An end that does not fit.
    #[error(transparent)]
    Split(#[from] SplitError),
}

/// What a change does to the partitions that there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Closing {
    /// Those on which a shard closes.
    pub partitions: BTreeSet<PartitionIndex>,
    /// Those of them to which nothing is written any more.
    pub sealed: BTreeSet<PartitionIndex>,
    /// How many partitions join.
    pub additional: u32,
}

impl Shards {
    /// What these steps would do, if `first` is the number of the first new partition.
    pub fn closing(
        &self,
        steps: &[ReshardStep],
        first: PartitionIndex,
    ) -> Result<Closing, ReshardError> {
        let mut partitions = BTreeSet::new();
        let mut trial = self.clone();
        let additional = trial.take_steps(steps, first, Timestamp::NONE, |shard| {
            partitions.insert(shard.partition);
            Some(shard.start_offset)
        })?;
        let seals = trial.seals();
        let sealed = partitions.iter().copied().filter(|p| seals.contains_key(p)).collect();
        Ok(Closing { partitions, sealed, additional })
    }

    /// The shards after these steps. `first` is the number of the first new partition; `end_of`
    /// gives the log end of a partition on which a shard closes.
    pub fn resharded(
        &self,
        steps: &[ReshardStep],
        first: PartitionIndex,
        at: Timestamp,
        end_of: impl Fn(PartitionIndex) -> Option<Offset>,
    ) -> Result<Shards, ReshardError> {
        let mut next = self.clone();
        next.take_steps(steps, first, at, |shard| end_of(shard.partition))?;
        Ok(next)
    }

    /// The partitions that take no more records, because their last shard was merged into one of
    /// another partition: that shard's child, by partition.
    pub fn seals(&self) -> BTreeMap<PartitionIndex, ShardId> {
        let sealed = |child: &Shard| match child.parents.as_slice() {
            [_, from] => self.get(*from).map(|from| (from.partition, child.id)),
            _ => None,
        };
        self.shards.iter().filter_map(sealed).collect()
    }

    /// The steps to `target` open shards of equal ranges: splits at the bounds that are missing,
    /// then merges within them. Of two partitions the one with the lower number goes on.
    pub fn uniform_steps(&self, target: u32) -> Result<Vec<ReshardStep>, ReshardError> {
        let ranges = (0..target).filter_map(|index| HashKeyRange::uniform(index, target));
        let ranges: Vec<HashKeyRange> = ranges.collect();
        let mut steps = Vec::new();
        let mut trial = self.clone();
        // Numbers of new partitions matter only in that they are above those that are there.
        let mut next = self.shards.iter().map(|s| s.partition.0).max().map_or(0, |last| last + 1);
        let mut take = |trial: &mut Shards, step: ReshardStep| -> Result<(), ReshardError> {
            let start = |shard: &Shard| Some(shard.start_offset);
            next += trial.take_steps(&[step], PartitionIndex(next), Timestamp::NONE, start)?;
            steps.push(step);
            Ok(())
        };
        for at in ranges.iter().map(|range| range.start()) {
            let Some(shard) = trial.route(at).filter(|shard| shard.range.start() != at) else {
                continue;
            };
            let step = ReshardStep::Split { shard: shard.id, at };
            take(&mut trial, step)?;
        }
        for range in ranges {
            loop {
                let place = trial.open_place(range.start());
                let mut from_there = trial.open.iter().skip(place).filter_map(|id| trial.get(*id));
                let (lower, upper) = (from_there.next(), from_there.next());
                let upper = upper.filter(|shard| range.contains(shard.range.start()));
                let (Some(lower), Some(upper)) = (lower, upper) else { break };
                let (into, from) =
                    if lower.partition < upper.partition { (lower, upper) } else { (upper, lower) };
                let step = ReshardStep::Merge { into: into.id, from: from.id };
                take(&mut trial, step)?;
            }
        }
        Ok(steps)
    }

    /// Takes the steps and gives the number of new partitions. `close` gives the end of a shard
    /// that was open before this call; one that this call made is empty, and closes where it
    /// starts.
    fn take_steps(
        &mut self,
        steps: &[ReshardStep],
        first: PartitionIndex,
        at: Timestamp,
        mut close: impl FnMut(&Shard) -> Option<Offset>,
    ) -> Result<u32, ReshardError> {
        let made_before = self.shards.len();
        let mut additional = 0;
        let mut end = |shard: &Shard| {
            if (shard.id.0 as usize) < made_before {
                close(shard).ok_or(SplitError::EndMissing(shard.id))
            } else {
                Ok(shard.start_offset)
            }
        };
        for step in steps {
            match *step {
                ReshardStep::Split { shard, at: key } => {
                    let parent = self.open_shard(shard)?;
                    let halves = halves_at(parent, key)?;
                    let end = end(parent)?;
                    let partition = PartitionIndex(first.0.saturating_add(additional));
                    additional += 1;
                    let children = self.split(shard, halves, end, partition, at)?;
                    self.replace_open(&[shard], children);
                }
                ReshardStep::Merge { into, from } => {
                    let ends = [end(self.open_shard(into)?)?, end(self.open_shard(from)?)?];
                    let child = self.merge([into, from], ends, at)?;
                    self.replace_open(&[into, from], [child]);
                }
            }
        }
        Ok(additional)
    }

    fn open_shard(&self, id: ShardId) -> Result<&Shard, ReshardError> {
        self.get(id).filter(|shard| shard.is_open()).ok_or(ReshardError::NotOpen(id))
    }

    /// Closes two neighbours and gives their child, which is not yet among the shards.
    fn merge(
        &mut self,
        parents: [ShardId; 2],
        ends: [Offset; 2],
        at: Timestamp,
    ) -> Result<Shard, ReshardError> {
        let [into, from] = parents;
        let (first, second) = (self.open_shard(into)?, self.open_shard(from)?);
        let not_adjacent = ReshardError::NotAdjacent(into, from);
        let range = joined(first.range, second.range)
            .or_else(|| joined(second.range, first.range))
            .ok_or(not_adjacent)?;
        for (shard, end) in [(first, ends[0]), (second, ends[1])] {
            if end < shard.start_offset {
                let (shard, start) = (shard.id, shard.start_offset);
                return Err(SplitError::EndBeforeStart { shard, start, end }.into());
            }
        }
        let oldest = first.created.0.max(second.created.0).saturating_add(1);
        let created = Timestamp(at.0.max(oldest));
        let child = Shard {
            id: ShardId(u32::try_from(self.shards.len()).map_err(|_| SplitError::TooNarrow)?),
            partition: first.partition,
            start_offset: ends[0],
            end_offset: None,
            range,
            parents: parents.to_vec(),
            created,
            closed: None,
        };
        for (id, end) in parents.into_iter().zip(ends) {
            if let Some(parent) = self.shards.get_mut(id.0 as usize) {
                (parent.end_offset, parent.closed) = (Some(end), Some(created));
            }
        }
        Ok(child)
    }

    /// Takes in children in the places of their parents.
    fn replace_open(&mut self, closed: &[ShardId], children: impl IntoIterator<Item = Shard>) {
        for id in closed {
            let start = self.get(*id).map_or(HashKey(0), |shard| shard.range.start());
            let place = self.open_place(start);
            if self.open.get(place) == Some(id) {
                self.open.remove(place);
            }
        }
        for child in children {
            self.open.insert(self.open_place(child.range.start()), child.id);
            self.shards.push(child);
        }
    }

    /// Among the open shards the place of the first one that starts at `start` or above.
    fn open_place(&self, start: HashKey) -> usize {
        let below = |id: &ShardId| self.get(*id).is_some_and(|s| s.range.start() < start);
        self.open.partition_point(below)
    }
}

/// The parts of a shard's range below `at` and from it on.
fn halves_at(shard: &Shard, at: HashKey) -> Result<(HashKeyRange, HashKeyRange), ReshardError> {
    let outside = ReshardError::KeyOutside { shard: shard.id, at };
    let below = at.0.checked_sub(1).map(HashKey).ok_or(outside)?;
    let lower = HashKeyRange::new(shard.range.start(), below);
    let upper = HashKeyRange::new(at, shard.range.end());
    lower.zip(upper).ok_or(outside)
}

/// Both ranges as one, if the second follows the first.
fn joined(lower: HashKeyRange, upper: HashKeyRange) -> Option<HashKeyRange> {
    let follows = lower.end().0.checked_add(1) == Some(upper.start().0);
    follows.then(|| HashKeyRange::new(lower.start(), upper.end())).flatten()
}
