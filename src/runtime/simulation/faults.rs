//! What can go wrong with a disk on purpose, and how long each operation takes.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::random::Random;

/// The kinds of disk operation that a fault can be aimed at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DiskOperation {
    /// Opening or creating a file, reading or making a directory.
    Open,
    /// `read_at`, `read_file`.
    Read,
    /// `write_at`, `set_len`: through the page cache.
    Write,
    /// `JournalFile::write_durable`.
    DurableWrite,
    /// `File::sync`.
    FileSync,
    /// `sync_directory`.
    DirectorySync,
    /// `rename`.
    Rename,
    /// `remove_file`, `remove_directory_all`.
    Remove,
}

/// A promise that the disk silently breaks, so that a test can show that someone notices: each
/// stands for deleting that kind of call from the program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sabotage {
    /// `write_durable` completes when the bytes are in the page cache.
    SkipDurableWrite,
    /// `File::sync` does nothing.
    SkipFileSync,
    /// `sync_directory` does nothing.
    SkipDirectorySync,
}

struct Fault {
    operation: DiskOperation,
    path_part: String,
    kind: io::ErrorKind,
    times: u64,
}

#[derive(Default)]
pub(super) struct Faults {
    planned: Vec<Fault>,
    sabotaged: BTreeSet<(Sabotage, String)>,
}

impl Faults {
    pub fn plan(
        &mut self,
        operation: DiskOperation,
        path_part: &str,
        kind: io::ErrorKind,
        times: u64,
    ) {
        self.planned.push(Fault { operation, path_part: path_part.to_owned(), kind, times });
    }

    pub fn clear(&mut self) {
        self.planned.clear();
    }

    /// The error that this operation must fail with, if one is planned.
    pub fn take(&mut self, operation: DiskOperation, path: &Path) -> Option<io::ErrorKind> {
        let path = path.to_string_lossy();
        let index = self
            .planned
            .iter()
            .position(|fault| fault.operation == operation && path.contains(&fault.path_part))?;
        let fault = self.planned.get_mut(index)?;
        let kind = fault.kind;
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            self.planned.remove(index);
        }
        Some(kind)
    }

    pub fn sabotage(&mut self, sabotage: Sabotage, path_part: &str) {
        self.sabotaged.insert((sabotage, path_part.to_owned()));
    }

    pub fn is_sabotaged(&self, sabotage: Sabotage, path: &Path) -> bool {
        let path = path.to_string_lossy();
        let is_meant = |part: &str| match part.strip_suffix('$') {
            Some(end) => path.ends_with(end),
            None => path.contains(part),
        };
        self.sabotaged.iter().any(|(kind, part)| *kind == sabotage && is_meant(part))
    }
}

/// How long this disk takes. Drawn once per disk, so that some seeds have a fast disk and some one
/// that is slow enough for everything else to overtake it.
pub(super) struct Latencies {
    factor: u64,
    slow_in_thousand: u64,
}

impl Latencies {
    pub fn drawn(random: &Random) -> Self {
        let factor = match random.below(4) {
            0 => 1,
            1 | 2 => 4,
            _ => 20,
        };
        Latencies { factor, slow_in_thousand: random.below(20) }
    }

    /// Nanoseconds that one operation takes.
    pub fn draw_ns(&self, operation: DiskOperation, random: &Random) -> u64 {
        let (low_us, high_us) = match operation {
            DiskOperation::Open | DiskOperation::Rename | DiskOperation::Remove => (2, 30),
            DiskOperation::Read | DiskOperation::Write => (2, 100),
            DiskOperation::DurableWrite => (20, 300),
            DiskOperation::FileSync | DiskOperation::DirectorySync => (30, 600),
        };
        let usual_us = random.between(low_us, high_us) * self.factor;
        let slow_us = if random.chance(self.slow_in_thousand, 1000) {
            random.between(1_000, 60_000)
        } else {
            0
        };
        (usual_us + slow_us) * 1000
    }
}
