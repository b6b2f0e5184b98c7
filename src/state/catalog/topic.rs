//! One topic, which Kinesis calls a stream.

use std::rc::Rc;

use model::{LaneId, Timestamp, TopicConfig, TopicId, TopicName};
use serde::{Deserialize, Serialize};

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

/// Where a partition lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// The lane that owns it, for good.
    pub lane: LaneId,
}
