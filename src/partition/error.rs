//! What can go wrong with a partition's records.

use std::{
    io,
    path::{Path, PathBuf},
};

use model::{Offset, TopicPartition};
use thiserror::Error;

/// Why a partition did not do what was asked.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The offset is below the log start or above the log end.
    #[error(
        "offset {offset} of {partition} is out of range: the log has {log_start} up to {log_end}"
    )]
    OffsetOutOfRange {
        /// Whose records were asked for.
        partition: TopicPartition,
        /// What was asked for.
        offset: Offset,
        /// The first offset that may be read.
        log_start: Offset,
        /// The offset that the next record gets.
        log_end: Offset,
    },
    /// The partition was deleted or closed.
    #[error("{partition} is deleted or closed")]
    Deleted {
        /// Which one.
        partition: TopicPartition,
    },
    /// An appended batch does not begin where the log ends.
    #[error(
        "a batch with base offset {base_offset} cannot follow log end {log_end} of {partition}"
    )]
    NotNext {
        /// Where it was to go.
        partition: TopicPartition,
        /// Where the log ends.
        log_end: Offset,
        /// Where the batch begins.
        base_offset: Offset,
    },
    /// An appended batch's bytes and its header do not belong together.
    #[error("a batch for {partition} is not what its header says: {why}")]
    InvalidBatch {
        /// Where it was to go.
        partition: TopicPartition,
        /// What is wrong.
        why: String,
    },
    /// The snapshot that a partition was to be opened from contradicts itself.
    #[error("the snapshot of {partition} cannot be right: {why}")]
    InvalidSnapshot {
        /// Whose snapshot.
        partition: TopicPartition,
        /// What contradicts what.
        why: String,
    },
    /// A file that the last checkpoint lists is not there.
    #[error(
        "{} is missing, but the last checkpoint lists it; restore it from a backup (a file that \
         was moved away can be moved back while the broker runs)",
        .file.display()
    )]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// A file's bytes are not what was written.
    #[error("{} is damaged at byte {position}: {why}", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in the file the damaged thing begins, in bytes.
        position: u64,
        /// What is wrong there.
        why: String,
    },
    /// The disk or the quota is full.
    #[error("no space is left to {operation} {}: {source}", .path.display())]
    StorageFull {
        /// What was to be done.
        operation: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The file system refused.
    #[error("cannot {operation} {}: {source}", .path.display())]
    Io {
        /// What was to be done.
        operation: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

impl StorageError {
    /// For `map_err`: the file system's error, with what was to be done to what.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if source.kind() == io::ErrorKind::StorageFull {
                StorageError::StorageFull { operation, path, source }
            } else {
                StorageError::Io { operation, path, source }
            }
        }
    }

    pub(crate) fn damaged(file: &Path, position: u64, why: impl Into<String>) -> Self {
        StorageError::Damaged { file: file.to_owned(), position, why: why.into() }
    }

    /// Whether waiting for space may help.
    pub fn is_storage_full(&self) -> bool {
        matches!(self, StorageError::StorageFull { .. })
    }
}
