//! The durable write-ahead log of one core: it holds the commands of all the core's lanes, in the
//! order in which they were proposed.
//!
//! Owns the files of `journal/core-N/`, their format, group commit, and recovery. Runs on the core
//! that opened it and on nothing but `runtime`'s facade: a [`Journal`] is an `Rc`.
//!
//! How it goes: [`Journal::append`] copies a command into the open *frame*; a writer task writes
//! what has gathered as one aligned, durable write into a file that was filled with zeros before;
//! when it is on disk, and every frame before it is, the listener hears of it. Commands are
//! acknowledged by that, never earlier.
//!
//! It must never
//! - report a position durable before it and all before it are: a frame's place in the order is its
//!   sequence number, and two writes in flight finish in that order for everyone outside;
//! - go on after a failed write: the process ends, because what the disk holds is unknown;
//! - take stale bytes for frames: files are recycled, so a frame names the file's generation and its
//!   own sequence, under a CRC;
//! - drop what it cannot read: a hole before frames that were written after it was durable is
//!   damage, and an error; only a torn tail that nobody was told of is passed over.
//!
//! Start reading at [`journal`] (the handle), then [`frame`] (the format), [`writer`] (group
//! commit), [`file_supply`] (files made ahead and recycled) and [`recovery`].

pub mod config;
pub mod error;
pub mod file;
pub mod file_supply;
pub mod frame;
mod gather;
pub mod journal;
mod journal_metrics;
pub mod position;
pub mod recovery;
mod shared;
pub mod writer;

pub use config::JournalConfig;
pub use error::{AppendError, JournalError};
pub use journal::Journal;
pub use journal_metrics::JournalCounts;
pub use position::JournalPosition;
pub use recovery::{RecoveredCommand, RecoveryReport};
