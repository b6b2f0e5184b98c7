//! A journal's directory and sizes.

use std::path::PathBuf;

use crate::file::{FILE_HEADER_BYTES, file_capacity_bytes};
use crate::frame::{BLOCK_BYTES, FRAME_HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::{JournalError, JournalPosition};

/// How one core's journal is kept.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// Made if missing. Holds nothing but this journal.
    pub directory: PathBuf,
    /// Of each file; a multiple of 4096. No command can be larger than a file.
    pub file_size_bytes: u64,
    /// A frame is closed before it grows beyond this. A larger command gets a frame of its own.
    pub frame_bytes_max: usize,
    /// Appended and not yet durable: beyond it, [`wait_for_room`](crate::Journal::wait_for_room)
    /// waits.
    pub buffered_bytes_max: usize,
    /// Writes in flight at once, 1 or more.
    pub writes_in_flight_max: usize,
    /// A second write starts beside one in flight only with this much gathered; until then it is
    /// better to gather on.
    pub second_write_bytes_min: usize,
    /// Freed files kept for use again, beside the one that stands ready. Others are removed.
    pub recycled_files_max: usize,
    /// The first frame that is needed: what the last checkpoint does not cover. At most one beyond
    /// the last durable frame. Missing frames from here on are an error.
    pub replay_from: JournalPosition,
}

impl JournalConfig {
    /// The defaults, for a new journal in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        JournalConfig {
            directory: directory.into(),
            file_size_bytes: 64 << 20,
            frame_bytes_max: 4 << 20,
            buffered_bytes_max: 32 << 20,
            writes_in_flight_max: 2,
            second_write_bytes_min: 64 << 10,
            recycled_files_max: 3,
            replay_from: JournalPosition::FIRST,
        }
    }

    /// The largest command that fits, its parts together.
    pub fn command_bytes_max(&self) -> usize {
        let frame =
            usize::try_from(file_capacity_bytes(self.file_size_bytes)).unwrap_or(usize::MAX);
        // Lengths within a frame are 32 bits wide.
        frame.min(u32::MAX as usize).saturating_sub(FRAME_HEADER_BYTES + RECORD_HEADER_BYTES)
    }

    /// How large a frame of several commands grows: one that fits no file could never be written.
    pub(crate) fn gathered_bytes_max(&self) -> usize {
        let file = file_capacity_bytes(self.file_size_bytes);
        self.frame_bytes_max.min(usize::try_from(file).unwrap_or(usize::MAX))
    }

    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let block = BLOCK_BYTES as u64;
        if !self.file_size_bytes.is_multiple_of(block)
            || self.file_size_bytes < FILE_HEADER_BYTES + 4 * block
        {
            return Err(JournalError::InvalidConfig(
                "file_size_bytes must be a multiple of 4096 and at least 20480",
            ));
        }
        if self.writes_in_flight_max == 0 || self.frame_bytes_max < BLOCK_BYTES {
            return Err(JournalError::InvalidConfig(
                "writes_in_flight_max must be at least 1 and frame_bytes_max at least 4096",
            ));
        }
        Ok(())
    }
}
