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

    /// The lane that owns what has a name of its own and no place in the catalog (a consumer group,
    /// a transactional id), among `lanes` of them: always the same one for a name, and never the
    /// catalog's unless there is no other. The hash is FNV-1a of 64 bits; it must never change.
    pub fn of_name(name: &str, lanes: u16) -> LaneId {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let others = u64::from(lanes.saturating_sub(1));
        if others == 0 {
            return LaneId::CATALOG;
        }
        // The remainder is below `lanes`, so it fits.
        LaneId(1 + u16::try_from(hash % others).unwrap_or(0))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_lane_and_leaves_the_catalogs_alone() {
        // Written down: a data directory relies on them.
        let known = [("", 6), ("orders", 13), ("payments", 7)];
        for (name, lane) in known {
            assert_eq!(LaneId::of_name(name, 33), LaneId(lane), "{name}");
        }
        let used: std::collections::BTreeSet<_> =
            (0..1000).map(|n| LaneId::of_name(&format!("group-{n}"), 33)).collect();
        assert_eq!(used, (1..33).map(LaneId).collect());
        assert_eq!(LaneId::of_name("orders", 1), LaneId::CATALOG);
    }
}
