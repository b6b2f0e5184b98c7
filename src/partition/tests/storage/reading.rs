//! Reads from memory, from files, and across both.

use std::time::Duration;

use batch::BatchHeader;
use model::{Offset, Timestamp};
use partition::StorageError;

use crate::given::*;

/// Given batches in the tail, when read by an offset inside one, then that whole batch comes first.
#[test]
fn an_offset_inside_a_batch_gives_the_whole_batch() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        let batches = fill(&partition, 5);
        let read = partition.read(Offset(3), 1 << 20, ALL).await.unwrap();
        assert_eq!(read.batches, batches[1..]);
        checkpoint(&partition).await;
        let read = partition.read(Offset(3), 1 << 20, ALL).await.unwrap();
        assert_eq!(read.batches, batches[1..]);
    });
}

/// Given batches in memory or in files only, when read with a small limit, then at least one batch
/// comes, and never one that would pass the limit.
#[test]
fn the_first_batch_always_comes_and_the_limit_holds_for_the_others() {
    run(async |path| {
        for storage in [storage(), forgetful_storage()] {
            let partition = empty(&storage, &path, small_segments()).await;
            let batches = fill(&partition, 20);
            checkpoint(&partition).await;
            let size = batches[7].len();
            for (max_bytes, count) in
                [(0, 1), (1, 1), (size, 1), (2 * size - 1, 1), (2 * size, 2), (7 * size, 7)]
            {
                let read = partition.read(Offset(14), max_bytes, ALL).await.unwrap();
                assert_eq!(read.batches, batches[7..7 + count], "{max_bytes} bytes");
            }
            partition.delete().await.unwrap();
        }
    });
}

/// Given a ceiling, when read up to it, then no batch passes it, and at it there is nothing.
#[test]
fn nothing_beyond_the_ceiling_is_read() {
    run(async |path| {
        for storage in [storage(), forgetful_storage()] {
            let partition = empty(&storage, &path, small_segments()).await;
            let batches = fill(&partition, 10);
            checkpoint(&partition).await;
            for (ceiling, count) in [(4, 0), (5, 0), (6, 1), (7, 1), (20, 8)] {
                let read = partition.read(Offset(4), 1 << 20, Offset(ceiling)).await.unwrap();
                assert_eq!(read.batches, batches[2..2 + count], "ceiling {ceiling}");
            }
            partition.delete().await.unwrap();
        }
    });
}

/// Given a log from 0 to 10, when an offset outside is read, then it is out of range; at the end
/// there is nothing yet.
#[test]
fn offsets_outside_the_log_are_out_of_range() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        fill(&partition, 5);
        partition.advance_log_start(Offset(4));
        assert!(partition.read(Offset(10), 100, ALL).await.unwrap().batches.is_empty());
        for offset in [-1, 3, 11] {
            let error = partition.read(Offset(offset), 100, ALL).await.unwrap_err();
            assert!(matches!(error, StorageError::OffsetOutOfRange { .. }), "{offset}: {error}");
        }
    });
}

/// Given a part in files, a part written and forgotten, a part in memory, when all is read in steps
/// of any size, then it is what was appended.
#[test]
fn reads_go_on_across_segments_and_into_the_tail() {
    run(async |path| {
        let storage = forgetful_storage();
        let partition = empty(&storage, &path, small_segments()).await;
        let mut batches = fill(&partition, 23);
        checkpoint(&partition).await;
        batches.extend(fill(&partition, 9));
        assert!(partition.unflushed_bytes() > 0);
        for max_bytes in [1, 300, 999, 5000, 1 << 20] {
            assert_eq!(read_all(&partition, Offset(0), max_bytes).await, batches);
        }
        // One read serves as much as it may, wherever it lies.
        let read = partition.read(Offset(0), 1 << 20, ALL).await.unwrap();
        assert_eq!(read.batches.len(), 32);
    });
}

/// Given records with rising and falling times, when one is asked for by time, then the first
/// record in offset order comes, not the first of its batch.
#[test]
fn a_time_finds_the_record() {
    run(async |path| {
        for storage in [storage(), forgetful_storage()] {
            let partition = empty(&storage, &path, small_segments()).await;
            put(&partition, &[(100, "a", Some("1")), (300, "b", Some("2")), (200, "c", Some("3"))]);
            put(&partition, &[(150, "d", Some("4")), (250, "e", Some("5"))]);
            put(&partition, &[(500, "f", Some("6")), (400, "g", Some("7"))]);
            checkpoint(&partition).await;
            let found = async |time, ceiling| {
                let found = partition.offset_for_timestamp(Timestamp(time), Offset(ceiling)).await;
                found.unwrap().map(|(offset, timestamp)| (offset.0, timestamp.0))
            };
            assert_eq!(found(0, 7).await, Some((0, 100)));
            assert_eq!(found(101, 7).await, Some((1, 300)));
            assert_eq!(found(300, 7).await, Some((1, 300)));
            assert_eq!(found(301, 7).await, Some((5, 500)));
            assert_eq!(found(301, 5).await, None, "it lies above the ceiling");
            assert_eq!(found(501, 7).await, None);
            partition.advance_log_start(Offset(2));
            assert_eq!(found(101, 7).await, Some((2, 200)), "what was deleted is not found");
            partition.delete().await.unwrap();
        }
    });
}

/// Given many segments, when each time is asked for, then its own record is found.
#[test]
fn every_time_of_a_long_log_is_found() {
    run(async |path| {
        let partition = empty(&forgetful_storage(), &path, small_segments()).await;
        fill(&partition, 60);
        checkpoint(&partition).await;
        for offset in 0..120 {
            let found = partition.offset_for_timestamp(Timestamp(offset * 10 - 3), ALL).await;
            assert_eq!(found.unwrap(), Some((Offset(offset), Timestamp(offset * 10))));
        }
    });
}

/// Given times that fall again, when the greatest is asked for, then the first record that has it
/// is found, below the ceiling and at or above the log start.
#[test]
fn the_greatest_timestamp_is_found() {
    run(async |path| {
        let partition = empty(&forgetful_storage(), &path, small_segments()).await;
        assert_eq!(partition.max_timestamp(ALL).await.unwrap(), None);
        put(&partition, &[(100, "a", Some("1")), (900, "b", Some("2"))]);
        put(&partition, &[(900, "c", Some("3"))]);
        put(&partition, &[(300, "d", Some("4")), (400, "e", Some("5"))]);
        let end = partition.log_end();
        let max = async |ceiling| partition.max_timestamp(ceiling).await.unwrap();
        assert_eq!(max(end).await, Some((Offset(1), Timestamp(900))));
        checkpoint(&partition).await;
        assert_eq!(max(end).await, Some((Offset(1), Timestamp(900))));
        partition.advance_log_start(Offset(3));
        assert_eq!(max(end).await, Some((Offset(4), Timestamp(400))));
        put(&partition, &[(350, "f", Some("6"))]);
        put(&partition, &[(950, "g", Some("7"))]);
        assert_eq!(max(Offset(6)).await, Some((Offset(4), Timestamp(400))));
    });
}

/// Given a reader that waits for more, when a batch is appended, then it wakes; and so it does when
/// the partition is closed.
#[test]
fn a_waiting_reader_wakes_by_an_append_and_by_the_end() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        let waiting = runtime::spawn_joinable("reader", partition.wait_for_append(Offset(0)));
        runtime::sleep(Duration::from_millis(5)).await;
        fill(&partition, 1);
        let woken = runtime::timeout(Duration::from_secs(5), waiting).await;
        assert!(woken.is_ok(), "the append did not wake the reader");
        let waiting = runtime::spawn_joinable("reader", partition.wait_for_append(Offset(2)));
        runtime::sleep(Duration::from_millis(5)).await;
        partition.close();
        let woken = runtime::timeout(Duration::from_secs(5), waiting).await;
        assert!(woken.is_ok(), "the end did not wake the reader");
    });
}

/// Given a log's end, when a batch does not begin there, then it is refused and nothing changes.
#[test]
fn appends_are_dense() {
    run(async |path| {
        let partition = empty(&storage(), &path, small_segments()).await;
        fill(&partition, 1);
        for base in [0, 1, 3] {
            let batch = batch_of(Offset(base), &[(1, "k", None)]);
            let header = BatchHeader::parse(&batch).unwrap();
            let error = partition.append(batch, &header).unwrap_err();
            assert!(matches!(error, StorageError::NotNext { .. }), "{error}");
        }
        assert_eq!(partition.log_end(), Offset(2));
    });
}
