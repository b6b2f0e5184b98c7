//! A journal in a directory of its own, and what a test does to its files between two runs.

use std::path::{Path, PathBuf};

use journal::{
    Journal, JournalConfig, JournalError, JournalPosition, RecoveredCommand, RecoveryReport,
};
use model::{CommandIndex, LaneId, Term};

/// Small enough that a test fills several.
pub const FILE_BYTES: u64 = 64 << 10;

pub fn config(directory: &Path) -> JournalConfig {
    JournalConfig {
        file_size_bytes: FILE_BYTES,
        frame_bytes_max: 16 << 10,
        ..JournalConfig::new(directory)
    }
}

/// Runs `body` on a core of its own.
pub fn on_a_core<T, F, Fut>(body: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    runtime::run_single(body).expect("a core starts")
}

/// Opens the journal and collects what it replays.
pub async fn open(
    config: JournalConfig,
) -> Result<(Journal, RecoveryReport, Vec<RecoveredCommand>), JournalError> {
    let mut commands = Vec::new();
    let (journal, report) = Journal::open(config, |command| {
        commands.push(command);
        Ok::<(), std::convert::Infallible>(())
    })
    .await?;
    Ok((journal, report, commands))
}

/// Opens, replays, closes: the commands' bytes, or the error.
pub fn replay(config: JournalConfig) -> Result<Vec<Vec<u8>>, JournalError> {
    on_a_core(move || async move {
        let (journal, _, commands) = open(config).await?;
        journal.close().await;
        Ok(commands.iter().map(|command| command.command.to_vec()).collect())
    })
}

/// Appends one command per frame (each is durable before the next), numbered from 1.
pub fn write_one_by_one(config: JournalConfig, commands: Vec<Vec<u8>>) {
    on_a_core(move || async move {
        let (journal, _, _) = open(config).await.expect("the journal opens");
        for (index, command) in (1..).zip(&commands) {
            let position = append(&journal, index, command);
            journal.wait_durable(position).await;
        }
        journal.close().await;
    });
}

pub fn append(journal: &Journal, index: u64, command: &[u8]) -> JournalPosition {
    journal.append(LaneId(3), Term(1), CommandIndex(index), &[command]).expect("the command fits")
}

/// The journal's files by name.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Flips the bits of one byte.
pub fn damage(path: &Path, offset: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset as usize] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}

/// Distinct commands of `length` bytes.
pub fn commands(count: usize, length: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let mut command = format!("command {number} ").into_bytes();
            command.resize(length, number as u8);
            command
        })
        .collect()
}
