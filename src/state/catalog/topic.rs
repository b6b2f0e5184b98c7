//! One topic, which Kinesis calls a stream.

use std::rc::Rc;

use model::{LaneId, Offset, PartitionIndex, Timestamp, TopicConfig, TopicId, TopicName};
use serde::{Deserialize, Serialize};

use super::CatalogError;
use crate::{configs::Overrides, shards::Shards};

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
}

impl Topic {
    /// The shards once partitions have joined. `closing_offsets` are the log ends of those there
    /// are.
    pub(super) fn shards_after(
        &self,
        lanes: &[LaneId],
        closing_offsets: &[Offset],
        at: Timestamp,
    ) -> Result<Shards, CatalogError> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let first = PartitionIndex(count(self.partitions.len()));
        let end_of = |partition: PartitionIndex| closing_offsets.get(partition.0 as usize).copied();
        Ok(self.shards.with_partitions(first, count(lanes.len()), at, end_of)?)
    }
}

/// Where a partition lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// The lane that owns it, for good.
    pub lane: LaneId,
}
