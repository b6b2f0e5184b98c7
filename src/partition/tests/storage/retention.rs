//! What goes, and when its files go.

use model::{CleanupPolicy, Offset, Timestamp, TopicConfig};

use crate::given::*;

/// Given ten segments, when the log may have so many bytes, then the target leaves at least that
/// many, and one segment less would be too few.
#[test]
fn retention_by_size_keeps_at_least_the_bytes_asked_for() {
    run(async |path| {
        let config = TopicConfig { retention_bytes: 3000, retention_ms: -1, ..small_segments() };
        let partition = empty(&storage(), &path, config).await;
        fill(&partition, 50);
        let target = partition.retention_target(Timestamp(0)).unwrap();
        let first_size = partition.snapshot().segments[0].size_bytes;
        partition.advance_log_start(target);
        assert_eq!(partition.log_start(), target);
        assert!(partition.size_bytes() >= 3000 && partition.size_bytes() < 3000 + first_size);
        assert_eq!(partition.retention_target(Timestamp(0)), None, "nothing more to do");
    });
}

/// Given records with times, when some are older than allowed, then their segments may go, up to
/// the first that has a younger record; also the open one, if all of it is old.
#[test]
fn retention_by_time_takes_what_is_wholly_old() {
    run(async |path| {
        let config = TopicConfig { retention_ms: 1000, ..small_segments() };
        let partition = empty(&storage(), &path, config).await;
        fill(&partition, 50);
        assert_eq!(partition.retention_target(Timestamp(1000)), None);
        let target = partition.retention_target(Timestamp(1501)).unwrap();
        let segments = partition.snapshot().segments;
        let expected = segments.iter().take_while(|it| it.max_timestamp < Timestamp(501)).last();
        assert_eq!(target, expected.unwrap().next_offset);
        assert_eq!(partition.retention_target(Timestamp(5000)), Some(Offset(100)));
        partition.advance_log_start(Offset(100));
        assert_eq!(partition.size_bytes(), 0);
        fill(&partition, 1);
        assert_eq!(read_all(&partition, Offset(100), 1).await.len(), 1);
    });
}

/// Given a compacted topic, when its records are old, then they stay.
#[test]
fn compacted_topics_have_no_retention() {
    run(async |path| {
        let cleanup_policy = CleanupPolicy { delete: false, compact: true };
        let config = TopicConfig { retention_ms: 1, cleanup_policy, ..small_segments() };
        let partition = empty(&storage(), &path, config).await;
        fill(&partition, 50);
        assert_eq!(partition.retention_target(Timestamp(i64::MAX)), None);
    });
}

/// Given a log start that moved on, when the next checkpoint is done, then the files below are gone,
/// and not before.
#[test]
fn files_go_after_the_checkpoint_that_no_longer_lists_them() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        fill(&partition, 30);
        let before = checkpoint(&partition).await;
        let listed = files(&path).await;
        partition.advance_log_start(Offset(31));
        partition.checkpoint_done(&before).await;
        assert_eq!(files(&path).await, listed, "the checkpoint in force lists them");
        checkpoint(&partition).await;
        let left = files(&path).await;
        assert!(left.len() < listed.len(), "{left:?}");
        assert_eq!(read_all(&partition, Offset(31), 500).await.len(), 15);
    });
}

/// Given a partition opened from a checkpoint that lists files which are already gone because the
/// log start has moved on since, when the log start moves again in the replay, then nothing is
/// missed.
#[test]
fn a_replayed_log_start_makes_up_for_missing_files() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        let batches = fill(&partition, 30);
        let snapshot = checkpoint(&partition).await;
        partition.close();
        runtime::fs::remove_file(path.join("00000000000000000000-0.log")).await.unwrap();
        let partition = reopen(&storage(), &path, small_segments(), &snapshot).await;
        partition.advance_log_start(Offset(12));
        assert_eq!(read_all(&partition, Offset(12), 500).await, batches[6..]);
        checkpoint(&partition).await;
    });
}
