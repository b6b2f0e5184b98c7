//! The plain model: what was sent, what was acknowledged, what was seen. It knows nothing of how a
//! broker works, only what it may never do.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

/// A batch's bytes from here on (its CRC and what that covers) must come back as they were sent.
const UNPATCHED_FROM: usize = 17;

/// A batch that a producer made.
pub struct Sent {
    /// What readers must find: the batch from its CRC on.
    content: Bytes,
    records: i64,
    /// `None` for a producer without idempotence; else the producer, and the batch's place in its order.
    order: Option<(i64, u64)>,
    /// How often it was sent.
    attempts: usize,
    acknowledged: bool,
    /// Where it was acknowledged at or seen.
    places: Vec<i64>,
}

/// One partition.
#[derive(Default)]
pub struct PartitionModel {
    batches: Vec<Sent>,
    by_content: BTreeMap<Bytes, usize>,
    places: BTreeMap<i64, usize>,
    /// How and when each place became known, for the message of a failure.
    history: BTreeMap<i64, (&'static str, runtime::Instant)>,
    /// The highest high watermark that anybody was told.
    pub high_watermark: i64,
    /// The highest first offset that anybody was told.
    pub log_start: i64,
    /// The highest offset up to which anybody asked to delete.
    pub delete_asked: i64,
}

/// What must hold from some moment on.
pub struct Promise {
    high_watermark: i64,
    log_start: i64,
    places: Vec<(i64, usize)>,
}

/// A batch as a reader found it.
pub struct Found {
    /// The offset of its first record.
    pub base_offset: i64,
    /// The whole batch.
    pub bytes: Bytes,
    /// The offset after its last record.
    pub next_offset: i64,
}

/// One topic, by its id: a topic made again under the same name is another one.
pub struct TopicModel {
    pub name: String,
    pub id: Uuid,
    pub partitions: Vec<PartitionModel>,
    /// Whether the broker may drop old records by itself.
    pub expires: bool,
    pub deletion_asked: bool,
    pub deleted: bool,
}

/// Everything.
#[derive(Default)]
pub struct Model {
    pub topics: Vec<TopicModel>,
    /// Batches acknowledged, for the run's summary.
    pub acknowledged: u64,
    /// Bytes of all batches made: the model and the simulated disk keep them in memory.
    pub made_bytes: usize,
}

impl Model {
    pub fn add_topic(&mut self, name: &str, id: Uuid, partitions: usize, expires: bool) -> usize {
        self.topics.push(TopicModel {
            name: name.to_owned(),
            id,
            partitions: (0..partitions).map(|_| PartitionModel::default()).collect(),
            expires,
            deletion_asked: false,
            deleted: false,
        });
        self.topics.len() - 1
    }

    pub fn partition(&mut self, topic: usize, partition: usize) -> &mut PartitionModel {
        &mut self.topics[topic].partitions[partition]
    }
}

impl PartitionModel {
    /// Takes note of a new batch, before it is sent.
    pub fn add(&mut self, batch: &Bytes, records: i64, order: Option<(i64, u64)>) -> usize {
        let content = batch.slice(UNPATCHED_FROM..);
        let id = self.batches.len();
        let twin = self.by_content.insert(content.clone(), id);
        assert!(twin.is_none(), "the workload made the same batch twice");
        self.batches.push(Sent {
            content,
            records,
            order,
            attempts: 0,
            acknowledged: false,
            places: Vec::new(),
        });
        id
    }

    pub fn sending(&mut self, id: usize) {
        self.batches[id].attempts += 1;
    }

    /// The broker said that the batch is safe at this offset.
    pub fn acknowledge(&mut self, id: usize, base_offset: i64, told_log_start: i64) {
        assert!(base_offset >= 0, "acknowledged without an offset");
        self.place(id, base_offset, "acknowledged");
        self.batches[id].acknowledged = true;
        self.log_start = self.log_start.max(told_log_start);
    }

    fn place(&mut self, id: usize, base_offset: i64, how: &'static str) {
        if let Some(other) = self.places.get(&base_offset).copied() {
            let (Sent { order: old, .. }, Sent { order: new, .. }) =
                (&self.batches[other], &self.batches[id]);
            assert!(
                other == id,
                "offset {base_offset} held batch {other} {old:?} ({:?}); now batch {id} {new:?} is {how}",
                self.history.get(&base_offset)
            );
            return;
        }
        self.places.insert(base_offset, id);
        self.history.insert(base_offset, (how, runtime::now()));
        let sent = &mut self.batches[id];
        sent.places.push(base_offset);
        let places_max = if sent.order.is_some() { 1 } else { sent.attempts };
        assert!(
            sent.places.len() <= places_max,
            "batch {id}, sent {} times, {how}, is doubled or moved: it is at {:?}",
            sent.attempts,
            sent.places
        );
    }

    /// A reader was given this batch, below this high watermark. Says which batch it is.
    pub fn see(&mut self, found: &Found, high_watermark: i64) -> usize {
        let Found { base_offset, bytes, next_offset } = found;
        assert!(
            *next_offset <= high_watermark,
            "offsets {base_offset}..{next_offset} served above the high watermark {high_watermark}"
        );
        let Some(id) = self.by_content.get(&bytes[UNPATCHED_FROM..]).copied() else {
            panic!("the batch at offset {base_offset} ({} bytes) was never sent", bytes.len());
        };
        assert_eq!(base_offset + self.batches[id].records, *next_offset, "offsets are dense");
        self.place(id, *base_offset, "read");
        self.high_watermark = self.high_watermark.max(high_watermark);
        id
    }

    /// Takes note of the ends that the broker told; they never go back.
    pub fn see_ends(&mut self, log_start: i64, high_watermark: i64) {
        assert!(log_start <= high_watermark, "log start {log_start} above {high_watermark}");
        self.log_start = self.log_start.max(log_start);
        self.high_watermark = self.high_watermark.max(high_watermark);
    }

    /// What the broker has promised until now.
    pub fn promise(&self) -> Promise {
        Promise {
            high_watermark: self.high_watermark,
            log_start: self.log_start,
            places: self.places.iter().map(|(base_offset, id)| (*base_offset, *id)).collect(),
        }
    }

    /// Compares the whole partition as read with what had been promised before the reading began.
    pub fn audit(
        &mut self,
        promise: &Promise,
        expires: bool,
        log_start: i64,
        high_watermark: i64,
        found: &[Found],
    ) {
        assert!(
            log_start >= promise.log_start,
            "the log start went back from {} to {log_start}",
            promise.log_start
        );
        assert!(
            high_watermark >= promise.high_watermark,
            "the high watermark went back from {} to {high_watermark}",
            promise.high_watermark
        );
        assert!(
            expires || log_start <= self.delete_asked,
            "log start {log_start}, but only {} was asked to be deleted",
            self.delete_asked
        );
        let mut expected = log_start;
        let mut orders: BTreeMap<i64, u64> = BTreeMap::new();
        for batch in found {
            let starts_right = if expected == log_start {
                batch.base_offset <= log_start && log_start < batch.next_offset
            } else {
                batch.base_offset == expected
            };
            assert!(starts_right, "a gap: {} instead of {expected}", batch.base_offset);
            expected = batch.next_offset;
            let id = self.see(batch, high_watermark);
            if let Some((producer, order)) = self.batches[id].order
                && let Some(before) = orders.insert(producer, order)
            {
                assert!(before < order, "producer {producer}: batch {order} behind {before}");
            }
        }
        assert_eq!(expected, high_watermark, "the partition ends before its high watermark");
        let bases: Vec<i64> = found.iter().map(|batch| batch.base_offset).collect();
        for (base_offset, id) in &promise.places {
            let sent = &self.batches[*id];
            let deleted = base_offset + sent.records <= log_start;
            let how = if sent.acknowledged { "acknowledged" } else { "once readable" };
            assert!(
                deleted || bases.binary_search(base_offset).is_ok(),
                "batch {id} ({} bytes), {how} at offset {base_offset}, is lost",
                sent.content.len()
            );
        }
        self.see_ends(log_start, high_watermark);
    }
}
