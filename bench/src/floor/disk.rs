//! One durable write for each produce request.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
use rustix::fs::OFlags;

use crate::measure::limits::{ALIGNMENT_BYTES, FILE_BYTES, LARGE_WRITE_BYTES};

/// A file that is written round and round.
pub struct Disk {
    file: File,
    buffer: Mutex<Buffer>,
}

#[derive(Default)]
struct Buffer {
    memory: Vec<u8>,
    position: u64,
}

impl Disk {
    /// Makes the file and writes all of it once, so that no later write has to make room.
    pub fn open(path: &Path) -> anyhow::Result<Disk> {
        let cannot = || format!("cannot write {}", path.display());
        let mut file = File::create(path).with_context(cannot)?;
        for _ in 0..FILE_BYTES / LARGE_WRITE_BYTES as u64 {
            file.write_all(&[0; LARGE_WRITE_BYTES]).with_context(cannot)?;
        }
        file.sync_all().with_context(cannot)?;
        let flags = OFlags::DIRECT | OFlags::DSYNC;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(path)
            .with_context(cannot)?;
        Ok(Disk { file, buffer: Mutex::default() })
    }

    /// Writes `bytes`, filled up to a whole number of blocks. They are on the disk when this returns.
    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let size = bytes.len().next_multiple_of(ALIGNMENT_BYTES);
        anyhow::ensure!(size as u64 <= FILE_BYTES, "a request of {size} bytes");
        let mut buffer = self.buffer.lock().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
        let Buffer { memory, position } = &mut *buffer;
        memory.resize(memory.len().max(size + ALIGNMENT_BYTES), 0);
        // O_DIRECT asks for aligned memory.
        let aligned = memory.as_ptr().align_offset(ALIGNMENT_BYTES);
        let block = memory.get_mut(aligned..aligned + size).context("memory cannot be aligned")?;
        block
            .get_mut(..bytes.len())
            .context("a block is smaller than its bytes")?
            .copy_from_slice(bytes);
        if *position + size as u64 > FILE_BYTES {
            *position = 0;
        }
        self.file.write_all_at(block, *position)?;
        *position += size as u64;
        Ok(())
    }
}
