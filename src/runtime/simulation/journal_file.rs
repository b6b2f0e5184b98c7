//! The journal's files, on a simulated disk: durable when the write says so, torn when a crash comes
//! before.

use std::io;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;

use super::disk::error;
use super::faults::Sabotage;
use super::fs::{File, Handle, sync_directory};
use crate::aligned_buffer::AlignedBuffer;
use crate::fs::OpenOptions;

/// A pre-zeroed file for durable writes past the page cache.
#[derive(Clone)]
pub struct JournalFile {
    handle: Rc<Handle>,
    size_bytes: u64,
}

impl JournalFile {
    /// Makes a file of zeros; file and name are durable when this returns.
    pub async fn create_zeroed(path: impl AsRef<Path>, size_bytes: u64) -> io::Result<JournalFile> {
        let path = path.as_ref();
        let options =
            OpenOptions { read: true, write: true, create_new: true, ..OpenOptions::default() };
        let file = File::open(path, options).await?;
        // In steps, so that a crash or a full disk can come between them.
        let step_bytes = (size_bytes / 4).next_multiple_of(4096).max(4096);
        let mut len = 0;
        while len < size_bytes {
            len = (len + step_bytes).min(size_bytes);
            // As in production, a failure leaves the short file behind.
            file.set_len(len).await?;
        }
        file.sync().await?;
        sync_directory(path.parent().unwrap_or(Path::new("/"))).await?;
        Ok(JournalFile { handle: file.handle, size_bytes })
    }

    /// Opens a file made by [`JournalFile::create_zeroed`].
    pub async fn open(path: impl AsRef<Path>) -> io::Result<JournalFile> {
        let options = OpenOptions { read: true, write: true, ..OpenOptions::default() };
        let file = File::open(path, options).await?;
        let size_bytes = file.len().await?;
        Ok(JournalFile { handle: file.handle, size_bytes })
    }

    /// The file's size, which never changes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Writes a buffer of whole 4096-byte blocks at a multiple of 4096. Durable when it returns `Ok`.
    /// Several may be in flight; they end in any order.
    pub async fn write_durable(
        &self,
        position: u64,
        buffer: AlignedBuffer,
    ) -> (io::Result<()>, AlignedBuffer) {
        let bytes: Rc<[u8]> = buffer.as_slice().into();
        let aligned = position.is_multiple_of(4096) && bytes.len().is_multiple_of(4096);
        if !aligned || position + bytes.len() as u64 > self.size_bytes {
            let what = "journal write is unaligned or beyond the end";
            return (Err(error(io::ErrorKind::InvalidInput, what, &self.handle.path)), buffer);
        }
        let skip = self
            .handle
            .disk
            .borrow()
            .faults
            .is_sabotaged(Sabotage::SkipDurableWrite, &self.handle.path);
        (self.handle.write(position, bytes, !skip).await, buffer)
    }

    /// Reads `len` bytes; fewer only at the end of the file.
    pub async fn read_at(&self, position: u64, len: usize) -> io::Result<Bytes> {
        self.handle.read(position, len).await
    }

    /// Makes durable what can be read of the file.
    pub async fn sync(&self) -> io::Result<()> {
        self.handle.sync().await
    }

    /// Closes this handle.
    pub async fn close(self) -> io::Result<()> {
        Ok(())
    }
}
