//! What a durable write costs, beside the same write by a plain blocking thread. Run by hand on the disk that
//! matters: `TMPDIR=… cargo test --release -p runtime --test journal_latency -- --ignored --nocapture`.
#![cfg(not(feature = "simulation"))]
#![expect(clippy::indexing_slicing, reason = "tests may fail this way")]

use std::{
    os::unix::fs::{FileExt, OpenOptionsExt},
    time::Instant,
};

use runtime::fs::{AlignedBuffer, JournalFile};

const WRITES: usize = 2_000;
const FILE_BYTES: u64 = 64 << 20;

fn buffer_of(bytes: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::with_capacity(bytes);
    buffer.extend_from_slice(&vec![7; bytes]);
    buffer
}

/// Positions of consecutive writes, round and round the file.
fn positions(bytes: usize) -> impl Iterator<Item = u64> {
    let slots = FILE_BYTES / bytes as u64;
    (0..WRITES as u64).map(move |number| number % slots * bytes as u64)
}

fn print(name: &str, bytes: usize, mut micros: Vec<u128>) {
    micros.sort_unstable();
    let at = |share: usize| micros[micros.len() * share / 1000];
    println!(
        "{name:>28} {:>5} KiB: p50 {:>5} p99 {:>6} p99.9 {:>6} us",
        bytes >> 10,
        at(500),
        at(990),
        at(999)
    );
}

#[test]
#[ignore = "a measurement"]
fn durable_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    for bytes in [4 << 10, 64 << 10, 1 << 20] {
        let _ = std::fs::remove_file(&path);
        let ring_path = path.clone();
        let ring = runtime::run_single(move || async move {
            let file = JournalFile::create_zeroed(&ring_path, FILE_BYTES).await.unwrap();
            let mut buffer = buffer_of(bytes);
            let mut micros = Vec::new();
            for position in positions(bytes) {
                let begun = Instant::now();
                let (result, returned) = file.write_durable(position, buffer).await;
                micros.push(begun.elapsed().as_micros());
                result.unwrap();
                buffer = returned;
            }
            micros
        });
        print("ring, RWF_DSYNC", bytes, ring.unwrap());

        let file = std::fs::OpenOptions::new()
            .write(true)
            .custom_flags(0o40000 | 0o10000) // O_DIRECT | O_DSYNC
            .open(&path)
            .unwrap();
        let buffer = buffer_of(bytes);
        let micros = positions(bytes).map(|position| {
            let begun = Instant::now();
            file.write_all_at(buffer.as_slice(), position).unwrap();
            begun.elapsed().as_micros()
        });
        print("blocking O_DIRECT|O_DSYNC", bytes, micros.collect());
    }
}
