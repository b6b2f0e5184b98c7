//! Transactions: what is stable, what was aborted, and what retention and compaction leave of both.

use batch::{BatchBuilder, BatchHeader, ControlType, transaction_marker};
use model::{
    BatchSequence, CleanupPolicy, Compression, Offset, ProducerEpoch, ProducerId, Timestamp,
    TopicConfig,
};
use partition::Partition;

use crate::given::*;

/// Appends records `(key, value)` of a producer's transaction as one batch.
fn put_in(partition: &Partition, producer: i64, records: &[(&str, Option<&str>)]) {
    let mut builder = BatchBuilder::new(Compression::None)
        .base_offset(partition.log_end())
        .producer(ProducerId(producer), ProducerEpoch(0), BatchSequence(0))
        .transactional();
    for (key, value) in records {
        let value = value.map(str::as_bytes);
        builder.push(runtime::wall_clock(), Some(key.as_bytes()), value, &[]);
    }
    append(partition, builder.build().unwrap().freeze());
}

fn end(partition: &Partition, producer: i64, control: ControlType) {
    let at = runtime::wall_clock();
    let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
    let mut marker = transaction_marker(id, epoch, control, 0, at).unwrap();
    batch::set_base_offset(&mut marker, partition.log_end());
    append(partition, marker.freeze());
}

fn aborted(partition: &Partition) -> Vec<(i64, i64, i64)> {
    let all = partition.aborted_within(partition.log_start(), partition.last_stable());
    all.iter().map(|it| (it.producer_id.0, it.first_offset.0, it.last_offset.0)).collect()
}

fn compacted() -> TopicConfig {
    TopicConfig {
        cleanup_policy: CleanupPolicy { delete: false, compact: true },
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1000,
        ..small_segments()
    }
}

/// Lets the open segment end.
fn roll(partition: &Partition) {
    for _ in 0..2 {
        put(partition, &[(1, "filler", Some(&"f".repeat(1000)))]);
    }
}

/// Everything that a `read_committed` reader keeps, and the markers that are there.
async fn committed(partition: &Partition) -> (Vec<(i64, String)>, Vec<i64>) {
    let (mut kept, mut markers) = (Vec::new(), Vec::new());
    let stable = partition.last_stable();
    let skipped = partition.aborted_within(partition.log_start(), stable);
    for batch in read_all(partition, partition.log_start(), 1 << 20).await {
        let header = BatchHeader::parse(&batch).unwrap();
        if header.attributes.is_control() {
            markers.push(header.base_offset.0);
            continue;
        }
        if header.base_offset >= stable || skipped.iter().any(|it| it.contains(&header)) {
            continue;
        }
        for record in batch::records(&batch, 1 << 20).unwrap() {
            let record = record.unwrap();
            let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
            if key != "filler" {
                kept.push((record.offset.0, key));
            }
        }
    }
    (kept, markers)
}

fn keys(kept: &[(i64, &str)]) -> Vec<(i64, String)> {
    kept.iter().map(|(offset, key)| (*offset, (*key).to_owned())).collect()
}

/// Given an open and an aborted transaction, when the partition is opened from its checkpoint, then
/// it knows both.
#[test]
fn transactions_survive_a_restart() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        put_in(&partition, 1, &[("a", Some("1"))]);
        put_in(&partition, 2, &[("b", Some("1"))]);
        end(&partition, 1, ControlType::Abort);
        assert_eq!((partition.last_stable(), partition.log_end()), (Offset(1), Offset(3)));
        let snapshot = checkpoint(&partition).await;
        partition.close();
        let partition = reopen(&storage(), &path, small_segments(), &snapshot).await;
        assert_eq!(partition.last_stable(), Offset(1));
        end(&partition, 2, ControlType::Commit);
        assert_eq!(partition.last_stable(), Offset(4));
        assert_eq!(aborted(&partition), [(1, 0, 2)]);
    });
}

/// Given an aborted transaction, when the log begins behind its marker, then it is forgotten; an
/// open one whose beginning is gone still bounds what is stable.
#[test]
fn retention_takes_aborted_transactions_with_it() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        put_in(&partition, 1, &[("a", Some("1"))]);
        end(&partition, 1, ControlType::Abort);
        put_in(&partition, 2, &[("b", Some("1")), ("c", Some("1"))]);
        put(&partition, &[(1, "d", None)]);
        partition.advance_log_start(Offset(1));
        assert_eq!(partition.last_stable(), Offset(2));
        assert_eq!(aborted(&partition), [(1, 0, 1)]);
        partition.advance_log_start(Offset(3));
        assert_eq!(partition.last_stable(), Offset(3));
        assert_eq!(aborted(&partition), []);
        end(&partition, 2, ControlType::Commit);
        assert_eq!(partition.last_stable(), Offset(6));
    });
}

/// Given an aborted record that is newer than a committed one with its key, when compacted, then
/// the committed one stays, the aborted one goes, and its marker goes a while after it.
#[test]
fn compaction_drops_what_was_aborted_and_then_its_marker() {
    run(async |path| {
        let partition = empty(&forgetful_storage(), &path, compacted()).await;
        put_in(&partition, 1, &[("a", Some("old"))]); // 0
        put_in(&partition, 1, &[("a", Some("committed"))]); // 1
        end(&partition, 1, ControlType::Commit); // 2
        put_in(&partition, 2, &[("a", Some("aborted"))]); // 3
        end(&partition, 2, ControlType::Abort); // 4
        put(&partition, &[(1, "b", Some("x"))]); // 5
        roll(&partition);
        let now = runtime::wall_clock();
        partition.compact(now).await.unwrap();
        assert_eq!(committed(&partition).await, (keys(&[(1, "a"), (5, "b")]), vec![2, 4]));
        assert_eq!(aborted(&partition), [(2, 3, 4)]);

        // Not before delete.retention.ms, ...
        roll(&partition);
        partition.compact(Timestamp(now.0 + 500)).await.unwrap();
        assert_eq!(committed(&partition).await.1, [2, 4]);
        // ... and then both are gone: who hears of an abort waits for its marker.
        partition.compact(Timestamp(now.0 + 1001)).await.unwrap();
        assert_eq!(committed(&partition).await, (keys(&[(1, "a"), (5, "b")]), vec![2]));
        assert_eq!(aborted(&partition), []);

        let snapshot = checkpoint(&partition).await;
        partition.close();
        let partition = reopen(&storage(), &path, compacted(), &snapshot).await;
        assert_eq!(committed(&partition).await, (keys(&[(1, "a"), (5, "b")]), vec![2]));
    });
}

/// Given an open transaction, when compacted, then nothing from its first record on is touched.
#[test]
fn compaction_stops_at_what_is_not_stable() {
    run(async |path| {
        let partition = empty(&forgetful_storage(), &path, compacted()).await;
        put(&partition, &[(1, "a", Some("1"))]);
        roll(&partition);
        put_in(&partition, 1, &[("a", Some("2"))]);
        roll(&partition);
        partition.compact(runtime::wall_clock()).await.unwrap();
        assert_eq!(committed(&partition).await.0, keys(&[(0, "a")]));
        end(&partition, 1, ControlType::Commit);
        roll(&partition);
        partition.compact(runtime::wall_clock()).await.unwrap();
        assert_eq!(committed(&partition).await.0, keys(&[(3, "a")]));
    });
}
