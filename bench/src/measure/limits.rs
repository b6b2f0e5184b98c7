//! What the machine itself can do, with no broker in between: the floor that every figure stands on.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::measure::latency::{LatencySummary, histogram};

/// What O_DIRECT asks of memory, positions and sizes.
pub const ALIGNMENT_BYTES: usize = 4096;
/// The file that is written over and over.
pub const FILE_BYTES: u64 = 64 << 20;
const SMALL_WRITE_BYTES: usize = 4096;
/// One write of those that measure throughput.
pub const LARGE_WRITE_BYTES: usize = 256 << 10;
const ECHO_BYTES: usize = 1024;

/// One look at the machine's limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// One 4 KiB write at a time, O_DIRECT and O_DSYNC, over a file that was written before: what a record of 1 KiB
    /// costs at least to be durable.
    pub durable_write: LatencySummary,
    /// The same with 256 KiB, as megabytes a second.
    pub durable_megabytes_per_second: f64,
    /// One message of 1 KiB to another thread over loopback TCP, and back.
    pub echo: LatencySummary,
}

/// Looks for `duration` at each; writes a file of 64 MiB in `folder`, and removes it.
pub fn measure(folder: &Path, duration: Duration) -> anyhow::Result<Limits> {
    let path = folder.join(format!("limits-{}.tmp", std::process::id()));
    let result = durable_writes(&path, duration);
    let _ = std::fs::remove_file(&path);
    let (small, megabytes_per_second) =
        result.with_context(|| format!("cannot measure durable writes in {}", folder.display()))?;
    Ok(Limits {
        durable_write: LatencySummary::of(&small).context("no write was measured")?,
        durable_megabytes_per_second: megabytes_per_second,
        echo: LatencySummary::of(&echo(duration)?).context("no echo was measured")?,
    })
}

fn durable_writes(path: &Path, duration: Duration) -> anyhow::Result<(Histogram<u64>, f64)> {
    let flags = OFlags::DIRECT | OFlags::DSYNC;
    // Written first, so that no write has to make room.
    let mut file = File::create(path)?;
    for _ in 0..FILE_BYTES / LARGE_WRITE_BYTES as u64 {
        file.write_all(&[0; LARGE_WRITE_BYTES])?;
    }
    file.sync_all()?;
    let file = OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(path)?;
    let small = write_over(&file, SMALL_WRITE_BYTES, duration)?;
    let started = Instant::now();
    let large = write_over(&file, LARGE_WRITE_BYTES, duration)?;
    let bytes = large.len() as f64 * LARGE_WRITE_BYTES as f64;
    Ok((small, bytes / 1e6 / started.elapsed().as_secs_f64()))
}

fn write_over(file: &File, size: usize, duration: Duration) -> anyhow::Result<Histogram<u64>> {
    // O_DIRECT asks for aligned memory.
    let buffer = vec![0xA5u8; size + ALIGNMENT_BYTES];
    let aligned = buffer.as_ptr().align_offset(ALIGNMENT_BYTES);
    let block = buffer.get(aligned..aligned + size).context("memory cannot be aligned")?;
    let mut latencies = histogram();
    let (started, mut position) = (Instant::now(), 0);
    while started.elapsed() < duration {
        let write_started = Instant::now();
        file.write_all_at(block, position)?;
        latencies.saturating_record(write_started.elapsed().as_nanos() as u64);
        position = (position + size as u64) % FILE_BYTES;
    }
    Ok(latencies)
}

fn echo(duration: Duration) -> anyhow::Result<Histogram<u64>> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    let address = listener.local_addr()?;
    let server = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        let mut message = [0; ECHO_BYTES];
        // Ends with the other side's.
        while socket.read_exact(&mut message).is_ok() {
            socket.write_all(&message)?;
        }
        Ok(())
    });
    let mut socket = TcpStream::connect(address).context("cannot connect over loopback")?;
    socket.set_nodelay(true)?;
    let (mut latencies, mut message) = (histogram(), [7; ECHO_BYTES]);
    let started = Instant::now();
    while started.elapsed() < duration {
        let sent = Instant::now();
        socket.write_all(&message)?;
        socket.read_exact(&mut message)?;
        latencies.saturating_record(sent.elapsed().as_nanos() as u64);
    }
    drop(socket);
    let _ = server.join();
    Ok(latencies)
}

impl Limits {
    /// For people.
    pub fn text(&self) -> String {
        format!(
            "O_DIRECT|O_DSYNC write, 4 KiB: {}\nthe same, 256 KiB: {:.0} MB/s\nloopback echo, 1 KiB: {}",
            self.durable_write.text(),
            self.durable_megabytes_per_second,
            self.echo.text()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_this_machine_can_be_measured() {
        // Beside the test's binary, because a temporary folder may lie in memory, where there is no O_DIRECT.
        let binary = std::env::current_exe().unwrap();
        let folder = binary.parent().unwrap();
        let limits = measure(folder, Duration::from_millis(50)).unwrap();
        assert!(limits.durable_write.count > 0 && limits.echo.count > 0);
        assert!(limits.durable_megabytes_per_second > 0.0);
    }
}
