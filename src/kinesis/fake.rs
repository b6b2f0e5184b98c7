//! A log in memory, for tests of the operations without cores or files.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use broker::{
    AppendRequest, BrokerError, ConfigChange, FetchPartition, Fetched, FoundOffset, NewTopic,
    OffsetSpec, Resharding,
};
use bytes::Bytes;
use model::{
    HashKey, HashKeyRange, LeaderEpoch, Offset, PartitionIndex, ShardId, Timestamp, TopicConfig,
    TopicId, TopicName, TopicPartition,
};

use state::{
    catalog::{AccountSettings, StreamChange, StreamProperties},
    shards::{Shard, Shards},
};

use tokio::sync::Notify;

use crate::log::{
    AccountView, Answer, Followed, Log, RoutedShard, Routes, ShardLook, ShardRead, Standing,
    StreamKey, StreamView,
};

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
        is_limited: false,
        properties: StreamProperties::default(),
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
    /// What every change of shards is refused with.
    refused: Option<BrokerError>,
    is_stopping: bool,
    account: AccountSettings,
    /// The shards of a stream after its next put was routed: it is split under the put.
    split_after_route: Option<(String, Resharding)>,
    /// So many puts are routed before the broker stops.
    routes_left: Option<usize>,
}

/// The log.
pub struct FakeLog {
    held: Mutex<Held>,
    /// Told of everything that a subscription could wait for.
    changed: Notify,
}

impl FakeLog {
    /// An empty one, a minute after [`CREATED`].
    pub fn new() -> FakeLog {
        let held = Held { now_ms: CREATED.0 + 60_000, ..Held::default() };
        FakeLog { held: Mutex::new(held), changed: Notify::new() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    /// What a Kafka producer writes.
    pub fn produce(&self, request: AppendRequest) {
        self.held().store(request);
        self.changed.notify_waiters();
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

    /// Every change of shards is refused with this from now on.
    pub fn refuse_reshards(&self, error: BrokerError) {
        self.held().refused = Some(error);
    }

    /// From now on the broker does nothing more.
    pub fn stop(&self) {
        self.held().is_stopping = true;
    }

    pub fn drop_records_before(&self, name: &str, partition: u32, offset: i64) {
        let mut held = self.held();
        let id = held.streams[name].id;
        held.log_start.insert((id, PartitionIndex(partition)), Offset(offset));
    }

    /// The stream's shards change once the next put is routed, before it is appended.
    pub fn reshard_after_route(&self, name: &str, resharding: Resharding) {
        self.held().split_after_route = Some((name.to_owned(), resharding));
    }

    /// The broker stops once the next put is routed: no other is.
    pub fn stop_after_route(&self) {
        self.held().routes_left = Some(1);
    }

    /// The number of batches that a partition holds.
    pub fn batch_count(&self, name: &str, partition: u32) -> usize {
        let held = self.held();
        let id = held.streams[name].id;
        held.batches.get(&(id, PartitionIndex(partition))).map_or(0, Vec::len)
    }
}

impl Held {
    fn check_not_stopping(&self) -> Answer<()> {
        if self.is_stopping { Err(BrokerError::Stopping) } else { Ok(()) }
    }

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

    fn standing(&self, followed: &Followed) -> Standing {
        let stream = self.find(&StreamKey::Id(followed.partition.topic));
        let Some(stream) = stream else { return Standing::NoStream };
        let consumer = stream.properties.consumers.get(&followed.consumer);
        if consumer.is_none_or(|consumer| consumer.created != followed.consumer_created) {
            return Standing::NoConsumer;
        }
        let shard = stream.shards.iter().find(|shard| shard.id == followed.shard).unwrap();
        let children = stream.shards.iter().filter(|s| s.parents.contains(&shard.id)).cloned();
        match shard.end_offset {
            None => Standing::Open,
            Some(end) => Standing::Closed { end, children: children.collect() },
        }
    }

    fn append(&mut self, request: AppendRequest, shard: ShardId) -> Answer<Offset> {
        if let Some(error) = &self.failing {
            return Err(error.clone());
        }
        let id = request.topic.topic;
        let stream = self.find(&StreamKey::Id(id)).ok_or(BrokerError::UnknownTopicId)?;
        let found = stream.shards.iter().find(|s| s.id == shard);
        if !found.is_some_and(|s| s.is_open() && s.partition == request.topic.partition) {
            return Err(BrokerError::ShardMoved);
        }
        Ok(self.store(request))
    }

    fn store(&mut self, request: AppendRequest) -> Offset {
        let base_offset = self.log_end(request.topic);
        let mut batch = request.batch;
        batch::set_base_offset(&mut batch, base_offset);
        let key = (request.topic.topic, request.topic.partition);
        self.batches.entry(key).or_default().push(batch.freeze());
        base_offset
    }

    fn reshard(&mut self, id: TopicId, resharding: Resharding) -> Answer<()> {
        let stream = self.find(&StreamKey::Id(id)).ok_or(BrokerError::UnknownTopicId)?;
        let shards = Shards::from_all(stream.shards.clone());
        let steps = match resharding {
            Resharding::Steps(steps) => steps,
            Resharding::Uniform(target) => shards.uniform_steps(target)?,
        };
        let next = stream.shards.iter().map(|shard| shard.partition.0 + 1).max().unwrap_or(0);
        let end_of = |partition| Some(self.log_end(TopicPartition { topic: id, partition }));
        let at = Timestamp(self.now_ms);
        let shards = shards.resharded(&steps, PartitionIndex(next), at, end_of)?;
        let stream = self.streams.values_mut().find(|stream| stream.id == id).unwrap();
        stream.shards = shards.all().to_vec();
        Ok(())
    }
}

fn set(stream: &mut StreamView, name: &str, value: &str) {
    match name {
        "retention.ms" => stream.config.retention_ms = value.parse().unwrap(),
        "max.message.bytes" => stream.config.max_message_bytes = value.parse().unwrap(),
        crate::STREAM_MODE_CONFIG => stream.on_demand = value == crate::ON_DEMAND,
        other => panic!("{other}"),
    }
}

impl Log for FakeLog {
    fn now(&self) -> Timestamp {
        Timestamp(self.held().now_ms)
    }

    async fn stream(&self, key: StreamKey) -> Answer<Option<StreamView>> {
        let held = self.held();
        held.check_not_stopping()?;
        Ok(held.find(&key).cloned())
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
        held.check_not_stopping()?;
        let Some(stream) = held.find(&StreamKey::Id(topic)) else { return Ok(None) };
        let children = stream.shards.iter().filter(|s| s.parents.contains(&shard)).cloned();
        let shard = stream.shards.iter().find(|s| s.id == shard).cloned();
        Ok(shard.map(|shard| ShardLook {
            stream: stream.name.clone(),
            shard,
            children: children.collect(),
            is_limited: stream.is_limited,
        }))
    }

    async fn route(&self, stream: TopicName, keys: Vec<HashKey>) -> Answer<Option<Routes>> {
        let mut held = self.held();
        if let Some(left) = held.routes_left {
            held.routes_left = Some(left.checked_sub(1).ok_or(BrokerError::Stopping)?);
        }
        held.check_not_stopping()?;
        let Some(stream) = held.find(&StreamKey::Name(stream)) else { return Ok(None) };
        let spreads_puts = stream.properties.spreads_puts;
        let open: Vec<&Shard> = stream.open_shards().collect();
        let shard = |(place, key): (usize, &HashKey)| {
            let routed = open.iter().find(|shard| shard.range.contains(*key)).unwrap();
            let shard = if spreads_puts { open[place % open.len()] } else { routed };
            RoutedShard { partition: shard.partition, id: shard.id, created: shard.created }
        };
        let routes = Routes {
            topic: stream.id,
            batch_bytes_max: stream.config.max_message_bytes as usize,
            spreads_puts,
            is_limited: stream.is_limited,
            shards: keys.iter().enumerate().map(shard).collect(),
        };
        if let Some((name, resharding)) = held.split_after_route.take() {
            let id = held.streams[&name].id;
            held.reshard(id, resharding)?;
        }
        Ok(Some(routes))
    }

    async fn create(&self, topic: NewTopic, properties: StreamProperties) -> Answer<()> {
        let mut held = self.held();
        if held.streams.contains_key(&topic.name) {
            return Err(BrokerError::TopicAlreadyExists(topic.name));
        }
        let mut stream = stream_of(&topic.name, topic.partitions.unwrap());
        stream.id = TopicId(held.streams.len() as u128 + 1);
        stream.properties = properties;
        for (name, value) in &topic.configs {
            set(&mut stream, name, value.as_deref().unwrap());
        }
        held.streams.insert(topic.name, stream);
        Ok(())
    }

    async fn alter(&self, stream: TopicName, changes: Vec<ConfigChange>) -> Answer<()> {
        let mut held = self.held();
        let stream = held.streams.get_mut(stream.as_str());
        let stream = stream.ok_or(BrokerError::UnknownTopicOrPartition)?;
        for change in changes {
            let ConfigChange::Set(name, Some(value)) = change else { panic!("{change:?}") };
            set(stream, &name, &value);
        }
        Ok(())
    }

    async fn change(&self, stream: TopicId, change: StreamChange) -> Answer<()> {
        let mut held = self.held();
        let at = Timestamp(held.now_ms);
        let stream = held.streams.values_mut().find(|found| found.id == stream);
        let stream = stream.ok_or(BrokerError::UnknownTopicId)?;
        stream.properties.apply(&change, at)?;
        self.changed.notify_waiters();
        Ok(())
    }

    async fn reshard(&self, stream: TopicId, resharding: Resharding) -> Answer<()> {
        let mut held = self.held();
        if let Some(error) = &held.refused {
            return Err(error.clone());
        }
        held.reshard(stream, resharding)?;
        self.changed.notify_waiters();
        Ok(())
    }

    async fn settled(&self) -> Answer<()> {
        Ok(())
    }

    async fn account(&self) -> Answer<AccountView> {
        let held = self.held();
        Ok(AccountView {
            settings: held.account,
            shards_max: 1000,
            open_shards: held.streams.values().map(|stream| stream.open_shards().count()).sum(),
            on_demand_streams: held.streams.values().filter(|stream| stream.on_demand).count(),
        })
    }

    async fn commit_throughput(&self, is_enabled: bool) -> Answer<()> {
        self.held().account.throughput_commitment.is_enabled = is_enabled;
        Ok(())
    }

    async fn delete(&self, topic: TopicId) -> Answer<()> {
        let mut held = self.held();
        let before = held.streams.len();
        held.streams.retain(|_, stream| stream.id != topic);
        self.changed.notify_waiters();
        if held.streams.len() == before { Err(BrokerError::UnknownTopicId) } else { Ok(()) }
    }

    async fn append(&self, batches: Vec<(AppendRequest, ShardId)>) -> Answer<Vec<Answer<Offset>>> {
        let mut held = self.held();
        self.changed.notify_waiters();
        Ok(batches.into_iter().map(|(request, shard)| held.append(request, shard)).collect())
    }

    async fn fetch(&self, read: FetchPartition, shard: ShardId) -> Answer<ShardRead> {
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
        let fetched = Fetched {
            batches: batches.cloned().collect(),
            high_watermark: log_end,
            last_stable: log_end,
            log_start,
            aborted: Vec::new(),
        };
        let stream = held.find(&StreamKey::Id(read.topic.topic)).unwrap();
        let shard = stream.shards.iter().find(|s| s.id == shard).unwrap();
        Ok(ShardRead { fetched, end: shard.end_offset })
    }

    async fn follow(
        &self,
        followed: Followed,
        beyond: Offset,
        is_closed: bool,
    ) -> Answer<Standing> {
        loop {
            let changed = self.changed.notified();
            let (standing, log_end) = {
                let held = self.held();
                (held.standing(&followed), held.log_end(followed.partition))
            };
            let is_over = match standing {
                Standing::Open => false,
                Standing::Closed { .. } => !is_closed,
                Standing::NoStream | Standing::NoConsumer => true,
            };
            if is_over || log_end > beyond {
                return Ok(standing);
            }
            changed.await;
        }
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
