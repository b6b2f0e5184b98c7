//! Makes batches of the records of one put.

use std::collections::BTreeMap;

use batch::BatchBuilder;
use bytes::BytesMut;
use model::{Compression, Timestamp};

use crate::{
    limits::BATCH_OVERHEAD_BYTES,
    log::{RoutedShard, Routes},
    put::Incoming,
};

/// What a record takes in a batch besides data and key, at most: its length (4, of records up to
/// 10 MiB), attributes, timestamp's delta (all have one timestamp), offset's delta (2, of 500),
/// lengths of key (2, of 256) and data (4), and no headers.
const RECORD_OVERHEAD_BYTES: usize = 4 + 1 + 1 + 2 + 2 + 4 + 1;

/// A batch for one shard.
#[derive(Debug)]
pub(crate) struct ShardBatch {
    /// The shard.
    pub shard: RoutedShard,
    /// The batch.
    pub bytes: BytesMut,
    /// The places of its records in the request.
    pub members: Vec<usize>,
}

/// The records at `places` as batches: one per shard, or several in order where one would pass the
/// topic's `max.message.bytes`. All records carry the time of arrival, `now`.
pub(crate) fn batches(
    records: &[Incoming],
    places: &[usize],
    routes: &Routes,
    now: Timestamp,
) -> Vec<ShardBatch> {
    let mut by_shard: BTreeMap<RoutedShard, Vec<usize>> = BTreeMap::new();
    for (&place, &shard) in places.iter().zip(&routes.shards) {
        by_shard.entry(shard).or_default().push(place);
    }
    let mut batches = Vec::with_capacity(by_shard.len());
    for (shard, places) in by_shard {
        let taken = |record: &Incoming| record.size_bytes() + RECORD_OVERHEAD_BYTES;
        let mut left_bytes: usize =
            places.iter().filter_map(|place| records.get(*place)).map(taken).sum();
        let mut open = OpenBatch::new(left_bytes.min(routes.batch_bytes_max));
        for place in places {
            let Some(record) = records.get(place) else { continue };
            if open.would_pass(record, routes.batch_bytes_max) {
                let next = OpenBatch::new(left_bytes.min(routes.batch_bytes_max));
                std::mem::replace(&mut open, next).close(shard, &mut batches);
            }
            open.push(place, record, now);
            left_bytes -= taken(record);
        }
        open.close(shard, &mut batches);
    }
    batches
}

struct OpenBatch {
    builder: BatchBuilder,
    members: Vec<usize>,
}

impl OpenBatch {
    fn new(record_bytes: usize) -> OpenBatch {
        let builder = BatchBuilder::with_capacity(Compression::None, record_bytes);
        OpenBatch { builder, members: Vec::new() }
    }

    fn would_pass(&self, record: &Incoming, batch_bytes_max: usize) -> bool {
        let bytes = self.builder.size_bytes() + record.size_bytes() + BATCH_OVERHEAD_BYTES;
        !self.members.is_empty() && bytes > batch_bytes_max
    }

    fn push(&mut self, place: usize, record: &Incoming, now: Timestamp) {
        let key = record.key.as_ref().map(String::as_bytes);
        self.builder.push(now, key, Some(&record.data), &[]);
        self.members.push(place);
    }

    fn close(self, shard: RoutedShard, batches: &mut Vec<ShardBatch>) {
        if self.members.is_empty() {
            return;
        }
        // Building fails only over 2^31 bytes or records; a request has 10 MiB and 500. Were it
        // to fail, these records would have no answer, which the caller reports as a failure.
        if let Ok(bytes) = self.builder.build() {
            batches.push(ShardBatch { shard, bytes, members: self.members });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use model::{HashKey, PartitionIndex, ShardId, TopicId};

    fn record(key: &str, size: usize) -> Incoming {
        Incoming { key: Some(key.into()), data: vec![b'd'; size].into(), hash: HashKey(0) }
    }

    fn shard(number: &u32) -> RoutedShard {
        RoutedShard {
            partition: PartitionIndex(*number),
            id: ShardId(*number),
            created: Timestamp(1),
        }
    }

    fn routes(partitions: &[u32], batch_bytes_max: usize) -> Routes {
        Routes {
            topic: TopicId(1),
            batch_bytes_max,
            spreads_puts: false,
            is_limited: false,
            shards: partitions.iter().map(shard).collect(),
        }
    }

    #[test]
    fn records_of_one_shard_are_one_batch_in_the_order_of_the_request() {
        let records = ["a", "b", "c", "d"].map(|key| record(key, 10));
        let made = batches(&records, &[0, 1, 2, 3], &routes(&[1, 0, 1, 1], 1 << 20), Timestamp(77));
        let members: Vec<_> = made.iter().map(|b| (b.shard.id.0, b.members.clone())).collect();
        assert_eq!(members, [(0, vec![1]), (1, vec![0, 2, 3])]);
        let whole = Bytes::copy_from_slice(&made[1].bytes);
        assert_eq!(batch::check_produced(&whole, 1 << 20).unwrap().header.record_count, 3);
        let read = batch::records(&whole, 1 << 20).unwrap().map(Result::unwrap);
        let read: Vec<_> = read.map(|r| (r.key.unwrap(), r.timestamp.0)).collect();
        assert_eq!(read, [("a".into(), 77), ("c".into(), 77), ("d".into(), 77)]);
    }

    #[test]
    fn a_batch_has_no_more_room_than_it_needs() {
        for (count, size) in [(1, 10), (500, 1024), (7, 300_000), (500, 1)] {
            let records: Vec<_> = (0..count).map(|_| record(&"k".repeat(256), size)).collect();
            let places: Vec<_> = (0..count).collect();
            let made = batches(&records, &places, &routes(&vec![0; count], 10 << 20), Timestamp(1));
            for ShardBatch { bytes, .. } in made {
                let spare = bytes.capacity() - bytes.len();
                assert!(spare <= count * RECORD_OVERHEAD_BYTES, "{count} x {size}: {spare}");
            }
        }
    }

    #[test]
    fn a_batch_over_the_topics_maximum_is_made_as_several_in_order() {
        let records: Vec<_> = (0..10).map(|_| record("k", 300)).collect();
        let made =
            batches(&records, &(0..10).collect::<Vec<_>>(), &routes(&[0; 10], 1000), Timestamp(1));
        assert!(made.iter().all(|batch| batch.bytes.len() <= 1000));
        let places: Vec<usize> = made.iter().flat_map(|batch| batch.members.clone()).collect();
        assert_eq!(places, (0..10).collect::<Vec<_>>());
        assert!(made.len() > 1 && made.len() < 10, "{}", made.len());
    }
}
