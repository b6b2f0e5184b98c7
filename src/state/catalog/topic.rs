//! One topic, which Kinesis calls a stream.

use std::{collections::BTreeMap, rc::Rc};

use model::{LaneId, Offset, PartitionIndex, ShardId, Timestamp, TopicConfig, TopicId, TopicName};

use super::{CatalogError, StreamProperties};
use crate::{
    configs::Overrides,
    shards::{ReshardStep, Shards},
};

/// A topic as the catalog knows it.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its identity for life.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// When it was made.
    pub created: Timestamp,
    /// Its partitions by number; at least one.
    pub partitions: Vec<PartitionState>,
    /// The settings it was given itself.
    pub overrides: Overrides,
    /// Its settings after the broker's and the defaults are resolved.
    pub effective: Rc<TopicConfig>,
    /// What Kinesis sees.
    pub shards: Shards,
    /// What else it is told as a stream.
    pub stream: StreamProperties,
}

/// The topic setting that keeps a stream's mode …
const STREAM_MODE: &str = "stream.mode";
/// … and what it is when the stream's shards follow its load.
const ON_DEMAND: &str = "on_demand";

impl Topic {
    /// Whether its shards are split and merged as its load asks for.
    pub fn is_on_demand(&self) -> bool {
        self.overrides.get(STREAM_MODE).is_some_and(|mode| mode == ON_DEMAND)
    }

    /// The shards once partitions have joined. `closing_offsets` are the log ends of those there
    /// are.
    pub(super) fn shards_after(
        &self,
        lanes: &[LaneId],
        closing_offsets: &[Offset],
        at: Timestamp,
    ) -> Result<Shards, CatalogError> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let first = self.next_partition();
        let end_of = |partition: PartitionIndex| closing_offsets.get(partition.0 as usize).copied();
        Ok(self.shards.with_partitions(first, count(lanes.len()), at, end_of)?)
    }

    /// The number of the next partition that joins.
    pub fn next_partition(&self) -> PartitionIndex {
        PartitionIndex(u32::try_from(self.partitions.len()).unwrap_or(u32::MAX))
    }

    /// The shards once these steps are taken.
    pub(super) fn shards_resharded(
        &self,
        steps: &[ReshardStep],
        lanes: &[LaneId],
        closing_offsets: &BTreeMap<PartitionIndex, Offset>,
        at: Timestamp,
    ) -> Result<Shards, CatalogError> {
        let first = self.next_partition();
        let additional = self.shards.closing(steps, first)?.additional;
        if u32::try_from(lanes.len()) != Ok(additional) {
            let text = format!("{additional} partition(s) join, but {} have a lane.", lanes.len());
            return Err(CatalogError::InvalidPartitions(text));
        }
        let end_of = |partition: PartitionIndex| closing_offsets.get(&partition).copied();
        Ok(self.shards.resharded(steps, first, at, end_of)?)
    }

    /// Notes at each partition whether it is sealed, which its shards say.
    pub(super) fn note_seals(&mut self) {
        for (partition, child) in self.shards.seals() {
            if let Some(partition) = self.partitions.get_mut(partition.0 as usize) {
                partition.sealed_by = Some(child);
            }
        }
    }
}

/// Where a partition lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    /// The lane that owns it, for good.
    pub lane: LaneId,
    /// The shard that took the place of its last one in a merge: nothing is written to the
    /// partition any more.
    pub sealed_by: Option<ShardId>,
}

impl PartitionState {
    /// A partition that takes records.
    pub(super) fn open(lane: LaneId) -> PartitionState {
        PartitionState { lane, sealed_by: None }
    }
}
