//! An open file, closed where that may block, and the operations on it that go through the ring.
#![expect(unsafe_code, reason = "reads and writes hand memory to the kernel by address")]

use std::{
    fs, io,
    mem::ManuallyDrop,
    os::fd::{AsRawFd, IntoRawFd},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use io_uring::{opcode, types};

use super::{blocking, disk_ring, staying::STAY_BYTES_MAX, tasks};
use crate::{aligned_buffer::AlignedBuffer, fs::BLOCK_BYTES};

/// Bytes of one operation at most: the kernel counts in `i32`. A multiple of a block.
const OPERATION_BYTES_MAX: usize = 1 << 30;

/// Pieces of memory that one write may gather (the kernel's UIO_MAXIOV).
const PARTS_MAX: usize = 1024;

/// An open file. Operations in flight hold it, so its descriptor is not closed (and given to another file)
/// under them.
#[derive(Debug)]
pub(super) struct FileHandle {
    file: ManuallyDrop<fs::File>,
    /// The same file past the page cache, once a large write has asked for it; `None` inside if it cannot be
    /// had. For [`super::large_write`].
    pub(super) direct: OnceLock<Option<Arc<FileHandle>>>,
}

/// When a write is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// When it is done (RWF_DSYNC).
    AtOnce,
    /// After [`sync_data`].
    AfterSync,
}

impl FileHandle {
    pub(super) fn new(file: fs::File) -> Arc<FileHandle> {
        Arc::new(FileHandle { file: ManuallyDrop::new(file), direct: OnceLock::new() })
    }

    pub(super) fn file(&self) -> &fs::File {
        &self.file
    }

    fn descriptor(&self) -> types::Fd {
        types::Fd(self.file.as_raw_fd())
    }
}

impl Drop for FileHandle {
    fn drop(&mut self) {
        // SAFETY: taken once, here; the handle is not used afterwards.
        let file = unsafe { ManuallyDrop::take(&mut self.file) };
        if tasks::context().is_some() {
            // Closing the last descriptor of a removed file frees its blocks, which takes long for big ones.
            blocking::post("close", move || drop(file));
        }
    }
}

/// Closes the file if this is its last handle, and says what close(2) said.
pub(super) async fn close(handle: Arc<FileHandle>) -> io::Result<()> {
    let Some(handle) = Arc::into_inner(handle) else {
        return Ok(());
    };
    let mut handle = ManuallyDrop::new(handle);
    drop(handle.direct.take());
    // SAFETY: taken once, here; the handle, whose `drop` would take it again, is never dropped.
    let file = unsafe { ManuallyDrop::take(&mut handle.file) };
    blocking::run("close", move || {
        // SAFETY: the descriptor is open and given up by `into_raw_fd`.
        match unsafe { libc::close(file.into_raw_fd()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })
    .await
}

/// Reads `len` bytes at `position`; fewer only where the file ends.
pub(super) async fn read(handle: &Arc<FileHandle>, position: u64, len: usize) -> io::Result<Bytes> {
    let mut content: Vec<u8> = Vec::new();
    content.try_reserve_exact(len)?;
    let mut waits_for_disk = false;
    while content.len() < len {
        let from = position + content.len() as u64;
        let wanted = (len - content.len()).min(OPERATION_BYTES_MAX);
        let count = if waits_for_disk {
            let (result, returned) = read_from_disk(handle, from, wanted, content).await?;
            content = returned;
            result
        } else {
            read_if_cached(handle, from, wanted, &mut content)
        };
        match count {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if !waits_for_disk && is_not_cached(&error) => waits_for_disk = true,
            Err(error) => return Err(error),
        }
    }
    if content.len() < len / 2 {
        content.shrink_to_fit();
    }
    Ok(Bytes::from(content))
}

/// Adds to `content` what the page cache has, up to `wanted` bytes, without waiting for a disk.
fn read_if_cached(
    handle: &FileHandle,
    position: u64,
    wanted: usize,
    content: &mut Vec<u8>,
) -> io::Result<usize> {
    let spare = content.spare_capacity_mut();
    let part =
        libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: wanted.min(spare.len()) };
    let position = offset(position)?;
    // SAFETY: `part` is the vector's spare memory, which nothing else uses during the call.
    let count = unsafe {
        libc::preadv2(handle.file.as_raw_fd(), &raw const part, 1, position, libc::RWF_NOWAIT)
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has filled `count` bytes of the spare memory.
    unsafe { content.set_len(content.len() + count) };
    Ok(count)
}

/// Whether a read that may not wait was refused because it would have to, or because the file system cannot tell.
fn is_not_cached(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS))
}

/// Adds up to `wanted` bytes to `content` through the ring.
async fn read_from_disk(
    handle: &Arc<FileHandle>,
    position: u64,
    wanted: usize,
    mut content: Vec<u8>,
) -> io::Result<(io::Result<usize>, Vec<u8>)> {
    let spare = content.spare_capacity_mut();
    let entry = opcode::Read::new(
        handle.descriptor(),
        spare.as_mut_ptr().cast(),
        length(wanted.min(spare.len()))?,
    )
    .offset(position)
    .build();
    // SAFETY: the memory is the spare memory of `content`, on the heap, and the descriptor that of `handle`;
    // both are held.
    let operation = unsafe { disk_ring::current()?.submit(entry, (Arc::clone(handle), content)) };
    let (result, (_handle, mut content)) = operation.await;
    if let Ok(count) = &result {
        // SAFETY: the kernel has filled `count` bytes of the spare memory.
        unsafe { content.set_len(content.len() + count) };
    }
    Ok((result, content))
}

/// Reads whole blocks into aligned memory: for files that are open for direct access. Fewer only where the
/// file ends.
pub(super) async fn read_blocks(
    handle: &Arc<FileHandle>,
    position: u64,
    len: usize,
) -> io::Result<AlignedBuffer> {
    let mut buffer = AlignedBuffer::with_capacity(len);
    while buffer.len() < len {
        let filled = buffer.len();
        let entry = opcode::Read::new(
            handle.descriptor(),
            buffer.spare_start(),
            length((len - filled).min(OPERATION_BYTES_MAX))?,
        )
        .offset(position + filled as u64)
        .build();
        // SAFETY: the memory lies within the buffer's capacity of at least `len` bytes, on the heap, and the
        // descriptor is that of `handle`; both are held.
        let operation =
            unsafe { disk_ring::current()?.submit(entry, (Arc::clone(handle), buffer)) };
        let (result, (_handle, returned)) = operation.await;
        buffer = returned;
        match result {
            Ok(count) => {
                // SAFETY: the kernel has filled `count` bytes behind the first `filled`.
                unsafe { buffer.set_len(filled + count) };
                if count == 0 || !count.is_multiple_of(BLOCK_BYTES) {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer)
}

/// Writes `parts` one behind the other at `position`.
pub(super) async fn write(
    handle: &Arc<FileHandle>,
    position: u64,
    parts: &[Bytes],
) -> io::Result<()> {
    let mut position = position;
    for parts in parts.chunks(PARTS_MAX) {
        let mut rest: Vec<Bytes> = parts.iter().filter(|part| !part.is_empty()).cloned().collect();
        while !rest.is_empty() {
            let (result, returned) = write_once(handle, position, rest).await?;
            rest = returned;
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    position += count as u64;
                    remove_written(&mut rest, count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// One write of as much of `parts` as the kernel takes.
async fn write_once(
    handle: &Arc<FileHandle>,
    position: u64,
    parts: Vec<Bytes>,
) -> io::Result<(io::Result<usize>, Vec<Bytes>)> {
    let vectors: Vec<libc::iovec> = parts
        .iter()
        .map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() })
        .collect();
    let entry = opcode::Writev::new(handle.descriptor(), vectors.as_ptr(), length(vectors.len())?)
        .offset(position)
        .build();
    // SAFETY: the kernel only reads; `vectors` and what they point to (which Bytes keeps in place and never
    // changes) are held, as is the descriptor's `handle`.
    let operation =
        unsafe { disk_ring::current()?.submit(entry, (Arc::clone(handle), parts, vectors)) };
    let (result, (_handle, parts, _vectors)) = operation.await;
    Ok((result, parts))
}

/// Drops the first `count` bytes of `parts`.
fn remove_written(parts: &mut Vec<Bytes>, count: usize) {
    let mut count = count;
    let whole = parts
        .iter()
        .take_while(|part| {
            let written = part.len() <= count;
            if written {
                count -= part.len();
            }
            written
        })
        .count();
    parts.drain(..whole);
    if let Some(part) = parts.first_mut() {
        *part = part.slice(count..);
    }
}

/// Writes whole blocks from aligned memory at `position`, to a file that is open for direct access.
pub(super) async fn write_blocks(
    handle: &Arc<FileHandle>,
    position: u64,
    buffer: AlignedBuffer,
    durability: Durability,
) -> (io::Result<()>, AlignedBuffer) {
    let mut buffer = buffer;
    let mut written = 0;
    while written < buffer.len() {
        let (result, returned) =
            write_blocks_once(handle, position, buffer, written, durability).await;
        buffer = returned;
        match result {
            Ok(count) if count > 0 && count.is_multiple_of(BLOCK_BYTES) => written += count,
            // A part of a block: the rest could not be written directly.
            Ok(_) => return (Err(io::ErrorKind::WriteZero.into()), buffer),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (Err(error), buffer),
        }
    }
    (Ok(()), buffer)
}

async fn write_blocks_once(
    handle: &Arc<FileHandle>,
    position: u64,
    buffer: AlignedBuffer,
    written: usize,
    durability: Durability,
) -> (io::Result<usize>, AlignedBuffer) {
    let rest = buffer.as_slice().get(written..).unwrap_or_default();
    let (disk, len) = match (disk_ring::current(), length(rest.len().min(OPERATION_BYTES_MAX))) {
        (Ok(disk), Ok(len)) => (disk, len),
        (Err(error), _) | (_, Err(error)) => return (Err(error), buffer),
    };
    let entry = opcode::Write::new(handle.descriptor(), rest.as_ptr(), len)
        .offset(position + written as u64)
        .rw_flags(match durability {
            Durability::AtOnce => libc::RWF_DSYNC,
            Durability::AfterSync => 0,
        })
        .build();
    let stays = durability == Durability::AtOnce && rest.len() <= STAY_BYTES_MAX;
    let held = (Arc::clone(handle), buffer);
    // SAFETY: the kernel only reads; the memory is the buffer's, on the heap, and held, as is the
    // descriptor's `handle`.
    let operation =
        unsafe { if stays { disk.submit_and_stay(entry, held) } else { disk.submit(entry, held) } };
    let (result, (_handle, buffer)) = operation.await;
    (result, buffer)
}

/// Makes durable what was written, and the file's length.
pub(super) async fn sync_data(handle: &Arc<FileHandle>) -> io::Result<()> {
    let entry = opcode::Fsync::new(handle.descriptor()).flags(types::FsyncFlags::DATASYNC).build();
    // SAFETY: there is no memory; the descriptor's `handle` is held.
    let operation = unsafe { disk_ring::current()?.submit(entry, Arc::clone(handle)) };
    let (result, _handle) = operation.await;
    result.map(|_| ())
}

fn length(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn offset(position: u64) -> io::Result<i64> {
    i64::try_from(position).map_err(|_| io::ErrorKind::InvalidInput.into())
}
