//! The durable write path.

use std::{
    fs, io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;

use super::{
    blocking,
    fs::{parent, storage_full, sync_directory_here},
};
use crate::fs::{AlignedBuffer, BLOCK_BYTES};

/// A file of fixed size that is written in whole blocks, durably.
#[derive(Clone, Debug)]
pub struct JournalFile {
    inner: Arc<fs::File>,
    size_bytes: u64,
}

impl JournalFile {
    /// Makes `path`, which must not exist.
    pub async fn create_zeroed(path: impl AsRef<Path>, size_bytes: u64) -> io::Result<JournalFile> {
        let path = path.as_ref().to_owned();
        let inner = blocking::run("create journal file", move || {
            let file = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .custom_flags(libc::O_DSYNC)
                .open(&path)?;
            let zeros = vec![0; 1 << 20];
            let mut at = 0;
            while at < size_bytes {
                let count = (size_bytes - at).min(zeros.len() as u64);
                file.write_all_at(zeros.get(..count as usize).unwrap_or_default(), at)?;
                at += count;
            }
            file.sync_all()?;
            sync_directory_here(parent(&path))?;
            Ok(file)
        })
        .await
        .map_err(storage_full)?;
        Ok(JournalFile { inner: Arc::new(inner), size_bytes })
    }

    /// Opens an existing one.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<JournalFile> {
        let path = path.as_ref().to_owned();
        let inner = blocking::run("open journal file", move || {
            fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_DSYNC).open(&path)
        })
        .await?;
        let size_bytes = inner.metadata()?.len();
        Ok(JournalFile { inner: Arc::new(inner), size_bytes })
    }

    /// The file's length, which never changes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Writes `buffer` at `position`, both whole blocks; durable when it returns Ok.
    pub async fn write_durable(
        &self,
        position: u64,
        buffer: AlignedBuffer,
    ) -> (io::Result<()>, AlignedBuffer) {
        if !position.is_multiple_of(BLOCK_BYTES as u64) || !buffer.len().is_multiple_of(BLOCK_BYTES)
        {
            return (Err(io::ErrorKind::InvalidInput.into()), buffer);
        }
        let inner = Arc::clone(&self.inner);
        blocking::run("journal write", move || {
            let result = inner.write_all_at(buffer.as_slice(), position);
            (result.map_err(storage_full), buffer)
        })
        .await
    }

    /// Reads `len` bytes at `position`; fewer only where the file ends.
    pub async fn read_at(&self, position: u64, len: usize) -> io::Result<Bytes> {
        let inner = Arc::clone(&self.inner);
        blocking::run("journal read", move || {
            let mut buffer = vec![0; len];
            let mut filled = 0;
            while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match inner.read_at(rest, position + filled as u64)? {
                    0 => break,
                    count => filled += count,
                }
            }
            buffer.truncate(filled);
            Ok(Bytes::from(buffer))
        })
        .await
    }

    /// Lets go of this clone; the last one closes the file.
    pub async fn close(self) -> io::Result<()> {
        drop(self);
        Ok(())
    }
}
