//! Reading a journal back: which files there are, where the chain of frames begins, and where it
//! ends.
//!
//! The chain is every frame from the first needed one on, in order of sequence: within a file one
//! directly after the other, over files by rising number. It ends at the first gap. What lies after
//! the gap decides what the gap is: a frame that knows the missing one to have been durable makes
//! it damage, an error; without such a frame nobody was told of anything after the gap.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use model::{CommandIndex, LaneId, Term};
use runtime::fs::{self, JournalFile};

use crate::file::{FILE_HEADER_BYTES, FileHeader, FileName, journal_path};
use crate::frame::{BLOCK_BYTES, FORMAT_VERSION, FrameHeader, FrameRecords, NotAFrame};
use crate::shared::ReadyFile;
use crate::{JournalError, JournalPosition};

/// What a visitor may fail with.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// How much is read at once.
const READ_AHEAD_BYTES: u64 = 1 << 20;

/// A command found in the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecoveredCommand {
    /// The frame that carries it.
    pub position: JournalPosition,
    /// Whose command it is.
    pub lane: LaneId,
    /// The leader's term in which it was proposed.
    pub term: Term,
    /// Its place in the lane's log.
    pub index: CommandIndex,
    /// As appended. A slice of what was read from the file, up to 1 MiB or one frame.
    pub command: Bytes,
}

/// What recovery found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecoveryReport {
    /// Frames replayed.
    pub frames: u64,
    /// Commands in them.
    pub commands: u64,
    /// The frames' size on disk.
    pub bytes: u64,
    /// The last frame of the chain.
    pub last: JournalPosition,
    /// Whether frames that nobody was told of lie beyond the chain's end, torn or whole.
    pub torn_tail: bool,
}

/// A file without frames that anyone needs.
pub(crate) struct IdleFile {
    pub file: JournalFile,
    pub path: PathBuf,
}

/// A file with frames of the chain.
pub(crate) struct KeptFile {
    pub file: JournalFile,
    pub path: PathBuf,
    pub first: JournalPosition,
    pub last: JournalPosition,
}

/// The files, sorted into what they are good for.
pub(crate) struct Recovered {
    pub kept: Vec<KeptFile>,
    pub idle: Vec<IdleFile>,
    pub ready: Option<ReadyFile>,
    pub last: JournalPosition,
    pub next_number: u64,
    pub replayed_bytes: u64,
}

impl Recovered {
    /// Closes the files, which were only read.
    pub async fn close(self) {
        let kept = self.kept.into_iter().map(|kept| kept.file);
        let idle = self.idle.into_iter().map(|idle| idle.file);
        let ready = self.ready.into_iter().map(|ready| ready.file);
        for file in kept.chain(idle).chain(ready) {
            if let Err(error) = file.close().await {
                tracing::warn!(%error, "a journal file could not be closed");
            }
        }
    }
}

/// Removes what a crash left of files that were being made.
pub(crate) async fn remove_unfinished_files(directory: &Path) -> Result<(), JournalError> {
    let entries = fs::read_directory(directory)
        .await
        .map_err(JournalError::io("list the directory", directory))?;
    for entry in entries {
        if FileName::parse(&entry.name) == FileName::Zeroing {
            let path = directory.join(&entry.name);
            fs::remove_file(&path).await.map_err(JournalError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// One reading of a journal.
pub(crate) struct Recovery<'a> {
    pub directory: &'a Path,
    pub replay_from: JournalPosition,
}

/// A file that was opened, with what its front says.
struct FoundFile {
    number: u64,
    path: PathBuf,
    file: JournalFile,
    /// Its header is that of its name.
    header_matches: bool,
    /// The frame right after the header.
    first: Option<JournalPosition>,
    /// The last frame of the chain in it, filled in by the walk.
    last: Option<JournalPosition>,
    /// Whether it holds frames, of the chain or beyond its end.
    has_frames: bool,
}

/// Where a frame should be and is not.
#[derive(Clone)]
struct Gap {
    path: PathBuf,
    offset: u64,
    why: NotAFrame,
}

impl Recovery<'_> {
    /// Reads the files, gives the needed commands to `visit`, and sorts the files.
    pub async fn run<E: Into<BoxedError>>(
        &self,
        mut visit: impl FnMut(RecoveredCommand) -> Result<(), E>,
    ) -> Result<(Recovered, RecoveryReport), JournalError> {
        let mut files = self.open_files().await?;
        let needed = self.replay_from.max(JournalPosition::FIRST);
        // Files before the one with the first needed frame were freed, or would be.
        let start = files
            .iter()
            .rposition(|file| file.first.is_some_and(|first| first <= needed))
            .unwrap_or(0);
        let mut chain = Chain {
            directory: self.directory,
            needed,
            next: files.get(start).and_then(|file| file.first).filter(|first| *first <= needed),
            gap: None,
            report: RecoveryReport::default(),
        };
        for file in files.iter_mut().skip(start) {
            chain.walk(file, &mut visit).await?;
        }
        let next = chain.next.unwrap_or(needed);
        if next < needed || (chain.next.is_none() && needed > JournalPosition::FIRST) {
            let directory = self.directory.to_path_buf();
            return Err(JournalError::MissingFrames { directory, needed: next, found: None });
        }
        chain.report.last = JournalPosition(next.0 - 1);
        let report = chain.report;
        Ok((sort(files, report), report))
    }

    async fn open_files(&self) -> Result<Vec<FoundFile>, JournalError> {
        let entries = fs::read_directory(self.directory)
            .await
            .map_err(JournalError::io("list the directory", self.directory))?;
        let mut files = Vec::new();
        for entry in entries {
            match FileName::parse(&entry.name) {
                FileName::Journal(number) => files.push(self.open_file(number).await?),
                FileName::Zeroing => {}
                FileName::Foreign => {
                    tracing::warn!(
                        name = entry.name, directory = %self.directory.display(),
                        "a file in the journal's directory is not the journal's"
                    );
                }
            }
        }
        files.sort_by_key(|file| file.number);
        Ok(files)
    }

    async fn open_file(&self, number: u64) -> Result<FoundFile, JournalError> {
        let path = journal_path(self.directory, number);
        let file = JournalFile::open(&path).await.map_err(JournalError::io("open", &path))?;
        let mut reader = FrameReader::new(&file, &path, number);
        let header = FileHeader::parse(&reader.read(0, BLOCK_BYTES as u64).await?);
        if let FileHeader::UnsupportedVersion(version) = header {
            let known = u32::from(FORMAT_VERSION);
            return Err(JournalError::UnsupportedFormat { path, version, known });
        }
        let first = reader.frame_at(FILE_HEADER_BYTES).await?.ok().map(|found| found.0.sequence);
        Ok(FoundFile {
            number,
            path,
            file,
            header_matches: header == FileHeader::Generation(number),
            first,
            last: None,
            has_frames: false,
        })
    }
}

/// The chain as far as it was followed.
struct Chain<'a> {
    directory: &'a Path,
    needed: JournalPosition,
    /// The frame that comes next; `None` before the first.
    next: Option<JournalPosition>,
    /// Where the last file's part of the chain ended.
    gap: Option<Gap>,
    report: RecoveryReport,
}

impl Chain<'_> {
    /// Follows the chain through one file, then looks at what else is in it.
    async fn walk<E: Into<BoxedError>>(
        &mut self,
        found: &mut FoundFile,
        visit: &mut impl FnMut(RecoveredCommand) -> Result<(), E>,
    ) -> Result<(), JournalError> {
        let size_bytes = found.file.size_bytes();
        let mut reader = FrameReader::new(&found.file, &found.path, found.number);
        let mut position = FILE_HEADER_BYTES;
        let mut gap: Option<Gap> = None;
        while position + BLOCK_BYTES as u64 <= size_bytes {
            let (header, frame) = match reader.frame_at(position).await? {
                Ok(frame) => frame,
                Err(why) => {
                    if gap.is_none() {
                        gap = Some(Gap { path: found.path.clone(), offset: position, why });
                    }
                    position += BLOCK_BYTES as u64;
                    continue;
                }
            };
            found.has_frames = true;
            if !found.header_matches {
                return Err(JournalError::Damaged {
                    path: found.path.clone(),
                    offset: 0,
                    missing: header.sequence,
                    why: "the file's header is unreadable, but there are frames".to_string(),
                });
            }
            let next = self.next.unwrap_or(self.needed);
            if header.sequence == next && gap.is_none() {
                self.take(&header, &frame, &found.path, position, visit)?;
                found.last = Some(header.sequence);
            } else {
                self.judge_beyond_gap(&header, next, gap.as_ref())?;
            }
            position += header.frame_bytes() as u64;
        }
        // The end of a file's part is only interesting if the chain has begun.
        if found.last.is_some() || found.has_frames {
            self.gap = gap.or(self.gap.take());
        }
        Ok(())
    }

    fn take<E: Into<BoxedError>>(
        &mut self,
        header: &FrameHeader,
        frame: &Bytes,
        path: &Path,
        offset: u64,
        visit: &mut impl FnMut(RecoveredCommand) -> Result<(), E>,
    ) -> Result<(), JournalError> {
        self.next = Some(header.sequence.next());
        if header.sequence < self.needed {
            return Ok(());
        }
        let mut count = 0;
        for record in FrameRecords::new(frame, header) {
            count += 1;
            visit(RecoveredCommand {
                position: header.sequence,
                lane: record.lane,
                term: record.term,
                index: record.index,
                command: record.command,
            })
            .map_err(|error| JournalError::Visit(error.into()))?;
        }
        if count != header.record_count {
            let why = format!("the frame says {} records and has {count}", header.record_count);
            let path = path.to_path_buf();
            return Err(JournalError::Damaged { path, offset, missing: header.sequence, why });
        }
        self.report.frames += 1;
        self.report.commands += u64::from(count);
        self.report.bytes += header.frame_bytes() as u64;
        Ok(())
    }

    /// A frame that does not continue the chain: does it prove that a frame is lost?
    fn judge_beyond_gap(
        &mut self,
        header: &FrameHeader,
        next: JournalPosition,
        gap_in_file: Option<&Gap>,
    ) -> Result<(), JournalError> {
        if header.durable < next {
            self.report.torn_tail = true;
            return Ok(());
        }
        match gap_in_file.or(self.gap.as_ref()) {
            Some(gap) => Err(JournalError::Damaged {
                path: gap.path.clone(),
                offset: gap.offset,
                missing: next,
                why: gap.why.to_string(),
            }),
            None => Err(JournalError::MissingFrames {
                directory: self.directory.to_path_buf(),
                needed: next,
                found: Some(header.sequence),
            }),
        }
    }
}

/// Sorts the files by what they are good for.
fn sort(files: Vec<FoundFile>, report: RecoveryReport) -> Recovered {
    let next_number = files.last().map_or(1, |file| file.number + 1);
    let mut recovered = Recovered {
        kept: Vec::new(),
        idle: Vec::new(),
        ready: None,
        last: report.last,
        next_number,
        replayed_bytes: report.bytes,
    };
    for FoundFile { number, path, file, header_matches, last, has_frames, first } in files {
        match last {
            Some(last) => {
                let first = first.unwrap_or(last);
                recovered.kept.push(KeptFile { file, path, first, last });
            }
            // Prepared and never written to. Only the newest file can be: a frame in it must have
            // a higher generation than all before.
            None if number + 1 == next_number
                && header_matches
                && !has_frames
                && first.is_none() =>
            {
                recovered.ready = Some(ReadyFile { file, number, path });
            }
            None => recovered.idle.push(IdleFile { file, path }),
        }
    }
    recovered
}

/// Reads frames of one file, a stretch at a time.
struct FrameReader<'a> {
    file: &'a JournalFile,
    path: &'a Path,
    generation: u64,
    window: Bytes,
    window_at: u64,
}

impl<'a> FrameReader<'a> {
    fn new(file: &'a JournalFile, path: &'a Path, generation: u64) -> Self {
        FrameReader { file, path, generation, window: Bytes::new(), window_at: 0 }
    }

    /// The checked frame that begins at `position`, or why there is none.
    async fn frame_at(
        &mut self,
        position: u64,
    ) -> Result<Result<(FrameHeader, Bytes), NotAFrame>, JournalError> {
        let room = self.file.size_bytes().saturating_sub(position);
        let block = self.read(position, BLOCK_BYTES as u64).await?;
        let frame_bytes = match FrameHeader::peek(&block, self.generation, room) {
            Ok(header) => header.frame_bytes() as u64,
            Err(why) => return Ok(Err(why)),
        };
        let frame = self.read(position, frame_bytes).await?;
        Ok(FrameHeader::parse(&frame, self.generation).map(|header| (header, frame)))
    }

    /// `length` bytes from `position` on, fewer at the file's end.
    async fn read(&mut self, position: u64, length: u64) -> Result<Bytes, JournalError> {
        let end = (position + length).min(self.file.size_bytes());
        let window_end = self.window_at + self.window.len() as u64;
        if position < self.window_at || end > window_end {
            let ahead =
                (self.file.size_bytes().saturating_sub(position)).min(length.max(READ_AHEAD_BYTES));
            self.window = self
                .file
                .read_at(position, ahead as usize)
                .await
                .map_err(JournalError::io("read", self.path))?;
            self.window_at = position;
        }
        let from = ((position - self.window_at) as usize).min(self.window.len());
        let to = (end.saturating_sub(self.window_at) as usize).clamp(from, self.window.len());
        Ok(self.window.slice(from..to))
    }
}
