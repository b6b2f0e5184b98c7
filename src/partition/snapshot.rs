//! What a checkpoint remembers of a partition, so that opening it reads no file.

use model::{Offset, Timestamp};
use serde::{Deserialize, Serialize};

use crate::PartitionTransactions;

/// A partition at one moment. The files are good for it once
/// [`flush_to`](crate::Partition::flush_to) has returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSnapshot {
    /// The first offset that may be read.
    pub log_start: Offset,
    /// The offset that the next record gets.
    pub log_end: Offset,
    /// Oldest first, without gap or overlap, up to `log_end`.
    pub segments: Vec<SegmentSnapshot>,
    /// How far compaction has come.
    pub compaction: CompactionSnapshot,
    /// Its transactions. Not part of the encoding, because most partitions have none: the
    /// checkpoint keeps them in a list of their own.
    #[serde(skip)]
    pub transactions: PartitionTransactions,
}

/// One segment, file header and unwritten batches included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSnapshot {
    /// The first offset of its range; compaction may have removed the record itself.
    pub base_offset: Offset,
    /// Rises each time that compaction replaces the segment with this base offset.
    pub generation: u32,
    /// The file's size in bytes. More may follow in the file; it does not count.
    pub size_bytes: u64,
    /// The offset after its range.
    pub next_offset: Offset,
    /// The greatest timestamp in it, [`Timestamp::NONE`] if there is none.
    pub max_timestamp: Timestamp,
    /// The base offset of the first batch with that timestamp.
    pub offset_of_max_timestamp: Offset,
    /// Whether nothing more is appended to it. Only the last may be unsealed.
    pub sealed: bool,
    /// When its first batch was appended, by the broker's clock.
    pub first_append_ms: Timestamp,
}

/// How far compaction has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactionSnapshot {
    /// Below this offset each key occurs once.
    pub clean_through: Offset,
    /// When the first tombstone below `clean_through` may go.
    pub next_delete_horizon: Option<Timestamp>,
}
