//! What can go wrong with a journal, short of a failed write, which ends the process.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::JournalPosition;

/// Why a journal cannot be opened or read.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb: what was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// In its words.
        source: io::Error,
    },
    /// Bytes that were durable are no longer what was written.
    #[error(
        "the journal file {} is damaged at byte {offset}: {why}. Frame {missing} was written \
         there, and later frames show that it was durable. Restore the file from a copy, or move \
         the data directory away to start without it",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the frame should begin.
        offset: u64,
        /// The frame that is not there.
        missing: JournalPosition,
        /// What is there instead.
        why: String,
    },
    /// Files with frames that the last checkpoint does not cover are not there.
    #[error(
        "journal frame {needed} and what follows is needed, but {} holds {}. Journal files are \
         missing: restore them", directory.display(),
        match found { Some(found) => format!("nothing between it and frame {found}"), None => "no such frame".to_string() }
    )]
    MissingFrames {
        /// The journal's directory.
        directory: PathBuf,
        /// The first frame that is needed.
        needed: JournalPosition,
        /// The nearest frame that is there.
        found: Option<JournalPosition>,
    },
    /// Written by another version of the program.
    #[error(
        "the journal file {} has format version {version}, this program knows version {known}; \
         use the program that wrote it", path.display()
    )]
    UnsupportedFormat {
        /// The file.
        path: PathBuf,
        /// From the file.
        version: u32,
        /// What this program writes.
        known: u32,
    },
    /// The visitor refused a command.
    #[error("a recovered command was refused: {0}")]
    Visit(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Sizes that do not fit together.
    #[error("the journal's configuration is invalid: {0}")]
    InvalidConfig(&'static str),
}

impl JournalError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| JournalError::Io { action, path, source }
    }
}

/// Why a command was not appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AppendError {
    /// It fits no file.
    #[error(
        "a command of {size_bytes} bytes is larger than the {max_bytes} that a journal file holds"
    )]
    TooLarge {
        /// All parts together.
        size_bytes: usize,
        /// What fits.
        max_bytes: usize,
    },
    /// [`Journal::close`](crate::Journal::close) was called.
    #[error("the journal is closed")]
    Closed,
}
