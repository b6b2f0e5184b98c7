//! The broker behind [`Log`]: each question runs on a lane-owning core and brings back owned
//! values.

use std::{
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use broker::{
    AppendRequest, Broker, BrokerError, BrokerHandle, ConfigChange, ConfigResource, FetchPartition,
    FetchRequest, FoundOffset, NewTopic, OffsetQuery, OffsetSpec, Resharding, TopicSelector,
};
use futures_util::future;
use model::{HashKey, Offset, ShardId, Timestamp, TopicId, TopicName, TopicPartition};
use runtime::sync::oneshot;
use state::{
    Catalog, Topic,
    catalog::{StreamChange, StreamProperties},
    shards::Shard,
};

use crate::{
    AWS_LIMITS, STREAM_LIMITS_CONFIG, STREAM_LIMITS_DEFAULT_CONFIG,
    log::{
        AccountView, Answer, Followed, Log, RoutedShard, Routes, ShardLook, ShardRead, Standing,
        StreamKey, StreamView,
    },
};

/// The broker of this process.
#[derive(Clone)]
pub struct BrokerLog {
    handle: BrokerHandle,
    /// Where streams that spread their puts go on.
    turn: Arc<AtomicUsize>,
}

impl BrokerLog {
    /// The broker that `handle` reaches.
    pub fn new(handle: BrokerHandle) -> BrokerLog {
        BrokerLog { handle, turn: Arc::default() }
    }
}

impl Log for BrokerLog {
    fn now(&self) -> Timestamp {
        runtime::wall_clock()
    }

    async fn stream(&self, key: StreamKey) -> Answer<Option<StreamView>> {
        let view = move |broker: Rc<Broker>| async move {
            let catalog = broker.catalog();
            find(&catalog, &key).map(|topic| StreamView {
                shards: topic.shards.all().to_vec(),
                properties: topic.stream.clone(),
                ..without_shards(&catalog, topic)
            })
        };
        self.handle.ask(view).await
    }

    async fn streams(
        &self,
        after: Option<String>,
        limit: usize,
        name_chars_max: usize,
    ) -> Answer<Vec<StreamView>> {
        let list = move |broker: Rc<Broker>| async move {
            let catalog = broker.catalog();
            let follows = |topic: &&Topic| {
                let name = topic.name.as_str();
                name.len() <= name_chars_max && after.as_deref().is_none_or(|after| name > after)
            };
            catalog
                .topics()
                .filter(follows)
                .take(limit)
                .map(|topic| without_shards(&catalog, topic))
                .collect()
        };
        self.handle.ask(list).await
    }

    async fn shard(&self, topic: TopicId, shard: ShardId) -> Answer<Option<ShardLook>> {
        let look = move |broker: Rc<Broker>| async move {
            let catalog = broker.catalog();
            let topic = catalog.topic_by_id(topic)?;
            Some(ShardLook {
                stream: topic.name.clone(),
                shard: topic.shards.get(shard)?.clone(),
                children: topic.shards.children(shard).cloned().collect(),
                is_limited: is_limited(&catalog, topic),
            })
        };
        self.handle.ask(look).await
    }

    async fn route(&self, stream: TopicName, keys: Vec<HashKey>) -> Answer<Option<Routes>> {
        let turn = self.turn.fetch_add(keys.len(), Ordering::Relaxed);
        let route = move |broker: Rc<Broker>| async move {
            let catalog = broker.catalog();
            let topic = catalog.topic(&stream)?;
            let spreads_puts = topic.stream.spreads_puts;
            Some(Routes {
                topic: topic.id,
                batch_bytes_max: usize::try_from(topic.effective.max_message_bytes).unwrap_or(0),
                spreads_puts,
                is_limited: is_limited(&catalog, topic),
                shards: if spreads_puts {
                    spread(topic, turn, keys.len())?
                } else {
                    // The open shards cover every key; without one there is no stream to put to.
                    let open = |key: &HashKey| topic.shards.route(*key).map(routed);
                    keys.iter().map(open).collect::<Option<_>>()?
                },
            })
        };
        self.handle.ask(route).await
    }

    async fn create(&self, topic: NewTopic, properties: StreamProperties) -> Answer<()> {
        let create =
            move |broker: Rc<Broker>| async move { broker.create_stream(topic, properties).await };
        self.handle.ask(create).await?.map(|_| ())
    }

    async fn alter(&self, stream: TopicName, changes: Vec<ConfigChange>) -> Answer<()> {
        let resource = ConfigResource::Topic(stream.to_string());
        let alter = move |broker: Rc<Broker>| async move {
            broker.alter_configs(resource, changes, false, false).await
        };
        self.handle.ask(alter).await?
    }

    async fn change(&self, stream: TopicId, change: StreamChange) -> Answer<()> {
        let change =
            move |broker: Rc<Broker>| async move { broker.change_stream(stream, change).await };
        self.handle.ask(change).await?
    }

    async fn reshard(&self, stream: TopicId, resharding: Resharding) -> Answer<()> {
        let reshard =
            move |broker: Rc<Broker>| async move { broker.reshard(stream, resharding).await };
        self.handle.ask(reshard).await?
    }

    async fn settled(&self) -> Answer<()> {
        self.handle.ask(|broker: Rc<Broker>| async move { broker.catalog_settled().await }).await?
    }

    async fn account(&self) -> Answer<AccountView> {
        let account = |broker: Rc<Broker>| async move {
            let catalog = broker.catalog();
            AccountView {
                settings: catalog.account(),
                shards_max: catalog.partitions_max(),
                open_shards: catalog.topics().map(|topic| topic.shards.open_count()).sum(),
                on_demand_streams: catalog.topics().filter(|topic| topic.is_on_demand()).count(),
            }
        };
        self.handle.ask(account).await
    }

    async fn commit_throughput(&self, is_enabled: bool) -> Answer<()> {
        let commit = move |broker: Rc<Broker>| async move {
            broker.set_throughput_commitment(is_enabled).await
        };
        self.handle.ask(commit).await?
    }

    async fn delete(&self, topic: TopicId) -> Answer<()> {
        let delete = move |broker: Rc<Broker>| async move {
            broker.delete_topics(vec![TopicSelector::Id(topic)]).await
        };
        only(self.handle.ask(delete).await?).map(|_| ())
    }

    async fn append(&self, batches: Vec<(AppendRequest, ShardId)>) -> Answer<Vec<Answer<Offset>>> {
        let append = move |broker: Rc<Broker>| async move {
            let outcomes = broker.append_to_shards(batches).await.into_iter();
            outcomes.map(|outcome| outcome.map(|appended| appended.base_offset)).collect()
        };
        self.handle.ask(append).await
    }

    async fn fetch(&self, read: FetchPartition, shard: ShardId) -> Answer<ShardRead> {
        let request = FetchRequest {
            max_bytes: read.max_bytes,
            partitions: vec![read],
            min_bytes: 0,
            max_wait: Duration::ZERO,
        };
        let topic = read.topic;
        // On the core that owns the partition, where the shard's end is known first: what was read
        // before it is asked for lies below it, or is cut off there.
        let find = move |broker: Rc<Broker>| async move { broker.owner(topic) };
        let owner = self.handle.ask(find).await??;
        let fetch = move |broker: Rc<Broker>| async move {
            let fetched = only(broker.fetch(request).await);
            fetched.map(|fetched| ShardRead { fetched, end: broker.shard_end(topic.topic, shard) })
        };
        self.handle.call(owner, fetch).await?
    }

    async fn follow(
        &self,
        followed: Followed,
        beyond: Offset,
        is_closed: bool,
    ) -> Answer<Standing> {
        let partition = followed.partition;
        let find = move |broker: Rc<Broker>| async move { broker.owner(partition) };
        let owner = match self.handle.ask(find).await? {
            Ok(owner) => owner,
            Err(BrokerError::UnknownTopicId) => return Ok(Standing::NoStream),
            Err(error) => return Err(error),
        };
        // Dropped with this future, which ends the wait over there.
        let (_cancel, cancelled) = oneshot::channel::<()>();
        let follow = move |broker: Rc<Broker>| async move {
            let is_over = |catalog: &Catalog| match standing(catalog, &followed) {
                Standing::Open => false,
                Standing::Closed { .. } => !is_closed,
                Standing::NoStream | Standing::NoConsumer => true,
            };
            let news = pin!(broker.follow(partition, beyond, is_over));
            future::select(news, cancelled).await;
            standing(&broker.catalog(), &followed)
        };
        Ok(self.handle.call(owner, follow).await?)
    }

    async fn find_offset(
        &self,
        partition: TopicPartition,
        at: OffsetSpec,
    ) -> Answer<Option<FoundOffset>> {
        let query = OffsetQuery { topic: partition, at, read_committed: true, leader_epoch: None };
        let find = move |broker: Rc<Broker>| async move { broker.list_offsets(vec![query]).await };
        only(self.handle.ask(find).await?)
    }
}

fn find<'a>(catalog: &'a Catalog, key: &StreamKey) -> Option<&'a Topic> {
    match key {
        StreamKey::Name(name) => catalog.topic(name),
        StreamKey::Id(id) => catalog.topic_by_id(*id),
    }
}

fn without_shards(catalog: &Catalog, topic: &Topic) -> StreamView {
    StreamView {
        id: topic.id,
        name: topic.name.clone(),
        created: topic.created,
        config: (*topic.effective).clone(),
        on_demand: topic.is_on_demand(),
        is_limited: is_limited(catalog, topic),
        properties: StreamProperties::default(),
        shards: Vec::new(),
    }
}

fn is_limited(catalog: &Catalog, topic: &Topic) -> bool {
    match topic.overrides.get(STREAM_LIMITS_CONFIG) {
        Some(limits) => limits == AWS_LIMITS,
        None => catalog
            .broker_value(STREAM_LIMITS_DEFAULT_CONFIG)
            .is_some_and(|limits| limits == AWS_LIMITS),
    }
}

/// How a catalog has what is followed.
fn standing(catalog: &Catalog, followed: &Followed) -> Standing {
    let Some(topic) = catalog.topic_by_id(followed.partition.topic) else {
        return Standing::NoStream;
    };
    let consumer = topic.stream.consumers.get(&followed.consumer);
    if consumer.is_none_or(|consumer| consumer.created != followed.consumer_created) {
        return Standing::NoConsumer;
    }
    match topic.shards.get(followed.shard).and_then(|shard| shard.end_offset) {
        None => Standing::Open,
        Some(end) => {
            let children = topic.shards.children(followed.shard).cloned().collect();
            Standing::Closed { end, children }
        }
    }
}

fn routed(shard: &Shard) -> RoutedShard {
    RoutedShard { partition: shard.partition, id: shard.id, created: shard.created }
}

/// The next `count` open shards, in turn.
fn spread(topic: &Topic, turn: usize, count: usize) -> Option<Vec<RoutedShard>> {
    let open: Vec<RoutedShard> = topic.shards.open().map(routed).collect();
    let place = |index: usize| turn.wrapping_add(index).checked_rem(open.len());
    (0..count).map(|index| open.get(place(index)?).copied()).collect()
}

/// The one answer to the one question that was asked.
fn only<T>(mut answers: Vec<Answer<T>>) -> Answer<T> {
    answers.pop().unwrap_or(Err(BrokerError::Stopping))
}
