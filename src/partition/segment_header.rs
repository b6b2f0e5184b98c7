//! The 64 bytes before a segment's batches: whose segment it is, and in which format.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `THWLSEGM` |
//! | 8 | 2 | format version, 1 |
//! | 10 | 2 | zero |
//! | 12 | 4 | partition |
//! | 16 | 16 | topic id, as on Kafka's wire |
//! | 32 | 8 | base offset |
//! | 40 | 4 | generation |
//! | 44 | 8 | when the first batch was appended, ms |
//! | 52 | 8 | zero |
//! | 60 | 4 | CRC-32C of the bytes before |
//!
//! Integers are little-endian, except for the topic id. Batches follow one behind the other, each
//! exactly as it goes to consumers ([`batch`]).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use model::{Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};
use thiserror::Error;

/// The size of the header.
pub const HEADER_BYTES: usize = 64;
/// [`HEADER_BYTES`] as a position: where the first batch begins.
pub const FIRST_BATCH_AT: u64 = HEADER_BYTES as u64;
/// The only format so far.
pub const FORMAT_VERSION: u16 = 1;
const MAGIC: &[u8; 8] = b"THWLSEGM";
const CRC_AT: usize = 60;

/// Whose segment a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The partition that the batches belong to.
    pub partition: TopicPartition,
    /// The first offset of the segment's range.
    pub base_offset: Offset,
    /// How often compaction has replaced the segment.
    pub generation: u32,
    /// When the first batch was appended.
    pub first_append_ms: Timestamp,
}

/// Why bytes are no header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidHeader {
    /// Fewer than 64 bytes.
    #[error("the file has {0} bytes, which is less than a segment's header of 64")]
    Truncated(usize),
    /// Not our file.
    #[error("the file does not begin with THWLSEGM")]
    Magic,
    /// A later thalweg wrote it.
    #[error("the segment has format version {0}; this thalweg reads version {FORMAT_VERSION}")]
    Version(u16),
    /// The header's own checksum fails.
    #[error("the header's CRC-32C is {computed:#010x}, it says {stored:#010x}")]
    Crc {
        /// From the header.
        stored: u32,
        /// From its bytes.
        computed: u32,
    },
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_BYTES);
        out.put_slice(MAGIC);
        out.put_u16_le(FORMAT_VERSION);
        out.put_u16_le(0);
        out.put_u32_le(self.partition.partition.0);
        out.put_slice(&self.partition.topic.to_bytes());
        out.put_i64_le(self.base_offset.0);
        out.put_u32_le(self.generation);
        out.put_i64_le(self.first_append_ms.0);
        out.put_u64_le(0);
        let crc = crc32c::crc32c(&out);
        out.put_u32_le(crc);
        out.freeze()
    }
}

/// Reads the header at the front of `bytes`.
pub fn parse(bytes: &[u8]) -> Result<SegmentHeader, InvalidHeader> {
    let Some(mut fields) = bytes.get(..HEADER_BYTES) else {
        return Err(InvalidHeader::Truncated(bytes.len()));
    };
    let computed = crc32c::crc32c(fields.get(..CRC_AT).unwrap_or_default());
    if !fields.starts_with(MAGIC) {
        return Err(InvalidHeader::Magic);
    }
    fields.advance(MAGIC.len());
    let version = fields.get_u16_le();
    if version != FORMAT_VERSION {
        return Err(InvalidHeader::Version(version));
    }
    fields.advance(2);
    let partition = PartitionIndex(fields.get_u32_le());
    let topic = TopicId(fields.get_u128());
    let header = SegmentHeader {
        partition: TopicPartition { topic, partition },
        base_offset: Offset(fields.get_i64_le()),
        generation: fields.get_u32_le(),
        first_append_ms: Timestamp(fields.get_i64_le()),
    };
    fields.advance(8);
    let stored = fields.get_u32_le();
    if stored != computed {
        return Err(InvalidHeader::Crc { stored, computed });
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            partition: TopicPartition {
                topic: TopicId(u128::MAX / 3),
                partition: PartitionIndex(7),
            },
            base_offset: Offset(123_456_789_012),
            generation: 3,
            first_append_ms: Timestamp(1_790_000_000_000),
        }
    }

    #[test]
    fn a_header_is_read_back_as_written() {
        let bytes = header().encode();
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(parse(&bytes), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let good = header().encode();
        for place in 0..HEADER_BYTES {
            let mut bad = good.to_vec();
            bad[place] ^= 0x10;
            assert!(parse(&bad).is_err(), "byte {place}");
            assert_eq!(parse(&good[..place]), Err(InvalidHeader::Truncated(place)));
        }
    }
}
