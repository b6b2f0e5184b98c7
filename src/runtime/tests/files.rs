//! Files and directories, as `journal` and `partition` use them.
#![cfg(not(feature = "simulation"))]
#![expect(clippy::unwrap_used, reason = "tests may fail this way")]

use std::{future::Future, io::ErrorKind, path::Path};

use bytes::Bytes;
use runtime::fs::{
    self, AlignedBuffer, BLOCK_BYTES, DirectoryLock, File, JournalFile, OpenOptions,
};

/// Runs a test on a core, with a directory of its own.
fn on_a_core<F, Fut>(test: F)
where
    F: FnOnce(std::path::PathBuf) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    runtime::run_single(move || test(path)).unwrap();
}

fn block_of(byte: u8, blocks: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::with_capacity(blocks * BLOCK_BYTES);
    buffer.extend_from_slice(&vec![byte; blocks * BLOCK_BYTES]);
    buffer
}

/// Given a file written from more parts than one system call takes, when read, then they lie one behind the
/// other; and a read that goes beyond the end is shorter.
#[test]
fn parts_are_written_one_behind_the_other() {
    on_a_core(|directory| async move {
        let file = File::open(directory.join("a"), OpenOptions::read_write_create()).await.unwrap();
        let parts: Vec<Bytes> = (0..3_000u32)
            .map(|number| Bytes::from(vec![number as u8; (number % 50) as usize]))
            .collect();
        let expected = parts.concat();
        file.write_at(10, &parts).await.unwrap();
        file.sync().await.unwrap();
        assert_eq!(file.len().await.unwrap(), 10 + expected.len() as u64);
        assert_eq!(file.read_at(10, expected.len()).await.unwrap(), expected);
        assert_eq!(file.read_at(0, 10).await.unwrap(), [0; 10].as_slice());
        let tail = file.read_at(expected.len() as u64, 1_000_000).await.unwrap();
        assert_eq!(tail, expected[expected.len() - 10..]);
        assert!(file.read_at(1 << 40, 10).await.unwrap().is_empty());
        file.set_len(12).await.unwrap();
        assert_eq!(file.clone().read_at(0, 100).await.unwrap().len(), 12);
        file.close().await.unwrap();
    });
}

/// Given a file that the page cache has forgotten, when read, then the disk is read, and other tasks of the core
/// run meanwhile or not, but the bytes are right.
#[test]
fn what_is_not_cached_is_read_from_the_disk() {
    on_a_core(|directory| async move {
        let path = directory.join("cold");
        let content: Vec<u8> = (0..3_000_000u32).map(|n| (n / 7) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let file = File::open(&path, OpenOptions::read_only()).await.unwrap();
        file.sync().await.unwrap();
        forget_cached(&path);
        assert_eq!(file.read_at(1, 2_999_999).await.unwrap(), content[1..]);
    });
}

/// Asks the kernel to drop a file from the page cache.
fn forget_cached(path: &Path) {
    let status = std::process::Command::new("dd")
        .arg(format!("of={}", path.display()))
        .args(["oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"])
        .status();
    assert!(status.is_ok_and(|status| status.success()));
}

/// Given a missing file, a file that must not exist and does, and one that is too long, when opened or read, then
/// the errors say so.
#[test]
fn errors_keep_their_kind() {
    on_a_core(|directory| async move {
        let path = directory.join("a");
        let missing = File::open(&path, OpenOptions::read_only()).await;
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
        fs::write_file_durably(&path, b"0123456789").await.unwrap();
        let new = OpenOptions { write: true, create_new: true, ..OpenOptions::default() };
        assert_eq!(File::open(&path, new).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_file(&path, 9).await.unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(fs::read_file(&path, 10).await.unwrap(), "0123456789");
        let read_only = File::open(&path, OpenOptions::read_only()).await.unwrap();
        let refused = read_only.write_at(0, &[Bytes::from_static(b"x")]).await;
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(9), "EBADF");
    });
}

/// Given directories and files, when listed, renamed and removed, then the listing follows, in order of name.
#[test]
fn directories_are_listed_by_name() {
    on_a_core(|directory| async move {
        fs::create_directory_all(directory.join("b/c")).await.unwrap();
        for name in ["z", "a"] {
            fs::write_file_durably(directory.join(name), name.as_bytes()).await.unwrap();
        }
        fs::rename(directory.join("z"), directory.join("m")).await.unwrap();
        fs::sync_directory(&directory).await.unwrap();
        let listed = fs::read_directory(&directory).await.unwrap();
        let names: Vec<_> =
            listed.iter().map(|entry| (entry.name.as_str(), entry.is_directory)).collect();
        assert_eq!(names, [("a", false), ("b", true), ("m", false)]);
        assert_eq!(listed[0].size_bytes, 1);
        fs::remove_file(directory.join("a")).await.unwrap();
        fs::remove_directory_all(directory.join("b")).await.unwrap();
        assert!(!fs::exists(directory.join("b")).await.unwrap());
        assert!(fs::exists(directory.join("m")).await.unwrap());
        assert!(fs::available_bytes(&directory).await.unwrap() > 0);
        let missing = fs::remove_file(directory.join("a")).await;
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

/// Given a locked directory, when it is locked again, then that is refused until the first lock is dropped.
#[test]
fn a_directory_is_locked_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lock");
    let lock = DirectoryLock::lock(&path).unwrap();
    assert_eq!(DirectoryLock::lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(lock);
    DirectoryLock::lock(&path).unwrap();
}

/// Given a journal file, when several writes are under way at once, then each lies where it belongs, the rest is
/// zeros, and another process sees the same.
#[test]
fn journal_writes_lie_where_they_belong() {
    on_a_core(|directory| async move {
        let path = directory.join("journal");
        let size = 64 * BLOCK_BYTES as u64;
        let file = JournalFile::create_zeroed(&path, size).await.unwrap();
        let writes: Vec<_> = (1..16u8)
            .map(|number| {
                let file = file.clone();
                runtime::spawn_joinable("write", async move {
                    let position = u64::from(number) * 2 * BLOCK_BYTES as u64;
                    let (result, buffer) = file.write_durable(position, block_of(number, 1)).await;
                    result.unwrap();
                    assert_eq!(buffer.as_slice(), vec![number; BLOCK_BYTES]);
                })
            })
            .collect();
        for write in writes {
            write.await;
        }
        let mut expected = vec![0; size as usize];
        for number in 1..16u8 {
            let start = usize::from(number) * 2 * BLOCK_BYTES;
            expected[start..start + BLOCK_BYTES].fill(number);
        }
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        file.close().await.unwrap();
        let file = JournalFile::open(&path).await.unwrap();
        assert_eq!(file.size_bytes(), size);
        for (position, len) in
            [(0, 64 * BLOCK_BYTES), (8_190, 5), (5, 100_000), (size as usize - 3, 100)]
        {
            let end = expected.len().min(position + len);
            let read = file.read_at(position as u64, len).await.unwrap();
            assert_eq!(read, expected[position..end], "{len} bytes at {position}");
        }
        assert!(file.read_at(size, 10).await.unwrap().is_empty());
    });
}

/// Given a journal file, when a write is not of whole blocks, or goes beyond the end, then it is refused and
/// nothing is written.
#[test]
fn journal_writes_must_fit() {
    on_a_core(|directory| async move {
        let path = directory.join("journal");
        let file = JournalFile::create_zeroed(&path, 2 * BLOCK_BYTES as u64).await.unwrap();
        let mut odd = AlignedBuffer::with_capacity(10);
        odd.extend_from_slice(b"odd");
        for (position, buffer) in [
            (0, odd),
            (1, block_of(1, 1)),
            (4096, block_of(1, 2)),
            (u64::MAX - 4095, block_of(1, 1)),
        ] {
            let (result, _) = file.write_durable(position, buffer).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(std::fs::read(&path).unwrap(), vec![0; 2 * BLOCK_BYTES]);
        let again = JournalFile::create_zeroed(&path, 4096).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    });
}

/// Given writes under way, when their futures are dropped, then the kernel still gets the buffers' bytes whole:
/// their memory is neither freed nor used for anything else. And a core does not end before they have.
#[test]
fn a_dropped_write_still_happens_whole() {
    const WRITES: u8 = 200;
    const BLOCKS: usize = 16;
    let size = BLOCKS * BLOCK_BYTES;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let written = path.clone();
    let dropped = runtime::run_single(move || async move {
        let size = size as u64;
        let file = JournalFile::create_zeroed(&path, u64::from(WRITES) * size).await.unwrap();
        let mut dropped = 0;
        for number in 0..WRITES {
            let buffer = block_of(number + 1, BLOCKS);
            let mut write = Box::pin(file.write_durable(u64::from(number) * size, buffer));
            // Polled once, so it has been submitted.
            dropped += usize::from(futures_lite::future::poll_once(&mut write).await.is_none());
            drop(write);
            // Would take the memory of the buffer, had it been freed.
            drop(block_of(0xee, BLOCKS));
        }
        dropped
    });
    assert!(dropped.unwrap() > 0, "on no disk are they all done at once");
    let content = std::fs::read(&written).unwrap();
    for (number, part) in content.chunks(size).enumerate() {
        assert!(part.iter().all(|byte| usize::from(*byte) == number + 1), "write {number}");
    }
}

/// A file system of 1 MiB in memory; unmounted when dropped.
struct TinyFileSystem {
    directory: tempfile::TempDir,
}

impl TinyFileSystem {
    /// None where mounting is not allowed.
    fn mount() -> Option<TinyFileSystem> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tiny"])
            .arg(directory.path())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(TinyFileSystem { directory })
    }
}

impl Drop for TinyFileSystem {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.directory.path()).status();
    }
}

/// Given a full file system, when anything is written, then the error is StorageFull; when space is back, writing
/// goes on. Needs the right to mount; passes without it.
#[test]
fn a_full_disk_is_storage_full() {
    let Some(tiny) = TinyFileSystem::mount() else {
        println!("skipped: may not mount a file system");
        return;
    };
    let directory = tiny.directory.path().to_owned();
    runtime::run_single(move || async move {
        let too_big = JournalFile::create_zeroed(directory.join("journal"), 2 << 20).await;
        assert_eq!(too_big.unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(!fs::exists(directory.join("journal")).await.unwrap(), "nothing is left behind");

        // tmpfs takes neither O_DIRECT nor RWF_NOWAIT, so this is the way round both.
        let small = JournalFile::create_zeroed(directory.join("small"), 4096).await.unwrap();
        small.write_durable(0, block_of(7, 1)).await.0.unwrap();
        assert_eq!(small.read_at(4095, 10).await.unwrap(), [7].as_slice());

        let file =
            File::open(directory.join("segment"), OpenOptions::read_write_create()).await.unwrap();
        let megabyte = Bytes::from(vec![1; 1 << 20]);
        let full = file.write_at(0, &[megabyte]).await;
        assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
        let full = fs::write_file_durably(directory.join("state"), &[0; 100_000]).await;
        assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);

        file.set_len(0).await.unwrap();
        file.write_at(0, &[Bytes::from_static(b"again")]).await.unwrap();
        assert_eq!(file.read_at(0, 100).await.unwrap(), "again");
    })
    .unwrap();
}
