//! The state that a journal's handle and its tasks share on one core. Every method is synchronous,
//! so no borrow lives across an await.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;

use runtime::fs::{AlignedBuffer, JournalFile};
use runtime::sync::Notify;

use crate::file::FILE_HEADER_BYTES;
use crate::gather::Gather;
use crate::journal_metrics::JournalMetrics;
use crate::recovery::{IdleFile, KeptFile, Recovered};
use crate::{JournalConfig, JournalPosition};

/// How far apart the marks for [`State::written_bytes_since`] are.
const MARK_BYTES: u64 = 256 << 10;

pub(crate) type DurableListener = Rc<dyn Fn(JournalPosition)>;

pub(crate) struct Shared {
    pub config: JournalConfig,
    pub state: RefCell<State>,
    /// Wakes writers: a command came, a file is ready, or the journal closes.
    pub work: Notify,
    /// Wakes those who wait for durability or room.
    pub progress: Notify,
    /// Wakes the file supply: a file was put to use or freed, or the journal closes.
    pub supply: Notify,
    pub metrics: JournalMetrics,
}

impl Shared {
    /// Wakes a writer if one has something to do. One that finishes a write looks by itself, so
    /// commands that gather behind it wake nobody.
    pub fn wake_writer(&self) {
        if self.state.borrow().is_worth_a_write(&self.config) {
            self.work.notify_one();
        }
    }
}

/// A file that frames go to, or went to.
pub(crate) struct LiveFile {
    pub file: Rc<JournalFile>,
    pub path: PathBuf,
    /// The first and the last frame placed in it, durable or not.
    pub first: JournalPosition,
    pub last: JournalPosition,
}

/// Where the next frame goes.
struct ActiveFile {
    file: Rc<JournalFile>,
    generation: u64,
    position: u64,
}

/// A file with its header written, which no frame has gone to.
pub(crate) struct ReadyFile {
    pub file: JournalFile,
    pub number: u64,
    pub path: PathBuf,
}

/// A frame with its place.
pub(crate) struct PlacedFrame {
    pub file: Rc<JournalFile>,
    pub position: u64,
    pub sequence: JournalPosition,
    pub command_count: u32,
    pub buffer: AlignedBuffer,
}

pub(crate) struct State {
    pub gather: Gather,
    active: Option<ActiveFile>,
    /// Files with frames, oldest first; the last one is the active one's.
    live: VecDeque<LiveFile>,
    /// The file that comes after the active one.
    pub ready: Option<ReadyFile>,
    /// Files without frames that anyone needs.
    pub idle: Vec<IdleFile>,
    pub next_number: u64,
    /// The last attempt to make a file ready failed.
    pub starved: bool,
    in_flight: usize,
    /// Written, but a frame before them is not.
    early: Vec<JournalPosition>,
    durable: JournalPosition,
    /// Appended and not durable, by frame: position and bytes.
    buffered: VecDeque<(JournalPosition, usize)>,
    buffered_bytes: usize,
    written_bytes: u64,
    /// Now and then: a frame's position and what was written before it.
    marks: VecDeque<(JournalPosition, u64)>,
    pub listener: Option<DurableListener>,
    pub closing: bool,
    pub running_tasks: usize,
}

impl State {
    pub fn new(config: &JournalConfig, recovered: Recovered) -> State {
        let Recovered { kept, idle, ready, last, next_number, replayed_bytes } = recovered;
        let marks = VecDeque::from([(config.replay_from, 0)]);
        State {
            gather: Gather::new(last.next(), config.gathered_bytes_max()),
            active: None,
            live: kept
                .into_iter()
                .map(|KeptFile { file, path, first, last }| LiveFile {
                    file: Rc::new(file),
                    path,
                    first,
                    last,
                })
                .collect(),
            ready,
            idle,
            next_number,
            starved: false,
            in_flight: 0,
            early: Vec::new(),
            durable: last,
            buffered: VecDeque::new(),
            buffered_bytes: 0,
            written_bytes: replayed_bytes,
            marks,
            listener: None,
            closing: false,
            running_tasks: 0,
        }
    }

    pub fn durable(&self) -> JournalPosition {
        self.durable
    }

    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    /// Everything appended is durable.
    pub fn is_quiet(&self) -> bool {
        self.durable == self.gather.last_sequence()
    }

    /// Counts a command that was appended to the frame at `position`.
    pub fn count_buffered(&mut self, position: JournalPosition, bytes: usize) {
        self.buffered_bytes += bytes;
        match self.buffered.back_mut() {
            Some((last, sum)) if *last == position => *sum += bytes,
            _ => self.buffered.push_back((position, bytes)),
        }
    }

    /// Whether what has gathered should be written now, beside what is in flight.
    fn is_worth_a_write(&self, config: &JournalConfig) -> bool {
        let waiting_bytes = self.gather.waiting_bytes();
        // A write that overtook another is under way until that one is done too: so few frames can
        // lie beyond a gap.
        match self.in_flight + self.early.len() {
            0 => waiting_bytes > 0,
            busy => {
                busy < config.writes_in_flight_max && waiting_bytes >= config.second_write_bytes_min
            }
        }
    }

    /// Takes the next frame to write and gives it a place; `None` when there is nothing, when it is
    /// better to gather on, or when no file has room (then the supply is asked for one).
    pub fn place_next(&mut self, config: &JournalConfig, supply: &Notify) -> Option<PlacedFrame> {
        if !self.is_worth_a_write(config) {
            return None;
        }
        let frame_bytes = self.gather.front()?.frame_bytes() as u64;
        let fits = |active: &ActiveFile| active.position + frame_bytes <= active.file.size_bytes();
        if !self.active.as_ref().is_some_and(fits) && !self.activate_ready(frame_bytes, supply) {
            return None;
        }
        let durable = self.durable;
        let active = self.active.as_mut()?;
        let frame = self.gather.take()?;
        let position = active.position;
        active.position += frame_bytes;
        let sequence = frame.sequence;
        if let Some(live) = self.live.back_mut() {
            live.last = sequence;
        }
        self.mark(sequence);
        self.written_bytes += frame_bytes;
        self.in_flight += 1;
        let active = self.active.as_ref()?;
        Some(PlacedFrame {
            file: Rc::clone(&active.file),
            position,
            sequence,
            command_count: frame.record_count,
            buffer: frame.finish(active.generation, durable),
        })
    }

    /// Makes the ready file the active one, if there is one with that much room.
    fn activate_ready(&mut self, frame_bytes: u64, supply: &Notify) -> bool {
        supply.notify_one();
        let Some(ready) = self.ready.take() else { return false };
        if FILE_HEADER_BYTES + frame_bytes > ready.file.size_bytes() {
            // The small first file of a new journal: the supply makes one of full size.
            self.idle.push(IdleFile { file: ready.file, path: ready.path });
            return false;
        }
        let file = Rc::new(ready.file);
        self.live.push_back(LiveFile {
            file: Rc::clone(&file),
            path: ready.path,
            first: self.gather.front().map_or(self.durable.next(), |frame| frame.sequence),
            last: JournalPosition::NONE,
        });
        self.active =
            Some(ActiveFile { file, generation: ready.number, position: FILE_HEADER_BYTES });
        true
    }

    fn mark(&mut self, sequence: JournalPosition) {
        let due = self.marks.back().is_none_or(|(_, at)| self.written_bytes - at >= MARK_BYTES);
        if due {
            self.marks.push_back((sequence, self.written_bytes));
        }
    }

    /// Notes that a frame is on disk. Returns how far the journal is durable now, if that moved.
    pub fn written(
        &mut self,
        sequence: JournalPosition,
        buffer: AlignedBuffer,
    ) -> Option<JournalPosition> {
        self.in_flight -= 1;
        self.gather.recycle(buffer);
        self.early.push(sequence);
        let before = self.durable;
        while let Some(at) = self.early.iter().position(|early| *early == self.durable.next()) {
            self.durable = self.early.swap_remove(at);
        }
        while let Some(&(position, bytes)) = self.buffered.front()
            && position <= self.durable
        {
            self.buffered.pop_front();
            self.buffered_bytes -= bytes;
        }
        (self.durable > before).then_some(self.durable)
    }

    /// Makes files idle that hold nothing at or after `position`. The file with the newest durable
    /// frame stays, so that a journal that is not empty never looks so.
    pub fn free_before(&mut self, position: JournalPosition) {
        let position = position.min(self.durable.next());
        while let (Some(oldest), Some(second)) = (self.live.front(), self.live.get(1))
            && oldest.last < position
            && second.first <= self.durable
        {
            let Some(live) = self.live.pop_front() else { return };
            match Rc::try_unwrap(live.file) {
                Ok(file) => {
                    self.idle.push(IdleFile { file, path: live.path });
                }
                // A writer's handle outlives its write by a moment: next time.
                Err(file) => {
                    self.live.push_front(LiveFile { file, ..live });
                    return;
                }
            }
        }
        while let (Some(_), Some((second, _))) = (self.marks.front(), self.marks.get(1))
            && *second <= position
        {
            self.marks.pop_front();
        }
    }

    /// Bytes written to files at and after `position`, to within [`MARK_BYTES`] and one frame.
    pub fn written_bytes_since(&self, position: JournalPosition) -> u64 {
        let before = self.marks.partition_point(|(mark, _)| *mark <= position);
        let mark = self.marks.get(before.saturating_sub(1));
        self.written_bytes - mark.map_or(0, |(_, written)| *written)
    }

    /// Gives up the handles of all files.
    pub fn take_files(&mut self) -> Vec<JournalFile> {
        self.active = None;
        let live = self.live.drain(..).filter_map(|live| Rc::try_unwrap(live.file).ok());
        let ready = self.ready.take().map(|ready| ready.file);
        live.chain(ready).chain(self.idle.drain(..).map(|idle| idle.file)).collect()
    }
}
