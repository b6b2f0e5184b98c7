//! Where work runs and in which order it was decided: cores, lanes, and positions in a lane's log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One pinned executor of this process, numbered from 0.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct CoreId(pub u16);

impl CoreId {
    /// The core's place in a list of all cores.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for CoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "core {}", self.0)
    }
}

/// A set of partitions and state that share one ordered command log. The number of lanes is fixed
/// when a data directory is made; the core that a lane lives on is not.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct LaneId(pub u16);

impl LaneId {
    /// The lane that holds the catalog: topics, configurations, shards, producer-id blocks.
    pub const CATALOG: LaneId = LaneId(0);

    /// The core that owns this lane among `cores` of them. `cores` is at least 1.
    pub fn home(self, cores: usize) -> CoreId {
        let cores = u16::try_from(cores.max(1)).unwrap_or(u16::MAX);
        CoreId(self.0 % cores)
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lane {}", self.0)
    }
}

/// A lane's leadership term, which is the leader epoch of its partitions.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Term(pub u64);

/// The position of a command in its lane's log; the first command has index 1.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct CommandIndex(pub u64);

impl CommandIndex {
    /// The index before the first command.
    pub const NONE: CommandIndex = CommandIndex(0);

    /// The index that follows this one.
    pub fn next(self) -> CommandIndex {
        CommandIndex(self.0 + 1)
    }
}
