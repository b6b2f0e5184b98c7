//! Frames: what one write puts on disk, in blocks of 4 KiB. Pure functions on bytes.
//!
//! | at | bytes | frame header, little-endian |
//! |---|---|---|
//! | 0 | 4 | magic `TWJF` |
//! | 4 | 2 | format version, 1 |
//! | 6 | 2 | zero |
//! | 8 | 8 | generation of the file: the number in its name when the frame was written |
//! | 16 | 8 | sequence: the frame's [`JournalPosition`] |
//! | 24 | 8 | the last frame known durable when this one was written |
//! | 32 | 4 | payload bytes |
//! | 36 | 4 | number of records |
//! | 40 | 4 | zero |
//! | 44 | 4 | CRC-32C of bytes 0-43 and the payload |
//! | 48 | | payload: records; then zeros up to the next block |
//!
//! A record is `lane u16 · term u64 · index u64 · length u32 · command`.
//!
//! The field at 24 tells damage from a torn tail. With two writes in flight, a power cut may lose
//! the first and keep the second; nobody was told of either. But a frame that knows an earlier one
//! to be durable proves that the earlier one was once whole.

use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use model::{CommandIndex, LaneId, Term};

use crate::JournalPosition;

/// Frames begin at multiples of this, and direct I/O moves multiples of this.
pub const BLOCK_BYTES: usize = 4096;
/// Before a frame's records.
pub const FRAME_HEADER_BYTES: usize = 48;
/// Before a record's command.
pub const RECORD_HEADER_BYTES: usize = 22;
/// Written to frames and files; another is refused.
pub const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"TWJF";
/// What the CRC covers of the header.
const SUMMED_HEADER_BYTES: usize = 44;

/// A frame's header, found valid together with its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Of the file that the frame was written to.
    pub generation: u64,
    /// The frame's place in the journal.
    pub sequence: JournalPosition,
    /// The last frame known durable when this was written.
    pub durable: JournalPosition,
    /// Without the padding.
    pub payload_bytes: u32,
    /// How many records the payload has.
    pub record_count: u32,
}

/// Why bytes are not a frame of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAFrame {
    /// All of the header is zero: never written to.
    Blank,
    /// No magic, or a version not known.
    NoHeader,
    /// A frame from the file's earlier life.
    OtherGeneration(u64),
    /// The length reaches beyond the file.
    TooLong,
    /// The CRC is another: torn or damaged.
    WrongCrc,
}

impl fmt::Display for NotAFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAFrame::Blank => f.write_str("there are only zeros"),
            NotAFrame::NoHeader => f.write_str("there is no frame header"),
            NotAFrame::OtherGeneration(generation) => {
                write!(f, "there is a frame of generation {generation}, which was overwritten")
            }
            NotAFrame::TooLong => f.write_str("the frame's length is impossible"),
            NotAFrame::WrongCrc => f.write_str("the frame's CRC is wrong"),
        }
    }
}

/// The size on disk of a frame with so much payload.
pub fn frame_bytes(payload_bytes: usize) -> usize {
    (FRAME_HEADER_BYTES + payload_bytes).next_multiple_of(BLOCK_BYTES)
}

impl FrameHeader {
    /// The frame's size on disk, with its padding.
    pub fn frame_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes as usize)
    }

    /// Reads a header without checking the payload. `bytes` begins with the frame; at most
    /// `room_bytes` can belong to it.
    pub fn peek(bytes: &[u8], generation: u64, room_bytes: u64) -> Result<FrameHeader, NotAFrame> {
        let mut fields = bytes.get(..FRAME_HEADER_BYTES).ok_or(NotAFrame::TooLong)?;
        if fields.iter().all(|&byte| byte == 0) {
            return Err(NotAFrame::Blank);
        }
        let known = fields.starts_with(&MAGIC);
        fields.advance(MAGIC.len());
        if !known || fields.get_u16_le() != FORMAT_VERSION {
            return Err(NotAFrame::NoHeader);
        }
        fields.advance(2);
        let header = FrameHeader {
            generation: fields.get_u64_le(),
            sequence: JournalPosition(fields.get_u64_le()),
            durable: JournalPosition(fields.get_u64_le()),
            payload_bytes: fields.get_u32_le(),
            record_count: fields.get_u32_le(),
        };
        if header.generation != generation {
            return Err(NotAFrame::OtherGeneration(header.generation));
        }
        if header.frame_bytes() as u64 > room_bytes {
            return Err(NotAFrame::TooLong);
        }
        Ok(header)
    }

    /// Reads and checks the frame at the front of `bytes`, which hold all of it.
    pub fn parse(bytes: &[u8], generation: u64) -> Result<FrameHeader, NotAFrame> {
        let header = FrameHeader::peek(bytes, generation, bytes.len() as u64)?;
        let end = FRAME_HEADER_BYTES + header.payload_bytes as usize;
        let (Some(summed), Some(mut stored), Some(payload)) = (
            bytes.get(..SUMMED_HEADER_BYTES),
            bytes.get(SUMMED_HEADER_BYTES..FRAME_HEADER_BYTES),
            bytes.get(FRAME_HEADER_BYTES..end),
        ) else {
            return Err(NotAFrame::TooLong);
        };
        let computed = crc32c::crc32c_append(crc32c::crc32c(summed), payload);
        if computed != stored.get_u32_le() {
            return Err(NotAFrame::WrongCrc);
        }
        Ok(header)
    }
}

/// Writes header and CRC over the first 48 bytes of `frame`, whose payload follows them and ends
/// with the slice. The payload's length is taken from the slice.
pub fn seal(frame: &mut [u8], mut header: FrameHeader) {
    let Some((head, payload)) = frame.split_at_mut_checked(FRAME_HEADER_BYTES) else { return };
    header.payload_bytes = payload.len() as u32;
    let (summed, mut crc) = head.split_at_mut(SUMMED_HEADER_BYTES);
    let mut out = &mut *summed;
    out.put_slice(&MAGIC);
    out.put_u16_le(FORMAT_VERSION);
    out.put_u16_le(0);
    out.put_u64_le(header.generation);
    out.put_u64_le(header.sequence.0);
    out.put_u64_le(header.durable.0);
    out.put_u32_le(header.payload_bytes);
    out.put_u32_le(header.record_count);
    out.put_u32_le(0);
    crc.put_u32_le(crc32c::crc32c_append(crc32c::crc32c(summed), payload));
}

/// One command within a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameRecord {
    /// Whose command it is.
    pub lane: LaneId,
    /// The leader's term in which it was proposed.
    pub term: Term,
    /// Its place in the lane's log.
    pub index: CommandIndex,
    /// A slice of the frame.
    pub command: Bytes,
}

/// The header of a record whose command has `length` bytes.
pub fn record_header(
    lane: LaneId,
    term: Term,
    index: CommandIndex,
    length: u32,
) -> [u8; RECORD_HEADER_BYTES] {
    let mut header = [0; RECORD_HEADER_BYTES];
    let mut out = &mut header[..];
    out.put_u16_le(lane.0);
    out.put_u64_le(term.0);
    out.put_u64_le(index.0);
    out.put_u32_le(length);
    header
}

/// The records of a checked frame, in order. `None` at the end, or where the payload is not made
/// of records: compare the count with the header's.
#[derive(Clone, Debug)]
pub struct FrameRecords {
    rest: Bytes,
}

impl FrameRecords {
    /// `frame` is the whole frame that `header` was read from.
    pub fn new(frame: &Bytes, header: &FrameHeader) -> Self {
        let end = (FRAME_HEADER_BYTES + header.payload_bytes as usize).min(frame.len());
        FrameRecords { rest: frame.slice(FRAME_HEADER_BYTES.min(end)..end) }
    }
}

impl Iterator for FrameRecords {
    type Item = FrameRecord;

    fn next(&mut self) -> Option<FrameRecord> {
        if self.rest.len() < RECORD_HEADER_BYTES {
            return None;
        }
        let lane = LaneId(self.rest.get_u16_le());
        let term = Term(self.rest.get_u64_le());
        let index = CommandIndex(self.rest.get_u64_le());
        let length = self.rest.get_u32_le() as usize;
        if length > self.rest.len() {
            self.rest.clear();
            return None;
        }
        Some(FrameRecord { lane, term, index, command: self.rest.split_to(length) })
    }
}
