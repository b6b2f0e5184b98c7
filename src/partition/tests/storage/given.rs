//! What the tests begin with: batches, a partition in an empty directory, a restart.

use std::{
    future::Future,
    path::{Path, PathBuf},
    rc::Rc,
};

use batch::{BatchBuilder, BatchHeader};
use bytes::Bytes;
use model::{Compression, Offset, PartitionIndex, Timestamp, TopicConfig, TopicId, TopicPartition};
use partition::{CoreStorage, Partition, PartitionSnapshot, ReadBatches, StorageConfig};

pub const ID: TopicPartition = TopicPartition { topic: TopicId(77), partition: PartitionIndex(3) };
pub const ALL: Offset = Offset(i64::MAX);

/// Runs a test in an empty directory: once on the real runtime...
#[cfg(not(feature = "simulation"))]
pub fn run<F, Fut>(test: F)
where
    F: Fn(PathBuf) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("topics/t/p");
    runtime::run_single(move || test(path)).unwrap();
}

/// ...or with many seeds on the simulated one.
#[cfg(feature = "simulation")]
pub fn run<F, Fut>(test: F)
where
    F: Fn(PathBuf) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    for seed in 0..20 {
        runtime::simulation::Simulation::new(seed).run(test(PathBuf::from("/data/topics/t/p")));
    }
}

/// A topic with small segments and many index entries.
pub fn small_segments() -> TopicConfig {
    TopicConfig { segment_bytes: 1000, index_interval_bytes: 200, ..TopicConfig::default() }
}

pub fn storage() -> Rc<CoreStorage> {
    CoreStorage::new(StorageConfig::default())
}

/// Storage whose tails keep nothing that is written.
pub fn forgetful_storage() -> Rc<CoreStorage> {
    CoreStorage::new(StorageConfig { memory_bytes: 0, ..StorageConfig::default() })
}

pub async fn empty(storage: &Rc<CoreStorage>, path: &Path, config: TopicConfig) -> Partition {
    Partition::create(storage, path.to_owned(), ID, Rc::new(config)).await.unwrap()
}

pub async fn reopen(
    storage: &Rc<CoreStorage>,
    path: &Path,
    config: TopicConfig,
    snapshot: &PartitionSnapshot,
) -> Partition {
    Partition::open(storage, path.to_owned(), ID, Rc::new(config), snapshot).await.unwrap()
}

/// A batch of records `(timestamp, key, value)`.
pub fn batch_of(base: Offset, records: &[(i64, &str, Option<&str>)]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None).base_offset(base);
    for (timestamp, key, value) in records {
        let value = value.map(str::as_bytes);
        builder.push(Timestamp(*timestamp), Some(key.as_bytes()), value, &[]);
    }
    builder.build().unwrap().freeze()
}

pub fn append(partition: &Partition, batch: Bytes) {
    let header = BatchHeader::parse(&batch).unwrap();
    partition.append(batch, &header).unwrap();
}

/// Appends `(timestamp, key, value)` as one batch at the log's end.
pub fn put(partition: &Partition, records: &[(i64, &str, Option<&str>)]) -> Bytes {
    let batch = batch_of(partition.log_end(), records);
    append(partition, batch.clone());
    batch
}

/// Appends `count` batches of two records and about 200 bytes; timestamps are offsets times ten.
pub fn fill(partition: &Partition, count: usize) -> Vec<Bytes> {
    (0..count)
        .map(|_| {
            let end = partition.log_end().0;
            let value = "v".repeat(50);
            let (first, second) = (format!("k{end}"), format!("k{}", end + 1));
            put(
                partition,
                &[(end * 10, &first, Some(&value)), (end * 10 + 10, &second, Some(&value))],
            )
        })
        .collect()
}

/// A whole checkpoint.
pub async fn checkpoint(partition: &Partition) -> PartitionSnapshot {
    let snapshot = partition.snapshot();
    partition.flush_to(&snapshot).await.unwrap();
    partition.checkpoint_done(&snapshot).await;
    snapshot
}

/// Everything from `from` on, in reads of `max_bytes`.
pub async fn read_all(partition: &Partition, from: Offset, max_bytes: usize) -> Vec<Bytes> {
    let mut all = Vec::new();
    let mut at = from;
    while at < partition.log_end() {
        let ReadBatches { batches, size_bytes } = partition.read(at, max_bytes, ALL).await.unwrap();
        assert_eq!(size_bytes, batches.iter().map(Bytes::len).sum::<usize>());
        let last = batches.last().expect("below the log end there is always a batch");
        let next = BatchHeader::parse(last).unwrap().next_offset();
        assert!(next > at, "a read from {at} must get further than {next}");
        at = next;
        all.extend(batches);
    }
    all
}

/// The values that a consumer sees: `(offset, key, value)`.
pub async fn records(partition: &Partition) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found = Vec::new();
    for batch in read_all(partition, partition.log_start(), 1 << 20).await {
        for record in batch::records(&batch, 1 << 20).unwrap() {
            let record = record.unwrap();
            found.push((record.offset.0, record.key.map(text).unwrap(), record.value.map(text)));
        }
    }
    found
}

pub async fn files(path: &Path) -> Vec<String> {
    let entries = runtime::fs::read_directory(path).await.unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

/// Replaces bytes of a file.
pub async fn overwrite(path: PathBuf, position: u64, bytes: &'static [u8]) {
    let options = runtime::fs::OpenOptions::read_write_create();
    let file = runtime::fs::File::open(path, options).await.unwrap();
    file.write_at(position, &[Bytes::from_static(bytes)]).await.unwrap();
}
