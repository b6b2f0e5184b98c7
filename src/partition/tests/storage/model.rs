//! Random lives of a partition beside a plain list: whatever happens, reads agree.

use std::{
    path::PathBuf,
    rc::{Rc, Weak},
    time::Duration,
};

use batch::BatchHeader;
use bytes::Bytes;
use model::{CleanupPolicy, Offset, Timestamp, TopicConfig};
use partition::{CoreStorage, Partition, PartitionSnapshot, StorageConfig, StorageError};
use proptest::{collection::vec, prelude::*};

use crate::given::*;

#[derive(Clone, Debug)]
enum Act {
    /// A batch of so many records with values of so many bytes; the key is one of nine.
    Append {
        records: usize,
        value_bytes: usize,
        key: usize,
    },
    /// Puts bytes into files without a checkpoint, while life goes on.
    Flush,
    Checkpoint,
    /// A checkpoint that ends before it is durable.
    HalfCheckpoint,
    /// The process ends and starts again from the last checkpoint and the journal.
    Restart,
    /// The log start moves on by so many hundredths of what there is.
    DeleteRecords(i64),
    Retention,
    /// Compacts while life goes on.
    Compact,
    Read {
        at: i64,
        max_bytes: usize,
        ceiling: i64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1..5_usize, 0..200_usize, 0..9_usize).prop_map(|(records, value_bytes, key)|
            Act::Append { records, value_bytes, key }),
        2 => Just(Act::Flush),
        2 => Just(Act::Checkpoint),
        1 => Just(Act::HalfCheckpoint),
        2 => Just(Act::Restart),
        1 => (0..40_i64).prop_map(Act::DeleteRecords),
        1 => Just(Act::Retention),
        2 => Just(Act::Compact),
        6 => (0..=100_i64, 0..3000_usize, 0..=120_i64).prop_map(|(at, max_bytes, ceiling)|
            Act::Read { at, max_bytes, ceiling }),
    ]
}

#[derive(Clone)]
enum Journaled {
    Append(Bytes),
    LogStart(Offset),
}

/// The partition, and what it should be.
struct Life {
    path: PathBuf,
    config: TopicConfig,
    storage: Weak<CoreStorage>,
    partition: Partition,
    batches: Vec<Bytes>,
    log_start: Offset,
    journal: Vec<Journaled>,
    /// The checkpoint in force and the length of the journal then.
    checkpoint: Option<(PartitionSnapshot, usize)>,
    /// What goes on beside; dropped, and so cut off, at a restart.
    beside: Vec<runtime::Task<()>>,
}

/// What goes on beside a life that may end at any time.
fn unless_deleted(outcome: Result<(), StorageError>) {
    match outcome {
        Ok(()) | Err(StorageError::Deleted { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

fn small_storage() -> Rc<CoreStorage> {
    CoreStorage::new(StorageConfig {
        memory_bytes: 1500,
        unflushed_bytes_max: 3000,
        open_files_max: 2,
        index_cache_bytes: 500,
        ..StorageConfig::default()
    })
}

fn header(batch: &Bytes) -> BatchHeader {
    BatchHeader::parse(batch).unwrap()
}

impl Life {
    async fn begin(path: PathBuf, compact: bool) -> Life {
        let config = TopicConfig {
            retention_bytes: 4000,
            cleanup_policy: CleanupPolicy { delete: true, compact },
            min_cleanable_dirty_ratio: 0.0,
            delete_retention_ms: 0,
            ..small_segments()
        };
        let storage = small_storage();
        let partition = empty(&storage, &path, config.clone()).await;
        Life {
            storage: Rc::downgrade(&storage),
            path,
            config,
            partition,
            batches: vec![],
            log_start: Offset(0),
            journal: vec![],
            checkpoint: None,
            beside: vec![],
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Append { records, value_bytes, key } => {
                let value = "v".repeat(value_bytes);
                let end = self.partition.log_end().0;
                let keys: Vec<String> =
                    (0..records).map(|it| ((it * 5 + key) % 9).to_string()).collect();
                let records: Vec<_> = keys
                    .iter()
                    .enumerate()
                    .map(|(place, key)| {
                        let value = (value_bytes % 7 != 0).then_some(value.as_str());
                        // Times mostly rise, and sometimes fall back.
                        ((end + place as i64) * 10 - (value_bytes as i64 % 30), &key[..], value)
                    })
                    .collect();
                let batch = put(&self.partition, &records);
                self.journal.push(Journaled::Append(batch.clone()));
                self.batches.push(batch);
            }
            Act::Flush => {
                let (partition, snapshot) = (self.partition.clone(), self.partition.snapshot());
                self.beside.push(runtime::spawn_joinable("flush", async move {
                    unless_deleted(partition.flush_to(&snapshot).await);
                }));
            }
            Act::Checkpoint => {
                let snapshot = self.partition.snapshot();
                let length = self.journal.len();
                self.partition.flush_to(&snapshot).await.unwrap();
                self.checkpoint = Some((snapshot.clone(), length));
                self.partition.checkpoint_done(&snapshot).await;
            }
            Act::HalfCheckpoint => {
                let snapshot = self.partition.snapshot();
                self.partition.flush_to(&snapshot).await.unwrap();
            }
            Act::Restart => self.restart().await,
            Act::DeleteRecords(hundredths) => {
                let end = self.partition.log_end().0;
                let offset = self.log_start.0 + (end - self.log_start.0) * hundredths / 100;
                self.advance(Offset(offset));
            }
            Act::Retention => {
                if let Some(offset) = self.partition.retention_target(Timestamp(0)) {
                    assert!(offset > self.log_start);
                    self.advance(offset);
                }
            }
            Act::Compact => {
                let partition = self.partition.clone();
                self.beside.push(runtime::spawn_joinable("compaction", async move {
                    let done = partition.compact(runtime::wall_clock()).await;
                    unless_deleted(done.map(drop));
                }));
            }
            Act::Read { at, max_bytes, ceiling } => self.read(at, max_bytes, ceiling).await,
        }
        assert_eq!(self.partition.log_start(), self.log_start);
        let end = self.batches.last().map_or(Offset(0), |batch| header(batch).next_offset());
        assert_eq!(self.partition.log_end(), end);
    }

    fn advance(&mut self, offset: Offset) {
        self.partition.advance_log_start(offset);
        self.log_start = self.log_start.max(offset);
        self.journal.push(Journaled::LogStart(offset));
    }

    async fn restart(&mut self) {
        // The end comes in the middle of what goes on.
        self.beside.clear();
        self.partition.close();
        let storage = small_storage();
        let before = std::mem::replace(&mut self.storage, Rc::downgrade(&storage));
        self.partition = empty(&storage, &self.path, self.config.clone()).await;
        // Writing behind goes on in a task of its own. A process would end it; here it is waited for.
        while before.upgrade().is_some() {
            runtime::sleep(Duration::from_millis(1)).await;
        }
        #[cfg(feature = "simulation")]
        runtime::simulation::crash(runtime::simulation::CrashKind::PowerCut);
        let from = match &self.checkpoint {
            Some((snapshot, length)) => {
                self.partition = reopen(&storage, &self.path, self.config.clone(), snapshot).await;
                *length
            }
            None => 0,
        };
        for entry in &self.journal[from..] {
            match entry {
                Journaled::Append(batch) => append(&self.partition, batch.clone()),
                Journaled::LogStart(offset) => self.partition.advance_log_start(*offset),
            }
        }
    }

    /// Reads somewhere and compares with the list.
    async fn read(&self, at: i64, max_bytes: usize, ceiling: i64) {
        let end = self.partition.log_end().0;
        let (at, ceiling) = (Offset(at * (end + 2) / 100 - 1), Offset(ceiling * end / 100));
        let read = self.partition.read(at, max_bytes, ceiling).await;
        if at < self.log_start || at > Offset(end) {
            let error = read.expect_err("out of range");
            assert!(matches!(error, StorageError::OffsetOutOfRange { .. }), "{error}");
            return;
        }
        let read = read.unwrap().batches;
        if self.config.cleanup_policy.compact {
            self.check_compacted(at, &read);
            return;
        }
        let mut size_bytes = 0;
        let expected: Vec<&Bytes> = self
            .batches
            .iter()
            .skip_while(|batch| header(batch).next_offset() <= at)
            .take_while(|batch| header(batch).next_offset() <= ceiling && at < ceiling)
            .take_while(|batch| {
                let first = size_bytes == 0;
                size_bytes += batch.len();
                first || size_bytes <= max_bytes
            })
            .collect();
        assert_eq!(read.iter().collect::<Vec<_>>(), expected, "from {at}, {max_bytes} bytes");
    }

    /// Every batch is one that was appended, perhaps with fewer records.
    fn check_compacted(&self, at: Offset, read: &[Bytes]) {
        let mut previous = at;
        for batch in read {
            let found = header(batch);
            assert!(found.next_offset() > previous);
            previous = found.next_offset();
            let original = self
                .batches
                .iter()
                .find(|original| header(original).base_offset == found.base_offset)
                .expect("no batch begins where none did");
            assert_eq!(header(original).last_offset(), found.last_offset());
            let original: Vec<_> =
                batch::records(original, 1 << 20).unwrap().map(Result::unwrap).collect();
            for record in batch::records(batch, 1 << 20).unwrap() {
                assert!(original.contains(&record.unwrap()));
            }
        }
    }

    /// Every key's newest record is there, and each time finds the first record that has it.
    async fn check_all(&mut self) {
        for task in self.beside.drain(..) {
            task.await;
        }
        let found = records(&self.partition).await;
        let mut newest = std::collections::BTreeMap::new();
        for batch in &self.batches {
            for record in batch::records(batch, 1 << 20).unwrap() {
                let record = record.unwrap();
                let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                newest.insert(key, (record.offset, record.value.is_some()));
            }
        }
        for (key, (offset, has_value)) in newest {
            let there = found.iter().any(|(at, found, _)| *at == offset.0 && *found == key);
            assert!(there || offset < self.log_start || !has_value, "key {key} at {offset}");
        }
        let mut all = Vec::new();
        for batch in read_all(&self.partition, self.log_start, 700).await {
            all.extend(batch::records(&batch, 1 << 20).unwrap().map(Result::unwrap));
        }
        all.retain(|record| record.offset >= self.log_start);
        for time in [-50, 0, 55, 111, 500, 5000] {
            let expected = all.iter().find(|record| record.timestamp.0 >= time);
            let expected = expected.map(|record| (record.offset, record.timestamp));
            let found = self.partition.offset_for_timestamp(Timestamp(time), ALL).await;
            assert_eq!(found.unwrap(), expected, "time {time}");
        }
        let greatest = all.iter().map(|record| record.timestamp).max();
        let expected = all.iter().find(|record| Some(record.timestamp) == greatest);
        let expected = expected.filter(|record| record.timestamp.0 >= 0);
        let expected = expected.map(|record| (record.offset, record.timestamp));
        // A log start inside a batch may hide the record that its header speaks of.
        if self.batches.iter().any(|batch| header(batch).base_offset == self.log_start) {
            assert_eq!(self.partition.max_timestamp(ALL).await.unwrap(), expected);
        }
    }
}

async fn live(acts: Vec<Act>, compact: bool, path: PathBuf) {
    let mut life = Life::begin(path, compact).await;
    for act in acts {
        life.act(act).await;
    }
    life.check_all().await;
    life.act(Act::Checkpoint).await;
    life.act(Act::Restart).await;
    life.check_all().await;
}

#[cfg(not(feature = "simulation"))]
fn run_once(acts: Vec<Act>, compact: bool, _seed: u64) {
    run(move |path| live(acts.clone(), compact, path));
}

#[cfg(feature = "simulation")]
fn run_once(acts: Vec<Act>, compact: bool, seed: u64) {
    let path = PathBuf::from("/data/topics/t/p");
    runtime::simulation::Simulation::new(seed).run(async move {
        // The broker has made the directory of all topics when it first started.
        runtime::fs::create_directory_all("/data/topics").await.unwrap();
        for directory in ["/data", "/"] {
            runtime::fs::sync_directory(directory).await.unwrap();
        }
        live(acts, compact, path).await;
    });
}

/// Few by default; PROPTEST_CASES asks for more.
fn cases() -> u32 {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default().cases,
        None if cfg!(feature = "simulation") => 300,
        None => 24,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_agree_with_a_plain_list(acts in vec(act(), 1..80), seed in any::<u64>()) {
        run_once(acts, false, seed);
    }

    #[test]
    fn compaction_loses_nothing_that_is_wanted(acts in vec(act(), 1..80), seed in any::<u64>()) {
        run_once(acts, true, seed);
    }
}
