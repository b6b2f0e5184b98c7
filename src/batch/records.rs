//! The records of a batch as owned values that share the batch's memory.

use bytes::Bytes;
use model::{Compression, Offset, Timestamp, TimestampType};

use crate::header::HEADER_BYTES;
use crate::record::{RECORD_BYTES_MIN, RecordRef, RecordWalk};
use crate::{BatchError, BatchHeader, decompress};

/// A record header: a key, which need be neither UTF-8 nor unique, and a value or null.
pub type Header = (Bytes, Option<Bytes>);

/// One record. Key, value and headers are slices of the batch (or of its decompressed records) and
/// keep that alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its position in the partition.
    pub offset: Offset,
    /// The producer's time, or the batch's max timestamp where the broker sets the time.
    pub timestamp: Timestamp,
    /// `None` is null.
    pub key: Option<Bytes>,
    /// `None` is null.
    pub value: Option<Bytes>,
    /// In the producer's order.
    pub headers: Vec<Header>,
}

/// Iterates over a batch's records; made by [`records`]. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Records {
    header: BatchHeader,
    body: Bytes,
    position: usize,
    index: u32,
    failed: bool,
}

/// The records of the batch at the front of `batch`, decompressed if need be to at most
/// `limit_bytes`. The CRC is not checked here: see [`check_crc`](crate::check_crc).
pub fn records(batch: &Bytes, limit_bytes: usize) -> Result<Records, BatchError> {
    let header = BatchHeader::parse(batch)?;
    let size_bytes = header.size_bytes();
    if batch.len() < size_bytes {
        return Err(BatchError::Truncated {
            needed_bytes: size_bytes,
            available_bytes: batch.len(),
        });
    }
    let body = batch.slice(HEADER_BYTES..size_bytes);
    let body = match header.attributes.compression()? {
        Compression::None => body,
        // A batch that compaction emptied has no records, compressed or not.
        _ if body.is_empty() => body,
        codec => decompress(codec, &body, limit_bytes)?,
    };
    let record_count = header.record_count;
    let fits =
        usize::try_from(record_count).is_ok_and(|count| count <= body.len() / RECORD_BYTES_MIN);
    if !fits {
        let why = "there are too few bytes for them";
        return Err(BatchError::CountMismatch { record_count, why });
    }
    Ok(Records { header, body, position: 0, index: 0, failed: false })
}

impl Records {
    /// The batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records' bytes, decompressed.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    fn take_next(&mut self) -> Result<Option<Record>, BatchError> {
        let mut walk = RecordWalk::new(self.body.get(self.position..).unwrap_or_default());
        let index = self.index;
        let record = match walk.next() {
            None if i64::from(index) == i64::from(self.header.record_count) => return Ok(None),
            None => return Err(self.count_mismatch("fewer are there")),
            Some(_) if i64::from(index) >= i64::from(self.header.record_count) => {
                return Err(self.count_mismatch("more follow"));
            }
            Some(record) => record.map_err(|why| BatchError::InvalidRecord { index, why })?,
        };
        let remaining = walk.remaining_bytes();
        let record = self.own(record)?;
        self.position = self.body.len() - remaining;
        self.index += 1;
        Ok(Some(record))
    }

    fn own(&self, record: RecordRef<'_>) -> Result<Record, BatchError> {
        let index = self.index;
        let timestamp = match self.header.attributes.timestamp_type() {
            TimestampType::LogAppendTime => self.header.max_timestamp,
            TimestampType::CreateTime => self
                .header
                .base_timestamp
                .0
                .checked_add(record.timestamp_delta)
                .map(Timestamp)
                .ok_or(BatchError::InvalidRecord {
                    index,
                    why: "its timestamp is out of all range",
                })?,
        };
        if record.offset_delta < 0 || record.offset_delta > self.header.last_offset_delta {
            let why = "its offset is outside the batch's";
            return Err(BatchError::InvalidRecord { index, why });
        }
        Ok(Record {
            offset: self.header.base_offset.plus(i64::from(record.offset_delta)),
            timestamp,
            key: record.key.map(|key| self.body.slice_ref(key)),
            value: record.value.map(|value| self.body.slice_ref(value)),
            headers: record
                .headers
                .map(|(key, value)| {
                    (self.body.slice_ref(key), value.map(|value| self.body.slice_ref(value)))
                })
                .collect(),
        })
    }

    fn count_mismatch(&self, why: &'static str) -> BatchError {
        BatchError::CountMismatch { record_count: self.header.record_count, why }
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.take_next().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.header.record_count.max(0) as usize - self.index as usize;
        // The count was compared with the bytes in `records`.
        (0, Some(left + 1))
    }
}
