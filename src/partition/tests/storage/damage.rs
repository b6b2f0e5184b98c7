//! Bad days: what is missing or damaged is reported with its place, or made again if it can be.

use batch::BatchHeader;
use model::{Offset, TopicConfig};
use partition::{PartitionSnapshot, StorageError};

use crate::given::*;

async fn written(path: &std::path::Path) -> (PartitionSnapshot, Vec<bytes::Bytes>) {
    let partition = empty(&storage(), path, small_segments()).await;
    let batches = fill(&partition, 30);
    let snapshot = checkpoint(&partition).await;
    partition.close();
    (snapshot, batches)
}

const FIRST: &str = "00000000000000000000-0";

/// Given a flipped byte anywhere in a stored batch, when that batch is read, then the damage is
/// reported with file and position, and the batches before are still read.
#[test]
fn a_damaged_batch_is_reported_with_its_place() {
    run(async |path| {
        let (snapshot, batches) = written(&path).await;
        let log = path.join(format!("{FIRST}.log"));
        let second = 64 + batches[0].len() as u64;
        for place in [0, 9, 16, 18, 25, 70, 150] {
            let good = runtime::fs::read_file(&log, 1 << 20).await.unwrap();
            overwrite(log.clone(), second + place, b"\xee").await;
            let partition = reopen(&storage(), &path, small_segments(), &snapshot).await;
            let first = partition.read(Offset(0), 1 << 20, ALL).await.unwrap();
            assert_eq!(first.batches, batches[..1]);
            match partition.read(Offset(2), 1 << 20, ALL).await.unwrap_err() {
                StorageError::Damaged { file, position, .. } => {
                    assert_eq!((file, position), (log.clone(), second), "byte {place}");
                }
                other => panic!("byte {place}: {other}"),
            }
            // What lies behind the damaged segment is whole.
            let third = snapshot.segments[1].base_offset;
            assert_eq!(read_all(&partition, third, 500).await, batches[third.0 as usize / 2..]);
            partition.close();
            let file = runtime::fs::File::open(&log, runtime::fs::OpenOptions::read_write_create())
                .await
                .unwrap();
            file.write_at(0, &[good]).await.unwrap();
        }
    });
}

/// Given a file that is gone, cut short, or of another segment, when it is read, then it is named.
#[test]
fn missing_short_and_foreign_files_are_named() {
    run(async |path| {
        let (snapshot, batches) = written(&path).await;
        let log = path.join(format!("{FIRST}.log"));
        let read = async || {
            let partition = reopen(&storage(), &path, small_segments(), &snapshot).await;
            partition.read(Offset(0), 1 << 20, ALL).await
        };
        let file = runtime::fs::File::open(&log, runtime::fs::OpenOptions::read_write_create())
            .await
            .unwrap();
        file.set_len(70).await.unwrap();
        let error = read().await.unwrap_err();
        assert!(matches!(&error, StorageError::Damaged { position: 64, .. }), "{error}");
        file.set_len(20).await.unwrap();
        let error = read().await.unwrap_err();
        assert!(matches!(&error, StorageError::Damaged { position: 0, .. }), "{error}");
        let other = path.join(format!("{:020}-0.log", snapshot.segments[1].base_offset.0));
        runtime::fs::rename(&other, &log).await.unwrap();
        let error = read().await.unwrap_err();
        assert!(error.to_string().contains("another segment"), "{error}");
        runtime::fs::remove_file(&log).await.unwrap();
        let error = read().await.unwrap_err();
        assert!(matches!(&error, StorageError::Missing { file } if *file == log), "{error}");
        assert!(!batches.is_empty());
    });
}

/// Given an open segment that is cut, garbled or gone since its checkpoint, when the partition is
/// written to, then the first flush reports it and the next goes on in another segment; what was
/// missing is still missed, and nothing else is.
#[test]
fn a_partition_goes_on_behind_a_damaged_open_segment() {
    run(async |path| {
        for damage in 0..4 {
            // The second time more is appended than goes into the same segment.
            for count in [1, 30] {
                go_on_behind(&path.join(format!("{damage}-{count}")), damage, count).await;
            }
        }
    });
}

async fn go_on_behind(path: &std::path::Path, damage: u32, count: usize) {
    let config = TopicConfig { segment_bytes: 2000, ..small_segments() };
    let partition = empty(&storage(), path, config.clone()).await;
    fill(&partition, 5);
    let snapshot = checkpoint(&partition).await;
    partition.close();
    let log = path.join(format!("{FIRST}.log"));
    match damage {
        0 => {
            let options = runtime::fs::OpenOptions::read_write_create();
            let file = runtime::fs::File::open(&log, options).await.unwrap();
            file.set_len(300).await.unwrap();
        }
        1 => overwrite(log.clone(), 20, b"\xee").await,
        2 => runtime::fs::remove_file(&log).await.unwrap(),
        _ => runtime::fs::remove_directory_all(path).await.unwrap(),
    }
    let damaged = |error: &StorageError| match error {
        StorageError::Damaged { position, .. } => *position == [300, 0][damage as usize],
        StorageError::Missing { .. } => damage >= 2,
        _ => false,
    };

    let partition = reopen(&forgetful_storage(), path, config.clone(), &snapshot).await;
    let mut later = fill(&partition, count);
    let error = partition.flush_to(&partition.snapshot()).await.unwrap_err();
    assert!(damaged(&error), "{damage}: {error}");
    later.extend(fill(&partition, 1));
    let snapshot = checkpoint(&partition).await;
    partition.close();

    let partition = reopen(&forgetful_storage(), path, config, &snapshot).await;
    later.extend(fill(&partition, 1));
    checkpoint(&partition).await;
    assert_eq!(read_all(&partition, Offset(10), 500).await, later);
    // By time they are found without a look into the damaged segment.
    let found = partition.offset_for_timestamp(model::Timestamp(100), ALL).await.unwrap();
    assert_eq!(found.map(|(offset, _)| offset), Some(Offset(10)));
    let error = partition.read(Offset(8), 1 << 20, ALL).await.unwrap_err();
    assert!(
        matches!(error, StorageError::Damaged { .. } | StorageError::Missing { .. }),
        "{error}"
    );
}

/// Given an index that is missing, cut, garbled, or of another segment, when its segment is read,
/// then it is made again and all is found.
#[test]
fn indexes_are_made_again() {
    run(async |path| {
        let (snapshot, batches) = written(&path).await;
        let index = path.join(format!("{FIRST}.index"));
        let good = runtime::fs::read_file(&index, 1 << 20).await.unwrap();
        assert!(partition::offset_index::parse(&good).is_ok());
        let other = path.join(format!("{:020}-0.index", snapshot.segments[1].base_offset.0));
        for damage in 0..4 {
            match damage {
                0 => runtime::fs::remove_file(&index).await.unwrap(),
                1 => overwrite(index.clone(), 45, b"\xff\xff").await,
                2 => {
                    let options = runtime::fs::OpenOptions::read_write_create();
                    let file = runtime::fs::File::open(&index, options).await.unwrap();
                    file.set_len(41).await.unwrap();
                }
                _ => {
                    let bytes = runtime::fs::read_file(&other, 1 << 20).await.unwrap();
                    runtime::fs::write_file_durably(&index, &bytes).await.unwrap();
                }
            }
            let partition = reopen(&storage(), &path, small_segments(), &snapshot).await;
            for (number, batch) in batches.iter().enumerate() {
                let read = partition.read(Offset(number as i64 * 2 + 1), 1, ALL).await.unwrap();
                assert_eq!(&read.batches, std::slice::from_ref(batch), "damage {damage}");
            }
            let again = runtime::fs::read_file(&index, 1 << 20).await.unwrap();
            assert_eq!(again, good, "damage {damage}");
            partition.close();
        }
    });
}

/// Given an index that is whole but lies, when it leads to no batch, then it is made again.
#[test]
fn an_index_that_lies_is_made_again() {
    run(async |path| {
        let (snapshot, batches) = written(&path).await;
        let index = path.join(format!("{FIRST}.index"));
        let mut liar = partition::offset_index::SparseIndex::new(Offset(0), 64);
        for number in 0..4 {
            let entry = partition::offset_index::IndexEntry {
                offset: Offset(number * 2),
                position: 64 + 100 * number as u64,
                max_timestamp_before: model::Timestamp(0),
            };
            liar.note(entry, 100, 1);
        }
        let size = snapshot.segments[0].size_bytes;
        let last = partition::offset_index::IndexEntry {
            offset: Offset(7),
            position: size - 10,
            max_timestamp_before: model::Timestamp(0),
        };
        liar.note(last, 10, 1);
        runtime::fs::write_file_durably(&index, &liar.encode(0)).await.unwrap();
        let partition = reopen(&storage(), &path, small_segments(), &snapshot).await;
        for (number, batch) in batches.iter().enumerate() {
            let read = partition.read(Offset(number as i64 * 2 + 1), 1, ALL).await.unwrap();
            assert_eq!(&read.batches, std::slice::from_ref(batch));
        }
    });
}

/// Given a whole segment file, when it is scanned in memory, then its batches are found, and any
/// flipped byte is noticed.
#[test]
fn a_scan_notices_every_flipped_byte_that_the_crc_or_the_place_covers() {
    run(async |path| {
        let (_, batches) = written(&path).await;
        let log = path.join(format!("{FIRST}.log"));
        let good = runtime::fs::read_file(&log, 1 << 20).await.unwrap();
        let (header, found) = partition::segment_scan::scan(&good).unwrap();
        assert_eq!((header.partition, header.base_offset), (ID, Offset(0)));
        let expected: Vec<_> =
            batches.iter().take(found.len()).map(|it| BatchHeader::parse(it).unwrap()).collect();
        assert_eq!(found, expected);
        for place in 0..good.len() {
            let mut bad = good.to_vec();
            bad[place] ^= 0x04;
            // The leader epoch is covered by nothing: the broker patches it.
            let in_batch = place.checked_sub(64).map(|place| place % batches[0].len());
            let uncovered = in_batch.is_some_and(|place| (12..16).contains(&place));
            assert_eq!(partition::segment_scan::scan(&bad).is_ok(), uncovered, "byte {place}");
        }
    });
}
