//! A partition: its state, and appending to it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    path::{Path, PathBuf},
    rc::Rc,
};

use batch::BatchHeader;
use bytes::Bytes;
use model::{Offset, Timestamp, TopicConfig, TopicPartition};
use runtime::sync::{Notify, Semaphore};

use crate::{
    AbortedTransaction, CoreStorage, PartitionSnapshot, PartitionTransactions, StorageError,
    segment::{Place, Segment},
    segment_header::FIRST_BATCH_AT,
    snapshot::CompactionSnapshot,
    tail::Tail,
};

/// One partition's records on the core that owns it. Clones are the same partition.
#[derive(Clone)]
pub struct Partition {
    pub(crate) inner: Rc<Inner>,
}

pub(crate) struct Inner {
    pub key: u64,
    pub storage: Rc<CoreStorage>,
    pub id: TopicPartition,
    pub directory: Rc<Path>,
    pub config: RefCell<Rc<TopicConfig>>,
    pub log: RefCell<Log>,
    pub appended: Notify,
    /// Deleted or closed: nothing more is appended, read or written.
    pub gone: Cell<bool>,
    /// One task at a time changes which files there are, or writes to them.
    pub files_turn: Semaphore,
    /// One compaction at a time.
    pub compaction_turn: Semaphore,
    /// The directory is there, and nothing in it but what the snapshot knows.
    pub prepared: Cell<bool>,
    /// No sync has covered the name of the directory itself yet.
    pub directory_unsynced: Cell<bool>,
    /// Names changed in the directory since it was last synced.
    pub names_changed: Cell<bool>,
}

/// What an append or a retirement changes in one step.
pub(crate) struct Log {
    pub log_start: Offset,
    pub log_end: Offset,
    /// Oldest first, without gap, up to the log end. Only the last may be unsealed.
    pub segments: VecDeque<Rc<Segment>>,
    pub tail: Tail,
    /// Retired segments whose files are still there.
    pub retired: Vec<Retired>,
    pub compaction: CompactionSnapshot,
    pub transactions: PartitionTransactions,
}

/// A segment that is no longer in the list.
pub(crate) struct Retired {
    pub segment: Rc<Segment>,
    /// All of it is below the log start. The command that said so is in the journal, so the file
    /// may go even if the last checkpoint lists it: recovery will not look at it.
    pub below_log_start: bool,
}

impl Log {
    /// The segment whose range contains `offset`.
    pub fn segment_of(&self, offset: Offset) -> Option<&Rc<Segment>> {
        let after = self.segments.partition_point(|segment| segment.base_offset <= offset);
        self.segments.get(after.checked_sub(1)?)
    }

    /// The first offset of an open transaction, or the log's end.
    pub fn last_stable(&self) -> Offset {
        match self.transactions.first_open() {
            None => self.log_end,
            Some(first) => first.max(self.log_start),
        }
    }

    /// The segment that the next batch may go to, if it suits.
    pub fn active(&self) -> Option<&Rc<Segment>> {
        self.segments.back().filter(|segment| !segment.sealed.get())
    }
}

impl Partition {
    /// A new partition, from offset 0. Makes no file until the first flush.
    ///
    /// Files that are found in `directory` by then are of a time that the caller's checkpoint does
    /// not know, and are removed.
    pub async fn create(
        shared: &Rc<CoreStorage>,
        directory: PathBuf,
        id: TopicPartition,
        config: Rc<TopicConfig>,
    ) -> Result<Partition, StorageError> {
        let log = Log {
            log_start: Offset::ZERO,
            log_end: Offset::ZERO,
            segments: VecDeque::new(),
            tail: Tail::default(),
            retired: Vec::new(),
            compaction: CompactionSnapshot::default(),
            transactions: PartitionTransactions::default(),
        };
        Ok(Partition::new(shared, directory, id, config, log))
    }

    /// The partition as it was when `snapshot` was made. Opens no file: one that is missing or
    /// damaged is reported by the first use of it. What was appended after the snapshot is to be
    /// appended again, in the same order.
    pub async fn open(
        shared: &Rc<CoreStorage>,
        directory: PathBuf,
        id: TopicPartition,
        config: Rc<TopicConfig>,
        snapshot: &PartitionSnapshot,
    ) -> Result<Partition, StorageError> {
        check_snapshot(snapshot)
            .map_err(|why| StorageError::InvalidSnapshot { partition: id, why })?;
        let log = Log {
            log_start: snapshot.log_start,
            log_end: snapshot.log_end,
            segments: VecDeque::new(),
            tail: Tail::default(),
            retired: Vec::new(),
            compaction: snapshot.compaction,
            transactions: snapshot.transactions.clone(),
        };
        let partition = Partition::new(shared, directory, id, config, log);
        let inner = &partition.inner;
        let segments = snapshot
            .segments
            .iter()
            .map(|segment| Rc::new(Segment::from_snapshot(inner.place(), segment)))
            .collect();
        inner.log.borrow_mut().segments = segments;
        Ok(partition)
    }

    fn new(
        shared: &Rc<CoreStorage>,
        directory: PathBuf,
        id: TopicPartition,
        config: Rc<TopicConfig>,
        log: Log,
    ) -> Partition {
        let key = shared.new_key();
        let inner = Rc::new(Inner {
            key,
            storage: Rc::clone(shared),
            id,
            directory: Rc::from(directory),
            config: RefCell::new(config),
            log: RefCell::new(log),
            appended: Notify::new(),
            gone: Cell::new(false),
            files_turn: Semaphore::new(1),
            compaction_turn: Semaphore::new(1),
            prepared: Cell::new(false),
            directory_unsynced: Cell::new(false),
            names_changed: Cell::new(false),
        });
        shared.register(key, &inner);
        Partition { inner }
    }

    /// Which partition this is.
    pub fn id(&self) -> TopicPartition {
        self.inner.id
    }

    /// The first offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.inner.log.borrow().log_start
    }

    /// The offset that the next record gets.
    pub fn log_end(&self) -> Offset {
        self.inner.log.borrow().log_end
    }

    /// `read_committed` readers see offsets below this: the first that belongs to a transaction
    /// that is still open, or the log's end.
    pub fn last_stable(&self) -> Offset {
        self.inner.log.borrow().last_stable()
    }

    /// The aborted transactions with records in `from..until`, where `until` is at most the last
    /// stable offset: what a `read_committed` reader of that range has to skip.
    pub fn aborted_within(&self, from: Offset, until: Offset) -> Vec<AbortedTransaction> {
        self.inner.log.borrow().transactions.aborted_within(from, until)
    }

    /// New settings act from now on.
    pub fn set_config(&self, config: Rc<TopicConfig>) {
        self.inner.config.replace(config);
    }

    /// Bytes of all segments that hold records at or above the log start, written or not.
    pub fn size_bytes(&self) -> u64 {
        self.inner.log.borrow().segments.iter().map(|segment| segment.size_bytes.get()).sum()
    }

    /// Bytes that are in no segment's file yet.
    pub fn unflushed_bytes(&self) -> usize {
        self.inner.unflushed_bytes()
    }

    /// Applies a durable append: `batch` already carries its base offset, which must be the log
    /// end, and its leader epoch. It joins the tail and wakes who waits.
    pub fn append(&self, batch: Bytes, header: &BatchHeader) -> Result<(), StorageError> {
        let inner = &self.inner;
        inner.check_not_gone()?;
        let size_bytes = batch.len();
        let log_end = inner.log.borrow().log_end;
        let partition = inner.id;
        if header.base_offset != log_end {
            let base_offset = header.base_offset;
            return Err(StorageError::NotNext { partition, log_end, base_offset });
        }
        if size_bytes != header.size_bytes() || header.last_offset_delta < 0 {
            let why = format!("{size_bytes} bytes with {header:?}");
            return Err(StorageError::InvalidBatch { partition, why });
        }
        let interval_bytes = u64::try_from(inner.config.borrow().index_interval_bytes).unwrap_or(0);
        let segment = inner.segment_for(header, size_bytes as u64);
        segment.note_append(header, size_bytes, interval_bytes);
        {
            let mut log = inner.log.borrow_mut();
            if header.attributes.is_transactional() {
                log.transactions.note(header, &batch);
            }
            log.tail.push(header, batch, inner.storage.next_age());
            log.log_end = header.next_offset();
        }
        inner.storage.note_appended(size_bytes);
        inner.appended.notify_waiters();
        Ok(())
    }

    /// Resolves when the log end is above `beyond`, or the partition is deleted or closed.
    pub fn wait_for_append(&self, beyond: Offset) -> impl Future<Output = ()> + 'static {
        let inner = Rc::clone(&self.inner);
        async move {
            loop {
                // Made before the look, so that no append comes between.
                let appended = inner.appended.notified();
                if inner.gone.get() || inner.log.borrow().log_end > beyond {
                    return;
                }
                appended.await;
            }
        }
    }

    /// Lets go of open files and memory, and wakes who waits. Writes nothing: what is not flushed
    /// is in the journal.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Removes the partition and its files. Whatever else is under way answers
    /// [`StorageError::Deleted`].
    pub async fn delete(&self) -> Result<(), StorageError> {
        let inner = &self.inner;
        inner.close();
        // Whoever makes or writes files notices the end and stops.
        let _compaction = inner.compaction_turn.acquire().await;
        let _files = inner.files_turn.acquire().await;
        let directory = &inner.directory;
        let exists = runtime::fs::exists(directory)
            .await
            .map_err(StorageError::io("look for", directory))?;
        if exists {
            runtime::fs::remove_directory_all(directory)
                .await
                .map_err(StorageError::io("remove", directory))?;
        }
        Ok(())
    }
}

/// The lists' own rules, on which everything else relies.
fn check_snapshot(snapshot: &PartitionSnapshot) -> Result<(), String> {
    let PartitionSnapshot { log_start, log_end, segments, transactions, .. } = snapshot;
    transactions.check(*log_end)?;
    if *log_start < Offset::ZERO || log_start > log_end {
        return Err(format!("it begins at {log_start} and ends at {log_end}"));
    }
    for pair in segments.windows(2) {
        if let [left, right] = pair
            && (left.next_offset != right.base_offset || !left.sealed)
        {
            let (end, next) = (left.next_offset, right.base_offset);
            return Err(format!("a segment that ends at {end} is followed by one from {next}"));
        }
    }
    let begins = segments.first().map_or(*log_end, |segment| segment.base_offset);
    let ends = segments.last().map_or(*log_end, |segment| segment.next_offset);
    if begins > *log_start || ends != *log_end {
        return Err(format!(
            "its segments have {begins} up to {ends}, the log {log_start} up to {log_end}"
        ));
    }
    match segments.iter().find(|segment| segment.size_bytes < FIRST_BATCH_AT) {
        Some(small) => Err(format!("a segment has {} bytes", small.size_bytes)),
        None => Ok(()),
    }
}

impl Inner {
    pub fn place(&self) -> Place<'_> {
        Place { key: self.storage.new_key(), directory: &self.directory, partition: self.id }
    }

    pub fn check_not_gone(&self) -> Result<(), StorageError> {
        if self.gone.get() {
            return Err(StorageError::Deleted { partition: self.id });
        }
        Ok(())
    }

    pub fn unflushed_bytes(&self) -> usize {
        self.log.borrow().tail.unwritten_bytes()
    }

    pub fn evictable_age(&self) -> Option<u64> {
        self.log.borrow().tail.evictable_age()
    }

    pub fn evict(&self) -> Option<usize> {
        self.log.borrow_mut().tail.evict()
    }

    fn close(&self) {
        self.gone.set(true);
        self.appended.notify_waiters();
        let mut log = self.log.borrow_mut();
        self.storage.note_dropped(log.tail.clear());
        for segment in &log.segments {
            // Readers that are under way keep their own handle.
            segment.retired.set(true);
            self.storage.forget(segment);
        }
    }

    /// The segment that the batch goes to: the active one, or a new one if that is full, old, or
    /// sealed.
    fn segment_for(&self, header: &BatchHeader, size_bytes: u64) -> Rc<Segment> {
        let now = runtime::wall_clock();
        let mut log = self.log.borrow_mut();
        if let Some(active) = log.active() {
            if !self.must_roll(active, header, size_bytes, now) {
                return Rc::clone(active);
            }
            active.sealed.set(true);
        }
        let segment = Rc::new(Segment::new(self.place(), header.base_offset, 0, now));
        log.segments.push_back(Rc::clone(&segment));
        segment
    }

    fn must_roll(
        &self,
        active: &Segment,
        header: &BatchHeader,
        size_bytes: u64,
        now: Timestamp,
    ) -> bool {
        let limit = u64::try_from(self.config.borrow().segment_bytes).unwrap_or(0);
        let too_large = active.size_bytes.get() + size_bytes > limit;
        // What an index entry can tell apart, and Kafka's own bound.
        let span = header.last_offset().0.saturating_sub(active.base_offset.0);
        !active.is_empty() && (too_large || span > i64::from(i32::MAX) || self.is_old(active, now))
    }

    /// Whether the segment has been open for `segment.ms`. On compacted topics also
    /// `max.compaction.lag.ms` counts, because an open segment is not compacted.
    pub fn is_old(&self, active: &Segment, now: Timestamp) -> bool {
        let config = self.config.borrow();
        let mut limit_ms = config.segment_ms;
        if config.cleanup_policy.compact {
            limit_ms = limit_ms.min(config.max_compaction_lag_ms);
        }
        now.0.saturating_sub(active.first_append.0) >= limit_ms
    }

    /// Seals the active segment if it has been open for too long.
    pub fn roll_if_old(&self, now: Timestamp) {
        let log = self.log.borrow();
        if let Some(active) = log.active()
            && !active.is_empty()
            && self.is_old(active, now)
        {
            active.sealed.set(true);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let log = self.log.get_mut();
        self.storage.note_dropped(log.tail.clear());
        for segment in log.segments.iter().chain(log.retired.iter().map(|it| &it.segment)) {
            self.storage.forget(segment);
        }
        self.storage.unregister(self.key);
    }
}
