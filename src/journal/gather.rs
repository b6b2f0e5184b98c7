//! Commands on their way into frames: group commit's waiting room.

use std::collections::VecDeque;

use model::{CommandIndex, LaneId, Term};
use runtime::fs::AlignedBuffer;

use crate::JournalPosition;
use crate::frame::{self, FRAME_HEADER_BYTES, FrameHeader, RECORD_HEADER_BYTES, record_header};

/// How much memory a fresh buffer takes; it grows with what gathers, and is used again.
const BUFFER_BYTES: usize = 64 << 10;
/// Buffers kept for use again.
const FREE_BUFFERS_MAX: usize = 4;

/// A frame that is filled, or waits to be written.
#[derive(Debug)]
pub(crate) struct OpenFrame {
    /// The header's place, then the records.
    buffer: AlignedBuffer,
    /// Its place in the journal.
    pub sequence: JournalPosition,
    pub record_count: u32,
}

impl OpenFrame {
    /// Without padding.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Its size on disk.
    pub fn frame_bytes(&self) -> usize {
        frame::frame_bytes(self.buffer.len() - FRAME_HEADER_BYTES)
    }

    /// The finished frame, ready to be written into a file of `generation`.
    pub fn finish(mut self, generation: u64, durable: JournalPosition) -> AlignedBuffer {
        let header = FrameHeader {
            generation,
            sequence: self.sequence,
            durable,
            payload_bytes: 0,
            record_count: self.record_count,
        };
        frame::seal(self.buffer.as_mut_slice(), header);
        self.buffer.pad_to_block();
        self.buffer
    }
}

/// The open frame, those before it that are full, and buffers to use again.
#[derive(Debug)]
pub(crate) struct Gather {
    open: Option<OpenFrame>,
    full: VecDeque<OpenFrame>,
    free: Vec<AlignedBuffer>,
    next_sequence: JournalPosition,
    frame_bytes_max: usize,
}

impl Gather {
    pub fn new(next_sequence: JournalPosition, frame_bytes_max: usize) -> Self {
        Gather {
            open: None,
            full: VecDeque::new(),
            free: Vec::new(),
            next_sequence,
            frame_bytes_max,
        }
    }

    /// Copies a command, whose parts have `length` bytes together, into the open frame, or into a
    /// new one if it would grow too large. Returns the frame's position.
    pub fn append(
        &mut self,
        lane: LaneId,
        term: Term,
        index: CommandIndex,
        length: u32,
        parts: &[&[u8]],
    ) -> JournalPosition {
        let record_bytes = RECORD_HEADER_BYTES + length as usize;
        if self.open.as_ref().is_some_and(|open| open.len() + record_bytes > self.frame_bytes_max) {
            self.full.extend(self.open.take());
        }
        let mut open = self.open.take().unwrap_or_else(|| self.new_frame());
        open.buffer.extend_from_slice(&record_header(lane, term, index, length));
        for part in parts {
            open.buffer.extend_from_slice(part);
        }
        open.record_count += 1;
        let sequence = open.sequence;
        self.open = Some(open);
        sequence
    }

    fn new_frame(&mut self) -> OpenFrame {
        let mut buffer =
            self.free.pop().unwrap_or_else(|| AlignedBuffer::with_capacity(BUFFER_BYTES));
        buffer.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
        let sequence = self.next_sequence;
        self.next_sequence = sequence.next();
        OpenFrame { buffer, sequence, record_count: 0 }
    }

    /// The frame to be written next, if there is one.
    pub fn front(&self) -> Option<&OpenFrame> {
        self.full.front().or(self.open.as_ref())
    }

    /// Takes the frame to be written next.
    pub fn take(&mut self) -> Option<OpenFrame> {
        self.full.pop_front().or_else(|| self.open.take())
    }

    /// What waits to be written.
    pub fn waiting_bytes(&self) -> usize {
        let full: usize = self.full.iter().map(OpenFrame::len).sum();
        full + self.open.as_ref().map_or(0, OpenFrame::len)
    }

    /// The last frame that holds a command.
    pub fn last_sequence(&self) -> JournalPosition {
        JournalPosition(self.next_sequence.0 - 1)
    }

    /// Takes a written buffer back. Fresh memory is dear: every page of it is zeroed by the kernel
    /// on first touch.
    pub fn recycle(&mut self, mut buffer: AlignedBuffer) {
        let usual = self.frame_bytes_max.saturating_mul(2).max(BUFFER_BYTES);
        if self.free.len() < FREE_BUFFERS_MAX && buffer.capacity() <= usual {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}
