//! Files through the page cache (but for large writes), and directories.
#![expect(unsafe_code, reason = "statvfs has no safe wrapper in libc")]

use std::{
    ffi::CString,
    fs::{self, DirBuilder},
    io::{self, Read, Write},
    mem::MaybeUninit,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    blocking,
    file_handle::{self, FileHandle},
    large_write,
};
use crate::fs::{DirectoryEntry, OpenOptions};

/// A file that is read through the page cache, and written through it but for the bulk of large writes. Clones
/// are the same open file. To be used on the cores; any number of operations may be under way, if no two of them
/// touch the same bytes and one of these writes.
#[derive(Clone, Debug)]
pub struct File {
    handle: Arc<FileHandle>,
}

impl File {
    /// Opens or makes `path`. A file that was made is durable only after its own [`File::sync`] and a
    /// [`sync_directory`] of its directory.
    pub async fn open(path: impl AsRef<Path>, options: OpenOptions) -> io::Result<File> {
        let path = path.as_ref().to_owned();
        let file = blocking::run("open", move || {
            fs::OpenOptions::new()
                .read(options.read)
                .write(options.write)
                .create(options.create)
                .create_new(options.create_new)
                .truncate(options.truncate)
                .open(path)
        })
        .await
        .map_err(storage_full)?;
        Ok(File { handle: FileHandle::new(file) })
    }

    /// Reads `len` bytes at `position`; fewer only where the file ends. The caller bounds `len`: it is taken
    /// as memory. What the page cache has is read at once, without waiting.
    pub async fn read_at(&self, position: u64, len: usize) -> io::Result<Bytes> {
        file_handle::read(&self.handle, position, len).await
    }

    /// Writes `parts` one behind the other at `position`. After an error, or if the future is dropped, an
    /// unknown part has been or will be written.
    pub async fn write_at(&self, position: u64, parts: &[Bytes]) -> io::Result<()> {
        large_write::write(&self.handle, position, parts).await.map_err(storage_full)
    }

    /// Returns when everything written before is durable, and the length too (fdatasync). After an error
    /// nothing is known about what was written: do not try again.
    pub async fn sync(&self) -> io::Result<()> {
        file_handle::sync_data(&self.handle).await.map_err(storage_full)
    }

    /// The file's length in bytes.
    pub async fn len(&self) -> io::Result<u64> {
        Ok(self.handle.file().metadata()?.len())
    }

    /// Cuts the file off at `bytes`, or lengthens it with zeros.
    pub async fn set_len(&self, bytes: u64) -> io::Result<()> {
        let handle = Arc::clone(&self.handle);
        blocking::run("set_len", move || handle.file().set_len(bytes)).await.map_err(storage_full)
    }

    /// Lets go of this clone; the last one closes the file. Nothing is synced by it.
    pub async fn close(self) -> io::Result<()> {
        file_handle::close(self.handle).await
    }
}

/// Makes `path` and what is missing above it. Durable only after [`sync_directory`] of the directory above.
pub async fn create_directory_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking::run("create directory", move || DirBuilder::new().recursive(true).create(path))
        .await
        .map_err(storage_full)
}

/// What `path` holds, sorted by name. A name that is not UTF-8 is an error: nothing of ours is called so.
pub async fn read_directory(path: impl AsRef<Path>) -> io::Result<Vec<DirectoryEntry>> {
    let path = path.as_ref().to_owned();
    blocking::run("list directory", move || {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = entry.file_name().into_string().map_err(|name| {
                let path = path.join(name);
                let message = format!("the name of {} is not UTF-8", path.display());
                io::Error::new(io::ErrorKind::InvalidData, message)
            })?;
            entries.push(DirectoryEntry {
                name,
                is_directory: metadata.is_dir(),
                size_bytes: metadata.len(),
            });
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    })
    .await
}

/// Gives `from` the name `to`, replacing what had it. Durable only after [`sync_directory`] of both directories.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    blocking::run("rename", move || fs::rename(from, to)).await.map_err(storage_full)
}

/// Removes a file. That it is missing is an error.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking::run("remove file", move || fs::remove_file(path)).await
}

/// Removes a directory and all that it holds. That it is missing is an error.
pub async fn remove_directory_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking::run("remove directory", move || fs::remove_dir_all(path)).await
}

/// Makes durable which names the directory `path` holds.
pub async fn sync_directory(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking::run("sync directory", move || sync_directory_here(&path)).await
}

/// Whether there is something under `path`. That it cannot be told is an error.
pub async fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = path.as_ref().to_owned();
    blocking::run("look for", move || path.try_exists()).await
}

/// A whole file of at most `limit_bytes`; [`io::ErrorKind::FileTooLarge`] if it is longer.
pub async fn read_file(path: impl AsRef<Path>, limit_bytes: usize) -> io::Result<Bytes> {
    let path = path.as_ref().to_owned();
    blocking::run("read file", move || {
        let file = fs::File::open(&path)?;
        let mut content = Vec::new();
        file.take(limit_bytes as u64 + 1).read_to_end(&mut content)?;
        if content.len() > limit_bytes {
            let message = format!("{} is longer than {limit_bytes} bytes", path.display());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(Bytes::from(content))
    })
    .await
}

/// Replaces the content of `path` in one step: a crash leaves the old content or the new, and when this returns
/// the new one is durable.
pub async fn write_file_durably(path: impl AsRef<Path>, content: &[u8]) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    let content = Bytes::copy_from_slice(content);
    blocking::run("write file", move || {
        let temporary = temporary_name(&path)?;
        let written = replace_file(&path, &temporary, &content);
        if written.is_err() {
            // The error that matters is the first; what is left over is overwritten the next time.
            let _ = fs::remove_file(&temporary);
        }
        written
    })
    .await
    .map_err(storage_full)
}

fn replace_file(path: &Path, temporary: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    sync_directory_here(parent(path))
}

fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        let message = format!("{} is no name for a file", path.display());
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })?;
    let mut temporary = name.to_owned();
    temporary.push(".new");
    Ok(path.with_file_name(temporary))
}

/// The directory that holds `path`.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// [`sync_directory`], blocking.
pub(super) fn sync_directory_here(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// Bytes that an unprivileged process may still write to the file system that holds `path`.
pub async fn available_bytes(path: impl AsRef<Path>) -> io::Result<u64> {
    let path = CString::new(path.as_ref().as_os_str().as_bytes())?;
    blocking::run("ask for free space", move || {
        let mut answer = MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: `path` ends with a zero byte, and `answer` is a place for the answer.
        if unsafe { libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: statvfs succeeded, so it has filled the answer in.
        let answer = unsafe { answer.assume_init() };
        Ok(answer.f_bavail.saturating_mul(answer.f_frsize))
    })
    .await
}

/// That no other process uses a data directory: an exclusive flock on a file, held until dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    // flock belongs to the open file: closing it lets go.
    _file: fs::File,
}

impl DirectoryLock {
    /// Locks the file `path`, making it if need be. [`io::ErrorKind::WouldBlock`] if another process has it.
    /// May be called on any thread; it does not wait.
    pub fn lock(path: impl AsRef<Path>) -> io::Result<DirectoryLock> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.try_lock()?;
        Ok(DirectoryLock { _file: file })
    }
}

/// A full quota is a full disk, whatever the file system calls it.
pub(super) fn storage_full(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EDQUOT) => io::Error::new(io::ErrorKind::StorageFull, error),
        _ => error,
    }
}
