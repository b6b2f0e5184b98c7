//! Large writes go past the page cache.
//!
//! A write through the page cache copies into pages that the kernel first has to find; where it finds them
//! fresh, that alone costs more than all else a broker does with a byte, and what gathers there unwritten is
//! written in bursts that hold up every fsync of the file system. So of a large write the whole blocks go to the
//! disk directly, and only the bytes before the first and behind the last block boundary through the cache. A
//! block is written either directly or, byte by byte over several writes, through the cache, never both ways,
//! so neither has to wait for the other. What is promised stays the same: durable after a sync.

use std::{
    cell::RefCell,
    fs, io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    blocking,
    file_handle::{self, Durability, FileHandle},
};
use crate::fs::{AlignedBuffer, BLOCK_BYTES};

/// A smaller write is done sooner through the page cache.
const LARGE_BYTES: usize = 128 << 10;

/// Bytes of one direct write at most.
const DIRECT_BYTES_MAX: usize = 1 << 20;

/// Buffers that a core keeps for the next direct writes; more are in use only while more writes are under way.
const BUFFERS_KEPT: usize = 2;

thread_local! {
    static BUFFERS: RefCell<Vec<AlignedBuffer>> = const { RefCell::new(Vec::new()) };
}

/// Writes `parts` one behind the other at `position`, directly as far as that is possible and worth it.
pub(super) async fn write(
    handle: &Arc<FileHandle>,
    position: u64,
    parts: &[Bytes],
) -> io::Result<()> {
    let total: usize = parts.iter().map(Bytes::len).sum();
    if total < LARGE_BYTES {
        return file_handle::write(handle, position, parts).await;
    }
    let Some(direct) = direct_handle(handle).await else {
        return file_handle::write(handle, position, parts).await;
    };
    let block = BLOCK_BYTES as u64;
    // Less than a block, so it fits.
    let head = (position.next_multiple_of(block) - position) as usize;
    let blocks = (total - head) / BLOCK_BYTES * BLOCK_BYTES;
    let mut at = position;
    file_handle::write(handle, at, &range(parts, 0, head)).await?;
    at += head as u64;
    let mut done = head;
    while done < head + blocks {
        let count = (head + blocks - done).min(DIRECT_BYTES_MAX);
        let piece = range(parts, done, count);
        match write_blocks(&direct, at, &piece).await {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                // The file system took the flag and not the write.
                file_handle::write(handle, at, &piece).await?;
            }
            written => written?,
        }
        done += count;
        at += count as u64;
    }
    file_handle::write(handle, at, &range(parts, done, total - done)).await
}

async fn write_blocks(handle: &Arc<FileHandle>, at: u64, parts: &[Bytes]) -> io::Result<()> {
    let kept = BUFFERS.with_borrow_mut(Vec::pop);
    let mut buffer = kept.unwrap_or_else(|| AlignedBuffer::with_capacity(DIRECT_BYTES_MAX));
    for part in parts {
        buffer.extend_from_slice(part);
    }
    let (result, mut buffer) =
        file_handle::write_blocks(handle, at, buffer, Durability::AfterSync).await;
    buffer.clear();
    BUFFERS.with_borrow_mut(|kept| {
        if kept.len() < BUFFERS_KEPT {
            kept.push(buffer);
        }
    });
    result
}

/// The same file, opened past the page cache; `None` where the file system refuses (tmpfs does).
async fn direct_handle(handle: &Arc<FileHandle>) -> Option<Arc<FileHandle>> {
    if let Some(known) = handle.direct.get() {
        return known.clone();
    }
    let opened = {
        let handle = Arc::clone(handle);
        blocking::run("open direct", move || {
            // By its descriptor: its name may be another's by now.
            let path = format!("/proc/self/fd/{}", handle.file().as_raw_fd());
            fs::OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path)
        })
    };
    let direct = match opened.await {
        Ok(file) => Some(FileHandle::new(file)),
        Err(error) => {
            tracing::debug!(%error, "large writes go through the page cache");
            None
        }
    };
    handle.direct.get_or_init(|| direct).clone()
}

/// `count` bytes of `parts` from byte `from` on.
fn range(parts: &[Bytes], from: usize, count: usize) -> Vec<Bytes> {
    let (mut skip, mut left) = (from, count);
    let mut found = Vec::new();
    for part in parts {
        if left == 0 {
            break;
        }
        if skip >= part.len() {
            skip -= part.len();
            continue;
        }
        let end = part.len().min(skip.saturating_add(left));
        left -= end - skip;
        found.push(part.slice(skip..end));
        skip = 0;
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fs::{File, OpenOptions};

    proptest! {
        /// Given parts, when any range of them is asked for, then it is that range of them all.
        #[test]
        fn a_range_is_that_of_the_whole(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9),
            from in 0_usize..80,
            count in 0_usize..80,
        ) {
            let whole = parts.concat();
            let parts: Vec<Bytes> = parts.into_iter().map(Bytes::from).collect();
            let from = from.min(whole.len());
            let count = count.min(whole.len() - from);
            prop_assert_eq!(range(&parts, from, count).concat(), &whole[from..from + count]);
        }
    }

    /// Given writes of every size and alignment, each at the end of the one before, when the file is read
    /// meanwhile and at last, then it holds just what was written.
    #[test]
    fn small_and_large_writes_make_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        crate::run_single(move || async move {
            let file = File::open(&path, OpenOptions::read_write_create()).await.unwrap();
            let mut expected: Vec<u8> = Vec::new();
            for size in [1, 4095, LARGE_BYTES, 10, 3 << 20, 4096, LARGE_BYTES + 1, 2_000_001, 5] {
                let start = expected.len();
                expected.extend((start..start + size).map(|n| (n % 251) as u8));
                let cut = start + size / 3;
                let parts = [&expected[start..cut], &expected[cut..]].map(Bytes::copy_from_slice);
                file.write_at(start as u64, &parts).await.unwrap();
                assert_eq!(file.len().await.unwrap(), expected.len() as u64);
                let from = start.saturating_sub(5000);
                let read = file.read_at(from as u64, expected.len()).await.unwrap();
                assert!(read == expected[from..], "after {size} bytes at {start}");
            }
            file.sync().await.unwrap();
            let read = file.read_at(0, expected.len() + 1).await.unwrap();
            assert!(read == expected, "the whole file");
        })
        .unwrap();
    }
}
