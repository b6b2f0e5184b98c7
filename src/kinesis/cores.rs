//! The broker behind [`Log`]: each question runs on a lane-owning core and brings back owned
//! values.

use std::{rc::Rc, time::Duration};

use broker::{
    Acks, AppendRequest, Appended, Broker, BrokerError, BrokerHandle, FetchPartition, FetchRequest,
    Fetched, FoundOffset, NewTopic, OffsetQuery, OffsetSpec, TopicSelector,
};
use model::{HashKey, ShardId, Timestamp, TopicId, TopicName, TopicPartition};
use state::{Catalog, Topic};

use crate::{
    ON_DEMAND, STREAM_MODE_CONFIG,
    log::{Answer, Log, Routes, ShardLook, Stored, StreamKey, StreamView},
};

/// The broker of this process.
#[derive(Clone)]
pub struct BrokerLog {
    handle: BrokerHandle,
}

impl BrokerLog {
    /// The broker that `handle` reaches.
    pub fn new(handle: BrokerHandle) -> BrokerLog {
        BrokerLog { handle }
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
                ..without_shards(topic)
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
            catalog.topics().filter(follows).take(limit).map(without_shards).collect()
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
            })
        };
        self.handle.ask(look).await
    }

    async fn route(&self, stream: TopicName, keys: Vec<HashKey>) -> Answer<Option<Routes>> {
        let route = move |broker: Rc<Broker>| async move {
            let catalog = broker.catalog();
            let topic = catalog.topic(&stream)?;
            let partition = |key: &HashKey| topic.shards.route(*key).map(|shard| shard.partition);
            Some(Routes {
                topic: topic.id,
                batch_bytes_max: usize::try_from(topic.effective.max_message_bytes).unwrap_or(0),
                // The open shards cover every key; without one there is no stream to put to.
                partitions: keys.iter().map(partition).collect::<Option<_>>()?,
            })
        };
        self.handle.ask(route).await
    }

    async fn create(&self, topic: NewTopic) -> Answer<()> {
        let create =
            |broker: Rc<Broker>| async move { broker.create_topics(vec![topic], false).await };
        only(self.handle.ask(create).await?).map(|_| ())
    }

    async fn delete(&self, topic: TopicId) -> Answer<()> {
        let delete = move |broker: Rc<Broker>| async move {
            broker.delete_topics(vec![TopicSelector::Id(topic)]).await
        };
        only(self.handle.ask(delete).await?).map(|_| ())
    }

    async fn append(&self, batches: Vec<AppendRequest>) -> Answer<Vec<Answer<Stored>>> {
        let append = move |broker: Rc<Broker>| async move {
            let places: Vec<TopicPartition> = batches.iter().map(|batch| batch.topic).collect();
            let outcomes = broker.append(batches, Acks::All).await;
            let catalog = broker.catalog();
            let stored = |(place, outcome): (TopicPartition, Answer<Appended>)| {
                outcome.and_then(|appended| stored(&catalog, place, appended))
            };
            places.into_iter().zip(outcomes).map(stored).collect()
        };
        self.handle.ask(append).await
    }

    async fn fetch(&self, read: FetchPartition) -> Answer<Fetched> {
        let request = FetchRequest {
            max_bytes: read.max_bytes,
            partitions: vec![read],
            min_bytes: 0,
            max_wait: Duration::ZERO,
        };
        let fetch = |broker: Rc<Broker>| async move { broker.fetch(request).await };
        only(self.handle.ask(fetch).await?)
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

fn without_shards(topic: &Topic) -> StreamView {
    StreamView {
        id: topic.id,
        name: topic.name.clone(),
        created: topic.created,
        config: (*topic.effective).clone(),
        on_demand: topic.overrides.get(STREAM_MODE_CONFIG).is_some_and(|mode| mode == ON_DEMAND),
        shards: Vec::new(),
    }
}

/// The shard that got a batch. The catalog is asked after the append, because the partition may
/// have gone over to another shard since the records were routed.
fn stored(catalog: &Catalog, place: TopicPartition, appended: Appended) -> Answer<Stored> {
    let base_offset = appended.base_offset;
    let topic = catalog.topic_by_id(place.topic).ok_or(BrokerError::UnknownTopicId)?;
    let shard = topic.shards.containing(place.partition, base_offset);
    let shard = shard.ok_or(BrokerError::UnknownTopicOrPartition)?;
    Ok(Stored { base_offset, shard: shard.id, shard_created: shard.created })
}

/// The one answer to the one question that was asked.
fn only<T>(mut answers: Vec<Answer<T>>) -> Answer<T> {
    answers.pop().unwrap_or(Err(BrokerError::Stopping))
}
