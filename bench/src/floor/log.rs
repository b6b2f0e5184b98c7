//! Topics in memory.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use anyhow::{Context, anyhow};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// All topics. A lock for everything: little is done under it.
#[derive(Default)]
pub struct Log {
    topics: Mutex<HashMap<String, Vec<Partition>>>,
    grown: Condvar,
}

/// One partition: its batches, each with the offset of its first record and the one behind its last.
#[derive(Default)]
pub struct Partition {
    batches: Vec<(i64, i64, Bytes)>,
}

/// What a reader asks of one partition.
pub struct Question {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: usize,
    /// From this offset on.
    pub offset: i64,
    /// So many bytes, or one batch.
    pub most_bytes: usize,
}

/// What it gets: the batches, and the partition's end. `None`: there is no such partition.
pub type Found = Option<(Bytes, i64)>;

// The places of fields in a record batch: https://kafka.apache.org/documentation/#recordbatch
const BASE_OFFSET_BYTES: usize = 8;
const LAST_OFFSET_DELTA_AT: usize = 23;

impl Partition {
    fn end(&self) -> i64 {
        self.batches.last().map_or(0, |(_, next, _)| *next)
    }

    fn read(&self, offset: i64, most_bytes: usize) -> Bytes {
        let first = self.batches.partition_point(|(_, next, _)| *next <= offset);
        let mut found = BytesMut::new();
        for (base, _, batch) in self.batches.iter().skip(first) {
            if !found.is_empty() && found.len() + batch.len() > most_bytes {
                break;
            }
            found.put_i64(*base);
            found.extend_from_slice(batch.get(BASE_OFFSET_BYTES..).unwrap_or_default());
        }
        found.freeze()
    }
}

impl Log {
    fn topics(&self) -> anyhow::Result<MutexGuard<'_, HashMap<String, Vec<Partition>>>> {
        self.topics.lock().map_err(|_| anyhow!("a thread panicked"))
    }

    /// Makes the topic if it is missing, and gives it at least so many partitions.
    pub fn create(&self, topic: &str, partitions: usize) -> anyhow::Result<()> {
        const MOST_PARTITIONS: usize = 100_000;
        anyhow::ensure!(partitions <= MOST_PARTITIONS, "{partitions} partitions");
        let mut topics = self.topics()?;
        let topic = topics.entry(topic.to_owned()).or_default();
        topic.resize_with(partitions.max(topic.len()), Partition::default);
        Ok(())
    }

    /// Forgets the topic.
    pub fn delete(&self, topic: &str) -> anyhow::Result<()> {
        self.topics()?.remove(topic);
        Ok(())
    }

    /// The topics' names and their partitions' number.
    pub fn sizes(&self) -> anyhow::Result<Vec<(String, usize)>> {
        Ok(self
            .topics()?
            .iter()
            .map(|(name, partitions)| (name.clone(), partitions.len()))
            .collect())
    }

    /// The end of a partition.
    pub fn end(&self, topic: &str, partition: usize) -> anyhow::Result<Option<i64>> {
        let topics = self.topics()?;
        Ok(topics.get(topic).and_then(|topic| topic.get(partition)).map(Partition::end))
    }

    /// Takes one batch. Returns the offset of its first record.
    pub fn append(
        &self,
        topic: &str,
        partition: usize,
        batch: Bytes,
    ) -> anyhow::Result<Option<i64>> {
        let mut delta = batch.get(LAST_OFFSET_DELTA_AT..).context("a batch without a header")?;
        let delta = delta.try_get_i32().context("a batch without a header")?;
        let mut topics = self.topics()?;
        let Some(partition) = topics.get_mut(topic).and_then(|topic| topic.get_mut(partition))
        else {
            return Ok(None);
        };
        let base = partition.end();
        partition.batches.push((base, base + i64::from(delta) + 1, batch));
        drop(topics);
        self.grown.notify_all();
        Ok(Some(base))
    }

    /// Answers all questions, when there is anything to tell or `deadline` is past.
    pub fn read(
        &self,
        questions: &[Question],
        most_bytes: usize,
        deadline: Instant,
    ) -> anyhow::Result<Vec<Found>> {
        let mut topics = self.topics()?;
        loop {
            let mut left = most_bytes;
            let found: Vec<Found> = questions
                .iter()
                .map(|question| {
                    let partition = topics.get(&question.topic)?.get(question.partition)?;
                    let records = match left {
                        0 => Bytes::new(),
                        _ => partition.read(question.offset, question.most_bytes.min(left)),
                    };
                    left = left.saturating_sub(records.len());
                    Some((records, partition.end()))
                })
                .collect();
            let nothing = found.iter().flatten().all(|(records, _)| records.is_empty());
            let patience = deadline.saturating_duration_since(Instant::now());
            if !nothing || patience.is_zero() || found.iter().any(Option::is_none) {
                return Ok(found);
            }
            topics = self
                .grown
                .wait_timeout(topics, patience)
                .map_err(|_| anyhow!("a thread panicked"))?
                .0;
        }
    }
}
