//! Propose → journal → commit → apply, for the lanes of one core.
//!
//! A lane is a set of partitions (and, for lane 0, the catalog) that share one ordered command
//! log. A command is *proposed*: checked, given its offset, and put into the core's journal. Once
//! the journal has made it durable it is *applied*: the batch joins its partition's tail and the
//! proposer is answered. State is the fold of the applied commands since the last checkpoint.
//!
//! Owns: the queue of proposed commands, the proposed end and the producer table of each
//! partition, the checkpoint file of a core, and recovery from it and the journal.
//! Runs on the core that owns the lane, and only there. Must never: acknowledge before the
//! journal's word (but for `write.caching`), read a clock or draw randomness while applying.
//!
//! Start reading at [`lane::Lane`], then [`command`] (what is journaled), [`checkpoint`] and
//! [`recovery`].
//!
//! **Invariant: replay is idempotent.** A checkpoint may hold more of a partition than the index
//! it names, never less; an append below a partition's end is passed over on replay.

pub mod checkpoint;
pub mod command;
pub mod error;
pub mod lane;
pub mod owned_partition;
pub mod recovery;
pub mod reply;
pub mod transactions;

pub use checkpoint::{Checkpoint, CoreSnapshot, LaneSnapshot};
pub use command::Command;
pub use error::{LaneError, ProposeError};
pub use lane::Lane;
pub use owned_partition::{Gate, OwnedPartition};
pub use reply::{AppendGroup, AppendSlot, Appended};
pub use transactions::Marker;
