//! Makes batches: for the Kinesis door, compaction, tests; and remakes one in another codec.

use bytes::{BufMut, Bytes, BytesMut};
use model::{
    BatchSequence, Compression, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp,
};

use crate::header::{HEADER_BYTES, LENGTH_AT, LOG_OVERHEAD_BYTES};
use crate::patch::seal;
use crate::records::Header;
use crate::{Attributes, BatchError, BatchHeader, compress, decompress, varint};

/// Gathers records and makes one batch of them.
///
/// ```
/// # use batch::BatchBuilder; use model::{Compression, Timestamp};
/// let mut builder = BatchBuilder::new(Compression::Zstd);
/// builder.push(Timestamp(1_700_000_000_000), Some(b"key"), Some(b"value"), &[]);
/// let batch = builder.build()?;
/// assert_eq!(batch::check_produced(&batch, 1 << 20)?.header.record_count, 1);
/// # Ok::<(), batch::BatchError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    attributes: Attributes,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    base_timestamp: Option<Timestamp>,
    log_append_time: Option<Timestamp>,
    max_timestamp: Timestamp,
    producer: (ProducerId, ProducerEpoch, BatchSequence),
    last_offset_delta: Option<i32>,
    /// The greatest delta pushed, -1 before the first.
    pushed_delta: i32,
    count: i32,
    /// The header's place, then the uncompressed records.
    out: BytesMut,
    too_large: Option<&'static str>,
}

impl BatchBuilder {
    /// An empty batch: base offset 0, no producer, the producer's clock.
    pub fn new(compression: Compression) -> Self {
        BatchBuilder::with_capacity(compression, 512 - HEADER_BYTES)
    }

    /// The same, with room for records of so many bytes before compression. A batch that is kept
    /// for long keeps all of its room: one that grew may have twice what it needs.
    pub fn with_capacity(compression: Compression, record_bytes: usize) -> Self {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + record_bytes);
        out.put_bytes(0, HEADER_BYTES);
        BatchBuilder {
            compression,
            attributes: Attributes::default(),
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::UNKNOWN,
            base_timestamp: None,
            log_append_time: None,
            max_timestamp: Timestamp::NONE,
            producer: (ProducerId::NONE, ProducerEpoch::NONE, BatchSequence::NONE),
            last_offset_delta: None,
            pushed_delta: -1,
            count: 0,
            out,
            too_large: None,
        }
    }

    /// Sets the first record's offset (0 otherwise).
    pub fn base_offset(mut self, offset: Offset) -> Self {
        self.base_offset = offset;
        self
    }

    /// Sets the leader epoch (-1 otherwise).
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.leader_epoch = epoch;
        self
    }

    /// Makes `at` every record's time (`LogAppendTime`).
    pub fn log_append_time(mut self, at: Timestamp) -> Self {
        self.attributes = self.attributes.with_log_append_time();
        self.log_append_time = Some(at);
        self
    }

    /// Sets the fields of an idempotent producer.
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base: BatchSequence) -> Self {
        self.producer = (id, epoch, base);
        self
    }

    /// Marks the batch as part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.attributes = self.attributes.with_transactional();
        self
    }

    /// Marks the batch as a control batch.
    pub fn control(mut self) -> Self {
        self.attributes = self.attributes.with_control();
        self
    }

    /// Makes `at` the delete horizon (KIP-534). Before the first record, whose timestamps count
    /// from it.
    pub fn delete_horizon(mut self, at: Timestamp) -> Self {
        self.attributes = self.attributes.with_delete_horizon();
        self.base_timestamp = Some(at);
        self
    }

    /// Keeps a compacted batch's range of offsets, whichever records are left. At least the
    /// greatest delta pushed.
    pub fn last_offset_delta(mut self, delta: i32) -> Self {
        self.last_offset_delta = Some(delta);
        self
    }

    /// Adds a record at the next offset.
    pub fn push(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) {
        match self.pushed_delta.checked_add(1) {
            Some(delta) => self.push_at(delta, timestamp, key, value, headers),
            None => self.too_large = Some("more than 2^31 records"),
        }
    }

    /// Adds a record at `offset_delta` from the base offset; deltas must rise.
    pub fn push_at(
        &mut self,
        offset_delta: i32,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) {
        debug_assert!(offset_delta > self.pushed_delta, "offset deltas must rise");
        let base = *self.base_timestamp.get_or_insert(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(base.0);
        let length = 1
            + varint::size_bytes(timestamp_delta)
            + varint::size_bytes(i64::from(offset_delta))
            + nullable_bytes(key)
            + nullable_bytes(value)
            + varint::size_bytes(headers.len() as i64)
            + headers
                .iter()
                .map(|(key, value)| nullable_bytes(Some(key)) + nullable_bytes(value.as_deref()))
                .sum::<usize>();
        if i32::try_from(self.out.len() + length).is_err() {
            self.too_large = Some("its records take more than 2^31 bytes");
            return;
        }
        self.out.reserve(varint::MAX_BYTES_32 + length);
        varint::put(&mut self.out, length as i64);
        self.out.put_i8(0);
        varint::put(&mut self.out, timestamp_delta);
        varint::put(&mut self.out, i64::from(offset_delta));
        put_nullable(&mut self.out, key);
        put_nullable(&mut self.out, value);
        varint::put(&mut self.out, headers.len() as i64);
        for (key, value) in headers {
            put_nullable(&mut self.out, Some(key));
            put_nullable(&mut self.out, value.as_deref());
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.pushed_delta = offset_delta;
        self.count += 1;
    }

    /// How many records were added.
    pub fn record_count(&self) -> usize {
        self.count as usize
    }

    /// The batch's size so far, if it were not compressed.
    pub fn size_bytes(&self) -> usize {
        self.out.len()
    }

    /// The finished batch. One without records is legal: it is what compaction leaves to keep a
    /// producer's state and the range of offsets.
    pub fn build(self) -> Result<BytesMut, BatchError> {
        if let Some(why) = self.too_large {
            return Err(BatchError::TooLargeToBuild(why));
        }
        let (producer_id, producer_epoch, base_sequence) = self.producer;
        let header = BatchHeader {
            base_offset: self.base_offset,
            length: 0,
            leader_epoch: self.leader_epoch,
            crc: 0,
            attributes: self.attributes.with_compression(self.compression),
            last_offset_delta: self
                .last_offset_delta
                .unwrap_or(self.pushed_delta.max(0))
                .max(self.pushed_delta),
            base_timestamp: self.base_timestamp.unwrap_or(Timestamp::NONE),
            max_timestamp: self.log_append_time.unwrap_or(self.max_timestamp),
            producer_id,
            producer_epoch,
            base_sequence,
            record_count: self.count,
        };
        let mut out = self.out;
        if self.compression == Compression::None || self.count == 0 {
            finish(header, &mut out)?;
            return Ok(out);
        }
        let compressed = compress(self.compression, out.get(HEADER_BYTES..).unwrap_or_default())?;
        with_body(header, &compressed)
    }
}

/// The same batch with its records in another codec: offsets, producer fields and timestamps stay.
/// `limit_bytes` bounds the decompressed records.
pub fn recompress(
    batch: &Bytes,
    to: Compression,
    limit_bytes: usize,
) -> Result<BytesMut, BatchError> {
    let mut header = BatchHeader::parse(batch)?;
    let Some(body) = batch.get(HEADER_BYTES..header.size_bytes()) else {
        return Err(BatchError::Truncated {
            needed_bytes: header.size_bytes(),
            available_bytes: batch.len(),
        });
    };
    let from = header.attributes.compression()?;
    header.attributes = header.attributes.with_compression(to);
    if body.is_empty() {
        return with_body(header, body);
    }
    let decompressed;
    let records = match from {
        Compression::None => body,
        codec => {
            decompressed = decompress(codec, body, limit_bytes)?;
            &decompressed
        }
    };
    match to {
        Compression::None => with_body(header, records),
        codec => with_body(header, &compress(codec, records)?),
    }
}

fn with_body(header: BatchHeader, body: &[u8]) -> Result<BytesMut, BatchError> {
    let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
    out.put_bytes(0, HEADER_BYTES);
    out.extend_from_slice(body);
    finish(header, &mut out)?;
    Ok(out)
}

/// Writes the header over its place in front of the body, with the right length and CRC.
fn finish(mut header: BatchHeader, batch: &mut BytesMut) -> Result<(), BatchError> {
    header.length = i32::try_from(batch.len() - LOG_OVERHEAD_BYTES)
        .map_err(|_| BatchError::TooLargeToBuild("it takes more than 2^31 bytes"))?;
    debug_assert_eq!(LENGTH_AT + 4, LOG_OVERHEAD_BYTES);
    if let Some(mut place) = batch.get_mut(..HEADER_BYTES) {
        header.write(&mut place);
    }
    seal(batch);
    Ok(())
}

fn nullable_bytes(field: Option<&[u8]>) -> usize {
    let length = field.map_or(-1, |field| field.len() as i64);
    varint::size_bytes(length) + field.map_or(0, <[u8]>::len)
}

fn put_nullable(out: &mut BytesMut, field: Option<&[u8]>) {
    match field {
        None => varint::put(out, -1),
        Some(field) => {
            varint::put(out, field.len() as i64);
            out.extend_from_slice(field);
        }
    }
}
