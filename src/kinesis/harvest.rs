//! Takes Kinesis records out of stored batches.

use batch::{BatchError, BatchHeader};
use bytes::Bytes;
use model::{Compression, Offset, SequenceNumber, ShardId, Timestamp};
use state::shards::Shard;

use crate::{
    NOT_ENCRYPTED, answers, partition_key,
    wire::{Blob, Time},
};

/// A batch's records may take this much once they are decompressed: as much as the broker lets any
/// producer send, so that what was accepted can be read. Decoding does not wait for anything, so
/// only as many batches are unfolded at once as there are worker threads.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// Records of one shard, gathered until there are enough.
pub(crate) struct Harvest {
    shard: ShardId,
    shard_created: Timestamp,
    /// The shard's offsets, end excluded.
    start: Offset,
    end: Offset,
    records: Vec<answers::Record>,
    records_max: usize,
    bytes: usize,
    bytes_max: usize,
    full: bool,
    newest: Option<Timestamp>,
}

impl Harvest {
    /// Nothing yet; at most so many records and bytes of data and keys, but always one record.
    pub fn new(shard: &Shard, records_max: usize, bytes_max: usize) -> Harvest {
        Harvest {
            shard: shard.id,
            shard_created: shard.created,
            start: shard.start_offset,
            end: shard.end_offset.unwrap_or(Offset(i64::MAX)),
            records: Vec::new(),
            records_max,
            bytes: 0,
            bytes_max,
            full: false,
            newest: None,
        }
    }

    /// Takes nothing from `end` on: the shard has closed there, or is about to.
    pub fn end_at(&mut self, end: Offset) {
        self.end = self.end.min(end);
    }

    /// Takes nothing of a batch, which was aborted. Gives the offset to go on from.
    pub fn pass_over(&self, header: &BatchHeader) -> Offset {
        header.next_offset().min(self.end)
    }

    /// Takes the records of `batch` from `from` on, as many as there is room for. Gives the offset
    /// to go on from.
    pub fn take(&mut self, batch: &Bytes, from: Offset) -> Result<Offset, BatchError> {
        let header = BatchHeader::parse(batch)?;
        let next = self.pass_over(&header);
        if header.attributes.is_control() {
            return Ok(next);
        }
        let unfolded = header.attributes.compression()? != Compression::None;
        for record in batch::records(batch, DECOMPRESSED_BYTES_MAX)? {
            let mut record = record?;
            if record.offset < from || record.offset < self.start {
                continue;
            }
            if record.offset >= self.end {
                return Ok(self.end);
            }
            if unfolded {
                // A slice would keep the whole unfolded batch in memory until the answer is sent.
                record.value = record.value.map(|value| Bytes::copy_from_slice(&value));
            }
            if !self.add(record.offset, record.timestamp, record.key, record.value) {
                self.full = true;
                return Ok(record.offset);
            }
        }
        Ok(next)
    }

    fn add(
        &mut self,
        offset: Offset,
        timestamp: Timestamp,
        key: Option<Bytes>,
        value: Option<Bytes>,
    ) -> bool {
        let partition_key = partition_key::shown(key.as_deref());
        let data = value.unwrap_or_default();
        let bytes = self.bytes + partition_key.len() + data.len();
        let fits = self.records.len() < self.records_max && bytes <= self.bytes_max;
        if !fits && !self.records.is_empty() {
            return false;
        }
        self.bytes = bytes;
        self.newest = Some(timestamp);
        let number =
            SequenceNumber { shard_created: self.shard_created, offset, shard: self.shard };
        self.records.push(answers::Record {
            sequence_number: number.to_string(),
            approximate_arrival_timestamp: Time(timestamp),
            data: Blob(data),
            partition_key,
            encryption_type: NOT_ENCRYPTED,
        });
        true
    }

    /// Whether there was a record that found no room.
    pub fn is_full(&self) -> bool {
        self.full || self.records.len() >= self.records_max
    }

    /// Whether no record was taken.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Data and partition keys of what was taken, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// The time of the last record taken.
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// The records, in order.
    pub fn into_records(self) -> Vec<answers::Record> {
        self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::stream_of;
    use batch::BatchBuilder;

    fn shard(start: i64, end: Option<i64>) -> Shard {
        let mut shard = stream_of("s", 1).shards.remove(0);
        (shard.start_offset, shard.end_offset) = (Offset(start), end.map(Offset));
        shard
    }

    /// A batch of ten records at offsets 100 to 109; record n has key and value n.
    fn ten(compression: Compression) -> Bytes {
        let mut builder = BatchBuilder::new(compression).base_offset(Offset(100));
        for n in 0..10_u8 {
            builder.push(Timestamp(1000 + i64::from(n)), Some(&[b'0' + n]), Some(&[n]), &[]);
        }
        builder.build().unwrap().freeze()
    }

    fn taken(harvest: Harvest) -> Vec<u8> {
        harvest.into_records().iter().map(|record| record.data.0[0]).collect()
    }

    #[test]
    fn an_offset_inside_a_batch_begins_at_the_record_whatever_the_codec() {
        for codec in [
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ] {
            let mut harvest = Harvest::new(&shard(0, None), 100, 1 << 20);
            assert_eq!(harvest.take(&ten(codec), Offset(104)), Ok(Offset(110)), "{codec:?}");
            assert_eq!(taken(harvest), [4, 5, 6, 7, 8, 9]);
        }
    }

    #[test]
    fn the_limit_stops_inside_a_batch_and_says_where_to_go_on() {
        let mut harvest = Harvest::new(&shard(0, None), 3, 1 << 20);
        assert_eq!(harvest.take(&ten(Compression::None), Offset(100)), Ok(Offset(103)));
        assert!(harvest.is_full());
        assert_eq!(taken(harvest), [0, 1, 2]);
    }

    #[test]
    fn the_bytes_stop_it_too_but_never_before_the_first_record() {
        for (bytes_max, count) in [(0, 1), (2, 1), (5, 2), (6, 3)] {
            let mut harvest = Harvest::new(&shard(0, None), 100, bytes_max);
            let next = harvest.take(&ten(Compression::None), Offset(100)).unwrap();
            assert_eq!(next, Offset(100 + count), "{bytes_max}");
            assert_eq!(taken(harvest).len() as i64, count);
        }
    }

    #[test]
    fn no_record_outside_the_shard_is_shown() {
        let mut harvest = Harvest::new(&shard(102, Some(105)), 100, 1 << 20);
        assert_eq!(harvest.take(&ten(Compression::None), Offset(100)), Ok(Offset(105)));
        assert_eq!(taken(harvest), [2, 3, 4]);
    }

    #[test]
    fn a_control_batch_is_passed_over() {
        let mut builder = BatchBuilder::new(Compression::None).base_offset(Offset(7)).control();
        builder.push(Timestamp(1), Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[]);
        let control = builder.build().unwrap().freeze();
        let mut harvest = Harvest::new(&shard(0, None), 100, 1 << 20);
        assert_eq!(harvest.take(&control, Offset(7)), Ok(Offset(8)));
        assert!(harvest.is_empty());
    }

    #[test]
    fn a_kafka_record_without_key_or_value_is_shown() {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(Timestamp(1_795_226_825_211), None, None, &[]);
        let mut harvest = Harvest::new(&shard(0, None), 100, 1 << 20);
        harvest.take(&builder.build().unwrap().freeze(), Offset(0)).unwrap();
        let record = harvest.into_records().remove(0);
        assert_eq!(record.partition_key, "kafka:null");
        assert!(record.data.0.is_empty());
        assert_eq!(record.approximate_arrival_timestamp, Time(Timestamp(1_795_226_825_211)));
    }
}
