//! Shards are split and merged while batches are put into them, on the real runtime: what is taken
//! lies in the shard that it was routed to.

#![cfg(not(feature = "simulation"))]
#![expect(clippy::expect_used, reason = "a test's own steps must succeed")]

use std::{path::Path, rc::Rc, thread};

use batch::BatchBuilder;
use broker::{
    Acks, AppendRequest, Appended, Broker, BrokerError, BrokerHandle, BrokerSettings,
    NewPartitions, NewTopic, Resharding, RunningBroker, StorageSettings, partition_of,
};
use bytes::BytesMut;
use futures_lite::future::block_on;
use model::{Compression, CoreId, HashKey, HashKeyRange, Offset, ShardId, Timestamp, TopicId};
use state::{
    Catalog,
    shards::{ReshardStep, Shard},
};

fn settings(directory: &Path, cores: usize) -> BrokerSettings {
    BrokerSettings {
        data_dir: directory.to_owned(),
        cores,
        pin_cores: false,
        idle_spin_us: 0,
        memory_bytes: 256 << 20,
        advertised_host: "127.0.0.1".to_owned(),
        advertised_port: 9092,
        configs: Default::default(),
        storage: StorageSettings { journal_file_bytes: 4 << 20, ..StorageSettings::default() },
    }
}

fn start(directory: &Path) -> RunningBroker {
    block_on(RunningBroker::start(settings(directory, 2))).expect("the broker starts")
}

fn stop(running: RunningBroker) {
    block_on(running.stop()).expect("a clean stop");
}

/// Runs `work` on any core.
fn ask<T, F, Fut>(handle: &BrokerHandle, work: F) -> T
where
    T: Send + 'static,
    F: FnOnce(Rc<Broker>) -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    block_on(handle.ask(work)).expect("the core runs")
}

fn create(running: &RunningBroker, partitions: u32) -> TopicId {
    let topic =
        NewTopic { name: "s".to_owned(), partitions: Some(partitions), ..NewTopic::default() };
    let created =
        ask(
            running.handle(),
            |broker| async move { broker.create_topics(vec![topic], false).await },
        );
    created.into_iter().next().expect("one answer").expect("the topic is made").id
}

fn batch() -> BytesMut {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp(1_700_000_000_000), None, Some(b"value"), &[]);
    builder.build().expect("a small batch")
}

/// Puts a batch into a shard, as the Kinesis door does.
fn put(handle: &BrokerHandle, id: TopicId, to: &Shard) -> Result<Appended, BrokerError> {
    let (topic, shard) = (partition_of(id, to.partition.0), to.id);
    let request = AppendRequest { topic, batch: batch() };
    let outcomes =
        ask(
            handle,
            move |broker| async move { broker.append_to_shards(vec![(request, shard)]).await },
        );
    outcomes.into_iter().next().expect("one answer")
}

/// Appends to a partition, as the Kafka door does.
fn produce(handle: &BrokerHandle, id: TopicId, partition: u32) -> Result<Appended, BrokerError> {
    let request = AppendRequest { topic: partition_of(id, partition), batch: batch() };
    let outcomes =
        ask(handle, move |broker| async move { broker.append(vec![request], Acks::All).await });
    outcomes.into_iter().next().expect("one answer")
}

fn shards(handle: &BrokerHandle, id: TopicId) -> Vec<Shard> {
    ask(handle, move |broker| async move {
        let catalog = broker.catalog();
        catalog.topic_by_id(id).map(|topic| topic.shards.all().to_vec())
    })
    .expect("the topic is there")
}

fn reshard(handle: &BrokerHandle, id: TopicId, how: Resharding) -> Result<(), BrokerError> {
    ask(handle, move |broker| async move { broker.reshard(id, how).await })
}

fn merge(into: u32, from: u32) -> Resharding {
    let (into, from) = (ShardId(into), ShardId(from));
    Resharding::Steps(vec![ReshardStep::Merge { into, from }])
}

#[test]
fn what_was_routed_to_a_closed_shard_is_turned_away_and_kafka_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path());
    let (handle, id) = (running.handle().clone(), create(&running, 1));
    let parent = shards(&handle, id).remove(0);
    put(&handle, id, &parent).expect("taken");
    produce(&handle, id, 0).expect("taken");

    let at = HashKey(HashKeyRange::ALL.width_less_one() / 2);
    let split = Resharding::Steps(vec![ReshardStep::Split { shard: parent.id, at }]);
    reshard(&handle, id, split).expect("split");

    let made = shards(&handle, id);
    assert_eq!(made[0].end_offset, Some(Offset(2)), "at the log end");
    assert_eq!((made[1].partition, made[1].start_offset), (parent.partition, Offset(2)));
    assert_eq!((made[2].partition.0, made[2].start_offset), (1, Offset(0)));
    assert_eq!(put(&handle, id, &parent), Err(BrokerError::ShardMoved));
    assert_eq!(put(&handle, id, &made[1]).expect("taken").base_offset, Offset(2));
    assert_eq!(put(&handle, id, &made[2]).expect("taken").base_offset, Offset(0));
    assert_eq!(produce(&handle, id, 0).expect("taken").base_offset, Offset(3));
    stop(running);
}

#[test]
fn a_merge_seals_a_partition_for_good_and_not_while_kafka_writes_to_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path());
    let (handle, id) = (running.handle().clone(), create(&running, 2));
    produce(&handle, id, 1).expect("taken");
    let refused = reshard(&handle, id, merge(0, 1)).expect_err("Kafka writes to partition 1");
    assert!(matches!(&refused, BrokerError::InUse(text) if text.contains("partition 1")));
    // Both gates are open again.
    for shard in shards(&handle, id) {
        put(&handle, id, &shard).expect("taken");
    }
    produce(&handle, id, 1).expect("taken");

    reshard(&handle, id, merge(1, 0)).expect("nobody but Kinesis writes to partition 0");

    let child = shards(&handle, id).remove(2);
    assert_eq!((child.partition.0, child.start_offset), (1, Offset(3)));
    put(&handle, id, &child).expect("taken");
    let check = |handle: &BrokerHandle| {
        let sealed = produce(handle, id, 0).expect_err("sealed");
        let BrokerError::PolicyViolation(text) = sealed else { panic!("{sealed:?}") };
        assert!(
            text.contains("shardId-000000000001 and shardId-000000000000 were merged into"),
            "{text}"
        );
        assert!(produce(handle, id, 1).is_ok());
    };
    check(&handle);
    stop(running);
    let running = start(directory.path());
    check(running.handle());
    stop(running);
}

/// What a writer got: where, and for which shard.
type Taken = (ShardId, u32, Offset);

/// Puts into the shard of one hash key, and routes anew when it has moved.
fn write(handle: &BrokerHandle, id: TopicId, key: HashKey, count: usize) -> Vec<Taken> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let shard = ask(handle, move |broker| async move {
            broker.catalog().topic_by_id(id).and_then(|topic| topic.shards.route(key).cloned())
        });
        let shard = shard.expect("a shard for every key");
        match put(handle, id, &shard) {
            Err(BrokerError::ShardMoved | BrokerError::UnknownTopicOrPartition) => {
                ask(handle, |broker| async move { broker.catalog_settled().await })
                    .expect("the core runs");
            }
            outcome => {
                let appended = outcome.expect("taken");
                taken.push((shard.id, shard.partition.0, appended.base_offset));
            }
        }
    }
    taken
}

#[test]
fn under_writers_every_batch_lies_in_the_shard_that_it_was_routed_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path());
    let (handle, id) = (running.handle().clone(), create(&running, 1));
    let writers: Vec<_> = (0..4_u128)
        .map(|n| {
            let (handle, key) = (handle.clone(), HashKey(n << 126));
            thread::spawn(move || (key, write(&handle, id, key, 150)))
        })
        .collect();
    for target in [2, 4, 3, 1, 2] {
        reshard(&handle, id, Resharding::Uniform(target)).expect("resharded");
    }
    let wider = NewPartitions { topic: "s".to_owned(), count: 9, assignments: None };
    let widened =
        ask(&handle, |broker| async move { broker.create_partitions(vec![wider], false).await });
    assert_eq!(widened, [Ok(())]);

    let taken: Vec<_> = writers.into_iter().map(|w| w.join().expect("a writer")).collect();
    let shards = shards(&handle, id);
    for (key, taken) in taken {
        let mut last: Option<&Shard> = None;
        for (id, partition, offset) in taken {
            let shard = &shards[id.0 as usize];
            assert!(shard.range.contains(key), "{key} in {id}");
            assert_eq!(shard.partition.0, partition);
            assert!(shard.contains(offset), "{offset} in {shard:?}");
            // A writer that waits for its answers goes from parents to children only.
            assert!(last.is_none_or(|last| last.created <= shard.created), "{last:?} {shard:?}");
            last = Some(shard);
        }
    }
    stop(running);
}

#[test]
fn a_stream_on_no_core_is_not_resharded() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path());
    let unknown = reshard(running.handle(), TopicId(7), Resharding::Uniform(2));
    assert_eq!(unknown, Err(BrokerError::UnknownTopicId));
    let core = running
        .handle()
        .call(CoreId(0), |broker: Rc<Broker>| async move { broker.catalog_settled().await });
    assert_eq!(block_on(core).expect("the core runs"), Ok(()));
    stop(running);
}

#[test]
fn who_follows_a_partition_is_told_of_records_and_of_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path());
    let (handle, id) = (running.handle().clone(), create(&running, 1));
    let (at, shard) = (partition_of(id, 0), shards(&handle, id).remove(0));
    let owner = ask(&handle, move |broker| async move { broker.owner(at) }).expect("an owner");
    // Resolves with the log's end once it is above `beyond` or the shard has closed.
    let follow = |beyond| {
        handle.call(owner, move |broker: Rc<Broker>| async move {
            let is_over = |catalog: &Catalog| {
                let topic = catalog.topic_by_id(id);
                topic.and_then(|topic| topic.shards.get(shard.id)).is_none_or(|s| !s.is_open())
            };
            broker.follow(at, Offset(beyond), is_over).await;
            broker.shard_end(id, shard.id)
        })
    };
    let records = follow(0);
    put(&handle, id, &shard).expect("taken");
    assert_eq!(block_on(records), Ok(None), "woken by the record");
    assert_eq!(block_on(follow(0)), Ok(None), "it is there already");
    let end = follow(1);
    let at = HashKey(HashKeyRange::ALL.width_less_one() / 2);
    let split = Resharding::Steps(vec![ReshardStep::Split { shard: shard.id, at }]);
    reshard(&handle, id, split).expect("split");
    assert_eq!(block_on(end), Ok(Some(Offset(1))), "woken by the split");
    stop(running);
}
