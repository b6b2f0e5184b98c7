//! The second pass: writes what is left of a group of segments as one new segment.

use std::rc::Rc;

use batch::BatchHeader;
use bytes::Bytes;
use model::{Offset, Timestamp};
use runtime::fs::File;

use super::retain::{Retained, Rules, empty_like};
use crate::{
    StorageError,
    partition::Inner,
    segment::{OnDisk, Segment},
    segment_cursor::{READ_BYTES_MAX, SegmentCursor},
};

const WRITE_BYTES: usize = 1 << 20;

/// A segment in the making.
pub(crate) struct Rewrite {
    pub segment: Rc<Segment>,
    file: File,
    index_interval_bytes: u64,
    parts: Vec<Bytes>,
    parts_bytes: usize,
    /// The last batch that was dropped whole. The segment must end where its range does.
    dropped: Option<BatchHeader>,
    pub records_before: u64,
    pub records_after: u64,
    /// The first time at which a tombstone in it may go.
    pub next_delete_horizon: Option<Timestamp>,
    /// Whether anything is not as it was.
    pub changed: bool,
    /// Markers of transactions of which nothing is left.
    pub removed_markers: Vec<Offset>,
}

impl Inner {
    /// Writes and syncs the new segment. Nobody knows of it yet.
    pub(super) async fn rewrite(
        &self,
        group: &[Rc<Segment>],
        rules: &Rules<'_>,
    ) -> Result<Option<Rewrite>, StorageError> {
        let Some(mut rewrite) = self.begin_rewrite(group).await? else { return Ok(None) };
        match self.fill(&mut rewrite, group, rules).await {
            Ok(()) => Ok(Some(rewrite)),
            Err(error) => {
                self.discard(rewrite).await;
                Err(error)
            }
        }
    }

    async fn begin_rewrite(&self, group: &[Rc<Segment>]) -> Result<Option<Rewrite>, StorageError> {
        let Some(first) = group.first() else { return Ok(None) };
        // No other segment with this base offset ever had, or has, a greater generation.
        let generation = first.generation.saturating_add(1);
        let segment = Segment::new(self.place(), first.base_offset, generation, first.first_append);
        let interval_bytes = self.config.borrow().index_interval_bytes;
        let file = {
            let _turn = self.files_turn.acquire().await;
            self.check_not_gone()?;
            self.prepare().await?;
            let created = self.storage.create_file(&segment).await;
            if created.is_err() {
                // What could not be filled for want of space must not take any.
                let _ = runtime::fs::remove_file(segment.path()).await;
            }
            created?
        };
        segment.on_disk.set(OnDisk::Ready);
        Ok(Some(Rewrite {
            segment: Rc::new(segment),
            file,
            index_interval_bytes: u64::try_from(interval_bytes).unwrap_or(0),
            parts: Vec::new(),
            parts_bytes: 0,
            dropped: None,
            records_before: 0,
            records_after: 0,
            next_delete_horizon: None,
            changed: group.len() > 1,
            removed_markers: Vec::new(),
        }))
    }

    async fn fill(
        &self,
        rewrite: &mut Rewrite,
        group: &[Rc<Segment>],
        rules: &Rules<'_>,
    ) -> Result<(), StorageError> {
        for segment in group {
            let mut cursor =
                SegmentCursor::open(&self.storage, segment, None, READ_BYTES_MAX).await?;
            while let Some(header) = cursor.peek().await? {
                self.check_not_gone()?;
                let batch = cursor.take(&header).await?;
                self.add(rewrite, header, batch, rules).await?;
                runtime::yield_now().await;
            }
        }
        let end = group.last().map_or(rewrite.segment.base_offset, |it| it.next_offset.get());
        if let Some(header) = rewrite.dropped.take() {
            debug_assert_eq!(header.next_offset(), end);
            let batch = empty_like(&header).map_err(|error| self.unbuildable(&header, &error))?;
            let emptied = self.header_of(&batch)?;
            rewrite.push(&emptied, batch).await?;
        }
        rewrite.write().await?;
        rewrite.segment.sealed.set(true);
        self.sync_rewrite(rewrite).await
    }

    async fn add(
        &self,
        rewrite: &mut Rewrite,
        header: BatchHeader,
        batch: Bytes,
        rules: &Rules<'_>,
    ) -> Result<(), StorageError> {
        let count = u64::try_from(header.record_count).unwrap_or(0);
        rewrite.records_before += count;
        // What lies beyond the survey was not looked at.
        if header.base_offset >= rules.survey.end {
            rules.note_retained(&header);
            rewrite.records_after += count;
            return rewrite.push(&header, batch).await;
        }
        let records = self.records_of(&batch)?.collect::<Result<Vec<_>, _>>()?;
        let retained = if header.attributes.is_control() {
            rules.retain_marker(&header, &records)
        } else {
            rules.retain(&header, &records)
        };
        let retained = retained.map_err(|error| self.unbuildable(&header, &error))?;
        let has_records = match &retained {
            Retained::Whole => count > 0,
            Retained::Rewritten { records, .. } => *records > 0,
            Retained::Nothing => false,
        };
        if has_records && !header.attributes.is_control() {
            rules.note_retained(&header);
        }
        match retained {
            Retained::Whole => {
                rewrite.records_after += count;
                rewrite.push(&header, batch).await
            }
            Retained::Rewritten { batch, records } => {
                // An empty batch that is kept again is not news.
                rewrite.changed |= count > 0;
                rewrite.records_after += records;
                let header = self.header_of(&batch)?;
                rewrite.push(&header, batch).await
            }
            Retained::Nothing => {
                // The last one may stay after all, but then without its records.
                rewrite.changed |= count > 0 || rewrite.dropped.is_some();
                if header.attributes.is_control() {
                    rewrite.removed_markers.push(header.last_offset());
                }
                rewrite.dropped = Some(header);
                Ok(())
            }
        }
    }

    fn unbuildable(&self, header: &BatchHeader, error: &batch::BatchError) -> StorageError {
        let why = format!("compacting the one at offset {}: {error}", header.base_offset);
        StorageError::InvalidBatch { partition: self.id, why }
    }

    /// The segment takes the place of others that are durable, so it must be durable itself.
    async fn sync_rewrite(&self, rewrite: &Rewrite) -> Result<(), StorageError> {
        let segment = &rewrite.segment;
        // Nothing depends on the file yet: unlike a flush, a failure here harms nobody.
        rewrite.file.sync().await.map_err(StorageError::io("sync", &segment.path()))?;
        segment.synced_bytes.set(segment.written_bytes.get());
        // A checkpoint must not see names as synced while this is still doing it.
        let _turn = self.files_turn.acquire().await;
        self.check_not_gone()?;
        self.save_index(segment).await?;
        self.names_changed.set(true);
        self.sync_names().await;
        self.check_not_gone()
    }

    /// Removes a segment that is not to be used.
    pub(super) async fn discard(&self, rewrite: Rewrite) {
        rewrite.segment.retired.set(true);
        self.storage.forget(&rewrite.segment);
        let _turn = self.files_turn.acquire().await;
        if self.gone.get() {
            return;
        }
        for path in [rewrite.segment.path(), rewrite.segment.index_path()] {
            match runtime::fs::remove_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let file = path.display();
                    tracing::warn!(%file, %error, "a file of a compaction that came to nothing stays");
                }
                _ => {}
            }
        }
    }
}

impl Rewrite {
    async fn push(&mut self, header: &BatchHeader, batch: Bytes) -> Result<(), StorageError> {
        // What was dropped before it was not the last: it is gone.
        self.changed |= self.dropped.take().is_some();
        if header.attributes.has_delete_horizon() {
            let at = header.base_timestamp;
            let earliest = self.next_delete_horizon.map_or(at, |earliest| earliest.min(at));
            self.next_delete_horizon = Some(earliest);
        }
        self.segment.note_append(header, batch.len(), self.index_interval_bytes);
        self.parts_bytes += batch.len();
        self.parts.push(batch);
        if self.parts_bytes >= WRITE_BYTES { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), StorageError> {
        let parts = std::mem::take(&mut self.parts);
        let position = self.segment.written_bytes.get();
        self.file
            .write_at(position, &parts)
            .await
            .map_err(StorageError::io("write", &self.segment.path()))?;
        self.segment.written_bytes.set(position + self.parts_bytes as u64);
        self.segment.written_through.set(self.segment.next_offset.get());
        self.parts_bytes = 0;
        Ok(())
    }

    /// What was read of the group up to here ends at this offset.
    pub fn end(&self) -> Offset {
        self.segment.next_offset.get()
    }
}
