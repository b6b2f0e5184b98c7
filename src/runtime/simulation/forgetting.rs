//! What a crash makes of a disk.
//!
//! A kill leaves the page cache: only writes in flight are uncertain. A power cut leaves what was
//! synced, and of the rest whatever the seed says: nothing, everything, a prefix with a torn last
//! write, or any sectors in any order, as real disks and file systems may.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::disk::{Disk, EntryOperation, FileChange, FileInode, InFlightWrite, InodeId, ROOT};
use super::machine::CrashKind;
use super::pages::Pages;
use super::random::Random;

/// How much of a list of changes survives.
#[derive(Clone, Copy)]
enum Survival {
    None,
    All,
    /// The first so many; the next one is torn.
    Prefix(usize),
    /// Each part by its own coin.
    Scattered,
}

impl Survival {
    fn drawn(changes: usize, random: &Random) -> Self {
        match random.below(4) {
            0 => Survival::None,
            1 => Survival::All,
            2 => Survival::Prefix(random.index(changes + 1)),
            _ => Survival::Scattered,
        }
    }
}

impl Disk {
    /// Applies a crash, and voids every handle and lock of the process that died.
    pub fn crash(&mut self, kind: CrashKind, random: &Random) {
        self.crashes += 1;
        self.locks.clear();
        for (_, write) in std::mem::take(&mut self.in_flight) {
            self.tear(write, kind, random);
        }
        if kind == CrashKind::PowerCut {
            for file in self.files.values_mut() {
                forget_file(file, random);
            }
            self.forget_entries(random);
        }
        self.drop_unreachable();
    }

    fn tear(&mut self, write: InFlightWrite, kind: CrashKind, random: &Random) {
        let InFlightWrite { inode, position, bytes, durable } = write;
        match (random.below(3), kind) {
            (0, _) => {}
            (1, _) => self.settle(inode, position, bytes, durable),
            (_, CrashKind::PowerCut) if durable => {
                for (at, sector) in sectors(position, &bytes, 512) {
                    if random.chance(1, 2) {
                        self.settle(inode, at, sector.into(), durable);
                    }
                }
            }
            _ => {
                let sectors = random.below(bytes.len() as u64 / 512 + 1) as usize;
                let reached: Rc<[u8]> = bytes.iter().take(sectors * 512).copied().collect();
                if !reached.is_empty() {
                    self.settle(inode, position, reached, durable);
                }
            }
        }
    }

    fn forget_entries(&mut self, random: &Random) {
        let pending = std::mem::take(&mut self.pending_entries);
        let survival = Survival::drawn(pending.len(), random);
        for (index, EntryOperation { edits }) in pending.into_iter().enumerate() {
            let survives = match survival {
                Survival::None => false,
                Survival::All => true,
                Survival::Prefix(count) => index < count,
                Survival::Scattered => random.chance(1, 2),
            };
            if survives {
                edits.iter().for_each(|edit| self.apply_edit(edit, true));
            }
        }
        for directory in self.directories.values_mut() {
            directory.visible = directory.durable.clone();
        }
    }

    fn drop_unreachable(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut open: Vec<InodeId> = vec![ROOT];
        while let Some(id) = open.pop() {
            let Some(directory) = self.directories.get(&id) else { continue };
            let entries = directory.visible.values().chain(directory.durable.values());
            open.extend(entries.filter(|child| reached.insert(**child)).copied());
        }
        for operation in &self.pending_entries {
            reached.extend(operation.edits.iter().filter_map(|edit| edit.target));
        }
        self.files.retain(|id, _| reached.contains(id));
        self.directories.retain(|id, _| reached.contains(id));
    }
}

fn forget_file(file: &mut FileInode, random: &Random) {
    let pending = std::mem::take(&mut file.pending);
    if !pending.is_empty() {
        let survival = Survival::drawn(pending.len(), random);
        for (index, pending) in pending.into_iter().enumerate() {
            match survival {
                Survival::None => {}
                Survival::All => pending.change.apply(&mut file.durable),
                Survival::Prefix(count) if index < count => pending.change.apply(&mut file.durable),
                Survival::Prefix(count) if index == count => {
                    apply_some_sectors(&pending.change, &mut file.durable, random);
                }
                Survival::Prefix(_) => {}
                Survival::Scattered => {
                    apply_some_sectors(&pending.change, &mut file.durable, random)
                }
            }
        }
        // The length may reach the disk before the bytes do: zeros stand where they were to come.
        let visible_len = file.visible.len();
        if visible_len > file.durable.len() && random.chance(1, 4) {
            file.durable.set_len(visible_len);
        }
    }
    file.visible = file.durable.clone();
}

fn apply_some_sectors(change: &FileChange, pages: &mut Pages, random: &Random) {
    match change {
        FileChange::SetLen(len) => {
            if random.chance(1, 2) {
                pages.set_len(*len);
            }
        }
        FileChange::Write { position, bytes } => {
            let sector_bytes = if random.chance(1, 2) { 512 } else { 4096 };
            for (at, sector) in sectors(*position, bytes, sector_bytes) {
                if random.chance(1, 2) {
                    pages.write(at, sector);
                }
            }
        }
    }
}

/// Cuts a write at the device's sector boundaries.
fn sectors(position: u64, bytes: &[u8], sector_bytes: u64) -> Vec<(u64, &[u8])> {
    let mut parts = Vec::new();
    let mut at = position;
    let mut rest = bytes;
    while !rest.is_empty() {
        let room = (sector_bytes - at % sector_bytes) as usize;
        let (sector, later) = rest.split_at(rest.len().min(room));
        parts.push((at, sector));
        at += sector.len() as u64;
        rest = later;
    }
    parts
}
