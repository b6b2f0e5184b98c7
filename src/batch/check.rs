//! What a batch from outside must satisfy before the log takes it.

use std::ops::Deref;

use model::{Compression, Offset, Timestamp};

use crate::header::{ATTRIBUTES_AT, HEADER_BYTES};
use crate::record::{RECORD_BYTES_MIN, RecordWalk};
use crate::{BatchError, BatchHeader, decompress};

/// How many keyless records are named one by one.
pub const KEYLESS_RECORDS_MAX: usize = 32;

/// What a full check learnt about a produced batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedBatch {
    /// As it stands in the bytes.
    pub header: BatchHeader,
    /// The greatest timestamp of the records themselves, whatever the header says.
    pub max_timestamp: Timestamp,
    /// The offset delta of the first record that has it.
    pub max_timestamp_offset_delta: i32,
    /// The smallest timestamp of the records.
    pub min_timestamp: Timestamp,
    /// Records without a key, which compacted topics refuse.
    pub keyless_records: KeylessRecords,
    /// The records' size, decompressed.
    pub records_bytes: usize,
}

impl CheckedBatch {
    /// The offset of the first record with the greatest timestamp.
    pub fn max_timestamp_offset(&self) -> Offset {
        self.header.base_offset.plus(i64::from(self.max_timestamp_offset_delta))
    }
}

/// The places of records without a key; a slice of the first [`KEYLESS_RECORDS_MAX`], and a count
/// of all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeylessRecords {
    count: u32,
    first: [u32; KEYLESS_RECORDS_MAX],
}

impl KeylessRecords {
    /// How many records have no key, also beyond those named.
    pub fn count(&self) -> u32 {
        self.count
    }

    fn push(&mut self, index: u32) {
        if let Some(place) = self.first.get_mut(self.count as usize) {
            *place = index;
        }
        self.count = self.count.saturating_add(1);
    }
}

impl Default for KeylessRecords {
    fn default() -> Self {
        KeylessRecords { count: 0, first: [0; KEYLESS_RECORDS_MAX] }
    }
}

impl Deref for KeylessRecords {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        let named = KEYLESS_RECORDS_MAX.min(self.count as usize);
        self.first.get(..named).unwrap_or_default()
    }
}

impl std::fmt::Debug for KeylessRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?}…)", self.count, &self[..])
    }
}

/// Compares the CRC of bytes 21 to the batch's end with the header's. `bytes` begins with the
/// batch that `header` was read from and may go on after it.
pub fn check_crc(bytes: &[u8], header: &BatchHeader) -> Result<(), BatchError> {
    let size_bytes = header.size_bytes();
    let Some(covered) = bytes.get(ATTRIBUTES_AT..size_bytes) else {
        return Err(BatchError::Truncated {
            needed_bytes: size_bytes,
            available_bytes: bytes.len(),
        });
    };
    let computed = crc32c::crc32c(covered);
    if computed != header.crc {
        return Err(BatchError::CorruptCrc { stored: header.crc, computed });
    }
    Ok(())
}

/// The full check of what a client sent, as Kafka's `LogValidator` makes it: exactly one whole
/// batch of format 2, the CRC right, the count positive and equal to the span of offsets, a known
/// codec, no control batch, producer fields that belong together, and records that are well formed,
/// dense and as many as the header says. Compressed records are decompressed for this, to at most
/// `limit_bytes`; nothing is allocated for uncompressed ones.
///
/// Left to the caller, who knows the topic: size limits, bounds of timestamps, keys, producer
/// sequence, and that clients do not claim LogAppendTime.
pub fn check_produced(bytes: &[u8], limit_bytes: usize) -> Result<CheckedBatch, BatchError> {
    let header = BatchHeader::parse(bytes)?;
    check_envelope(bytes, &header)?;
    check_header(&header)?;
    let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
    match header.attributes.compression()? {
        Compression::None => check_records(header, body),
        codec => check_records(header, &decompress(codec, body, limit_bytes)?),
    }
}

/// One whole batch, as its producer summed it.
fn check_envelope(bytes: &[u8], header: &BatchHeader) -> Result<(), BatchError> {
    check_crc(bytes, header)?;
    if bytes.len() > header.size_bytes() {
        return Err(BatchError::TrailingBytes {
            batch_bytes: header.size_bytes(),
            available_bytes: bytes.len(),
        });
    }
    Ok(())
}

/// The rules that the header alone can break.
fn check_header(header: &BatchHeader) -> Result<(), BatchError> {
    let BatchHeader { record_count, last_offset_delta, .. } = *header;
    if record_count <= 0 || last_offset_delta != record_count - 1 {
        return Err(BatchError::InvalidCount { record_count, last_offset_delta });
    }
    if header.attributes.is_control() {
        return Err(BatchError::ControlBatch);
    }
    if header.has_producer() && (header.producer_epoch.0 < 0 || header.base_sequence.0 < 0) {
        return Err(BatchError::InvalidProducer {
            producer_id: header.producer_id.0,
            producer_epoch: header.producer_epoch.0,
            base_sequence: header.base_sequence.0,
        });
    }
    Ok(())
}

/// Walks the uncompressed records once.
fn check_records(header: BatchHeader, body: &[u8]) -> Result<CheckedBatch, BatchError> {
    let record_count = header.record_count;
    if record_count as usize > body.len() / RECORD_BYTES_MIN {
        return Err(BatchError::CountMismatch {
            record_count,
            why: "there are too few bytes for them",
        });
    }
    let mut checked = CheckedBatch {
        header,
        max_timestamp: Timestamp(i64::MIN),
        max_timestamp_offset_delta: 0,
        min_timestamp: Timestamp(i64::MAX),
        keyless_records: KeylessRecords::default(),
        records_bytes: body.len(),
    };
    let mut index = 0u32;
    for record in RecordWalk::new(body) {
        let record = record.map_err(|why| BatchError::InvalidRecord { index, why })?;
        if i64::from(record.offset_delta) != i64::from(index) {
            let why = "its offset delta does not follow its predecessor's";
            return Err(BatchError::InvalidRecord { index, why });
        }
        let timestamp =
            header.base_timestamp.0.checked_add(record.timestamp_delta).ok_or(
                BatchError::InvalidRecord { index, why: "its timestamp is out of all range" },
            )?;
        if timestamp > checked.max_timestamp.0 {
            checked.max_timestamp = Timestamp(timestamp);
            checked.max_timestamp_offset_delta = record.offset_delta;
        }
        checked.min_timestamp = checked.min_timestamp.min(Timestamp(timestamp));
        if record.key.is_none() {
            checked.keyless_records.push(index);
        }
        index += 1;
        if index > record_count as u32 {
            return Err(BatchError::CountMismatch { record_count, why: "more follow" });
        }
    }
    if index != record_count as u32 {
        return Err(BatchError::CountMismatch { record_count, why: "fewer are there" });
    }
    Ok(checked)
}
