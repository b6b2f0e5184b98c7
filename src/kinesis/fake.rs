//! A log in memory, for tests of the operations without cores or files.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use broker::{
    AppendRequest, BrokerError, FetchPartition, Fetched, FoundOffset, NewTopic, OffsetSpec,
};
use bytes::Bytes;
use model::{
    HashKey, HashKeyRange, LeaderEpoch, Offset, PartitionIndex, ShardId, Timestamp, TopicConfig,
    TopicId, TopicName, TopicPartition,
};

use state::shards::Shard;

use crate::log::{Answer, Log, Routes, ShardLook, Stored, StreamKey, StreamView};

/// When the fake's streams are made.
pub const CREATED: Timestamp = Timestamp(1_795_000_000_000);

/// A stream of `shards` uniform shards, made at [`CREATED`].
pub fn stream_of(name: &str, shards: u32) -> StreamView {
    let shard = |index| Shard {
        id: ShardId(index),
        partition: PartitionIndex(index),
        start_offset: Offset(0),
        end_offset: None,
        range: HashKeyRange::uniform(index, shards).unwrap(),
        parents: Vec::new(),
        created: CREATED,
        closed: None,
    };
    StreamView {
        id: TopicId(u128::from(name.len() as u64) << 64 | u128::from(shards)),
        name: TopicName::new(name).unwrap(),
        created: CREATED,
        config: TopicConfig::default(),
        on_demand: false,
        shards: (0..shards).map(shard).collect(),
    }
}

#[derive(Default)]
struct Held {
    streams: BTreeMap<String, StreamView>,
    batches: BTreeMap<(TopicId, PartitionIndex), Vec<Bytes>>,
    log_start: BTreeMap<(TopicId, PartitionIndex), Offset>,
    now_ms: i64,
    failing: Option<BrokerError>,
}

/// The log.
pub struct FakeLog(Mutex<Held>);

impl FakeLog {
    /// An empty one, a minute after [`CREATED`].
    pub fn new() -> FakeLog {
        FakeLog(Mutex::new(Held { now_ms: CREATED.0 + 60_000, ..Held::default() }))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }

    pub fn add(&self, stream: StreamView) {
        self.held().streams.insert(stream.name.to_string(), stream);
    }

    pub fn change(&self, name: &str, change: impl FnOnce(&mut StreamView)) {
        change(self.held().streams.get_mut(name).unwrap());
    }

    pub fn pass_time(&self, ms: i64) {
        self.held().now_ms += ms;
    }

    /// Every append fails with this from now on.
    pub fn fail_appends(&self, error: BrokerError) {
        self.held().failing = Some(error);
    }

    pub fn drop_records_before(&self, name: &str, partition: u32, offset: i64) {
        let mut held = self.held();
        let id = held.streams[name].id;
        held.log_start.insert((id, PartitionIndex(partition)), Offset(offset));
    }

    /// The number of batches that a partition holds.
    pub fn batch_count(&self, name: &str, partition: u32) -> usize {
        let held = self.held();
        let id = held.streams[name].id;
        held.batches.get(&(id, PartitionIndex(partition))).map_or(0, Vec::len)
    }
}

impl Held {
    fn log_end(&self, at: TopicPartition) -> Offset {
        let last = self.batches.get(&(at.topic, at.partition)).and_then(|b| b.last());
        last.map_or(Offset(0), |b| batch::BatchHeader::parse(b).unwrap().next_offset())
    }

    fn find(&self, key: &StreamKey) -> Option<&StreamView> {
        match key {
            StreamKey::Name(name) => self.streams.get(name.as_str()),
            StreamKey::Id(id) => self.streams.values().find(|stream| stream.id == *id),
        }
    }

    fn append(&mut self, request: AppendRequest) -> Answer<Stored> {
        if let Some(error) = &self.failing {
            return Err(error.clone());
        }
        let base_offset = self.log_end(request.topic);
        let mut batch = request.batch;
        batch::set_base_offset(&mut batch, base_offset);
        let id = request.topic.topic;
        let stream = self.find(&StreamKey::Id(id)).unwrap();
        let shard = stream.shards.iter().find(|shard| {
            shard.partition == request.topic.partition
                && shard.start_offset <= base_offset
                && shard.end_offset.is_none_or(|end| base_offset < end)
        });
        let shard = shard.unwrap();
        let stored = Stored { base_offset, shard: shard.id, shard_created: shard.created };
        self.batches.entry((id, request.topic.partition)).or_default().push(batch.freeze());
        Ok(stored)
    }
}

impl Log for FakeLog {
    fn now(&self) -> Timestamp {
        Timestamp(self.held().now_ms)
    }

    async fn stream(&self, key: StreamKey) -> Answer<Option<StreamView>> {
        Ok(self.held().find(&key).cloned())
    }

    async fn streams(
        &self,
        after: Option<String>,
        limit: usize,
        name_chars_max: usize,
    ) -> Answer<Vec<StreamView>> {
        let held = self.held();
        let streams = held.streams.iter().filter(|(name, _)| {
            after.as_ref().is_none_or(|after| *name > after) && name.len() <= name_chars_max
        });
        Ok(streams.map(|(_, stream)| stream.clone()).take(limit).collect())
    }

    async fn shard(&self, topic: TopicId, shard: ShardId) -> Answer<Option<ShardLook>> {
        let held = self.held();
        let Some(stream) = held.find(&StreamKey::Id(topic)) else { return Ok(None) };
        let children = stream.shards.iter().filter(|s| s.parents.contains(&shard)).cloned();
        let shard = stream.shards.iter().find(|s| s.id == shard).cloned();
        Ok(shard.map(|shard| ShardLook {
            stream: stream.name.clone(),
            shard,
            children: children.collect(),
        }))
    }

    async fn route(&self, stream: TopicName, keys: Vec<HashKey>) -> Answer<Option<Routes>> {
        let held = self.held();
        let Some(stream) = held.find(&StreamKey::Name(stream)) else { return Ok(None) };
        let open = |key: &HashKey| {
            let takes = |s: &&Shard| s.end_offset.is_none() && s.range.contains(*key);
            stream.shards.iter().find(takes).unwrap().partition
        };
        Ok(Some(Routes {
            topic: stream.id,
            batch_bytes_max: stream.config.max_message_bytes as usize,
            partitions: keys.iter().map(open).collect(),
        }))
    }

    async fn create(&self, topic: NewTopic) -> Answer<()> {
        let mut held = self.held();
        if held.streams.contains_key(&topic.name) {
            return Err(BrokerError::TopicAlreadyExists(topic.name));
        }
        let mut stream = stream_of(&topic.name, topic.partitions.unwrap());
        stream.id = TopicId(held.streams.len() as u128 + 1);
        for (name, value) in &topic.configs {
            let value = value.as_deref().unwrap();
            match name.as_str() {
                "retention.ms" => stream.config.retention_ms = value.parse().unwrap(),
                "max.message.bytes" => stream.config.max_message_bytes = value.parse().unwrap(),
                crate::STREAM_MODE_CONFIG => stream.on_demand = value == crate::ON_DEMAND,
                other => panic!("{other}"),
            }
        }
        held.streams.insert(topic.name, stream);
        Ok(())
    }

    async fn delete(&self, topic: TopicId) -> Answer<()> {
        let mut held = self.held();
        let before = held.streams.len();
        held.streams.retain(|_, stream| stream.id != topic);
        if held.streams.len() == before { Err(BrokerError::UnknownTopicId) } else { Ok(()) }
    }

    async fn append(&self, batches: Vec<AppendRequest>) -> Answer<Vec<Answer<Stored>>> {
        let mut held = self.held();
        Ok(batches.into_iter().map(|request| held.append(request)).collect())
    }

    async fn fetch(&self, read: FetchPartition) -> Answer<Fetched> {
        let held = self.held();
        let key = (read.topic.topic, read.topic.partition);
        let log_end = held.log_end(read.topic);
        let log_start = held.log_start.get(&key).copied().unwrap_or(Offset(0));
        if read.offset < log_start || read.offset > log_end {
            return Err(BrokerError::OffsetOutOfRange { log_start, log_end });
        }
        let batches = held.batches.get(&key).into_iter().flatten();
        let mut bytes = 0;
        let batches = batches
            .filter(|b| batch::BatchHeader::parse(b).unwrap().next_offset() > read.offset)
            .take_while(|b| {
                let first = bytes == 0;
                bytes += b.len();
                first || bytes <= read.max_bytes
            });
        Ok(Fetched {
            batches: batches.cloned().collect(),
            high_watermark: log_end,
            last_stable: log_end,
            log_start,
            aborted: Vec::new(),
        })
    }

    async fn find_offset(
        &self,
        partition: TopicPartition,
        at: OffsetSpec,
    ) -> Answer<Option<FoundOffset>> {
        let held = self.held();
        let found = |offset, timestamp| {
            Some(FoundOffset { offset, timestamp, leader_epoch: LeaderEpoch(0) })
        };
        let OffsetSpec::Timestamp(at) = at else {
            return Ok(found(held.log_end(partition), Timestamp::NONE));
        };
        let batches = held.batches.get(&(partition.topic, partition.partition));
        let records = batches.into_iter().flatten();
        let mut records = records.flat_map(|b| batch::records(b, 1 << 20).unwrap());
        let record = records.find_map(|r| r.ok().filter(|r| r.timestamp >= at));
        Ok(record.and_then(|r| found(r.offset, r.timestamp)))
    }
}
