//! Streams on demand get more shards under load and fewer without, through the broker's own changes
//! of shards. On the simulated runtime: hours pass in no time, and nothing depends on this machine.

#![cfg(feature = "simulation")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test's own steps must succeed, and what it looks for must be there"
)]

use std::{collections::BTreeMap, path::PathBuf, rc::Rc, time::Duration};

use batch::BatchBuilder;
use broker::{
    Acks, AppendRequest, Broker, BrokerError, BrokerHandle, BrokerSettings, ConfigChange,
    ConfigResource, NewTopic, RunningBroker, ScalingCounts, StorageSettings, TopicSelector,
    partition_of,
};
use bytes::BytesMut;
use model::{Compression, CoreId, HashKey, Offset, ShardId, Timestamp, TopicId};
use runtime::simulation::Simulation;
use state::shards::Shard;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// A shard is hot with more than 50 records a second, and neighbours are cold with less than 10.
/// Little, so that a test need not write much.
const CONFIGS: &[(&str, &str)] = &[
    ("stream_scaling_split_records_per_second_default", "50"),
    ("stream_scaling_merge_records_per_second_default", "10"),
    ("stream_scaling_merge_after_ms_default", "600000"),
];
/// As many writers, each with its own sixteenth of the hash keys.
const WRITERS: u128 = 16;

/// Runs `test` with a broker of two cores, for every one of a few orders of what happens.
fn with_broker<F>(test: impl Fn(Stream) -> F + Copy + 'static)
where
    F: Future<Output = ()> + 'static,
{
    for seed in 1..=3 {
        Simulation::new(seed).run(async move {
            let configs = CONFIGS.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            let running = RunningBroker::start(BrokerSettings {
                data_dir: PathBuf::from("/data"),
                cores: 2,
                pin_cores: false,
                idle_spin_us: 0,
                memory_bytes: 64 << 20,
                advertised_host: "broker.test".into(),
                advertised_port: 9092,
                configs: configs.collect(),
                storage: StorageSettings::default(),
            })
            .await
            .expect("the broker starts");
            test(Stream::create(running.handle(), "s", 4, "on_demand").await).await;
            running.stop().await.expect("a clean stop");
        });
    }
}

/// A stream, and what was put into it.
struct Stream {
    handle: BrokerHandle,
    id: TopicId,
    name: &'static str,
    /// Where each writer's batches are, in the order of their acknowledgements.
    taken: BTreeMap<HashKey, Vec<(ShardId, u32, Offset)>>,
}

impl Stream {
    async fn create(
        handle: &BrokerHandle,
        name: &'static str,
        partitions: u32,
        mode: &str,
    ) -> Stream {
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: Some(partitions),
            configs: vec![("stream.mode".to_owned(), Some(mode.to_owned()))],
            ..NewTopic::default()
        };
        let create =
            |broker: Rc<Broker>| async move { broker.create_topics(vec![topic], false).await };
        let created = handle.ask(create).await.expect("the core runs").remove(0);
        let id = created.expect("the topic is made").id;
        Stream { handle: handle.clone(), id, name, taken: BTreeMap::new() }
    }

    async fn shards(&self) -> Vec<Shard> {
        let id = self.id;
        let shards = move |broker: Rc<Broker>| async move {
            let catalog = broker.catalog();
            catalog.topic_by_id(id).map(|topic| topic.shards.all().to_vec()).unwrap_or_default()
        };
        self.handle.ask(shards).await.expect("the core runs")
    }

    async fn open_count(&self) -> usize {
        self.shards().await.iter().filter(|shard| shard.is_open()).count()
    }

    async fn counts(&self) -> ScalingCounts {
        let counts = |broker: Rc<Broker>| async move { broker.counts().scaled };
        self.handle.call(CoreId(0), counts).await.expect("the core runs")
    }

    /// Puts a batch as the Kinesis door does, and routes it anew when its shard has closed.
    async fn put(&mut self, key: HashKey, records: usize) {
        loop {
            let id = self.id;
            let put = move |broker: Rc<Broker>| async move {
                let shard = {
                    let catalog = broker.catalog();
                    let topic = catalog.topic_by_id(id).ok_or(BrokerError::UnknownTopicId)?;
                    topic.shards.route(key).cloned().ok_or(BrokerError::UnknownTopicId)?
                };
                let topic = partition_of(id, shard.partition.0);
                let request = AppendRequest { topic, batch: batch(records) };
                let outcome = broker.append_to_shards(vec![(request, shard.id)]).await.remove(0);
                if matches!(outcome, Err(BrokerError::ShardMoved)) {
                    broker.catalog_settled().await?;
                }
                Ok::<_, BrokerError>((shard.id, shard.partition.0, outcome?.base_offset))
            };
            match self.handle.ask(put).await.expect("the core runs") {
                Err(BrokerError::ShardMoved) => {}
                outcome => {
                    let place = outcome.expect("taken");
                    return self.taken.entry(key).or_default().push(place);
                }
            }
        }
    }

    /// Every writer puts so many records a second, for this long.
    async fn write(&mut self, records: usize, time: Duration) {
        let end = runtime::now() + time;
        while runtime::now() < end {
            let next = runtime::now() + 5 * SECOND;
            for writer in 0..WRITERS {
                self.put(HashKey(writer * (1 << 124)), 5 * records).await;
            }
            runtime::sleep(next - runtime::now()).await;
        }
    }

    /// Appends as the Kafka door does.
    async fn produce(&self, partition: u32, records: usize) {
        let request =
            AppendRequest { topic: partition_of(self.id, partition), batch: batch(records) };
        let append =
            |broker: Rc<Broker>| async move { broker.append(vec![request], Acks::All).await };
        let outcome = self.handle.ask(append).await.expect("the core runs").remove(0);
        outcome.expect("taken");
    }

    async fn set_mode(&self, mode: &str) {
        let resource = ConfigResource::Topic(self.name.to_owned());
        let changes = vec![ConfigChange::Set("stream.mode".to_owned(), Some(mode.to_owned()))];
        let alter = |broker: Rc<Broker>| async move {
            broker.alter_configs(resource, changes, false, false).await
        };
        self.handle.ask(alter).await.expect("the core runs").expect("altered");
    }

    /// Every batch lies in the shard that it was routed to, and each writer's in order, from parents
    /// to children.
    async fn check_places(&self) {
        let shards = self.shards().await;
        for (key, taken) in &self.taken {
            let mut last: Option<(&Shard, Offset)> = None;
            for (id, partition, offset) in taken {
                let shard = &shards[id.0 as usize];
                assert!(shard.range.contains(*key) && shard.contains(*offset), "{offset} in {id}");
                assert_eq!(shard.partition.0, *partition);
                assert!(
                    last.is_none_or(|(before, at)| before.created < shard.created
                        || (before.id == *id && at < *offset)),
                    "{offset} of {id} follows {last:?}"
                );
                last = Some((shard, *offset));
            }
        }
    }
}

fn batch(records: usize) -> BytesMut {
    let mut builder = BatchBuilder::new(Compression::None);
    for _ in 0..records {
        builder.push(Timestamp(1_700_000_000_000), None, Some(b"value"), &[]);
    }
    builder.build().expect("a small batch")
}

#[test]
fn a_load_that_stays_splits_hot_shards_and_cold_ones_are_merged_later() {
    with_broker(|mut stream| async move {
        // Four writers of a shard put 80 records a second …
        stream.write(20, 3 * MINUTE).await;
        assert_eq!(stream.open_count().await, 8);
        // … and two of them 40, which is neither much nor little.
        stream.write(20, 10 * MINUTE).await;
        assert_eq!(stream.open_count().await, 8);
        let counts = stream.counts().await;
        assert_eq!((counts.splits, counts.merges), (4, 0));
        // 16 records a second for all: cold, but not for long enough.
        stream.write(1, 9 * MINUTE).await;
        assert_eq!(stream.open_count().await, 8);
        // Later the least number is left, while it is written to.
        stream.write(1, 60 * MINUTE).await;
        assert_eq!(stream.open_count().await, 4);
        let counts = stream.counts().await;
        assert_eq!((counts.splits, counts.merges, counts.refused), (4, 4, 0));
        stream.check_places().await;
    });
}

#[test]
fn what_kafka_writes_counts_too_and_keeps_partitions_from_being_sealed() {
    with_broker(|stream| async move {
        // Shard 2 is partition 2.
        for _ in 0..120 {
            stream.produce(2, 60).await;
            runtime::sleep(SECOND).await;
        }
        let shards = stream.shards().await;
        let closed: Vec<u32> =
            shards.iter().filter(|shard| !shard.is_open()).map(|shard| shard.id.0).collect();
        assert_eq!(closed, [2]);
        // The rest is cold, and stays as it is while Kafka writes once in a while.
        for _ in 0..10 {
            runtime::sleep(9 * MINUTE).await;
            stream.produce(2, 1).await;
        }
        assert_eq!(stream.open_count().await, 5);
        runtime::sleep(30 * MINUTE).await;
        assert_eq!(stream.open_count().await, 4);
    });
}

#[test]
fn a_provisioned_stream_stays_as_it_is() {
    with_broker(|mut stream| async move {
        stream.set_mode("provisioned").await;
        stream.write(20, 10 * MINUTE).await;
        assert_eq!(stream.open_count().await, 4);
        stream.set_mode("on_demand").await;
        stream.write(20, 3 * MINUTE).await;
        assert_eq!(stream.open_count().await, 8);
        stream.set_mode("provisioned").await;
        stream.write(60, 5 * MINUTE).await;
        runtime::sleep(60 * MINUTE).await;
        assert_eq!(stream.open_count().await, 8);
        stream.check_places().await;
    });
}

#[test]
fn one_stream_that_cannot_be_scaled_does_not_hold_up_others() {
    with_broker(|mut stream| async move {
        let gone = Stream::create(&stream.handle, "gone", 1, "on_demand").await;
        let busy = Stream::create(&stream.handle, "busy", 2, "on_demand").await;
        // To be merged at once, but Kafka's producers are taken to go on for a minute.
        let settings = [
            ("stream.scaling.shards.min", "1"),
            ("stream.scaling.merge.after.ms", "1000"),
            ("stream.scaling.cooldown.ms", "1000"),
        ];
        let change = |(name, value): (&str, &str)| {
            ConfigChange::Set(name.to_owned(), Some(value.to_owned()))
        };
        let (resource, changes) =
            (ConfigResource::Topic(busy.name.to_owned()), settings.map(change).to_vec());
        let alter = |broker: Rc<Broker>| async move {
            broker.alter_configs(resource, changes, false, false).await
        };
        stream.handle.ask(alter).await.expect("the core runs").expect("altered");

        stream.write(20, 50 * SECOND).await;
        for partition in 0..2 {
            busy.produce(partition, 1).await;
        }
        for _ in 0..100 {
            gone.produce(0, 60).await;
        }
        stream.write(20, 40 * SECOND).await;
        let delete = vec![TopicSelector::Id(gone.id)];
        let delete = |broker: Rc<Broker>| async move { broker.delete_topics(delete).await };
        stream.handle.ask(delete).await.expect("the core runs").remove(0).expect("deleted");

        assert!(stream.counts().await.refused > 0);
        assert_eq!(busy.open_count().await, 2);
        stream.write(20, 2 * MINUTE).await;
        assert_eq!(stream.open_count().await, 8);
        assert_eq!(busy.open_count().await, 1, "nobody writes to it any more");
        stream.check_places().await;
    });
}

#[test]
fn bounds_that_change_are_followed() {
    with_broker(|mut stream| async move {
        let most = |shards: &str| {
            let shards = Some(shards.to_owned());
            let changes =
                vec![ConfigChange::Set("stream_scaling_shards_max_default".to_owned(), shards)];
            let handle = stream.handle.clone();
            async move {
                let alter = |broker: Rc<Broker>| async move {
                    broker.alter_configs(ConfigResource::BrokerDefault, changes, false, false).await
                };
                handle.ask(alter).await.expect("the core runs").expect("altered");
            }
        };
        let (five, seven) = (most("5"), most("7"));
        five.await;
        stream.write(20, 10 * MINUTE).await;
        assert_eq!(stream.open_count().await, 5);
        seven.await;
        stream.write(20, 10 * MINUTE).await;
        assert_eq!(stream.open_count().await, 7);
    });
}
