//! The budget of a core.

use std::time::Duration;

use model::{Offset, PartitionIndex, TopicPartition};
use partition::{CoreStorage, Partition, StorageConfig};

use crate::given::*;

/// Given three partitions under one budget, when it is exceeded, then the oldest written batches go,
/// whosever they are, and what is not written stays.
#[test]
fn the_oldest_written_batches_make_room() {
    run(async |path| {
        let storage = CoreStorage::new(StorageConfig {
            memory_bytes: 8000,
            unflushed_bytes_max: usize::MAX,
            ..StorageConfig::default()
        });
        let mut partitions = Vec::new();
        for index in 0..3 {
            let id = TopicPartition { partition: PartitionIndex(index), ..ID };
            let config = std::rc::Rc::new(small_segments());
            let folder = path.join(index.to_string());
            partitions.push(Partition::create(&storage, folder, id, config).await.unwrap());
        }
        fill(&partitions[0], 20);
        fill(&partitions[1], 20);
        checkpoint(&partitions[0]).await;
        let kept = partitions[1].unflushed_bytes();
        fill(&partitions[2], 40);
        assert_eq!(partitions[1].unflushed_bytes(), kept);
        for partition in &partitions {
            checkpoint(partition).await;
        }
        fill(&partitions[0], 1);
        assert!(storage.tail_bytes() <= 8000, "{}", storage.tail_bytes());
        for (partition, count) in partitions.iter().zip([21, 20, 40]) {
            assert_eq!(read_all(partition, Offset(0), 2000).await.len(), count);
        }
    });
}

/// Given more unwritten bytes than allowed, when nobody takes a checkpoint, then they are written in
/// the background.
#[test]
fn too_much_that_is_not_written_is_written_in_the_background() {
    run(async |path| {
        let storage = CoreStorage::new(StorageConfig {
            memory_bytes: 4000,
            unflushed_bytes_max: 10_000,
            ..StorageConfig::default()
        });
        let partition = empty(&storage, &path, small_segments()).await;
        let batches = fill(&partition, 200);
        assert!(storage.unflushed_bytes() > 10_000);
        for _ in 0..1000 {
            if storage.unflushed_bytes() <= 10_000 && storage.tail_bytes() <= 10_000 {
                break;
            }
            runtime::sleep(Duration::from_millis(5)).await;
        }
        assert!(storage.unflushed_bytes() <= 10_000, "{}", storage.unflushed_bytes());
        assert!(storage.tail_bytes() <= 10_000, "{}", storage.tail_bytes());
        assert_eq!(read_all(&partition, Offset(0), 3000).await, batches);
    });
}

/// Given few open files allowed, when many segments are read at once, then all is read.
#[test]
fn few_open_files_are_enough() {
    run(async |path| {
        let storage = CoreStorage::new(StorageConfig {
            memory_bytes: 0,
            open_files_max: 2,
            index_cache_bytes: 100,
            ..StorageConfig::default()
        });
        let partition = empty(&storage, &path, small_segments()).await;
        let batches = fill(&partition, 60);
        checkpoint(&partition).await;
        let readers: Vec<_> = (0..8)
            .map(|start| {
                let partition = partition.clone();
                let expected = batches[start * 7..].to_vec();
                runtime::spawn_joinable("reader", async move {
                    let from = Offset(start as i64 * 14);
                    assert_eq!(read_all(&partition, from, 450).await, expected);
                })
            })
            .collect();
        for reader in readers {
            reader.await;
        }
    });
}
