//! Files and directories, awaited without blocking the core.
//!
//! [`File`] is read through the page cache, and large writes to it go past it. [`JournalFile`] goes past it and is durable when it says so. A full
//! disk is always [`std::io::ErrorKind::StorageFull`], whatever file system reported it.

pub use crate::aligned_buffer::{AlignedBuffer, BLOCK_BYTES};
pub use crate::backend::fs::{
    DirectoryLock, File, available_bytes, create_directory_all, exists, read_directory, read_file,
    remove_directory_all, remove_file, rename, sync_directory, write_file_durably,
};
pub use crate::backend::journal_file::JournalFile;

/// How a [`File`] is opened; as in `std`, all false by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenOptions {
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// Is made if it does not exist.
    pub create: bool,
    /// Must not exist, and is made.
    pub create_new: bool,
    /// Is emptied.
    pub truncate: bool,
}

impl OpenOptions {
    /// An existing file, to read only.
    pub fn read_only() -> OpenOptions {
        OpenOptions { read: true, ..OpenOptions::default() }
    }

    /// To read and write; made if it does not exist.
    pub fn read_write_create() -> OpenOptions {
        OpenOptions { read: true, write: true, create: true, ..OpenOptions::default() }
    }
}

/// What a directory holds under one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectoryEntry {
    /// The name within the directory. Names that are not UTF-8 are an error of the listing.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_directory: bool,
    /// Its length; of no meaning for directories.
    pub size_bytes: u64,
}
