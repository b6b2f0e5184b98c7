//! Keeps one file ready to be written to, so that no append waits for a file to be made.
//!
//! Files are full of zeros before the first frame goes in (writing into them then changes no
//! metadata, which makes a durable write twice as fast), and used again when freed.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use runtime::fs::{self, JournalFile};

use crate::file::{FILE_HEADER_BYTES, header_block, journal_path, zeroing_path};
use crate::recovery::IdleFile;
use crate::shared::{ReadyFile, Shared};

/// The first file of a new journal is small, so that a new broker starts at once.
const FIRST_FILE_BYTES: u64 = 4 << 20;
/// Between attempts while no file can be made.
const RETRY: Duration = Duration::from_millis(250);

/// What the supply has to do.
enum Chore {
    /// Put a file into readiness: this one, or a new one.
    Prepare(Option<IdleFile>),
    /// One too many, or of another size.
    Remove(IdleFile),
    Wait,
    Stop,
}

pub(crate) fn start(shared: &Rc<Shared>) {
    shared.state.borrow_mut().running_tasks += 1;
    runtime::spawn("journal file supply", supply_files(Rc::clone(shared)));
}

async fn supply_files(shared: Rc<Shared>) {
    loop {
        let notified = shared.supply.notified();
        match next_chore(&shared) {
            Chore::Stop => break,
            Chore::Wait => notified.await,
            Chore::Remove(idle) => remove(idle).await,
            Chore::Prepare(idle) => {
                let prepared = prepare(&shared, idle).await;
                let failed = prepared.is_err();
                note_prepared(&shared, prepared);
                if failed {
                    // A freed file ends the wait.
                    let _ = runtime::timeout(RETRY, shared.supply.notified()).await;
                }
            }
        }
    }
    shared.state.borrow_mut().running_tasks -= 1;
    shared.progress.notify_waiters();
}

fn next_chore(shared: &Shared) -> Chore {
    let mut state = shared.state.borrow_mut();
    // While closing, what has gathered may still need a file.
    if state.closing && state.gather.front().is_none() {
        return Chore::Stop;
    }
    let full_size = shared.config.file_size_bytes;
    if let Some(at) = state.idle.iter().position(|idle| idle.file.size_bytes() != full_size) {
        return Chore::Remove(state.idle.swap_remove(at));
    }
    if state.ready.is_none() {
        return Chore::Prepare(state.idle.pop());
    }
    if state.idle.len() > shared.config.recycled_files_max {
        return state.idle.pop().map_or(Chore::Wait, Chore::Remove);
    }
    Chore::Wait
}

fn note_prepared(shared: &Shared, prepared: io::Result<ReadyFile>) {
    let mut state = shared.state.borrow_mut();
    match prepared {
        Ok(ready) => {
            if std::mem::take(&mut state.starved) {
                tracing::info!("the journal has a file to write to again");
            }
            state.ready = Some(ready);
            drop(state);
            shared.work.notify_one();
        }
        Err(error) => {
            if !std::mem::replace(&mut state.starved, true) {
                let directory = shared.config.directory.display();
                tracing::error!(
                    %error, %directory,
                    "no journal file can be made ready; writes are refused until one can: free \
                     space on the disk"
                );
            }
        }
    }
}

/// Gives a file the next number as its name, then as its generation.
async fn prepare(shared: &Shared, idle: Option<IdleFile>) -> io::Result<ReadyFile> {
    let directory = &shared.config.directory;
    let number = {
        let mut state = shared.state.borrow_mut();
        let number = state.next_number;
        state.next_number += 1;
        number
    };
    let (file, from) = match idle {
        Some(idle) => (idle.file, idle.path),
        None => {
            let from = zeroing_path(directory, number);
            (create(&from, new_file_bytes(shared, number)).await?, from)
        }
    };
    let path = journal_path(directory, number);
    fs::rename(&from, &path).await?;
    fs::sync_directory(directory).await?;
    file.write_durable(0, header_block(number)).await.0?;
    Ok(ReadyFile { file, number, path })
}

fn new_file_bytes(shared: &Shared, number: u64) -> u64 {
    let full_size = shared.config.file_size_bytes;
    let waiting = shared.state.borrow().gather.front().map_or(0, |frame| frame.frame_bytes());
    let needed = FILE_HEADER_BYTES + waiting as u64;
    if number == 1 && needed <= FIRST_FILE_BYTES {
        FIRST_FILE_BYTES.min(full_size)
    } else {
        full_size
    }
}

async fn create(path: &std::path::Path, size_bytes: u64) -> io::Result<JournalFile> {
    match JournalFile::create_zeroed(path, size_bytes).await {
        Ok(file) => Ok(file),
        Err(error) => {
            // What was made of it takes up space that is needed now.
            if let Err(error) = fs::remove_file(path).await
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, path = %path.display(), "cannot remove an unfinished file");
            }
            Err(error)
        }
    }
}

/// A file that cannot be removed costs space and no more: the next start tries again.
async fn remove(idle: IdleFile) {
    let path = idle.path;
    if let Err(error) = idle.file.close().await {
        tracing::warn!(%error, path = %path.display(), "cannot close a journal file");
    }
    if let Err(error) = fs::remove_file(&path).await {
        tracing::warn!(%error, path = %path.display(), "cannot remove a journal file");
    }
}
