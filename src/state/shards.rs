//! The shards of one stream: intervals of its partitions' offsets, with ranges of the hash-key
//! space and parents (DESIGN 5).
//!
//! Two invariants hold after every change: the open shards divide the 128-bit hash-key space
//! without gap or overlap, and every offset of every partition lies in exactly one shard.

use std::{cmp::Reverse, collections::BinaryHeap};

use model::{HashKey, HashKeyRange, Offset, PartitionIndex, ShardId, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod reshard;

pub use reshard::{Closing, ReshardError, ReshardStep};

/// What Kinesis sees: an interval of one partition's offsets, with a range of hash keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its number within the stream.
    pub id: ShardId,
    /// The partition whose records it holds.
    pub partition: PartitionIndex,
    /// Its first offset.
    pub start_offset: Offset,
    /// The offset after its last one; `None` while it is open.
    pub end_offset: Option<Offset>,
    /// The hash keys that are routed to it.
    pub range: HashKeyRange,
    /// The shards that it continues: none for a stream's first shards, one after a split, two
    /// after a merge.
    pub parents: Vec<ShardId>,
    /// When it was made. A child's time is later than its parent's, whatever the clock did, so
    /// sequence numbers rise from parent to child; first shards share their stream's time.
    pub created: Timestamp,
    /// When it was closed.
    pub closed: Option<Timestamp>,
}

impl Shard {
    /// Whether records are still routed to it.
    pub fn is_open(&self) -> bool {
        self.end_offset.is_none()
    }

    /// Whether an offset of its partition belongs to it.
    pub fn contains(&self, offset: Offset) -> bool {
        self.start_offset <= offset && self.end_offset.is_none_or(|end| offset < end)
    }
}

/// Why a split cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SplitError {
    /// Every open shard has a single hash key.
    #[error("no open shard has more than one hash key, so none can be split")]
    TooNarrow,
    /// The end of a shard that closes was not given.
    #[error("{0} closes, but the end of its partition was not given")]
    EndMissing(ShardId),
    /// The given end lies before the shard's start.
    #[error("{shard} starts at offset {start}, so it cannot end at {end}")]
    EndBeforeStart {
        /// The shard that would close.
        shard: ShardId,
        /// Its first offset.
        start: Offset,
        /// The end given.
        end: Offset,
    },
}

/// All shards of one stream, open and closed, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shards {
    /// The shard of number n is at place n.
    shards: Vec<Shard>,
    /// Numbers of the open shards, by the start of their ranges.
    open: Vec<ShardId>,
}

impl Shards {
    /// A new stream's: one shard per partition, each with an equal part of the hash-key space.
    pub fn uniform(count: u32, created: Timestamp) -> Shards {
        let shards: Vec<Shard> = (0..count)
            .filter_map(|index| {
                Some(Shard {
                    id: ShardId(index),
                    partition: PartitionIndex(index),
                    start_offset: Offset::ZERO,
                    end_offset: None,
                    range: HashKeyRange::uniform(index, count)?,
                    parents: Vec::new(),
                    created,
                    closed: None,
                })
            })
            .collect();
        let open = shards.iter().map(|shard| shard.id).collect();
        Shards { shards, open }
    }

    /// These shards, listed by number.
    pub fn from_all(shards: Vec<Shard>) -> Shards {
        let mut open: Vec<&Shard> = shards.iter().filter(|shard| shard.is_open()).collect();
        open.sort_by_key(|shard| shard.range.start());
        let open = open.into_iter().map(|shard| shard.id).collect();
        Shards { shards, open }
    }

    /// All shards by number, which is also the order in which Kinesis lists them.
    pub fn all(&self) -> &[Shard] {
        &self.shards
    }

    /// The shards that follow `after` in the order of [`Shards::all`].
    pub fn after(&self, after: ShardId) -> &[Shard] {
        let first = (after.0 as usize).saturating_add(1);
        self.shards.get(first..).unwrap_or_default()
    }

    /// The open shards, in the order of their hash-key ranges.
    pub fn open(&self) -> impl Iterator<Item = &Shard> {
        self.open.iter().filter_map(|id| self.get(*id))
    }

    /// The number of open shards.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// The shard of a number.
    pub fn get(&self, id: ShardId) -> Option<&Shard> {
        self.shards.get(id.0 as usize)
    }

    /// The open shard whose range holds `key`. `None` only for a stream without shards.
    pub fn route(&self, key: HashKey) -> Option<&Shard> {
        let starts_at_or_below =
            |id: &ShardId| self.get(*id).is_some_and(|shard| shard.range.start() <= key);
        let place = self.open.partition_point(starts_at_or_below);
        self.open.get(place.checked_sub(1)?).and_then(|id| self.get(*id))
    }

    /// The shard that holds an offset of a partition, or will hold it.
    pub fn containing(&self, partition: PartitionIndex, offset: Offset) -> Option<&Shard> {
        // Newest first: readers mostly follow the end of the log.
        self.shards.iter().rev().find(|s| s.partition == partition && s.contains(offset))
    }

    /// The shards that continue `parent`, by number.
    pub fn children(&self, parent: ShardId) -> impl Iterator<Item = &Shard> {
        // A child's number is above its parents'.
        self.after(parent).iter().filter(move |shard| shard.parents.contains(&parent))
    }

    /// The partitions whose log ends [`Shards::with_partitions`] will ask for, if `additional`
    /// partitions are added: those of the widest open shards.
    pub fn closing_partitions(&self, additional: u32) -> Result<Vec<PartitionIndex>, SplitError> {
        let mut trial = self.clone();
        let mut closing = Vec::new();
        trial.split_widest(0, additional, Timestamp::NONE, |shard| {
            closing.push(shard.partition);
            Some(shard.start_offset)
        })?;
        Ok(closing)
    }

    /// The shards once `additional` new partitions, numbered from `first` on, have joined by
    /// splits of the widest open shard. The lower half continues on its partition, the upper
    /// begins on the new one. `end_of` gives the log end of a partition that was there before.
    pub fn with_partitions(
        &self,
        first: PartitionIndex,
        additional: u32,
        at: Timestamp,
        end_of: impl Fn(PartitionIndex) -> Option<Offset>,
    ) -> Result<Shards, SplitError> {
        let mut next = self.clone();
        next.split_widest(first.0, additional, at, |shard| end_of(shard.partition))?;
        Ok(next)
    }

    /// `close` gives the end of a shard that was open before this call; a shard that this call
    /// itself made is empty, and closes where it starts.
    fn split_widest(
        &mut self,
        first: u32,
        additional: u32,
        at: Timestamp,
        mut close: impl FnMut(&Shard) -> Option<Offset>,
    ) -> Result<(), SplitError> {
        let made_before = self.shards.len();
        let mut by_width: BinaryHeap<_> = self.open().map(width_then_lowest).collect();
        for partition in (first..).map(PartitionIndex).take(additional as usize) {
            let (_, Reverse((_, id))) = by_width.pop().ok_or(SplitError::TooNarrow)?;
            let widest = self.get(id).ok_or(SplitError::TooNarrow)?;
            let end = if (id.0 as usize) < made_before {
                close(widest).ok_or(SplitError::EndMissing(id))?
            } else {
                widest.start_offset
            };
            let halves = widest.range.halves().ok_or(SplitError::TooNarrow)?;
            let children = self.split(id, halves, end, partition, at)?;
            by_width.extend(children.iter().map(width_then_lowest));
            self.shards.extend(children);
        }
        self.open = by_width.into_iter().map(|(_, Reverse((_, id)))| id).collect();
        let Shards { shards, open } = self;
        open.sort_by_key(|id| shards.get(id.0 as usize).map(|shard| shard.range.start()));
        Ok(())
    }

    /// Closes a shard and gives its two children, the lower range's first, which are not yet among
    /// the shards.
    fn split(
        &mut self,
        id: ShardId,
        (lower, upper): (HashKeyRange, HashKeyRange),
        end: Offset,
        new_partition: PartitionIndex,
        at: Timestamp,
    ) -> Result<[Shard; 2], SplitError> {
        let next = u32::try_from(self.shards.len()).map_err(|_| SplitError::TooNarrow)?;
        let parent = self.shards.get_mut(id.0 as usize).ok_or(SplitError::EndMissing(id))?;
        if end < parent.start_offset {
            let (shard, start) = (id, parent.start_offset);
            return Err(SplitError::EndBeforeStart { shard, start, end });
        }
        // The clock may stand still or have been set back; children are younger all the same.
        let created = Timestamp(at.0.max(parent.created.0.saturating_add(1)));
        parent.end_offset = Some(end);
        parent.closed = Some(created);
        let child = |number, partition, start_offset, range| Shard {
            id: ShardId(number),
            partition,
            start_offset,
            end_offset: None,
            range,
            parents: vec![id],
            created,
            closed: None,
        };
        Ok([
            child(next, parent.partition, end, lower),
            child(next + 1, new_partition, Offset::ZERO, upper),
        ])
    }
}

/// Orders shards by their number of hash keys, of equals the lowest range greatest.
fn width_then_lowest(shard: &Shard) -> (u128, Reverse<(HashKey, ShardId)>) {
    (shard.range.width_less_one(), Reverse((shard.range.start(), shard.id)))
}

#[cfg(test)]
mod tests;
