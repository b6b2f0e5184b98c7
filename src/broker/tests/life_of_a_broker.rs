//! A broker from start to stop and start again, on the real runtime: what was acknowledged is
//! there, whatever happened in between.

#![cfg(not(feature = "simulation"))]
#![expect(clippy::expect_used, reason = "a test's own steps must succeed")]

use std::{path::Path, rc::Rc, time::Duration};

use batch::{BatchBuilder, records};
use broker::{
    Acks, AppendRequest, Appended, Broker, BrokerError, BrokerSettings, ConfigChange,
    ConfigResource, FetchPartition, FetchRequest, NewPartitions, NewTopic, OffsetQuery, OffsetSpec,
    RunningBroker, StartError, StorageSettings, TopicSelector, partition_of,
};
use bytes::BytesMut;
use futures_lite::future::block_on;
use model::{
    BatchSequence, Compression, CoreId, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId,
    TopicPartition,
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

fn start(directory: &Path, cores: usize) -> RunningBroker {
    block_on(RunningBroker::start(settings(directory, cores))).expect("the broker starts")
}

/// Runs `work` on a core.
fn on_core<T, F, Fut>(running: &RunningBroker, core: u16, work: F) -> T
where
    T: Send + 'static,
    F: FnOnce(Rc<Broker>) -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    block_on(running.handle().call(CoreId(core), work)).expect("the core runs")
}

fn create(running: &RunningBroker, name: &str, partitions: u32) -> TopicId {
    let topic =
        NewTopic { name: name.to_owned(), partitions: Some(partitions), ..NewTopic::default() };
    let created =
        on_core(running, 0, |broker| async move { broker.create_topics(vec![topic], false).await });
    created.into_iter().next().expect("one answer").expect("the topic is made").id
}

fn batch(values: &[&str]) -> BytesMut {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        builder.push(Timestamp(1_700_000_000_000), None, Some(value.as_bytes()), &[]);
    }
    builder.build().expect("a small batch")
}

fn append(
    running: &RunningBroker,
    core: u16,
    topic: TopicPartition,
    batch: BytesMut,
) -> Result<Appended, BrokerError> {
    let outcomes = on_core(running, core, move |broker| async move {
        broker.append(vec![AppendRequest { topic, batch }], Acks::All).await
    });
    outcomes.into_iter().next().expect("one answer")
}

fn request(topic: TopicPartition, offset: i64, max_wait: Duration) -> FetchRequest {
    let partition = FetchPartition {
        topic,
        offset: Offset(offset),
        max_bytes: 1 << 20,
        leader_epoch: None,
        read_committed: false,
    };
    FetchRequest { partitions: vec![partition], max_bytes: 1 << 20, min_bytes: 1, max_wait }
}

fn values(running: &RunningBroker, core: u16, topic: TopicPartition) -> Vec<String> {
    let fetched = on_core(running, core, move |broker| async move {
        broker.fetch(request(topic, 0, Duration::ZERO)).await
    });
    let fetched = fetched.into_iter().next().expect("one answer").expect("readable");
    fetched
        .batches
        .iter()
        .flat_map(|batch| records(batch, 1 << 20).expect("a batch").collect::<Vec<_>>())
        .map(|record| record.expect("a record").value.expect("a value"))
        .map(|value| String::from_utf8(value.to_vec()).expect("text"))
        .collect()
}

#[test]
fn what_was_appended_on_any_core_is_read_on_any_core_also_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path(), 2);
    let id = create(&running, "flights", 4);
    for partition in 0..4 {
        for core in 0..2 {
            let text = format!("p{partition} from core {core}");
            let appended = append(&running, core, partition_of(id, partition), batch(&[&text]));
            assert_eq!(appended.expect("appended").base_offset, Offset(i64::from(core)));
        }
    }
    let check = |running: &RunningBroker| {
        for partition in 0..4 {
            for core in 0..2 {
                let expected: Vec<String> =
                    (0..2).map(|core| format!("p{partition} from core {core}")).collect();
                assert_eq!(values(running, core, partition_of(id, partition)), expected);
            }
        }
    };
    check(&running);
    block_on(running.stop()).expect("a clean stop");
    let running = start(directory.path(), 2);
    check(&running);
    assert_eq!(running.recovery().partitions, 4);
    block_on(running.stop()).expect("a clean stop");
}

#[test]
fn another_core_count_finds_every_record_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path(), 1);
    let id = create(&running, "moved", 8);
    for partition in 0..8 {
        append(&running, 0, partition_of(id, partition), batch(&["kept"])).expect("appended");
    }
    block_on(running.stop()).expect("a clean stop");
    for cores in [3, 2, 1] {
        let running = start(directory.path(), cores);
        assert!(running.recovery().moved_lanes, "{cores}");
        for partition in 0..8 {
            assert_eq!(values(&running, 0, partition_of(id, partition)), ["kept"]);
        }
        block_on(running.stop()).expect("a clean stop");
    }
}

#[test]
fn a_waiting_fetch_wakes_when_something_is_appended_on_another_core() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path(), 2);
    let id = create(&running, "tail", 2);
    for partition in 0..2 {
        let topic = partition_of(id, partition);
        let fetch = running.handle().call(CoreId(0), move |broker: Rc<Broker>| async move {
            broker.fetch(request(topic, 0, Duration::from_secs(3600))).await
        });
        append(&running, 1, topic, batch(&["hello"])).expect("appended");
        let fetched = block_on(fetch).expect("the core runs");
        assert_eq!(fetched.len(), 1);
        let fetched = fetched[0].as_ref().expect("readable");
        assert_eq!(fetched.high_watermark, Offset(1));
        assert_eq!(fetched.batches.len(), 1);
    }
    block_on(running.stop()).expect("a clean stop");
}

#[test]
fn an_idempotent_producers_repeats_get_the_original_offset_also_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path(), 2);
    let id = create(&running, "once", 1);
    let topic = partition_of(id, 0);
    let (producer, epoch) =
        on_core(&running, 1, |broker| async move { broker.allocate_producer_id().await })
            .expect("a producer id");
    let numbered = |sequence| numbered(producer, epoch, sequence);
    let offset = |running: &RunningBroker, sequence| {
        append(running, 1, topic, numbered(sequence)).map(|appended| appended.base_offset)
    };
    assert_eq!(offset(&running, 0), Ok(Offset(0)));
    assert_eq!(offset(&running, 2), Ok(Offset(2)));
    assert_eq!(offset(&running, 0), Ok(Offset(0)), "a repeat");
    assert!(matches!(offset(&running, 8), Err(BrokerError::OutOfOrderSequence(_))), "a gap");
    block_on(running.stop()).expect("a clean stop");

    let running = start(directory.path(), 2);
    assert_eq!(offset(&running, 2), Ok(Offset(2)), "a repeat after the restart");
    assert_eq!(offset(&running, 4), Ok(Offset(4)));
    let (next, _) =
        on_core(&running, 1, |broker| async move { broker.allocate_producer_id().await })
            .expect("a producer id");
    assert!(next > producer, "ids are never given out twice");
    block_on(running.stop()).expect("a clean stop");
}

/// A batch of two records in a producer's sequence.
fn numbered(producer: ProducerId, epoch: ProducerEpoch, sequence: i32) -> BytesMut {
    let mut builder =
        BatchBuilder::new(Compression::None).producer(producer, epoch, BatchSequence(sequence));
    for _ in 0..2 {
        builder.push(Timestamp(1), None, Some(b"x"), &[]);
    }
    builder.build().expect("a small batch")
}

#[test]
fn topics_are_made_widened_configured_and_deleted_for_good() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path(), 2);
    let id = create(&running, "t", 1);
    append(&running, 0, partition_of(id, 0), batch(&["a"])).expect("appended");

    let wider = NewPartitions { topic: "t".to_owned(), count: 3, assignments: None };
    let widened =
        on_core(
            &running,
            1,
            |broker| async move { broker.create_partitions(vec![wider], false).await },
        );
    assert_eq!(widened, [Ok(())]);
    append(&running, 1, partition_of(id, 2), batch(&["b"])).expect("the new partition takes data");

    let change = ConfigChange::Set("min.insync.replicas".to_owned(), Some("2".to_owned()));
    let topic = ConfigResource::Topic("t".to_owned());
    let altered = on_core(&running, 1, |broker| async move {
        broker.alter_configs(topic, vec![change], false, false).await
    });
    assert_eq!(altered, Ok(()));
    let refused = append(&running, 1, partition_of(id, 0), batch(&["c"]));
    assert!(matches!(refused, Err(BrokerError::NotEnoughReplicas(_))), "{refused:?}");

    let deleted = on_core(&running, 1, |broker| async move {
        broker.delete_topics(vec![TopicSelector::Name("t".to_owned())]).await
    });
    assert!(deleted[0].is_ok(), "{deleted:?}");
    let gone = append(&running, 1, partition_of(id, 0), batch(&["d"]));
    assert_eq!(gone, Err(BrokerError::UnknownTopicId));

    // Made again under the same name it is empty, and stays so after a restart.
    let again = create(&running, "t", 1);
    assert_ne!(id, again);
    block_on(running.stop()).expect("a clean stop");
    let running = start(directory.path(), 2);
    assert_eq!(values(&running, 0, partition_of(again, 0)), Vec::<String>::new());
    block_on(running.stop()).expect("a clean stop");
}

#[test]
fn deleted_records_stay_deleted_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path(), 2);
    let topic = partition_of(create(&running, "purged", 1), 0);
    for text in ["a", "b", "c"] {
        append(&running, 0, topic, batch(&[text])).expect("appended");
    }
    let low = on_core(&running, 1, move |broker| async move {
        broker.delete_records(vec![(topic, Some(Offset(2)))]).await
    });
    assert_eq!(low, [Ok(Offset(2))]);
    block_on(running.stop()).expect("a clean stop");

    let running = start(directory.path(), 2);
    let query =
        OffsetQuery { topic, at: OffsetSpec::Earliest, read_committed: false, leader_epoch: None };
    let found =
        on_core(&running, 1, move |broker| async move { broker.list_offsets(vec![query]).await });
    assert_eq!(found[0].clone().map(|found| found.map(|found| found.offset)), Ok(Some(Offset(2))));
    let fetched = on_core(&running, 1, move |broker| async move {
        broker.fetch(request(topic, 0, Duration::ZERO)).await
    });
    assert!(matches!(fetched[0], Err(BrokerError::OffsetOutOfRange { .. })), "{fetched:?}");
    block_on(running.stop()).expect("a clean stop");
}

#[test]
fn a_second_broker_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path(), 1);
    let second = block_on(RunningBroker::start(settings(directory.path(), 1)));
    assert!(matches!(second, Err(StartError::Locked { .. })));
    block_on(running.stop()).expect("a clean stop");
}

#[test]
fn a_directory_of_an_unknown_format_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let meta = directory.path().join("meta.json");
    std::fs::write(&meta, br#"{"format_version": 99}"#).expect("written");
    let refused = block_on(RunningBroker::start(settings(directory.path(), 1)));
    let Err(StartError::UnknownFormat { why, .. }) = refused else { panic!("not refused") };
    assert!(why.contains("99"), "{why}");
    assert_eq!(std::fs::read(&meta).expect("still there"), br#"{"format_version": 99}"#);
}

/// Checkpoint and journal of one core lost together: its records must not be taken for leftovers.
#[test]
fn records_whose_state_is_lost_are_named_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = start(directory.path(), 2);
    let id = create(&running, "flights", 4);
    for partition in 0..4 {
        append(&running, 0, partition_of(id, partition), batch(&["kept"])).expect("appended");
    }
    block_on(running.stop()).expect("a clean stop");

    let aside = tempfile::tempdir().expect("another directory");
    for core in 0..2 {
        let checkpoint = directory.path().join(format!("state/1/core-{core}.checkpoint"));
        let journal = directory.path().join(format!("journal/1/core-{core}"));
        std::fs::rename(&checkpoint, aside.path().join("checkpoint")).expect("moved away");
        std::fs::rename(&journal, aside.path().join("journal")).expect("moved away");

        let refused = block_on(RunningBroker::start(settings(directory.path(), 2)));
        let Err(StartError::Recovery { core: on, source }) = refused else { panic!("not refused") };
        assert_eq!(on, CoreId(core));
        assert!(source.to_string().contains("topics"), "{source}");

        let _ = std::fs::remove_dir_all(&journal);
        std::fs::rename(aside.path().join("checkpoint"), checkpoint).expect("moved back");
        std::fs::rename(aside.path().join("journal"), journal).expect("moved back");
    }

    let running = start(directory.path(), 2);
    for partition in 0..4 {
        assert_eq!(values(&running, 0, partition_of(id, partition)), ["kept"]);
    }
    block_on(running.stop()).expect("a clean stop");
}
