//! Record batches in Kafka's format 2 ("magic 2"), the form in which records travel from a
//! producer's socket to the journal, the segment and the consumer.
//!
//! Owns the format alone: reading a header, checking what a client sent, walking records, building
//! batches, the five compression codecs, and the few fields that a broker may patch. It is pure
//! computation on bytes: it runs on any core or thread, does no I/O, reads no clock, keeps no
//! state.
//!
//! It must never
//! - change a batch's bytes from 21 on (what the CRC covers), except through the three patches in
//!   [`patch`] that recompute the CRC, or [`recompress`], which makes a new batch;
//! - take memory on the word of a count that came from outside: counts are bounded by the bytes
//!   that remain, decompression by the caller's limit;
//! - lose what a producer wrote: headers stay an ordered list of bytes, duplicates and all.
//!
//! Start reading at [`header`] (the layout), then [`record`] (one record's fields), [`check`]
//! (what a produced batch must satisfy), [`records`] (the owned iterator), [`control`] (markers of
//! transactions) and [`builder`].
//!
//! Sources of the format: Kafka's documentation, "Record Batch" and "Record"; KIP-98 (producer
//! fields, control batches), KIP-32 (timestamps), KIP-82 (headers), KIP-110 (zstd), KIP-534
//! (delete horizon).

pub mod builder;
pub mod check;
pub mod compression;
pub mod control;
pub mod error;
pub mod header;
pub mod patch;
pub mod record;
pub mod records;
mod snappy;
pub mod varint;

pub use builder::{BatchBuilder, recompress};
pub use check::{CheckedBatch, KeylessRecords, check_crc, check_produced};
pub use compression::{compress, decompress};
pub use control::{ControlType, transaction_marker};
pub use error::{BatchError, Fault};
pub use header::{Attributes, BatchHeader, HEADER_BYTES, record_count};
pub use patch::{set_base_offset, set_leader_epoch, set_log_append_time, set_max_timestamp};
pub use record::{RecordRef, RecordWalk};
pub use records::{Header, Record, Records, records};
