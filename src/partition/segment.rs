//! One segment: a range of offsets, the file that holds it, and how much of it is there already.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    rc::Rc,
};

use batch::BatchHeader;
use model::{Offset, Timestamp, TopicPartition};

use crate::{
    offset_index::{IndexEntry, SparseIndex},
    segment_header::{FIRST_BATCH_AT, SegmentHeader},
    snapshot::SegmentSnapshot,
};

/// What stands under the segment's name in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDisk {
    /// No file of ours yet.
    Absent,
    /// A file from before this process, of which more may be there than the snapshot counts.
    Uncut,
    /// A file whose end is where we know it.
    Ready,
}

/// Shared by the partition's list and by whoever reads from it, so that a segment that was
/// replaced or dropped stays readable until its last reader is gone.
pub(crate) struct Segment {
    /// Its number in the core's caches.
    pub key: u64,
    directory: Rc<Path>,
    partition: TopicPartition,
    pub base_offset: Offset,
    pub generation: u32,
    pub first_append: Timestamp,
    /// The end of what was appended; the tail has what is not written yet.
    pub next_offset: Cell<Offset>,
    pub size_bytes: Cell<u64>,
    pub max_timestamp: Cell<Timestamp>,
    pub offset_of_max_timestamp: Cell<Offset>,
    /// The two above as the checkpoint has them.
    max_when_opened: (Timestamp, Offset),
    /// The end of what was written to the file, as position and as offset.
    pub written_bytes: Cell<u64>,
    pub written_through: Cell<Offset>,
    pub synced_bytes: Cell<u64>,
    pub sealed: Cell<bool>,
    /// No longer in the partition's list.
    pub retired: Cell<bool>,
    pub on_disk: Cell<OnDisk>,
    /// `None` once it stands in its file and the file says all.
    pub index: RefCell<Option<SparseIndex>>,
    /// How many bytes of the segment the index file covers.
    pub index_saved_bytes: Cell<u64>,
}

/// Where a segment belongs.
pub(crate) struct Place<'a> {
    pub key: u64,
    pub directory: &'a Rc<Path>,
    pub partition: TopicPartition,
}

impl Segment {
    /// A segment that is to begin at `base_offset`. It has no file until the first flush.
    pub fn new(place: Place<'_>, base_offset: Offset, generation: u32, now: Timestamp) -> Segment {
        Segment {
            key: place.key,
            directory: Rc::clone(place.directory),
            partition: place.partition,
            base_offset,
            generation,
            first_append: now,
            next_offset: Cell::new(base_offset),
            size_bytes: Cell::new(FIRST_BATCH_AT),
            max_timestamp: Cell::new(Timestamp::NONE),
            offset_of_max_timestamp: Cell::new(base_offset),
            max_when_opened: (Timestamp::NONE, base_offset),
            written_bytes: Cell::new(0),
            written_through: Cell::new(base_offset),
            synced_bytes: Cell::new(0),
            sealed: Cell::new(false),
            retired: Cell::new(false),
            on_disk: Cell::new(OnDisk::Absent),
            index: RefCell::new(Some(SparseIndex::new(base_offset, FIRST_BATCH_AT))),
            index_saved_bytes: Cell::new(0),
        }
    }

    /// A segment that a checkpoint lists: its file is there and synced, at least up to the size.
    pub fn from_snapshot(place: Place<'_>, snapshot: &SegmentSnapshot) -> Segment {
        let size_bytes = snapshot.size_bytes;
        // An open segment's index goes on from here; what lies before is looked up when needed.
        let index = (!snapshot.sealed).then(|| SparseIndex::new(snapshot.base_offset, size_bytes));
        Segment {
            next_offset: Cell::new(snapshot.next_offset),
            size_bytes: Cell::new(size_bytes),
            max_timestamp: Cell::new(snapshot.max_timestamp),
            offset_of_max_timestamp: Cell::new(snapshot.offset_of_max_timestamp),
            max_when_opened: (snapshot.max_timestamp, snapshot.offset_of_max_timestamp),
            written_bytes: Cell::new(size_bytes),
            written_through: Cell::new(snapshot.next_offset),
            synced_bytes: Cell::new(size_bytes),
            sealed: Cell::new(snapshot.sealed),
            on_disk: Cell::new(OnDisk::Uncut),
            index: RefCell::new(index),
            index_saved_bytes: Cell::new(size_bytes),
            ..Segment::new(
                place,
                snapshot.base_offset,
                snapshot.generation,
                snapshot.first_append_ms,
            )
        }
    }

    pub fn snapshot(&self) -> SegmentSnapshot {
        SegmentSnapshot {
            base_offset: self.base_offset,
            generation: self.generation,
            size_bytes: self.size_bytes.get(),
            next_offset: self.next_offset.get(),
            max_timestamp: self.max_timestamp.get(),
            offset_of_max_timestamp: self.offset_of_max_timestamp.get(),
            sealed: self.sealed.get(),
            first_append_ms: self.first_append,
        }
    }

    pub fn is_in(&self, segments: &[SegmentSnapshot]) -> bool {
        segments
            .binary_search_by_key(&self.base_offset, |segment| segment.base_offset)
            .ok()
            .and_then(|index| segments.get(index))
            .is_some_and(|segment| segment.generation == self.generation)
    }

    /// What the file's header must say.
    pub fn header(&self) -> SegmentHeader {
        SegmentHeader {
            partition: self.partition,
            base_offset: self.base_offset,
            generation: self.generation,
            first_append_ms: self.first_append,
        }
    }

    pub fn file_name(&self) -> String {
        format!("{:020}-{}.log", self.base_offset.0, self.generation)
    }

    pub fn index_file_name(&self) -> String {
        format!("{:020}-{}.index", self.base_offset.0, self.generation)
    }

    pub fn path(&self) -> PathBuf {
        self.directory.join(self.file_name())
    }

    pub fn index_path(&self) -> PathBuf {
        self.directory.join(self.index_file_name())
    }

    pub fn is_empty(&self) -> bool {
        self.size_bytes.get() <= FIRST_BATCH_AT
    }

    pub fn is_written(&self) -> bool {
        self.written_bytes.get() >= self.size_bytes.get()
    }

    /// Whether the file may have more than the snapshot counts, and is to be written to.
    pub fn is_uncut(&self) -> bool {
        self.on_disk.get() == OnDisk::Uncut && !self.is_complete()
    }

    /// Seals the segment as the checkpoint has it. Nothing of what was appended since may be in its
    /// file yet; another segment takes that.
    pub fn seal_as_opened(&self) {
        let (max_timestamp, offset) = self.max_when_opened;
        self.max_timestamp.set(max_timestamp);
        self.offset_of_max_timestamp.set(offset);
        self.size_bytes.set(self.written_bytes.get());
        self.next_offset.set(self.written_through.get());
        self.sealed.set(true);
        *self.index.borrow_mut() = None;
    }

    /// Whether nothing will change in the file any more.
    pub fn is_complete(&self) -> bool {
        self.sealed.get() && self.is_written()
    }

    /// Takes note of a batch that follows; the tail has its bytes.
    pub fn note_append(&self, header: &BatchHeader, size_bytes: usize, index_interval_bytes: u64) {
        let entry = IndexEntry {
            offset: header.base_offset,
            position: self.size_bytes.get(),
            max_timestamp_before: self.max_timestamp.get(),
        };
        if let Some(index) = self.index.borrow_mut().as_mut() {
            index.note(entry, size_bytes, index_interval_bytes);
        }
        // What compaction emptied still says when it was: no record has that time any more.
        let has_records = header.record_count > 0;
        if has_records && header.max_timestamp > self.max_timestamp.get() {
            self.max_timestamp.set(header.max_timestamp);
            self.offset_of_max_timestamp.set(header.base_offset);
        }
        self.size_bytes.set(entry.position + size_bytes as u64);
        self.next_offset.set(header.next_offset());
    }
}
