//! Why a command was not proposed, and why a lane could not be recovered.

use std::{io, path::PathBuf};

use model::{LaneId, Offset, TopicPartition};
use state::{producers::SequenceError, transactions::TransactionError};
use thiserror::Error;

/// Why an append was refused before it was journaled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// The partition is deleted or not on this core.
    #[error("the partition is not here")]
    UnknownPartition,
    /// What was routed to a shard came when the shard had closed, or was about to.
    #[error("the shard has closed; its records go to other shards now")]
    ShardMoved,
    /// A merge of shards has sealed the partition.
    #[error(
        "the partition is sealed, because its shard was merged into one of another partition: it can be read, but not written to"
    )]
    Sealed,
    /// The producer's sequence does not fit.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// The batch is not part of its producer's transaction, or the coordinator cannot say.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The disk is full.
    #[error(
        "the disk that holds the data directory is full: nothing is written until space is freed"
    )]
    StorageFull,
    /// The command is larger than the journal takes.
    #[error("a batch of {size_bytes} bytes is more than the journal takes in one command")]
    TooLarge {
        /// The command's size.
        size_bytes: usize,
    },
}

/// Why lanes could not be recovered or checkpointed.
#[derive(Debug, Error)]
pub enum LaneError {
    /// A journaled command that cannot be read.
    #[error("a journaled command cannot be read: {why}")]
    MalformedCommand {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A hole between the checkpoint and the journal.
    #[error(
        "{id} ends at offset {log_end}, but the next journaled batch begins at {found}: batches are missing between the last checkpoint and the journal"
    )]
    Gap {
        /// The partition.
        id: TopicPartition,
        /// Where the checkpoint ends.
        log_end: Offset,
        /// Where the journal goes on.
        found: Offset,
    },
    /// A hole in a lane's command indexes.
    #[error(
        "{lane} was applied up to command {applied}, but the journal goes on with {found}: commands are missing"
    )]
    MissingCommands {
        /// The lane.
        lane: LaneId,
        /// The last command known.
        applied: u64,
        /// The next one found.
        found: u64,
    },
    /// A journaled batch whose header does not parse.
    #[error("a journaled batch of {id} cannot be read: {source}")]
    Batch {
        /// The partition.
        id: TopicPartition,
        /// What is wrong.
        source: batch::BatchError,
    },
    /// The checkpoint file is damaged or of a newer format.
    #[error(
        "the checkpoint {path} cannot be used: {why}. Nothing was changed; restore the file from a copy, or start thalweg in the version that wrote it"
    )]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Files of topics without the state that says what they hold.
    #[error(
        "{path} is there, but neither a checkpoint nor the journal knows of it: files under state/ and journal/ are missing. Restore them; no record was touched"
    )]
    LostState {
        /// The directory.
        path: PathBuf,
    },
    /// Catalog state that does not decode.
    #[error("the catalog cannot be restored: {0}")]
    Catalog(String),
    /// A lane's other state that does not decode.
    #[error("the state of {lane} cannot be restored: {source}")]
    State {
        /// The lane.
        lane: LaneId,
        /// What is wrong.
        source: state::DecodeError,
    },
    /// A partition could not be opened or flushed.
    #[error(transparent)]
    Storage(#[from] partition::StorageError),
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}
