//! What survives, what is cleared away, what is deleted.

use model::Offset;
use partition::StorageError;

use crate::given::*;

/// Given a new partition, when nothing was flushed, then there is no file.
#[test]
fn an_unused_partition_makes_no_file() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        let snapshot = checkpoint(&partition).await;
        assert!(!runtime::fs::exists(&path).await.unwrap());
        let again = reopen(&storage(), &path, small_segments(), &snapshot).await;
        assert_eq!((again.log_start(), again.log_end()), (Offset(0), Offset(0)));
        partition.delete().await.unwrap();
    });
}

/// Given a checkpoint and more appends after it, when the partition is opened from the checkpoint
/// and the appends come again, then everything is as it was, also after another checkpoint.
#[test]
fn a_reopened_partition_goes_on_from_its_checkpoint() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        let mut batches = fill(&partition, 7);
        let snapshot = checkpoint(&partition).await;
        let after = fill(&partition, 8);
        // Written, but no checkpoint knows of it.
        let lost = partition.snapshot();
        partition.flush_to(&lost).await.unwrap();
        partition.close();

        let partition = reopen(&forgetful_storage(), &path, small_segments(), &snapshot).await;
        assert_eq!(partition.log_end(), Offset(14));
        assert_eq!(read_all(&partition, Offset(0), 700).await, batches);
        for batch in &after {
            append(&partition, batch.clone());
        }
        batches.extend(after);
        let snapshot = checkpoint(&partition).await;
        assert_eq!(read_all(&partition, Offset(0), 700).await, batches);
        partition.close();
        let partition = reopen(&storage(), &path, small_segments(), &snapshot).await;
        assert_eq!(read_all(&partition, Offset(0), 700).await, batches);
        assert_eq!(partition.snapshot(), snapshot);
    });
}

/// Given files that no checkpoint knows, when the partition is written to, then they are cleared
/// away before, and what they held does not come back.
#[test]
fn what_a_crash_left_is_cleared_away() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        fill(&partition, 30);
        partition.flush_to(&partition.snapshot()).await.unwrap();
        assert!(files(&path).await.len() > 4);
        partition.close();

        // No checkpoint had it: it is made again.
        let partition = empty(&forgetful_storage(), &path, small_segments()).await;
        let batch = put(&partition, &[(5, "other", Some("content"))]);
        let snapshot = checkpoint(&partition).await;
        assert_eq!(files(&path).await, ["00000000000000000000-0.log"]);
        assert_eq!(read_all(&partition, Offset(0), 1).await, std::slice::from_ref(&batch));
        partition.close();
        let partition = reopen(&storage(), &path, small_segments(), &snapshot).await;
        assert_eq!(read_all(&partition, Offset(0), 1).await, [batch]);
    });
}

/// Given an open segment with more in its file and in its index than the checkpoint counts, when
/// other batches are appended, then nothing of the old is left.
#[test]
fn other_batches_may_come_where_a_crash_cut_off() {
    run(async |path| {
        let config = model::TopicConfig { segment_bytes: 1 << 20, ..small_segments() };
        let partition = empty(&forgetful_storage(), &path, config.clone()).await;
        let kept = fill(&partition, 3);
        let snapshot = checkpoint(&partition).await;
        fill(&partition, 30);
        partition.flush_to(&partition.snapshot()).await.unwrap();
        partition.close();
        let partition = reopen(&forgetful_storage(), &path, config.clone(), &snapshot).await;
        let mut all = kept;
        for round in 0..10 {
            let value = "x".repeat(40 + round);
            all.push(put(&partition, &[(round as i64, "a", Some(&value))]));
        }
        let snapshot = checkpoint(&partition).await;
        partition.close();
        let partition = reopen(&forgetful_storage(), &path, config, &snapshot).await;
        assert_eq!(read_all(&partition, Offset(0), 1).await, all);
    });
}

/// Given a partition in use, when it is deleted, then its files are gone, who waits wakes, and every
/// further use says so.
#[test]
fn a_deleted_partition_says_so() {
    run(async |path| {
        let storage = storage();
        let partition = empty(&storage, &path, small_segments()).await;
        fill(&partition, 10);
        let snapshot = checkpoint(&partition).await;
        partition.delete().await.unwrap();
        assert!(!runtime::fs::exists(&path).await.unwrap());
        partition.wait_for_append(Offset(1000)).await;
        let deleted = |error: StorageError| matches!(error, StorageError::Deleted { .. });
        assert!(deleted(partition.read(Offset(0), 100, ALL).await.unwrap_err()));
        assert!(deleted(partition.flush_to(&snapshot).await.unwrap_err()));
        assert!(deleted(partition.max_timestamp(ALL).await.unwrap_err()));
        let batch = batch_of(partition.log_end(), &[(1, "k", None)]);
        let header = batch::BatchHeader::parse(&batch).unwrap();
        assert!(deleted(partition.append(batch, &header).unwrap_err()));
        assert_eq!((storage.tail_bytes(), storage.unflushed_bytes()), (0, 0));
        drop(partition);
        assert_eq!(storage.partition_count(), 0);
    });
}

/// Given a flush that is under way, when the partition is deleted, then no file is left behind.
#[test]
fn a_delete_during_a_flush_leaves_nothing() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        fill(&partition, 50);
        let flushing = partition.clone();
        let task = runtime::spawn_joinable("flush", async move {
            let snapshot = flushing.snapshot();
            flushing.flush_to(&snapshot).await
        });
        runtime::yield_now().await;
        partition.delete().await.unwrap();
        let _ = task.await;
        assert!(!runtime::fs::exists(&path).await.unwrap());
    });
}

/// Given a snapshot that contradicts itself, when opened, then it is refused and said why.
#[test]
fn a_snapshot_that_cannot_be_right_is_refused() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        fill(&partition, 30);
        let good = checkpoint(&partition).await;
        let spoil: [fn(&mut partition::PartitionSnapshot); 4] = [
            |snapshot| _ = snapshot.segments.remove(1),
            |snapshot| _ = snapshot.segments.pop(),
            |snapshot| snapshot.log_end = Offset(1),
            |snapshot| snapshot.segments[0].sealed = false,
        ];
        for spoil in spoil {
            let mut bad = good.clone();
            spoil(&mut bad);
            let config = std::rc::Rc::new(small_segments());
            let opened =
                partition::Partition::open(&storage(), path.to_owned(), ID, config, &bad).await;
            assert!(matches!(opened.err(), Some(StorageError::InvalidSnapshot { .. })));
        }
    });
}

/// Given a process that was killed after it made the partition's directory and before any sync,
/// when the next process makes a checkpoint and the power fails, then the directory is there.
#[cfg(feature = "simulation")]
#[test]
fn a_directory_made_by_a_killed_process_is_synced_by_the_next() {
    use runtime::simulation::{CrashKind, crash};
    run(async |path| {
        // Who makes the data directory makes this much durable.
        runtime::fs::create_directory_all("/data/topics").await.unwrap();
        for directory in ["/", "/data"] {
            runtime::fs::sync_directory(directory).await.unwrap();
        }
        let killed = empty(&storage(), &path, small_segments()).await;
        fill(&killed, 3);
        let never = killed.snapshot();
        let flushing = killed.clone();
        let flush =
            runtime::spawn_joinable("flush", async move { flushing.flush_to(&never).await });
        while !runtime::fs::exists(&path).await.unwrap() {
            runtime::yield_now().await;
        }
        drop(flush);
        killed.close();
        crash(CrashKind::Kill);

        let partition = empty(&storage(), &path, small_segments()).await;
        let batches = fill(&partition, 3);
        let snapshot = checkpoint(&partition).await;
        partition.close();
        crash(CrashKind::PowerCut);
        let partition = reopen(&forgetful_storage(), &path, small_segments(), &snapshot).await;
        assert_eq!(read_all(&partition, Offset(0), 700).await, batches);
    });
}
