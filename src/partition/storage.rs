//! What the partitions of one core share: memory for tails, open files, loaded indexes, and the
//! knowledge that the disk is full.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    rc::{Rc, Weak},
    time::Duration,
};

use runtime::{
    fs::{File, OpenOptions},
    sync::Semaphore,
};

use crate::{
    StorageError,
    lru::Lru,
    offset_index::SparseIndex,
    partition::Inner,
    read_metrics::{ReadCounts, ReadMetrics},
    segment::Segment,
    segment_header::{self, FIRST_BATCH_AT},
};

/// The limits of one core.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// For all tails together. Exceeded only while batches are not written yet.
    pub memory_bytes: usize,
    /// When so much is not written to segments, writing begins without waiting for a checkpoint.
    pub unflushed_bytes_max: usize,
    /// Segment files kept open.
    pub open_files_max: usize,
    /// For the indexes of segments that are read from disk.
    pub index_cache_bytes: usize,
    /// For the keys of one compaction; one runs at a time.
    pub compaction_memory_bytes: usize,
    /// The most that one batch may decompress to when its records are looked at.
    pub decompressed_batch_bytes_max: usize,
    /// How long to wait after the disk was full before the next attempt.
    pub storage_full_retry: Duration,
}

impl Default for StorageConfig {
    fn default() -> Self {
        StorageConfig {
            memory_bytes: 64 << 20,
            unflushed_bytes_max: 16 << 20,
            open_files_max: 4096,
            index_cache_bytes: 4 << 20,
            compaction_memory_bytes: 16 << 20,
            decompressed_batch_bytes_max: 128 << 20,
            storage_full_retry: Duration::from_secs(1),
        }
    }
}

/// What the partitions of one core share. Lives as long as any of them.
pub struct CoreStorage {
    this: Weak<CoreStorage>,
    pub(crate) config: StorageConfig,
    partitions: RefCell<BTreeMap<u64, Weak<Inner>>>,
    next_key: Cell<u64>,
    next_age: Cell<u64>,
    tail_bytes: Cell<usize>,
    unflushed_bytes: Cell<usize>,
    files: RefCell<Lru<File>>,
    pub(crate) indexes: RefCell<Lru<Rc<SparseIndex>>>,
    full: Cell<bool>,
    flushing: Cell<bool>,
    pub(crate) compaction_turn: Semaphore,
    pub(crate) reads: ReadMetrics,
}

impl CoreStorage {
    /// To be made on the core that uses it.
    pub fn new(config: StorageConfig) -> Rc<CoreStorage> {
        Rc::new_cyclic(|this| CoreStorage {
            this: this.clone(),
            partitions: RefCell::default(),
            next_key: Cell::new(0),
            next_age: Cell::new(0),
            tail_bytes: Cell::new(0),
            unflushed_bytes: Cell::new(0),
            files: RefCell::new(Lru::new(config.open_files_max)),
            indexes: RefCell::new(Lru::new(config.index_cache_bytes)),
            full: Cell::new(false),
            flushing: Cell::new(false),
            compaction_turn: Semaphore::new(1),
            reads: ReadMetrics::default(),
            config,
        })
    }

    /// Whether the disk was full when segments were last written. What is acknowledged is safe in
    /// memory and in the journal; new records should be refused. Heals by itself: writing is tried
    /// again about every second.
    pub fn is_full(&self) -> bool {
        self.full.get()
    }

    /// Bytes of all tails.
    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes.get()
    }

    /// Bytes of the tails that are not written to segments yet.
    pub fn unflushed_bytes(&self) -> usize {
        self.unflushed_bytes.get()
    }

    /// Where reads found their batches.
    pub fn read_counts(&self) -> ReadCounts {
        self.reads.counts()
    }

    /// How many partitions there are on the core.
    pub fn partition_count(&self) -> usize {
        self.partitions.borrow().len()
    }

    pub(crate) fn new_key(&self) -> u64 {
        let key = self.next_key.get();
        self.next_key.set(key + 1);
        key
    }

    pub(crate) fn register(&self, key: u64, partition: &Rc<Inner>) {
        self.partitions.borrow_mut().insert(key, Rc::downgrade(partition));
    }

    pub(crate) fn unregister(&self, key: u64) {
        self.partitions.borrow_mut().remove(&key);
    }

    /// The partitions in the order in which they were made.
    fn partitions(&self) -> Vec<Rc<Inner>> {
        self.partitions.borrow().values().filter_map(Weak::upgrade).collect()
    }

    // ---- tails ----

    pub(crate) fn next_age(&self) -> u64 {
        let age = self.next_age.get();
        self.next_age.set(age + 1);
        age
    }

    /// A batch of so many bytes joined a tail. No partition may be borrowed.
    pub(crate) fn note_appended(&self, bytes: usize) {
        self.tail_bytes.set(self.tail_bytes.get() + bytes);
        self.unflushed_bytes.set(self.unflushed_bytes.get() + bytes);
        if self.unflushed_bytes.get() > self.config.unflushed_bytes_max {
            self.start_flushing();
        }
        self.keep_within_budget();
    }

    /// So many bytes of a tail were written to a segment.
    pub(crate) fn note_written(&self, bytes: usize) {
        self.unflushed_bytes.set(self.unflushed_bytes.get().saturating_sub(bytes));
    }

    /// So many bytes left a tail, some of them unwritten.
    pub(crate) fn note_dropped(&self, (bytes, unwritten): (usize, usize)) {
        self.tail_bytes.set(self.tail_bytes.get().saturating_sub(bytes));
        self.note_written(unwritten);
    }

    /// Drops the oldest written batches of any partition while the tails are over their budget.
    pub(crate) fn keep_within_budget(&self) {
        let budget = self.config.memory_bytes;
        let evictable = self.tail_bytes.get().saturating_sub(self.unflushed_bytes.get());
        // Looking for the oldest costs a visit to each partition, so it is done for a sixteenth of
        // the budget at a time.
        let step = budget / 16;
        if self.tail_bytes.get() <= budget || evictable <= step {
            return;
        }
        let target = budget - step;
        let partitions = self.partitions();
        let mut oldest: BinaryHeap<Reverse<(u64, usize)>> = partitions
            .iter()
            .enumerate()
            .filter_map(|(place, partition)| Some(Reverse((partition.evictable_age()?, place))))
            .collect();
        while self.tail_bytes.get() > target {
            let Some(Reverse((_, place))) = oldest.pop() else { break };
            let Some(partition) = partitions.get(place) else { break };
            if let Some(bytes) = partition.evict() {
                self.note_dropped((bytes, 0));
            }
            if let Some(age) = partition.evictable_age() {
                oldest.push(Reverse((age, place)));
            }
        }
    }

    // ---- writing behind ----

    /// The disk is full: begins to try again.
    pub(crate) fn note_full(&self, error: &StorageError) {
        if !self.full.replace(true) {
            tracing::error!(
                %error,
                "the disk is full: records are refused until there is space; what was acknowledged is safe"
            );
        }
        self.start_flushing();
    }

    fn start_flushing(&self) {
        if !self.flushing.replace(true) {
            runtime::spawn_background("write segments", write_behind(self.this.clone()));
        }
    }

    /// Writes out the partitions with the most until half the limit is reached. On a full disk
    /// any success ends the state.
    async fn write_some(&self) -> Result<(), StorageError> {
        let mut partitions: Vec<_> =
            self.partitions().into_iter().map(|it| (Reverse(it.unflushed_bytes()), it)).collect();
        partitions.sort_by_key(|(unflushed, _)| *unflushed);
        if self.full.get() {
            for (_, partition) in &partitions {
                partition.remove_below_log_start().await;
            }
        }
        let mut failed = Ok(());
        for (_, partition) in partitions {
            let enough = self.unflushed_bytes.get() <= self.config.unflushed_bytes_max / 2;
            if enough && !self.full.get() {
                break;
            }
            match partition.flush_written().await {
                Ok(()) | Err(StorageError::Deleted { .. }) => {}
                Err(error) if error.is_storage_full() => return Err(error),
                // One damaged partition must not keep the others in memory.
                Err(error) => failed = Err(error),
            }
        }
        if self.full.replace(false) {
            tracing::info!("there is space on the disk again: records are taken");
        }
        failed
    }

    // ---- files ----

    /// The segment's file, opened and its header checked if need be.
    pub(crate) async fn open_file(&self, segment: &Segment) -> Result<File, StorageError> {
        if let Some(file) = self.files.borrow_mut().get(segment.key) {
            return Ok(file);
        }
        let path = segment.path();
        let options =
            OpenOptions { read: true, write: !segment.is_complete(), ..OpenOptions::default() };
        let file = File::open(&path, options).await.map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                StorageError::Missing { file: path.clone() }
            } else {
                StorageError::io("open", &path)(error)
            }
        })?;
        let bytes = file
            .read_at(0, segment_header::HEADER_BYTES)
            .await
            .map_err(StorageError::io("read", &path))?;
        let header = segment_header::parse(&bytes)
            .map_err(|error| StorageError::damaged(&path, 0, error.to_string()))?;
        let expected = segment.header();
        if header != expected {
            let why = format!("its header is of another segment: {header:?}, not {expected:?}");
            return Err(StorageError::damaged(&path, 0, why));
        }
        self.keep_file(segment, &file);
        Ok(file)
    }

    /// Makes the segment's file anew, with its header.
    pub(crate) async fn create_file(&self, segment: &Segment) -> Result<File, StorageError> {
        let path = segment.path();
        let options = OpenOptions { truncate: true, ..OpenOptions::read_write_create() };
        let file = File::open(&path, options).await.map_err(StorageError::io("make", &path))?;
        file.write_at(0, &[segment.header().encode()])
            .await
            .map_err(StorageError::io("write", &path))?;
        segment.written_bytes.set(FIRST_BATCH_AT);
        self.keep_file(segment, &file);
        Ok(file)
    }

    fn keep_file(&self, segment: &Segment, file: &File) {
        // What has left its partition would never be asked for again.
        if !segment.retired.get() {
            self.files.borrow_mut().insert(segment.key, file.clone(), 1);
        }
    }

    /// Closes what is open of a segment, once its readers are gone.
    pub(crate) fn forget(&self, segment: &Segment) {
        self.files.borrow_mut().remove(segment.key);
        self.indexes.borrow_mut().remove(segment.key);
    }
}

/// Runs while there is too much that is not written, or while the disk is full.
async fn write_behind(storage: Weak<CoreStorage>) {
    loop {
        // Not held while waiting: a core that stops lets go of its storage.
        let Some(alive) = storage.upgrade() else { return };
        let outcome = alive.write_some().await;
        alive.keep_within_budget();
        if let Err(error) = outcome {
            if error.is_storage_full() {
                alive.note_full(&error);
            } else {
                tracing::error!(%error, "segments could not be written; the next try is in a second");
            }
        } else if alive.unflushed_bytes.get() <= alive.config.unflushed_bytes_max {
            alive.flushing.set(false);
            return;
        } else {
            drop(alive);
            runtime::yield_now().await;
            continue;
        }
        let retry = alive.config.storage_full_retry;
        drop(alive);
        runtime::sleep(retry).await;
    }
}
