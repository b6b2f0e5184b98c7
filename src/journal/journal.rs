//! The handle: append, wait, free.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::rc::Rc;

use model::{CommandIndex, LaneId, Term};
use runtime::fs;
use runtime::sync::Notify;

use crate::journal_metrics::JournalMetrics;
use crate::recovery::{self, BoxedError, Recovery};
use crate::shared::{Shared, State};
use crate::{
    AppendError, JournalConfig, JournalCounts, JournalError, JournalPosition, RecoveredCommand,
    RecoveryReport, file_supply, writer,
};

/// The write-ahead log of one core. Cheap to clone; stays on the core that opened it.
#[derive(Clone)]
pub struct Journal {
    shared: Rc<Shared>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.borrow();
        f.debug_struct("Journal")
            .field("directory", &self.shared.config.directory)
            .field("durable", &state.durable())
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal, or makes a new one, and starts its tasks. Each command of the frames from
    /// [`JournalConfig::replay_from`] on goes to `visit`, in the order in which it was appended.
    ///
    /// Writing goes on in a new file: what a crash left behind in the last one stays as it is until
    /// the file is freed.
    pub async fn open<E: Into<BoxedError>>(
        config: JournalConfig,
        visit: impl FnMut(RecoveredCommand) -> Result<(), E>,
    ) -> Result<(Journal, RecoveryReport), JournalError> {
        config.check()?;
        make_directory_durably(&config.directory).await?;
        recovery::remove_unfinished_files(&config.directory).await?;
        let recovery = Recovery { directory: &config.directory, replay_from: config.replay_from };
        let (recovered, report) = recovery.run(visit).await?;
        // A process that was killed may have had a write under way: its frame can be read, but a
        // power cut could still take it, and new frames are about to build on it.
        for kept in &recovered.kept {
            kept.file.sync().await.map_err(JournalError::io("sync", &kept.path))?;
        }
        let state = State::new(&config, recovered);
        let shared = Rc::new(Shared {
            config,
            state: RefCell::new(state),
            work: Notify::new(),
            progress: Notify::new(),
            supply: Notify::new(),
            metrics: JournalMetrics::new(),
        });
        writer::start(&shared);
        file_supply::start(&shared);
        Ok((Journal { shared }, report))
    }

    /// Reads the journal in `directory` without changing anything: to re-home lanes when the number
    /// of cores changed. `replay_from` is as in [`JournalConfig`].
    pub async fn scan<E: Into<BoxedError>>(
        directory: &Path,
        replay_from: JournalPosition,
        visit: impl FnMut(RecoveredCommand) -> Result<(), E>,
    ) -> Result<RecoveryReport, JournalError> {
        let (recovered, report) = Recovery { directory, replay_from }.run(visit).await?;
        recovered.close().await;
        Ok(report)
    }

    /// Puts a command, the concatenation of `parts`, into the frame that is gathering, and returns
    /// that frame's position: the command is durable once [`Journal::durable`] has reached it.
    ///
    /// Never waits. Callers heed [`Journal::is_full`] and [`Journal::wait_for_room`] before.
    pub fn append(
        &self,
        lane: LaneId,
        term: Term,
        index: CommandIndex,
        parts: &[&[u8]],
    ) -> Result<JournalPosition, AppendError> {
        let size_bytes = parts.iter().map(|part| part.len()).sum();
        let max_bytes = self.shared.config.command_bytes_max();
        let too_large = AppendError::TooLarge { size_bytes, max_bytes };
        if size_bytes > max_bytes {
            return Err(too_large);
        }
        let length = u32::try_from(size_bytes).map_err(|_| too_large)?;
        let mut state = self.shared.state.borrow_mut();
        if state.closing {
            return Err(AppendError::Closed);
        }
        let position = state.gather.append(lane, term, index, length, parts);
        state.count_buffered(position, size_bytes);
        drop(state);
        self.shared.wake_writer();
        Ok(position)
    }

    /// Calls `listener` after each write that moves [`Journal::durable`], with its new value; these
    /// values rise. The listener may append.
    pub fn set_durable_listener(&self, listener: Box<dyn Fn(JournalPosition)>) {
        self.shared.state.borrow_mut().listener = Some(listener.into());
    }

    /// The last frame that is on disk, all before it being so too.
    pub fn durable(&self) -> JournalPosition {
        self.shared.state.borrow().durable()
    }

    /// Waits until the frame at `position` is durable.
    pub async fn wait_durable(&self, position: JournalPosition) {
        self.wait_for(|state| state.durable() >= position).await;
    }

    /// Whether no file can be made to write to after the current one: the disk is full, or fails.
    /// Callers refuse new commands while it is so. It passes by itself once a file is freed or can
    /// be made; that is tried again and again.
    pub fn is_full(&self) -> bool {
        let state = self.shared.state.borrow();
        state.starved && state.ready.is_none()
    }

    /// Bytes of commands appended and not durable yet.
    pub fn buffered_bytes(&self) -> usize {
        self.shared.state.borrow().buffered_bytes()
    }

    /// Waits until less than [`JournalConfig::buffered_bytes_max`] is buffered.
    pub async fn wait_for_room(&self) {
        let max = self.shared.config.buffered_bytes_max;
        self.wait_for(|state| state.buffered_bytes() < max).await;
    }

    /// Gives back the files that hold only frames before `position`, for use again. Call it when a
    /// checkpoint that covers those frames is durable, and pass that position as
    /// [`JournalConfig::replay_from`] from then on.
    pub async fn free_before(&self, position: JournalPosition) {
        self.shared.state.borrow_mut().free_before(position);
        self.shared.supply.notify_one();
    }

    /// Bytes written to files for the frames from `position` on, to within about 256 KiB: what a
    /// restart would read if the last checkpoint were there.
    pub fn written_bytes_since(&self, position: JournalPosition) -> u64 {
        self.shared.state.borrow().written_bytes_since(position)
    }

    /// What was counted since it was opened.
    pub fn counts(&self) -> JournalCounts {
        self.shared.metrics.counts()
    }

    /// Waits until everything appended is durable, then ends the tasks and closes the files.
    /// Appends are refused from the call on.
    pub async fn close(self) {
        self.shared.state.borrow_mut().closing = true;
        self.shared.work.notify_waiters();
        self.shared.work.notify_one();
        self.shared.supply.notify_one();
        self.wait_for(|state| state.is_quiet() && state.running_tasks == 0).await;
        let files = self.shared.state.borrow_mut().take_files();
        for file in files {
            if let Err(error) = file.close().await {
                tracing::warn!(%error, "a journal file could not be closed");
            }
        }
    }

    async fn wait_for(&self, reached: impl Fn(&State) -> bool) {
        loop {
            // Made before the look at the state, so that no progress between is missed.
            let progress = self.shared.progress.notified();
            if reached(&self.shared.state.borrow()) {
                return;
            }
            progress.await;
        }
    }
}

/// Makes the directory, and sees to it that its name survives a power cut: with the name of any
/// directory above it, the journal would be gone.
async fn make_directory_durably(directory: &Path) -> Result<(), JournalError> {
    fs::create_directory_all(directory)
        .await
        .map_err(JournalError::io("create the directory", directory))?;
    // Also where nothing had to be made: an earlier process may have ended between making and
    // syncing.
    for (level, above) in directory.ancestors().skip(1).enumerate() {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match fs::sync_directory(above).await {
            Ok(()) => {}
            Err(source) if level == 0 => {
                return Err(JournalError::io("sync the directory", above)(source));
            }
            // Further up are the operator's directories, which need not be readable.
            Err(_) => break,
        }
    }
    Ok(())
}
