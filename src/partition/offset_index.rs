//! The sparse index of one segment: from offsets and from times to file positions.
//!
//! One index answers both questions. An entry stands for the batch at `position`; beside the
//! batch's offset it has the greatest timestamp of all batches *before* it in the segment. So the
//! last entry whose time is below a wanted time has nothing wanted before it. There is an entry
//! every `index.interval.bytes`; when there are [`ENTRIES_MAX`], every other one goes and the
//! interval doubles, which bounds the memory whatever the segment's size.
//!
//! The file (`.index`) is written without a sync. Its checksum tells whether it is whole; one that
//! is not is made again from the segment.
//!
//! | at | bytes | field | | at | bytes | field |
//! |---|---|---|---|---|---|---|
//! | 0 | 8 | magic `THWLINDX` | | 24 | 4 | generation |
//! | 8 | 2 | format version, 1 | | 28 | 4 | CRC-32C of all other bytes |
//! | 10 | 2 | zero | | 32 | 8 | bytes of the segment that are covered |
//! | 12 | 4 | number of entries | | 40 | | entries |
//! | 16 | 8 | base offset | | | | |
//!
//! An entry: offset less the base offset (u32), position (u32), time (i64). Little-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use model::{Offset, Timestamp};
use thiserror::Error;

use crate::segment_header::FIRST_BATCH_AT;

/// The size of the index file's header.
pub const HEADER_BYTES: usize = 40;
/// The size of one entry.
pub const ENTRY_BYTES: usize = 16;
/// More entries are never kept: 64 KiB, one entry per 256 KiB of a segment of 1 GiB.
pub const ENTRIES_MAX: usize = 4096;
/// The greatest index file.
pub const FILE_BYTES_MAX: usize = HEADER_BYTES + ENTRIES_MAX * ENTRY_BYTES;
const FORMAT_VERSION: u16 = 1;
const MAGIC: &[u8; 8] = b"THWLINDX";
const CRC_AT: usize = 28;

/// One batch's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The batch's base offset.
    pub offset: Offset,
    /// Where it begins in the file.
    pub position: u64,
    /// The greatest timestamp before it in the segment; [`Timestamp::NONE`] if there is none.
    pub max_timestamp_before: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed {
    relative_offset: u32,
    position: u32,
    max_timestamp_before: i64,
}

/// The entries of one segment, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseIndex {
    base_offset: Offset,
    /// The entries say all about the bytes from here...
    covered_from: u64,
    /// ...up to here.
    covered_bytes: u64,
    /// Entries are at least so many bytes apart, once thinned.
    interval_bytes: u64,
    entries: Vec<Packed>,
}

/// Why bytes are no index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the index is damaged: {0}")]
pub struct InvalidIndex(&'static str);

impl SparseIndex {
    /// An index without entries, of the segment that begins at `base_offset`, for the bytes from
    /// `covered_from` on.
    pub fn new(base_offset: Offset, covered_from: u64) -> SparseIndex {
        SparseIndex {
            base_offset,
            covered_from,
            covered_bytes: covered_from,
            interval_bytes: 0,
            entries: Vec::new(),
        }
    }

    /// The base offset of the segment that it is of.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The last entry.
    pub fn last(&self) -> Option<IndexEntry> {
        self.entries.last().map(|packed| self.unpack(packed))
    }

    /// Where the covered bytes begin.
    pub fn covered_from(&self) -> u64 {
        self.covered_from
    }

    /// Where the covered bytes end.
    pub fn covered_bytes(&self) -> u64 {
        self.covered_bytes
    }

    /// Whether the index reaches back to the segment's first batch.
    pub fn is_whole(&self) -> bool {
        self.covered_from <= FIRST_BATCH_AT
    }

    /// What it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.entries.len() * size_of::<Packed>() + size_of::<Self>()
    }

    /// Takes note of the next batch. `interval_bytes` is the topic's `index.interval.bytes`.
    pub fn note(&mut self, entry: IndexEntry, size_bytes: usize, interval_bytes: u64) {
        self.covered_bytes = entry.position + size_bytes as u64;
        let interval_bytes = self.interval_bytes.max(interval_bytes);
        let due = self
            .entries
            .last()
            .is_none_or(|last| entry.position >= u64::from(last.position) + interval_bytes);
        if !due {
            return;
        }
        let relative = entry.offset.0.saturating_sub(self.base_offset.0);
        // Segments roll before either number could outgrow 32 bits; without an entry a look-up
        // would only have to walk further.
        let (Ok(relative_offset), Ok(position)) =
            (u32::try_from(relative), u32::try_from(entry.position))
        else {
            return;
        };
        if self.entries.len() >= ENTRIES_MAX {
            self.thin();
        }
        let max_timestamp_before = entry.max_timestamp_before.0;
        self.entries.push(Packed { relative_offset, position, max_timestamp_before });
    }

    fn thin(&mut self) {
        let mut index = 0_usize;
        self.entries.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        let span = match (self.entries.first(), self.entries.last()) {
            (Some(first), Some(last)) => u64::from(last.position - first.position),
            _ => 0,
        };
        self.interval_bytes = span / (ENTRIES_MAX as u64 / 2);
    }

    /// Forgets what is said about the bytes from `end` on.
    pub fn truncate(&mut self, end: u64) {
        let kept = self.entries.partition_point(|entry| u64::from(entry.position) < end);
        self.entries.truncate(kept);
        self.covered_bytes = self.covered_bytes.min(end);
    }

    /// Puts the entries of the bytes before in front. `prefix` ends where this index begins.
    pub fn prepend(&mut self, prefix: SparseIndex) {
        let mut entries = prefix.entries;
        entries.append(&mut self.entries);
        self.entries = entries;
        self.covered_from = prefix.covered_from;
        self.interval_bytes = self.interval_bytes.max(prefix.interval_bytes);
        while self.entries.len() > ENTRIES_MAX {
            self.thin();
        }
    }

    fn unpack(&self, packed: &Packed) -> IndexEntry {
        IndexEntry {
            offset: self.base_offset.plus(i64::from(packed.relative_offset)),
            position: u64::from(packed.position),
            max_timestamp_before: Timestamp(packed.max_timestamp_before),
        }
    }

    /// The last entry at or before `offset`; `None` means to begin where the covered bytes do.
    pub fn for_offset(&self, offset: Offset) -> Option<IndexEntry> {
        let relative = offset.0.saturating_sub(self.base_offset.0);
        let after =
            self.entries.partition_point(|entry| i64::from(entry.relative_offset) <= relative);
        self.entries.get(after.checked_sub(1)?).map(|packed| self.unpack(packed))
    }

    /// The last entry before which every timestamp is below `time`.
    pub fn for_time(&self, time: Timestamp) -> Option<IndexEntry> {
        let after = self.entries.partition_point(|entry| entry.max_timestamp_before < time.0);
        self.entries.get(after.checked_sub(1)?).map(|packed| self.unpack(packed))
    }

    /// The index file's content.
    pub fn encode(&self, generation: u32) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + self.entries.len() * ENTRY_BYTES);
        out.put_slice(MAGIC);
        out.put_u16_le(FORMAT_VERSION);
        out.put_u16_le(0);
        // At most ENTRIES_MAX.
        out.put_u32_le(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        out.put_i64_le(self.base_offset.0);
        out.put_u32_le(generation);
        out.put_u32_le(0);
        out.put_u64_le(self.covered_bytes);
        for entry in &self.entries {
            out.put_u32_le(entry.relative_offset);
            out.put_u32_le(entry.position);
            out.put_i64_le(entry.max_timestamp_before);
        }
        let crc = crc_without_its_place(&out);
        if let Some(mut place) = out.get_mut(CRC_AT..) {
            place.put_u32_le(crc);
        }
        out.freeze()
    }
}

fn crc_without_its_place(bytes: &[u8]) -> u32 {
    let before = crc32c::crc32c(bytes.get(..CRC_AT).unwrap_or_default());
    crc32c::crc32c_append(before, bytes.get(CRC_AT + 4..).unwrap_or_default())
}

/// Reads an index file: the index, and the generation of the segment that it is of.
pub fn parse(bytes: &[u8]) -> Result<(SparseIndex, u32), InvalidIndex> {
    let Some((mut fields, mut rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(InvalidIndex("it is shorter than its header of 40 bytes"));
    };
    if !fields.starts_with(MAGIC) {
        return Err(InvalidIndex("it does not begin with THWLINDX"));
    }
    fields.advance(MAGIC.len());
    if fields.get_u16_le() != FORMAT_VERSION {
        return Err(InvalidIndex("its format version is not 1"));
    }
    fields.advance(2);
    let count = fields.get_u32_le() as usize;
    let base_offset = Offset(fields.get_i64_le());
    let generation = fields.get_u32_le();
    let crc = fields.get_u32_le();
    let covered_bytes = fields.get_u64_le();
    if count > ENTRIES_MAX || rest.len() != count * ENTRY_BYTES {
        return Err(InvalidIndex("its length is not what its number of entries asks for"));
    }
    if crc != crc_without_its_place(bytes) {
        return Err(InvalidIndex("its CRC-32C is wrong"));
    }
    let mut index = SparseIndex::new(base_offset, FIRST_BATCH_AT);
    index.covered_bytes = covered_bytes.max(FIRST_BATCH_AT);
    index.entries.reserve_exact(count);
    for _ in 0..count {
        let entry = Packed {
            relative_offset: rest.get_u32_le(),
            position: rest.get_u32_le(),
            max_timestamp_before: rest.get_i64_le(),
        };
        let position = u64::from(entry.position);
        let inside = FIRST_BATCH_AT <= position && position < covered_bytes;
        let rises = index.entries.last().is_none_or(|last| {
            last.relative_offset < entry.relative_offset
                && last.position < entry.position
                && last.max_timestamp_before <= entry.max_timestamp_before
        });
        if !inside || !rises {
            return Err(InvalidIndex("its entries are out of order"));
        }
        index.entries.push(entry);
    }
    Ok((index, generation))
}
