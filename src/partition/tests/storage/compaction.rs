//! Of each key the newest record stays.

use batch::{BatchBuilder, BatchHeader};
use model::{
    BatchSequence, CleanupPolicy, Compression, Offset, ProducerEpoch, ProducerId, Timestamp,
    TopicConfig,
};
use partition::{CoreStorage, Partition, StorageConfig};

use crate::given::*;

fn compacted() -> TopicConfig {
    TopicConfig {
        cleanup_policy: CleanupPolicy { delete: false, compact: true },
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1000,
        ..small_segments()
    }
}

/// Lets the open segment end, so that what is in it may be compacted.
fn roll(partition: &Partition) {
    put(partition, &[(1, "filler", Some(&"f".repeat(1000)))]);
    put(partition, &[(1, "filler", Some(&"f".repeat(1000)))]);
}

fn now() -> Timestamp {
    runtime::wall_clock()
}

async fn values(partition: &Partition) -> Vec<(i64, String, Option<String>)> {
    let mut records = records(partition).await;
    records.retain(|(_, key, _)| key != "filler");
    records
}

/// Given several records per key, when compacted, then the newest of each is left at its old
/// offset, readers at any offset get further, and it all survives a restart.
#[test]
fn the_newest_record_of_each_key_stays_at_its_offset() {
    run(async |path| {
        let partition = empty(&storage(), &path, compacted()).await;
        for round in 0..20 {
            let value = format!("{round}");
            put(&partition, &[(5, "a", Some(&value)), (5, "b", Some(&value))]);
            put(&partition, &[(5, &format!("only {round}"), Some("x"))]);
        }
        roll(&partition);
        let before = values(&partition).await;
        let report = partition.compact(now()).await.unwrap();
        assert!(report.segments_rewritten > 0 && report.bytes_after < report.bytes_before);
        let expected: Vec<_> = before
            .iter()
            .filter(|(offset, key, _)| key.starts_with("only") || *offset >= 57)
            .cloned()
            .collect();
        assert_eq!(values(&partition).await, expected);
        for from in 0..partition.log_end().0 {
            read_all(&partition, Offset(from), 1).await;
        }
        let snapshot = checkpoint(&partition).await;
        partition.close();
        let partition = reopen(&storage(), &path, compacted(), &snapshot).await;
        assert_eq!(values(&partition).await, expected);
        let report = partition.compact(now()).await.unwrap();
        assert_eq!(report.segments_rewritten, 0, "nothing is dirty");
    });
}

/// Given compressed batches, when compacted, then what is left has the same codec.
#[test]
fn codecs_are_kept() {
    run(async |path| {
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let partition = empty(&storage(), &path, compacted()).await;
            for round in 0..3 {
                let mut builder = BatchBuilder::new(codec).base_offset(partition.log_end());
                for key in ["a", "b", if round == 1 { "c" } else { "d" }] {
                    let value = format!("{round} {}", "v".repeat(200));
                    let header = ("h".into(), Some("x".into()));
                    builder.push(
                        Timestamp(7),
                        Some(key.as_bytes()),
                        Some(value.as_bytes()),
                        &[header],
                    );
                }
                append(&partition, builder.build().unwrap().freeze());
            }
            roll(&partition);
            partition.compact(now()).await.unwrap();
            let left: Vec<_> =
                values(&partition).await.into_iter().map(|(at, key, _)| (at, key)).collect();
            let expected = [(5, "c"), (6, "a"), (7, "b"), (8, "d")];
            assert_eq!(left, expected.map(|(at, key)| (at, key.to_owned())));
            let batch = partition.read(Offset(3), 1, ALL).await.unwrap().batches.remove(0);
            let header = BatchHeader::parse(&batch).unwrap();
            assert_eq!(header.attributes.compression(), Ok(codec));
            assert_eq!((header.base_offset, header.last_offset()), (Offset(3), Offset(5)));
            let record = batch::records(&batch, 1 << 20).unwrap().next().unwrap().unwrap();
            assert_eq!((record.timestamp, record.headers.len()), (Timestamp(7), 1));
            partition.delete().await.unwrap();
        }
    });
}

/// Given a deleted key, when compacted, then the tombstone stays for delete.retention.ms from the
/// first compaction on, with its own timestamp, and goes then, without any new record.
#[test]
fn tombstones_stay_until_their_horizon_and_then_go() {
    run(async |path| {
        let partition = empty(&storage(), &path, compacted()).await;
        put(&partition, &[(5, "gone", Some("x")), (5, "here", Some("y"))]);
        put(&partition, &[(6, "gone", None)]);
        roll(&partition);
        let first = now();
        partition.compact(first).await.unwrap();
        let here = (1, "here".to_owned(), Some("y".to_owned()));
        let tombstone = (2, "gone".to_owned(), None);
        assert_eq!(values(&partition).await, [here.clone(), tombstone.clone()]);
        let batch = partition.read(Offset(2), 1, ALL).await.unwrap().batches.remove(0);
        let header = BatchHeader::parse(&batch).unwrap();
        assert!(header.attributes.has_delete_horizon());
        assert_eq!(header.base_timestamp, Timestamp(first.0 + 1000));
        let record = batch::records(&batch, 1 << 20).unwrap().next().unwrap().unwrap();
        assert_eq!(record.timestamp, Timestamp(6));

        let snapshot = checkpoint(&partition).await;
        partition.close();
        let partition = reopen(&storage(), &path, compacted(), &snapshot).await;
        let report = partition.compact(Timestamp(first.0 + 999)).await.unwrap();
        assert_eq!(report.segments_rewritten, 0);
        assert_eq!(values(&partition).await, [here.clone(), tombstone]);
        let report = partition.compact(Timestamp(first.0 + 1000)).await.unwrap();
        assert!(report.segments_rewritten > 0);
        assert_eq!(values(&partition).await, [here]);
        let report = partition.compact(Timestamp(first.0 + 9000)).await.unwrap();
        assert_eq!(report.segments_rewritten, 0, "no tombstone is left");
    });
}

/// Given batches of idempotent producers, when all their records are superseded, then the last batch
/// of each stays, empty, with its sequence; and goes once the producer has been idle for a day.
#[test]
fn the_last_batch_of_a_producer_stays_for_its_sequence() {
    run(async |path| {
        let partition = empty(&storage(), &path, compacted()).await;
        let start = now();
        for (producer, sequence) in [(7, 0), (8, 0), (7, 1), (9, 0)] {
            let mut builder = BatchBuilder::new(Compression::None)
                .base_offset(partition.log_end())
                .producer(ProducerId(producer), ProducerEpoch(1), BatchSequence(sequence));
            builder.push(start, Some(b"same"), Some(b"value"), &[]);
            append(&partition, builder.build().unwrap().freeze());
        }
        put(&partition, &[(start.0, "same", Some("newest"))]);
        roll(&partition);
        let producers = async |partition: &Partition| {
            let batches = read_all(partition, Offset(0), 1 << 20).await;
            let headers = batches.iter().map(|batch| BatchHeader::parse(batch).unwrap());
            headers
                .filter(BatchHeader::has_producer)
                .map(|header| {
                    (header.base_offset.0, header.producer_id.0, header.last_sequence().0)
                })
                .collect::<Vec<_>>()
        };
        partition.compact(start).await.unwrap();
        assert_eq!(producers(&partition).await, [(1, 8, 0), (2, 7, 1), (3, 9, 0)]);
        assert_eq!(values(&partition).await, [(4, "same".to_owned(), Some("newest".to_owned()))]);
        roll(&partition);
        partition.compact(Timestamp(start.0 + 86_400_001)).await.unwrap();
        assert_eq!(producers(&partition).await, []);
    });
}

/// Given little memory for keys, when compacted again and again, then each time more of the log is
/// clean, and in the end all of it.
#[test]
fn little_memory_takes_several_rounds() {
    run(async |path| {
        let storage = CoreStorage::new(StorageConfig {
            compaction_memory_bytes: 1,
            ..StorageConfig::default()
        });
        let config = TopicConfig { segment_bytes: 20_000, ..compacted() };
        let partition = empty(&storage, &path, config).await;
        for number in 0..2000 {
            put(&partition, &[(5, &format!("key {}", number % 900), Some("value"))]);
        }
        put(&partition, &[(1, "filler", Some(&"f".repeat(20_000)))]);
        put(&partition, &[(1, "filler", Some(&"f".repeat(20_000)))]);
        let mut rounds = 0;
        let mut clean_through = Offset(0);
        while clean_through < Offset(2000) {
            let report = partition.compact(now()).await.unwrap();
            assert!(report.clean_through > clean_through, "{report:?}");
            clean_through = report.clean_through;
            rounds += 1;
        }
        assert!(rounds > 1);
        let left = values(&partition).await;
        let offsets: Vec<i64> = left.iter().map(|(offset, _, _)| *offset).collect();
        assert_eq!(offsets, (1100..2000).collect::<Vec<_>>());
    });
}

/// Given records younger than min.compaction.lag.ms, or too few dirty ones, when compacted, then
/// nothing happens; max.compaction.lag.ms overrules the ratio.
#[test]
fn lag_and_ratio_are_respected() {
    run(async |path| {
        let config = TopicConfig { min_compaction_lag_ms: 10_000, ..compacted() };
        let partition = empty(&storage(), &path, config.clone()).await;
        for _ in 0..30 {
            put(&partition, &[(5, "a", Some("x"))]);
        }
        roll(&partition);
        let start = now();
        assert_eq!(partition.compact(start).await.unwrap().segments_rewritten, 0);
        let later = Timestamp(start.0 + 10_001);
        assert!(partition.compact(later).await.unwrap().segments_rewritten > 0);

        let config = TopicConfig { min_cleanable_dirty_ratio: 0.9, ..compacted() };
        partition.set_config(std::rc::Rc::new(config.clone()));
        for _ in 0..10 {
            put(&partition, &[(5, "a", Some("y"))]);
        }
        roll(&partition);
        assert_eq!(partition.compact(start).await.unwrap().segments_rewritten, 0);
        let config = TopicConfig { max_compaction_lag_ms: 5000, ..config };
        partition.set_config(std::rc::Rc::new(config));
        let later = Timestamp(start.0 + 60_000);
        assert!(partition.compact(later).await.unwrap().segments_rewritten > 0);
    });
}

/// Given a reader, a retention and a checkpoint at work during a compaction, when all are done, then
/// each has seen a log that makes sense, and a restart sees the same.
#[test]
fn compaction_disturbs_nobody() {
    run(async |path| {
        let storage = CoreStorage::new(StorageConfig {
            memory_bytes: 0,
            open_files_max: 2,
            ..StorageConfig::default()
        });
        let partition = empty(&storage, &path, compacted()).await;
        for number in 0..200 {
            put(&partition, &[(5, &format!("{}", number % 11), Some(&format!("{number}")))]);
        }
        roll(&partition);
        checkpoint(&partition).await;
        let compacting = partition.clone();
        let compaction = runtime::spawn_joinable("compaction", async move {
            compacting.compact(now()).await.unwrap()
        });
        let reading = partition.clone();
        let reader = runtime::spawn_joinable("reader", async move {
            for from in (60..200).step_by(9) {
                read_all(&reading, Offset(from), 300).await;
            }
        });
        runtime::yield_now().await;
        partition.advance_log_start(Offset(50));
        let snapshot = partition.snapshot();
        partition.flush_to(&snapshot).await.unwrap();
        partition.checkpoint_done(&snapshot).await;
        reader.await;
        compaction.await;
        let expected = values(&partition).await;
        // From the checkpoint that was taken meanwhile.
        partition.close();
        let partition = reopen(&self::storage(), &path, compacted(), &snapshot).await;
        partition.compact(now()).await.unwrap();
        assert_eq!(values(&partition).await.last(), expected.last());
        let snapshot = checkpoint(&partition).await;
        for segment in &snapshot.segments {
            let name = format!("{:020}-{}.log", segment.base_offset.0, segment.generation);
            assert!(files(&path).await.contains(&name));
        }
        let logs = files(&path).await.into_iter().filter(|name| name.ends_with(".log")).count();
        assert_eq!(logs, snapshot.segments.len(), "nothing else is left");
    });
}
