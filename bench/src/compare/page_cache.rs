//! Keeps the page cache full. A virtual machine often hands free memory back to its host, and a first touch of a
//! page that it must ask for again costs several times what a recycled page costs: without this, the broker that is
//! measured after another's files were deleted pays for them.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::statvfs;

const CHUNK_BYTES: usize = 1 << 20;
/// Left free for the brokers.
const MARGIN_BYTES: u64 = 5 << 30;

/// Reads a file of `gibibytes` in `folder`; makes it if it is not there.
pub fn fill(folder: &Path, gibibytes: u64) -> anyhow::Result<()> {
    if gibibytes == 0 {
        return Ok(());
    }
    let path = folder.join("page-cache-fill");
    let size = gibibytes << 30;
    if path.metadata().map_or(0, |file| file.len()) != size {
        make(&path, size).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut file = File::open(&path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    while file.read(&mut chunk)? > 0 {}
    Ok(())
}

fn make(path: &Path, size: u64) -> anyhow::Result<()> {
    let _ = std::fs::remove_file(path);
    let mut file = File::create(path)?;
    let free = free_bytes(path)?;
    if free < size + MARGIN_BYTES {
        drop(std::fs::remove_file(path));
        bail!(
            "{free} bytes are free, {size} are needed and some for the brokers: lower --page-cache-fill"
        );
    }
    let chunk = vec![0x5A; CHUNK_BYTES];
    for _ in 0..size / CHUNK_BYTES as u64 {
        file.write_all(&chunk)?;
    }
    file.sync_all()?;
    Ok(())
}

/// What is free on the filesystem of `path`.
pub fn free_bytes(path: &Path) -> anyhow::Result<u64> {
    let filesystem = statvfs(path)?;
    Ok(filesystem.f_bavail * filesystem.f_frsize)
}

/// Writes everything dirty on the filesystem of `folder` to the disk, so that nobody's round pays for another's.
pub fn write_back(folder: &Path) -> anyhow::Result<()> {
    rustix::fs::syncfs(File::open(folder)?).context("cannot sync the filesystem")
}
