//! One partition's records on its core: the newest in memory, all of them in segment files.
//!
//! **What it is.** A [`Partition`] takes batches that are already durable in the journal, keeps the
//! newest in its tail, writes them to segment files behind the reply, and reads them back by
//! offset and by time. Retention and compaction take away what is no longer wanted.
//!
//! **What it owns.** The directory of each partition with its `.log` and `.index` files, the
//! memory of the tails, open files and loaded indexes, all under the limits of [`CoreStorage`].
//!
//! **Where it runs.** On the core that owns the partition, on either runtime. Reads and writes are
//! asynchronous; appends are not.
//!
//! **What it must never do.**
//! - Acknowledge: durability is the journal's. What stands here between two checkpoints may be lost
//!   in a crash and is appended again from the journal.
//! - Remove a file that the last durable checkpoint lists, unless a durable command has moved the
//!   log start beyond it.
//! - Pass over damage: what is read from a file is checked (header, offsets, length, CRC) and
//!   reported with file and position. Only indexes are made again.
//! - Hold a borrow across an await: appends, flushes, compaction and deletes run in between.
//!
//! **Where to start reading.** [`partition`] for the state and appending; [`read`] and [`flush`]
//! for the two directions; [`checkpoint`] for what survives; [`storage`] for what partitions share.
//! [`transactions`] for what `read_committed` readers see; [`segment_header`] and
//! [`offset_index`] for the file formats.

pub mod checkpoint;
pub mod compaction;
mod error;
pub mod flush;
mod index_load;
pub mod lookup;
mod lru;
pub mod offset_index;
pub mod partition;
pub mod read;
mod read_metrics;
pub mod retention;
mod segment;
mod segment_cursor;
pub mod segment_header;
pub mod segment_scan;
mod set_aside;
mod snapshot;
pub mod storage;
mod tail;
pub mod transactions;

pub use compaction::CompactionReport;
pub use error::StorageError;
pub use partition::Partition;
pub use read::ReadBatches;
pub use read_metrics::{FoundCounts, ReadCounts};
pub use snapshot::{CompactionSnapshot, PartitionSnapshot, SegmentSnapshot};
pub use storage::{CoreStorage, StorageConfig};
pub use transactions::{AbortedTransaction, PartitionTransactions};
