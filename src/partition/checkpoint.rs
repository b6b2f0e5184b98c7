//! The three steps of a checkpoint, driven by the lane: [`Partition::snapshot`],
//! [`Partition::flush_to`], and, once the lane's own file is durable,
//! [`Partition::checkpoint_done`]. One checkpoint at a time.

use std::{io::ErrorKind, path::Path, rc::Rc};

use crate::{
    Partition, PartitionSnapshot, StorageError,
    partition::{Inner, Retired},
    segment::{OnDisk, Segment},
};

/// An open segment's index is written when so much of the segment has come since; a restart walks
/// the rest.
const INDEX_SAVE_BYTES: u64 = 8 << 20;

impl Partition {
    /// The state as it is now, unwritten batches included.
    pub fn snapshot(&self) -> PartitionSnapshot {
        let log = self.inner.log.borrow();
        PartitionSnapshot {
            log_start: log.log_start,
            log_end: log.log_end,
            segments: log.segments.iter().map(|segment| segment.snapshot()).collect(),
            compaction: log.compaction,
            transactions: log.transactions.clone(),
        }
    }

    /// Writes and syncs all that the snapshot counts on. A failed sync ends the process: what the
    /// system then still has in memory is not known, and the journal has it all.
    pub async fn flush_to(&self, snapshot: &PartitionSnapshot) -> Result<(), StorageError> {
        let inner = &self.inner;
        let _turn = inner.files_turn.acquire().await;
        let flushed = inner.flush_to(snapshot).await;
        if let Err(error @ StorageError::StorageFull { .. }) = &flushed {
            inner.storage.note_full(error);
        }
        flushed
    }

    /// The snapshot is durable: files that it does not list and that nobody reads any more are
    /// removed. What cannot be removed is tried again after the next checkpoint.
    pub async fn checkpoint_done(&self, snapshot: &PartitionSnapshot) {
        self.inner.remove_retired(|retired| !retired.segment.is_in(&snapshot.segments)).await;
    }
}

impl Inner {
    async fn flush_to(&self, snapshot: &PartitionSnapshot) -> Result<(), StorageError> {
        self.write_through(snapshot.log_end).await?;
        let listed: Vec<(Rc<Segment>, u64)> = {
            let log = self.log.borrow();
            // Compaction may have replaced what the snapshot lists.
            let retired = log.retired.iter().filter(|it| !it.below_log_start);
            let all = log.segments.iter().chain(retired.map(|it| &it.segment));
            all.filter_map(|segment| Some((Rc::clone(segment), listed_bytes(segment, snapshot)?)))
                .collect()
        };
        for (segment, size_bytes) in listed {
            if segment.synced_bytes.get() < size_bytes {
                self.sync_segment(&segment).await?;
            }
            let unsaved =
                segment.written_bytes.get().saturating_sub(segment.index_saved_bytes.get());
            if unsaved >= INDEX_SAVE_BYTES && !segment.sealed.get() {
                self.save_index(&segment).await?;
            }
        }
        self.sync_names().await;
        self.check_not_gone()
    }

    async fn sync_segment(&self, segment: &Segment) -> Result<(), StorageError> {
        let file = self.storage.open_file(segment).await?;
        let written = segment.written_bytes.get();
        if let Err(error) = file.sync().await {
            runtime::abort(&format!(
                "{} could not be synced ({error}); the journal has its records, they are read from it at the next start",
                segment.path().display()
            ));
        }
        segment.synced_bytes.set(written);
        Ok(())
    }

    /// Makes the names of new files durable, and of the directory itself if it is new.
    pub async fn sync_names(&self) {
        if !self.names_changed.replace(false) {
            return;
        }
        // The topic's directory may be new as well, and is a name in the one above.
        let levels = if self.directory_unsynced.replace(false) { 3 } else { 1 };
        let directories = self.directory.ancestors().take(levels);
        for directory in directories.filter(|path| *path != Path::new("")) {
            if self.gone.get() {
                return;
            }
            if let Err(error) = runtime::fs::sync_directory(directory).await
                && error.kind() != ErrorKind::NotFound
            {
                runtime::abort(&format!(
                    "the directory {} could not be synced ({error}); restart to read from the journal what was not made durable",
                    directory.display()
                ));
            }
        }
    }

    /// On a full disk: gives back what is below the log start without waiting for a checkpoint,
    /// which may not be possible without space. Recovery does not look at these files, because the
    /// command that moved the log start is in the journal.
    pub async fn remove_below_log_start(&self) {
        if self.log.borrow().retired.iter().any(|retired| retired.below_log_start) {
            self.remove_retired(|retired| retired.below_log_start).await;
        }
    }

    async fn remove_retired(&self, may_go: impl Fn(&Retired) -> bool) {
        if self.log.borrow().retired.is_empty() {
            return;
        }
        let _turn = self.files_turn.acquire().await;
        let mut leaving = Vec::new();
        self.log.borrow_mut().retired.retain(|retired| {
            // A reader that has not opened the file yet still needs its name.
            let leaves = may_go(retired) && Rc::strong_count(&retired.segment) == 1;
            if leaves {
                leaving.push((Rc::clone(&retired.segment), retired.below_log_start));
            }
            !leaves
        });
        for (segment, below_log_start) in leaving {
            if self.gone.get() {
                return;
            }
            self.storage.forget(&segment);
            for path in [segment.path(), segment.index_path()] {
                match runtime::fs::remove_file(&path).await {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        let file = path.display();
                        tracing::warn!(%file, %error, "a file that is no longer needed stays");
                        let segment = Rc::clone(&segment);
                        self.log.borrow_mut().retired.push(Retired { segment, below_log_start });
                        break;
                    }
                    _ => {}
                }
            }
        }
    }
}

/// How many of the segment's bytes the snapshot counts on.
fn listed_bytes(segment: &Segment, snapshot: &PartitionSnapshot) -> Option<u64> {
    let listed = snapshot.segments.iter().find(|listed| {
        listed.base_offset == segment.base_offset && listed.generation == segment.generation
    })?;
    (segment.on_disk.get() != OnDisk::Absent).then_some(listed.size_bytes)
}
