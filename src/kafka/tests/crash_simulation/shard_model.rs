//! What the writers and readers of one stream were told, and what may never be: a record in two
//! shards or in none, in a shard that has not its hash key, behind a shard's end, or out of the
//! order of its key. It knows nothing of how a broker works.

use std::collections::BTreeMap;

use crate::shard_lineage::Lineage;
use model::{HashKey, Offset, PartitionIndex, SequenceNumber, ShardId};

/// A record that was sent. Its number is its place in the order of sending.
#[derive(Debug)]
struct Sent {
    key: String,
    /// What a put is routed by; `None` for a Kafka producer's, which chose the partition itself.
    hash: Option<HashKey>,
    /// How many shards every core knew when it was sent.
    shards: usize,
    refused: bool,
    acknowledged: bool,
    /// Where a Kafka producer was told that it is.
    told: Option<(PartitionIndex, i64)>,
    /// Where a put was told that it is, or a reader has seen it.
    place: Option<(ShardId, i64)>,
}

/// A record as a reader of a shard found it.
#[derive(Debug, Clone)]
pub struct Found {
    pub sequence: SequenceNumber,
    pub key: String,
    pub number: usize,
}

/// Everything that was found in one pass over a stream.
#[derive(Debug, Default)]
pub struct WholeStream {
    /// The records of each shard, read from its first to its last.
    pub shards: BTreeMap<ShardId, Vec<Found>>,
    /// The offsets and numbers of each partition, read before, as Kafka's consumers read them.
    pub partitions: BTreeMap<PartitionIndex, Vec<(i64, usize)>>,
}

/// One stream.
#[derive(Debug, Default)]
pub struct ShardModel {
    pub lineage: Lineage,
    sent: Vec<Sent>,
    /// Which record an offset of a shard holds.
    places: BTreeMap<(ShardId, i64), usize>,
    /// Closed shards that were read to their end, and how many records they have.
    finished: BTreeMap<ShardId, usize>,
    /// Records acknowledged, for the run's summary.
    pub acknowledged: u64,
}

impl ShardModel {
    /// A new record is about to be sent: its number.
    pub fn send(&mut self, key: &str, hash: Option<HashKey>) -> usize {
        self.sent.push(Sent {
            key: key.to_owned(),
            hash,
            shards: self.lineage.confirmed(),
            refused: false,
            acknowledged: false,
            told: None,
            place: None,
        });
        self.sent.len() - 1
    }

    /// How many records were sent.
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// The record was refused: it may never be found.
    pub fn refuse(&mut self, number: usize) {
        self.sent[number].refused = true;
    }

    /// A put was acknowledged.
    pub fn acknowledge_put(&mut self, number: usize, sequence: SequenceNumber) {
        let (id, before) = (sequence.shard, self.sent[number].shards);
        let closed = self.lineage.shard_when(before, id).filter(|shard| !shard.is_open());
        assert!(closed.is_none(), "record {number} was sent when {id} was closed, and is in it");
        self.place(number, sequence);
        self.promise(number);
    }

    /// A Kafka producer's record was acknowledged.
    pub fn acknowledge(&mut self, number: usize, partition: PartitionIndex, offset: i64) {
        self.sent[number].told = Some((partition, offset));
        self.promise(number);
    }

    fn promise(&mut self, number: usize) {
        self.sent[number].acknowledged = true;
        self.acknowledged += 1;
    }

    /// A reader of a shard was given a record.
    pub fn see(&mut self, found: &Found) {
        let number = found.number;
        let sent = self.sent.get(number).unwrap_or_else(|| panic!("nobody sent record {number}"));
        assert_eq!(sent.key, found.key, "the key of record {number}");
        assert!(!sent.refused, "record {number} was refused, and is there: {found:?}");
        self.place(number, found.sequence);
        let SequenceNumber { shard, offset, .. } = found.sequence;
        if let Some(shard) = self.lineage.newest().get(shard.0 as usize) {
            let (told, is) = (self.sent[number].told, (shard.partition, offset.0));
            let same = told.is_none_or(|told| told == is);
            assert!(same, "record {number} was acknowledged at {told:?} and is at {is:?}");
        }
    }

    /// Takes note of where a record is.
    fn place(&mut self, number: usize, sequence: SequenceNumber) {
        let SequenceNumber { shard: id, offset, shard_created } = sequence;
        // Who wrote or read may have been told of a shard before anybody who looks at the shards.
        if let Some(shard) = self.lineage.newest().get(id.0 as usize) {
            assert_eq!(shard.created, shard_created, "the sequence number of record {number}");
            let within = shard.contains(offset);
            assert!(within, "record {number} at offset {offset} is outside of {shard:?}");
            let hash = self.sent[number].hash;
            let routed = hash.is_none_or(|hash| shard.range.contains(hash));
            assert!(routed, "record {number} of hash key {hash:?} is in {shard:?}");
        }
        let place = (id, offset.0);
        let before = *self.sent[number].place.get_or_insert(place);
        assert!(before == place, "record {number} is in two places: {before:?} and {place:?}");
        if let Some(other) = self.places.insert(place, number) {
            assert!(other == number, "{place:?} held record {other}, and now {number}");
        } else {
            let finished = self.finished.get(&id);
            assert!(finished.is_none(), "{id} was at its end, and has taken record {number}");
        }
    }

    /// A reader has read a closed shard from its first record to its last, so many.
    pub fn finish(&mut self, id: ShardId, records: usize) {
        let before = *self.finished.entry(id).or_insert(records);
        assert_eq!(before, records, "records of {id}, which is closed");
    }

    /// What must be found from now on.
    pub fn promises(&self) -> Vec<usize> {
        (0..self.sent.len()).filter(|number| self.sent[*number].acknowledged).collect()
    }

    /// Holds one pass over the whole stream against what was promised before it began.
    pub fn audit(&mut self, promises: &[usize], found: &WholeStream) {
        // A parent's number is below its children's, so this is parents before children.
        let mut last_of_key: BTreeMap<&str, usize> = BTreeMap::new();
        let mut in_shards: BTreeMap<usize, (ShardId, i64)> = BTreeMap::new();
        for (id, records) in &found.shards {
            for record in records {
                let (number, place) = (record.number, (*id, record.sequence.offset.0));
                if let Some(other) = in_shards.insert(number, place) {
                    panic!("record {number} is there twice: at {other:?} and {place:?}");
                }
                let last = last_of_key.insert(&record.key, number);
                assert!(
                    last.is_none_or(|last| last < number),
                    "key {}: record {number} at {place:?} comes after {last:?}",
                    record.key
                );
            }
        }
        for number in promises {
            let sent = &self.sent[*number];
            let there = in_shards.contains_key(number);
            assert!(there, "record {number} was acknowledged and is in no shard: {sent:?}");
        }
        for (partition, records) in &found.partitions {
            for (offset, number) in records {
                let shard = self.lineage.containing(*partition, Offset(*offset));
                let is = shard.map(|shard| (shard.id, *offset));
                let place = in_shards.get(number).copied();
                assert!(
                    is.is_some() && is == place,
                    "record {number}, at offset {offset} of {partition:?}, is in {is:?}; shards: {place:?}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use state::shards::{ReshardStep, Shards};

    use super::*;
    use crate::shard_lineage::Asked;

    const MIDDLE: u128 = 1 << 127;
    const LOW: Option<HashKey> = Some(HashKey(3));
    const HIGH: Option<HashKey> = Some(HashKey(MIDDLE + 3));

    /// A stream of one shard with one acknowledged record of each of two keys, which was then split.
    fn split_stream() -> ShardModel {
        let one = Shards::uniform(1, Timestamp(1));
        let lineage = Lineage::new(one.all().to_vec());
        let mut model = ShardModel { lineage, ..ShardModel::default() };
        for (key, hash, offset) in [("low", LOW, 0), ("high", HIGH, 1)] {
            let number = model.send(key, hash);
            model.acknowledge_put(number, at(0, 1, offset));
        }
        let (shard, middle) = (ShardId(0), HashKey(MIDDLE));
        model.lineage.ask(Asked::Split { shard, at: middle });
        let steps = [ReshardStep::Split { shard, at: middle }];
        let ends = |_| Some(Offset(2));
        let three = one.resharded(&steps, PartitionIndex(1), Timestamp(9), ends).unwrap();
        model.lineage.see(1, three.all());
        model.lineage.confirm(1);
        model.lineage.see(model.lineage.confirmed(), three.all());
        model
    }

    fn at(shard: u32, created: i64, offset: i64) -> SequenceNumber {
        SequenceNumber {
            shard_created: Timestamp(created),
            offset: Offset(offset),
            shard: ShardId(shard),
        }
    }

    fn found(shard: u32, offset: i64, key: &str, number: usize) -> Found {
        let created = if shard == 0 { 1 } else { 9 };
        Found { sequence: at(shard, created, offset), key: key.to_owned(), number }
    }

    /// What a reader finds if one more record of each key was put after the split.
    fn whole() -> WholeStream {
        let shards = [
            (ShardId(0), vec![found(0, 0, "low", 0), found(0, 1, "high", 1)]),
            (ShardId(1), vec![found(1, 2, "low", 2)]),
            (ShardId(2), vec![found(2, 0, "high", 3)]),
        ];
        let partitions =
            [(PartitionIndex(0), vec![(0, 0), (1, 1), (2, 2)]), (PartitionIndex(1), vec![(0, 3)])];
        WholeStream { shards: shards.into(), partitions: partitions.into() }
    }

    fn put_stream() -> ShardModel {
        let mut model = split_stream();
        for (key, hash, shard, offset) in [("low", LOW, 1, 2), ("high", HIGH, 2, 0)] {
            let number = model.send(key, hash);
            model.acknowledge_put(number, at(shard, 9, offset));
        }
        model
    }

    #[test]
    fn what_is_right_is_not_complained_of() {
        let mut model = put_stream();
        let (whole, promises) = (whole(), model.promises());
        assert_eq!(promises, [0, 1, 2, 3]);
        whole.shards.values().flatten().for_each(|record| model.see(record));
        model.finish(ShardId(0), 2);
        model.finish(ShardId(0), 2);
        model.audit(&promises, &whole);
        // A Kafka producer's, whose key says nothing of the shard.
        let number = model.send("kafka", None);
        model.acknowledge(number, PartitionIndex(1), 1);
        model.see(&found(2, 1, "kafka", number));
        assert_eq!(model.acknowledged, 5);
    }

    #[test]
    #[should_panic(expected = "is in no shard")]
    fn a_lost_record_is_noticed() {
        let (mut model, mut whole) = (put_stream(), whole());
        whole.shards.get_mut(&ShardId(2)).unwrap().clear();
        whole.partitions.clear();
        model.audit(&model.promises(), &whole);
    }

    #[test]
    #[should_panic(expected = "is there twice")]
    fn a_record_in_two_shards_is_noticed() {
        let (mut model, mut whole) = (put_stream(), whole());
        whole.shards.get_mut(&ShardId(2)).unwrap().push(found(2, 1, "high", 1));
        model.audit(&model.promises(), &whole);
    }

    #[test]
    #[should_panic(expected = "is in two places")]
    fn a_record_that_was_seen_elsewhere_is_noticed() {
        let mut model = put_stream();
        model.see(&found(2, 1, "high", 3));
    }

    #[test]
    #[should_panic(expected = "held record 2, and now 4")]
    fn an_offset_that_changes_is_noticed() {
        let mut model = put_stream();
        model.send("low", LOW);
        model.see(&found(1, 2, "low", 4));
    }

    #[test]
    #[should_panic(expected = "comes after Some(2)")]
    fn a_key_out_of_order_from_parent_to_child_is_noticed() {
        let (mut model, mut whole) = (put_stream(), whole());
        // The newer one in the parent, the older one in the child.
        whole.shards.insert(ShardId(0), vec![found(0, 0, "low", 2)]);
        whole.shards.insert(ShardId(1), vec![found(1, 2, "low", 0)]);
        model.audit(&model.promises(), &whole);
    }

    #[test]
    #[should_panic(expected = "is outside of")]
    fn a_record_behind_its_shards_end_is_noticed() {
        let mut model = split_stream();
        model.send("low", LOW);
        model.see(&found(0, 2, "low", 2));
    }

    #[test]
    #[should_panic(expected = "and has taken record 2")]
    fn a_record_more_in_a_shard_that_was_read_to_its_end_is_noticed() {
        let mut model = split_stream();
        model.finish(ShardId(0), 1);
        model.places.remove(&(ShardId(0), 1));
        model.send("low", LOW);
        model.see(&found(0, 1, "low", 2));
    }

    #[test]
    #[should_panic(expected = "records of shardId-000000000000, which is closed")]
    fn a_closed_shard_that_shrinks_is_noticed() {
        let mut model = split_stream();
        model.finish(ShardId(0), 2);
        model.finish(ShardId(0), 1);
    }

    #[test]
    #[should_panic(expected = "was sent when shardId-000000000000 was closed")]
    fn a_put_that_a_closed_shard_takes_is_noticed() {
        let mut model = split_stream();
        let number = model.send("low", LOW);
        model.acknowledge_put(number, at(0, 1, 1));
    }

    #[test]
    #[should_panic(expected = "of hash key")]
    fn a_record_in_a_shard_of_other_keys_is_noticed() {
        let mut model = split_stream();
        let number = model.send("low", LOW);
        model.acknowledge_put(number, at(2, 9, 0));
    }

    #[test]
    #[should_panic(expected = "the sequence number of record 2")]
    fn a_sequence_number_of_another_shard_is_noticed() {
        let mut model = split_stream();
        let number = model.send("low", LOW);
        model.acknowledge_put(number, at(1, 8, 2));
    }

    #[test]
    #[should_panic(expected = "was refused, and is there")]
    fn a_refused_record_that_is_there_is_noticed() {
        let mut model = split_stream();
        let number = model.send("low", None);
        model.refuse(number);
        model.see(&found(1, 2, "low", number));
    }

    #[test]
    #[should_panic(expected = "was acknowledged at Some")]
    fn a_record_elsewhere_than_acknowledged_is_noticed() {
        let mut model = split_stream();
        let number = model.send("kafka", None);
        model.acknowledge(number, PartitionIndex(1), 4);
        model.see(&found(1, 2, "kafka", number));
    }

    #[test]
    #[should_panic(expected = "is in None")]
    fn a_record_of_a_partition_that_is_in_no_shard_is_noticed() {
        let (mut model, mut whole) = (put_stream(), whole());
        model.send("kafka", None);
        // As behind a merge's seal.
        whole.partitions.insert(PartitionIndex(7), vec![(0, 4)]);
        model.audit(&model.promises(), &whole);
    }

    #[test]
    #[should_panic(expected = "shards: None")]
    fn a_record_that_only_kafka_shows_is_noticed() {
        let (mut model, mut whole) = (put_stream(), whole());
        model.send("kafka", None);
        whole.partitions.get_mut(&PartitionIndex(1)).unwrap().push((1, 4));
        model.audit(&model.promises(), &whole);
    }
}
