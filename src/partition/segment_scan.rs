//! What must hold of the batches in a segment, as pure functions on bytes.

use batch::BatchHeader;
use model::Offset;
use thiserror::Error;

use crate::segment_header::{self, FIRST_BATCH_AT, InvalidHeader, SegmentHeader};

/// What the place of a batch says about it.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The offset that follows the previous batch.
    pub offset: Offset,
    /// Whether the batch must have exactly that offset. Compaction leaves gaps.
    pub exact: bool,
    /// The end of the segment's range.
    pub end_offset: Offset,
    /// Bytes from here to the end of the segment.
    pub room_bytes: u64,
}

/// Reads the header of the batch at the front of `bytes` and checks that it belongs there.
pub fn check_next(bytes: &[u8], expected: &Expected) -> Result<BatchHeader, String> {
    let header = BatchHeader::parse(bytes).map_err(|error| error.to_string())?;
    let Expected { offset, exact, end_offset, room_bytes } = *expected;
    if header.base_offset < offset || (exact && header.base_offset != offset) {
        return Err(format!("a batch has base offset {} instead of {offset}", header.base_offset));
    }
    if header.last_offset_delta < 0 || header.next_offset() > end_offset {
        return Err(format!(
            "a batch with base offset {} and last offset delta {} leaves the segment's range, which ends before {end_offset}",
            header.base_offset, header.last_offset_delta
        ));
    }
    if header.size_bytes() as u64 > room_bytes {
        return Err(format!(
            "a batch says it has {} bytes where {room_bytes} are left",
            header.size_bytes()
        ));
    }
    Ok(header)
}

/// Where a scan came upon damage.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("damaged at byte {position}: {why}")]
pub struct ScanError {
    /// In bytes from the file's beginning.
    pub position: u64,
    /// What is wrong.
    pub why: String,
}

impl From<InvalidHeader> for ScanError {
    fn from(error: InvalidHeader) -> Self {
        ScanError { position: 0, why: error.to_string() }
    }
}

/// Walks a whole segment file in memory: the header, then every batch with its CRC. For tools and
/// tests; the broker reads in pieces.
pub fn scan(bytes: &[u8]) -> Result<(SegmentHeader, Vec<BatchHeader>), ScanError> {
    let segment = segment_header::parse(bytes)?;
    let mut batches = Vec::new();
    let mut position = FIRST_BATCH_AT;
    let mut rest = bytes.get(segment_header::HEADER_BYTES..).unwrap_or_default();
    let mut offset = segment.base_offset;
    while !rest.is_empty() {
        let expected = Expected {
            offset,
            exact: segment.generation == 0,
            end_offset: Offset(i64::MAX),
            room_bytes: rest.len() as u64,
        };
        let header = check_next(rest, &expected).map_err(|why| ScanError { position, why })?;
        batch::check_crc(rest, &header)
            .map_err(|error| ScanError { position, why: error.to_string() })?;
        offset = header.next_offset();
        position += header.size_bytes() as u64;
        rest = rest.get(header.size_bytes()..).unwrap_or_default();
        batches.push(header);
    }
    Ok((segment, batches))
}
