//! Finding a batch's position: by the index in memory, by its file, or by making it again.

use std::rc::Rc;

use model::{Offset, Timestamp};
use runtime::fs::{File, OpenOptions};

use crate::{
    StorageError,
    offset_index::{self, IndexEntry, SparseIndex},
    partition::Inner,
    segment::{OnDisk, Segment},
    segment_cursor::{READ_BYTES_MAX, SegmentCursor},
    segment_header::FIRST_BATCH_AT,
};

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// The batch that contains this offset.
    Offset(Offset),
    /// The first batch with this timestamp or a later one.
    Time(Timestamp),
}

impl Wanted {
    fn in_index(self, index: &SparseIndex) -> Option<IndexEntry> {
        match self {
            Wanted::Offset(offset) => index.for_offset(offset),
            Wanted::Time(time) => index.for_time(time),
        }
    }
}

impl Inner {
    /// Where to begin to look for the batch; `None` is the segment's first batch. Nothing wanted
    /// lies before.
    pub async fn locate(
        &self,
        segment: &Rc<Segment>,
        wanted: Wanted,
    ) -> Result<Option<IndexEntry>, StorageError> {
        loop {
            if let Some(index) = segment.index.borrow().as_ref() {
                let entry = wanted.in_index(index);
                // An entry is the last that suits, also if the ones of earlier bytes are missing.
                if entry.is_some() || index.is_whole() {
                    return Ok(entry);
                }
            }
            if segment.index.borrow().is_none() {
                let index = self.index_from_file(segment).await?;
                return Ok(wanted.in_index(&index));
            }
            self.complete_index(segment).await?;
        }
    }

    /// The index of a segment that has none in memory.
    async fn index_from_file(
        &self,
        segment: &Rc<Segment>,
    ) -> Result<Rc<SparseIndex>, StorageError> {
        let cached = self.storage.indexes.borrow_mut().get(segment.key);
        if let Some(index) = cached {
            return Ok(index);
        }
        let end = segment.written_bytes.get();
        let (index, changed) = self.load_or_make(segment, end).await?;
        if changed && index.covered_bytes() >= end {
            self.try_write_index(segment, &index).await;
        }
        Ok(self.cache(segment, index))
    }

    fn cache(&self, segment: &Segment, index: SparseIndex) -> Rc<SparseIndex> {
        let index = Rc::new(index);
        if !segment.retired.get() {
            let mut indexes = self.storage.indexes.borrow_mut();
            indexes.insert(segment.key, Rc::clone(&index), index.memory_bytes());
        }
        index
    }

    /// Adds the entries of what was written before this process to an open segment's index.
    async fn complete_index(&self, segment: &Rc<Segment>) -> Result<(), StorageError> {
        let begins = segment.index.borrow().as_ref().map(SparseIndex::covered_from);
        let Some(end) = begins.filter(|from| *from > FIRST_BATCH_AT) else { return Ok(()) };
        let (prefix, _) = self.load_or_make(segment, end).await?;
        if let Some(index) = segment.index.borrow_mut().as_mut()
            && !index.is_whole()
        {
            index.prepend(prefix);
        }
        Ok(())
    }

    /// The index of the bytes before `end`, and whether it is more than what its file says.
    async fn load_or_make(
        &self,
        segment: &Rc<Segment>,
        end: u64,
    ) -> Result<(SparseIndex, bool), StorageError> {
        let saved = match self.read_index(segment).await {
            Ok(mut index) => {
                // It may speak of bytes that a crash has cut off.
                index.truncate(end);
                Some(index)
            }
            Err(why) => {
                if segment.sealed.get() {
                    let file = segment.index_path();
                    tracing::warn!(file = %file.display(), why, "an index is made again");
                }
                None
            }
        };
        let mut index =
            saved.unwrap_or_else(|| SparseIndex::new(segment.base_offset, FIRST_BATCH_AT));
        if index.covered_bytes() >= end {
            return Ok((index, false));
        }
        self.extend(segment, &mut index, end).await?;
        Ok((index, true))
    }

    async fn read_index(&self, segment: &Segment) -> Result<SparseIndex, String> {
        let bytes = runtime::fs::read_file(segment.index_path(), offset_index::FILE_BYTES_MAX)
            .await
            .map_err(|error| error.to_string())?;
        let (index, generation) = offset_index::parse(&bytes).map_err(|error| error.to_string())?;
        if index.base_offset() != segment.base_offset || generation != segment.generation {
            return Err("it is of another segment".to_owned());
        }
        Ok(index)
    }

    /// Walks the segment from the index's last entry to `end`. Damage ends the index there, and is
    /// reported; whoever reads that far meets it.
    async fn extend(
        &self,
        segment: &Rc<Segment>,
        index: &mut SparseIndex,
        end: u64,
    ) -> Result<(), StorageError> {
        let interval_bytes = u64::try_from(self.config.borrow().index_interval_bytes).unwrap_or(0);
        let start = index.last();
        let mut max_timestamp = start.map_or(Timestamp::NONE, |entry| entry.max_timestamp_before);
        let mut cursor = SegmentCursor::open(&self.storage, segment, start, READ_BYTES_MAX).await?;
        while cursor.position() < end {
            let header = match cursor.peek().await {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(error @ StorageError::Damaged { .. }) => {
                    tracing::error!(%error, "while an index was made again");
                    break;
                }
                Err(error) => return Err(error),
            };
            if cursor.position() >= index.covered_bytes() {
                let entry = IndexEntry {
                    offset: header.base_offset,
                    position: cursor.position(),
                    max_timestamp_before: max_timestamp,
                };
                index.note(entry, header.size_bytes(), interval_bytes);
            }
            if header.record_count > 0 {
                max_timestamp = max_timestamp.max(header.max_timestamp);
            }
            cursor.skip(&header);
        }
        Ok(())
    }

    /// Forgets an index that disagrees with its segment and makes it again.
    pub async fn remake_index(&self, segment: &Rc<Segment>) -> Result<(), StorageError> {
        let file = segment.index_path();
        tracing::warn!(file = %file.display(), "an index disagrees with its segment and is made again");
        let end = segment.written_bytes.get();
        let mut index = SparseIndex::new(segment.base_offset, FIRST_BATCH_AT);
        self.extend(segment, &mut index, end).await?;
        if index.covered_bytes() >= end {
            self.try_write_index(segment, &index).await;
        }
        self.cache(segment, index);
        Ok(())
    }

    /// Writes the index of a segment that is complete, and no longer keeps it for it. Failing is
    /// no harm: it stays in memory.
    pub async fn save_index(&self, segment: &Rc<Segment>) -> Result<(), StorageError> {
        self.complete_index(segment).await?;
        let index = segment.index.borrow().clone();
        let Some(index) = index else { return Ok(()) };
        if self.try_write_index(segment, &index).await && segment.is_complete() {
            *segment.index.borrow_mut() = None;
            self.cache(segment, index);
        }
        Ok(())
    }

    /// Takes from the index file what it says about bytes from `end` on, before other bytes come
    /// there.
    pub async fn cut_index(&self, segment: &Segment, end: u64) -> Result<(), StorageError> {
        if let Ok(mut index) = self.read_index(segment).await {
            if index.covered_bytes() <= end {
                return Ok(());
            }
            index.truncate(end);
            if self.try_write_index(segment, &index).await {
                return Ok(());
            }
        }
        let path = segment.index_path();
        match runtime::fs::remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StorageError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    async fn try_write_index(&self, segment: &Segment, index: &SparseIndex) -> bool {
        if segment.retired.get() || segment.on_disk.get() == OnDisk::Absent {
            return false;
        }
        let path = segment.index_path();
        match write_index(&path, index.encode(segment.generation)).await {
            Ok(()) => {
                segment.index_saved_bytes.set(index.covered_bytes());
                self.names_changed.set(true);
                true
            }
            Err(error) => {
                let file = path.display();
                tracing::warn!(%file, %error, "an index could not be written; it is made again when needed");
                false
            }
        }
    }
}

/// Not synced: the checksum tells.
async fn write_index(path: &std::path::Path, content: bytes::Bytes) -> std::io::Result<()> {
    let options = OpenOptions { truncate: true, ..OpenOptions::read_write_create() };
    let file = File::open(path, options).await?;
    file.write_at(0, &[content]).await?;
    file.close().await
}
