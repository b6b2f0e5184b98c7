//! Writing what the tail holds to the segments' files, behind the reply.

use std::rc::Rc;

use model::Offset;
use runtime::fs::File;

use crate::{
    StorageError,
    partition::Inner,
    segment::{OnDisk, Segment},
};

/// About how much goes into one write.
const WRITE_BYTES: usize = 1 << 20;

impl Inner {
    /// Writes all that is not written, without a sync: memory may then forget it.
    pub async fn flush_written(&self) -> Result<(), StorageError> {
        let _turn = self.files_turn.acquire().await;
        let end = self.log.borrow().log_end;
        self.write_through(end).await
    }

    /// Writes what lies before `until`. The caller has the turn.
    pub async fn write_through(&self, until: Offset) -> Result<(), StorageError> {
        self.check_not_gone()?;
        let unwritten: Vec<Rc<Segment>> = {
            let log = self.log.borrow();
            let segments = log.segments.iter().filter(|it| !it.is_written());
            segments.filter(|it| it.base_offset < until).cloned().collect()
        };
        if unwritten.is_empty() {
            return Ok(());
        }
        self.prepare().await?;
        for segment in unwritten {
            self.write_segment(&segment, until).await?;
        }
        Ok(())
    }

    async fn write_segment(
        &self,
        segment: &Rc<Segment>,
        until: Offset,
    ) -> Result<(), StorageError> {
        loop {
            self.check_not_gone()?;
            if segment.retired.get() {
                return Ok(());
            }
            let (parts, next_offset) = {
                let until = until.min(segment.next_offset.get());
                let log = self.log.borrow();
                log.tail.unwritten(segment.written_through.get(), until, WRITE_BYTES)
            };
            if parts.is_empty() {
                break;
            }
            let file = self.file_to_write(segment).await?;
            let position = segment.written_bytes.get();
            file.write_at(position, &parts)
                .await
                .map_err(StorageError::io("write", &segment.path()))?;
            let size_bytes: usize = parts.iter().map(bytes::Bytes::len).sum();
            segment.written_bytes.set(position + size_bytes as u64);
            segment.written_through.set(next_offset);
            let written = self.log.borrow_mut().tail.mark_written(next_offset);
            self.storage.note_written(written);
        }
        if segment.is_complete() {
            self.save_index(segment).await?;
        }
        Ok(())
    }

    async fn file_to_write(&self, segment: &Segment) -> Result<File, StorageError> {
        if segment.on_disk.get() != OnDisk::Absent {
            return self.storage.open_file(segment).await;
        }
        let file = self.storage.create_file(segment).await?;
        segment.on_disk.set(OnDisk::Ready);
        self.names_changed.set(true);
        Ok(file)
    }

    /// Before the first write of this process: makes the directory, or clears away what a crash
    /// left behind the last checkpoint, all of which the journal has. The caller has the turn.
    pub async fn prepare(&self) -> Result<(), StorageError> {
        if self.prepared.get() {
            return Ok(());
        }
        let directory = &self.directory;
        let exists = runtime::fs::exists(directory)
            .await
            .map_err(StorageError::io("look for", directory))?;
        if exists {
            // No checkpoint has made the directory durable: who made it may have been killed
            // before the sync.
            if !self.knows_files() {
                self.directory_unsynced.set(true);
            }
            self.remove_unknown_files().await?;
            self.cut_open_segment().await.map_err(|error| self.set_aside(error))?;
        } else {
            runtime::fs::create_directory_all(directory)
                .await
                .map_err(StorageError::io("make", directory))?;
            self.directory_unsynced.set(true);
            self.names_changed.set(true);
            if self.knows_files() {
                let file = directory.to_path_buf();
                return Err(self.set_aside(StorageError::Missing { file }));
            }
        }
        self.prepared.set(true);
        Ok(())
    }

    fn knows_files(&self) -> bool {
        let log = self.log.borrow();
        log.segments.iter().any(|segment| segment.on_disk.get() != OnDisk::Absent)
    }

    async fn remove_unknown_files(&self) -> Result<(), StorageError> {
        let directory = &self.directory;
        let entries = runtime::fs::read_directory(directory)
            .await
            .map_err(StorageError::io("list", directory))?;
        for entry in entries {
            let known = {
                let log = self.log.borrow();
                let retired = log.retired.iter().map(|retired| &retired.segment);
                log.segments
                    .iter()
                    .chain(retired)
                    .filter(|segment| segment.on_disk.get() != OnDisk::Absent)
                    .any(|it| it.file_name() == entry.name || it.index_file_name() == entry.name)
            };
            if !known && !entry.is_directory {
                let path = directory.join(&entry.name);
                tracing::debug!(file = %path.display(), "no checkpoint knows this file: removed");
                runtime::fs::remove_file(&path).await.map_err(StorageError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Cuts off what the open segment's file has beyond the checkpoint.
    async fn cut_open_segment(&self) -> Result<(), StorageError> {
        let segment = self.log.borrow().segments.iter().find(|it| it.is_uncut()).cloned();
        let Some(segment) = segment else { return Ok(()) };
        let path = segment.path();
        let file = self.storage.open_file(&segment).await?;
        let length = file.len().await.map_err(StorageError::io("ask the length of", &path))?;
        let wanted = segment.written_bytes.get();
        if length < wanted {
            let why = format!("the file ends here; the last checkpoint says it has {wanted} bytes");
            return Err(StorageError::damaged(&path, length, why));
        }
        if length > wanted {
            file.set_len(wanted).await.map_err(StorageError::io("cut", &path))?;
        }
        self.cut_index(&segment, wanted).await?;
        self.names_changed.set(true);
        segment.on_disk.set(OnDisk::Ready);
        Ok(())
    }
}
