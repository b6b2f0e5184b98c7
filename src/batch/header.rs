//! The 61 bytes before a batch's records.
//!
//! | at | bytes | field | | at | bytes | field |
//! |---|---|---|---|---|---|---|
//! | 0 | 8 | base offset | | 27 | 8 | base timestamp |
//! | 8 | 4 | length of what follows | | 35 | 8 | max timestamp |
//! | 12 | 4 | leader epoch | | 43 | 8 | producer id |
//! | 16 | 1 | magic: 2 | | 51 | 2 | producer epoch |
//! | 17 | 4 | CRC-32C of bytes 21 and after | | 53 | 4 | base sequence |
//! | 21 | 2 | attributes | | 57 | 4 | record count |
//! | 23 | 4 | last offset delta | | 61 | | records |
//!
//! All integers are big-endian.

use bytes::{Buf, BufMut};
use model::{
    BatchSequence, Compression, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp,
    TimestampType,
};

use crate::BatchError;

/// The size of a batch without records.
pub const HEADER_BYTES: usize = 61;
/// The base offset and the length field: what the length field does not count.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// The one format that is read and written.
pub const MAGIC: i8 = 2;

pub(crate) const LENGTH_AT: usize = 8;
pub(crate) const LEADER_EPOCH_AT: usize = 12;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
/// Where the bytes begin that the CRC covers.
pub(crate) const ATTRIBUTES_AT: usize = 21;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;
const RECORD_COUNT_AT: usize = 57;

/// How many records a whole batch says it has; 0 if `batch` is too short to be one.
pub fn record_count(batch: &[u8]) -> u64 {
    let field = batch.get(RECORD_COUNT_AT..).and_then(<[u8]>::first_chunk);
    let count = field.map_or(0, |field| i32::from_be_bytes(*field));
    u64::try_from(count).unwrap_or(0)
}

/// A batch's header, as it stands in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The first record's offset. Producers send 0; the broker assigns it.
    pub base_offset: Offset,
    /// Bytes after the length field: the batch has 12 more.
    pub length: i32,
    /// The term of the leader that assigned the offset.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of bytes 21 and after.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// The last record's offset less the base offset. Stays when compaction removes records.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas add to. The delete horizon when that flag is set.
    pub base_timestamp: Timestamp,
    /// The greatest timestamp of the records, or every record's when the broker sets the time.
    pub max_timestamp: Timestamp,
    /// [`ProducerId::NONE`] unless idempotent.
    pub producer_id: ProducerId,
    /// [`ProducerEpoch::NONE`] unless idempotent.
    pub producer_epoch: ProducerEpoch,
    /// The first record's sequence, or [`BatchSequence::NONE`].
    pub base_sequence: BatchSequence,
    /// How many records follow. Unchecked: compare with the bytes before believing it.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`, which may end anywhere after it.
    ///
    /// Checks only what must hold to go on: 61 bytes, magic 2, a length of at least 49.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        // The magic stands at the same place in every format, so an old format is named as such
        // even when it is shorter than this format's header.
        if let Some(&magic) = bytes.get(MAGIC_AT)
            && magic != MAGIC as u8
        {
            return Err(BatchError::UnsupportedMagic(magic as i8));
        }
        let Some(mut fields) = bytes.get(..HEADER_BYTES) else {
            return Err(BatchError::Truncated {
                needed_bytes: HEADER_BYTES,
                available_bytes: bytes.len(),
            });
        };
        let base_offset = Offset(fields.get_i64());
        let length = fields.get_i32();
        let leader_epoch = LeaderEpoch(fields.get_i32());
        let _magic = fields.get_i8();
        let header = BatchHeader {
            base_offset,
            length,
            leader_epoch,
            crc: fields.get_u32(),
            attributes: Attributes(fields.get_i16()),
            last_offset_delta: fields.get_i32(),
            base_timestamp: Timestamp(fields.get_i64()),
            max_timestamp: Timestamp(fields.get_i64()),
            producer_id: ProducerId(fields.get_i64()),
            producer_epoch: ProducerEpoch(fields.get_i16()),
            base_sequence: BatchSequence(fields.get_i32()),
            record_count: fields.get_i32(),
        };
        if header.size_bytes() < HEADER_BYTES {
            return Err(BatchError::InvalidLength(length));
        }
        Ok(header)
    }

    /// Appends the header's 61 bytes.
    pub(crate) fn write(&self, out: &mut impl BufMut) {
        out.put_i64(self.base_offset.0);
        out.put_i32(self.length);
        out.put_i32(self.leader_epoch.0);
        out.put_i8(MAGIC);
        out.put_u32(self.crc);
        out.put_i16(self.attributes.0);
        out.put_i32(self.last_offset_delta);
        out.put_i64(self.base_timestamp.0);
        out.put_i64(self.max_timestamp.0);
        out.put_i64(self.producer_id.0);
        out.put_i16(self.producer_epoch.0);
        out.put_i32(self.base_sequence.0);
        out.put_i32(self.record_count);
    }

    /// The whole batch's size, this header included.
    pub fn size_bytes(&self) -> usize {
        usize::try_from(self.length).unwrap_or(0).saturating_add(LOG_OVERHEAD_BYTES)
    }

    /// The offset of the batch's last record (or of where it was, once compacted).
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// The offset after the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// The last record's sequence; wraps after `i32::MAX`. [`BatchSequence::NONE`] without one.
    pub fn last_sequence(&self) -> BatchSequence {
        if self.base_sequence.0 < 0 {
            return BatchSequence::NONE;
        }
        self.base_sequence.plus(self.last_offset_delta.max(0))
    }

    /// Whether an idempotent producer wrote the batch.
    pub fn has_producer(&self) -> bool {
        self.producer_id.0 >= 0
    }
}

/// The attribute bits: 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC_MASK: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// The codec of the records.
    pub fn compression(self) -> Result<Compression, BatchError> {
        match self.0 & Self::CODEC_MASK {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            unknown => Err(BatchError::UnknownCodec(unknown)),
        }
    }

    /// Whose clock the records' timestamps are of.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Part of a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// A broker's marker (the end of a transaction), not data.
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// The base timestamp is the time after which compaction may drop the tombstones (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The same flags with another codec.
    pub fn with_compression(self, codec: Compression) -> Attributes {
        let bits = match codec {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        };
        Attributes(self.0 & !Self::CODEC_MASK | bits)
    }

    /// The same flags with the broker's clock.
    pub fn with_log_append_time(self) -> Attributes {
        Attributes(self.0 | Self::LOG_APPEND_TIME)
    }

    /// The same flags, transactional.
    pub fn with_transactional(self) -> Attributes {
        Attributes(self.0 | Self::TRANSACTIONAL)
    }

    /// The same flags, a control batch.
    pub fn with_control(self) -> Attributes {
        Attributes(self.0 | Self::CONTROL)
    }

    /// The same flags, with a delete horizon as base timestamp.
    pub fn with_delete_horizon(self) -> Attributes {
        Attributes(self.0 | Self::DELETE_HORIZON)
    }
}
