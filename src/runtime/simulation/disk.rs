//! A simulated disk: what programs see now, what the platter holds for sure, and what lies between.
//!
//! Files: a write goes to the *visible* content and to a list of writes that are not yet durable;
//! a sync moves the list into the *durable* content. Directories: likewise, with edits of entries.
//! What a power cut makes of the rest stands in [`super::forgetting`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::faults::{DiskOperation, Faults, Latencies};
use super::machine::MachineId;
use super::pages::{PAGE_BYTES, Pages};
use super::random::Random;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct InodeId(pub u64);

/// The disks of all machines, made when first asked for.
pub(super) struct DiskTable {
    disks: RefCell<BTreeMap<MachineId, Rc<RefCell<Disk>>>>,
    random: Random,
}

impl DiskTable {
    pub fn new(random: &Random) -> Self {
        DiskTable { disks: RefCell::default(), random: random.split() }
    }

    pub fn of(&self, machine: MachineId) -> Rc<RefCell<Disk>> {
        let mut disks = self.disks.borrow_mut();
        let disk =
            disks.entry(machine).or_insert_with(|| Rc::new(RefCell::new(Disk::new(&self.random))));
        Rc::clone(disk)
    }
}

#[derive(Default)]
pub(super) struct FileInode {
    pub visible: Pages,
    pub durable: Pages,
    /// Changes in `visible` that `durable` lacks, oldest first.
    pub pending: Vec<PendingChange>,
}

impl FileInode {
    /// O_DIRECT writes back the page cache of its range first, and O_DSYNC the length.
    fn flush_range(&mut self, start: u64, end: u64) {
        let (flushed, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending| match &pending.change {
                FileChange::SetLen(_) => true,
                FileChange::Write { position, bytes } => {
                    *position < end && start < *position + bytes.len() as u64
                }
            });
        self.pending = kept;
        flushed.iter().for_each(|pending| pending.change.apply(&mut self.durable));
    }
}

#[derive(Clone)]
pub(super) struct PendingChange {
    pub sequence: u64,
    pub change: FileChange,
}

#[derive(Clone)]
pub(super) enum FileChange {
    Write { position: u64, bytes: Rc<[u8]> },
    SetLen(u64),
}

impl FileChange {
    pub fn apply(&self, pages: &mut Pages) {
        match self {
            FileChange::Write { position, bytes } => pages.write(*position, bytes),
            FileChange::SetLen(len) => pages.set_len(*len),
        }
    }
}

#[derive(Default)]
pub(super) struct DirectoryInode {
    pub visible: BTreeMap<String, InodeId>,
    pub durable: BTreeMap<String, InodeId>,
}

/// One create, rename or remove: it survives a power cut whole or not at all.
pub(super) struct EntryOperation {
    pub edits: Vec<EntryEdit>,
}

#[derive(Clone)]
pub(super) struct EntryEdit {
    pub directory: InodeId,
    pub name: String,
    /// What the name leads to afterwards; `None` removes it.
    pub target: Option<InodeId>,
}

/// A write that the "device" is working on: a crash now may leave any part of it.
pub(super) struct InFlightWrite {
    pub inode: InodeId,
    pub position: u64,
    pub bytes: Rc<[u8]>,
    /// O_DIRECT and durable when complete, past the page cache.
    pub durable: bool,
}

pub(super) struct Disk {
    pub files: BTreeMap<InodeId, FileInode>,
    pub directories: BTreeMap<InodeId, DirectoryInode>,
    pub pending_entries: Vec<EntryOperation>,
    pub in_flight: BTreeMap<u64, InFlightWrite>,
    pub locks: BTreeSet<PathBuf>,
    pub faults: Faults,
    pub latencies: Latencies,
    pub capacity_bytes: Option<u64>,
    /// How often this disk's machine has crashed: handles from before are void.
    pub crashes: u64,
    next_inode: u64,
    next_sequence: u64,
}

pub(super) const ROOT: InodeId = InodeId(0);

pub(super) fn error(kind: io::ErrorKind, what: &str, path: &Path) -> io::Error {
    io::Error::new(kind, format!("simulated disk: {what}: {}", path.display()))
}

fn names(path: &Path) -> io::Result<Vec<&str>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => match name.to_str() {
                Some(name) => names.push(name),
                None => return Err(error(io::ErrorKind::InvalidInput, "name is not UTF-8", path)),
            },
            Component::ParentDir | Component::Prefix(_) => {
                return Err(error(io::ErrorKind::InvalidInput, "path has ..", path));
            }
        }
    }
    Ok(names)
}

impl Disk {
    fn new(random: &Random) -> Self {
        Disk {
            files: BTreeMap::new(),
            directories: BTreeMap::from([(ROOT, DirectoryInode::default())]),
            pending_entries: Vec::new(),
            in_flight: BTreeMap::new(),
            locks: BTreeSet::new(),
            faults: Faults::default(),
            latencies: Latencies::drawn(random),
            capacity_bytes: None,
            crashes: 0,
            next_inode: 1,
            next_sequence: 0,
        }
    }

    fn new_inode(&mut self) -> InodeId {
        let id = InodeId(self.next_inode);
        self.next_inode += 1;
        id
    }

    // ---- names ----

    pub fn look_up(&self, path: &Path) -> io::Result<InodeId> {
        let mut inode = ROOT;
        for name in names(path)? {
            let directory = self
                .directories
                .get(&inode)
                .ok_or_else(|| error(io::ErrorKind::NotADirectory, "not a directory", path))?;
            inode = *directory
                .visible
                .get(name)
                .ok_or_else(|| error(io::ErrorKind::NotFound, "no such file or directory", path))?;
        }
        Ok(inode)
    }

    /// The directory that holds the path's last name, and that name.
    pub fn parent<'p>(&self, path: &'p Path) -> io::Result<(InodeId, &'p str)> {
        let Some((last, _)) = names(path)?.split_last().map(|(last, rest)| (*last, rest.len()))
        else {
            return Err(error(io::ErrorKind::InvalidInput, "path has no name", path));
        };
        let parent = self.look_up(path.parent().unwrap_or(Path::new("/")))?;
        if !self.directories.contains_key(&parent) {
            return Err(error(io::ErrorKind::NotADirectory, "not a directory", path));
        }
        Ok((parent, last))
    }

    pub fn directory(&self, path: &Path) -> io::Result<(InodeId, &DirectoryInode)> {
        let id = self.look_up(path)?;
        let directory = self.directories.get(&id);
        let directory = directory
            .ok_or_else(|| error(io::ErrorKind::NotADirectory, "not a directory", path))?;
        Ok((id, directory))
    }

    pub fn file_id(&self, path: &Path) -> io::Result<InodeId> {
        let id = self.look_up(path)?;
        if !self.files.contains_key(&id) {
            return Err(error(io::ErrorKind::IsADirectory, "is a directory", path));
        }
        Ok(id)
    }

    // ---- entries ----

    pub fn edit_entries(&mut self, edits: Vec<EntryEdit>) {
        for edit in &edits {
            self.apply_edit(edit, false);
        }
        self.pending_entries.push(EntryOperation { edits });
    }

    pub fn apply_edit(&mut self, edit: &EntryEdit, durable: bool) {
        if let Some(directory) = self.directories.get_mut(&edit.directory) {
            let entries = if durable { &mut directory.durable } else { &mut directory.visible };
            match edit.target {
                Some(target) => entries.insert(edit.name.clone(), target),
                None => entries.remove(&edit.name),
            };
        }
    }

    pub fn create_file(&mut self, path: &Path) -> io::Result<InodeId> {
        let (directory, name) = self.parent(path)?;
        let id = self.new_inode();
        self.files.insert(id, FileInode::default());
        self.edit_entries(vec![EntryEdit { directory, name: name.to_owned(), target: Some(id) }]);
        Ok(id)
    }

    pub fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        let id = self.new_inode();
        self.directories.insert(id, DirectoryInode::default());
        self.edit_entries(vec![EntryEdit { directory, name: name.to_owned(), target: Some(id) }]);
        Ok(())
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let target = self.look_up(from)?;
        let (from_directory, from_name) = self.parent(from)?;
        let (to_directory, to_name) = self.parent(to)?;
        if self.directories.contains_key(&target)
            && let Ok((_, existing)) = self.directory(to)
            && !existing.visible.is_empty()
        {
            return Err(error(
                io::ErrorKind::DirectoryNotEmpty,
                "rename over a full directory",
                to,
            ));
        }
        self.edit_entries(vec![
            EntryEdit { directory: from_directory, name: from_name.to_owned(), target: None },
            EntryEdit { directory: to_directory, name: to_name.to_owned(), target: Some(target) },
        ]);
        Ok(())
    }

    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.look_up(path)?;
        let (directory, name) = self.parent(path)?;
        self.edit_entries(vec![EntryEdit { directory, name: name.to_owned(), target: None }]);
        Ok(())
    }

    /// Every path below and including `path`, children before their directory.
    pub fn tree_bottom_up(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        if let Ok((_, directory)) = self.directory(path) {
            for name in directory.visible.keys() {
                paths.extend(self.tree_bottom_up(&path.join(name))?);
            }
        }
        paths.push(path.to_owned());
        Ok(paths)
    }

    /// Makes every create, rename and remove that touched the directory durable.
    pub fn sync_directory(&mut self, directory: InodeId) {
        let (synced, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending_entries)
            .into_iter()
            .partition(|operation| operation.edits.iter().any(|edit| edit.directory == directory));
        self.pending_entries = kept;
        for edit in synced.iter().flat_map(|operation| &operation.edits) {
            self.apply_edit(edit, true);
        }
    }

    // ---- bytes ----

    pub fn file(&self, id: InodeId, path: &Path) -> io::Result<&FileInode> {
        self.files.get(&id).ok_or_else(|| error(io::ErrorKind::NotFound, "file is gone", path))
    }

    /// Changes what readers see. Durable only after a sync.
    pub fn change(&mut self, id: InodeId, change: FileChange) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if let Some(file) = self.files.get_mut(&id) {
            change.apply(&mut file.visible);
            file.pending.push(PendingChange { sequence, change });
        }
    }

    /// The number that separates changes made until now from later ones.
    pub fn sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Makes the changes below `sequence` durable.
    pub fn sync_file(&mut self, id: InodeId, sequence: u64) {
        if let Some(file) = self.files.get_mut(&id) {
            let (synced, kept) = std::mem::take(&mut file.pending)
                .into_iter()
                .partition(|change| change.sequence < sequence);
            file.pending = kept;
            let synced: Vec<PendingChange> = synced;
            synced.iter().for_each(|pending| pending.change.apply(&mut file.durable));
        }
    }

    /// A sync that failed: as on Linux, the pages count as clean afterwards though they are not on
    /// disk, so a second sync succeeds and the data is lost all the same.
    pub fn fail_sync(&mut self, id: InodeId) {
        if let Some(file) = self.files.get_mut(&id) {
            file.pending.clear();
        }
    }

    pub fn begin_write(&mut self, write: InFlightWrite) -> u64 {
        let id = self.next_sequence;
        self.next_sequence += 1;
        self.in_flight.insert(id, write);
        id
    }

    /// Ends a write. A write that a crash has already settled is no longer known, and nothing happens.
    pub fn complete_write(&mut self, id: u64) {
        if let Some(write) = self.in_flight.remove(&id) {
            self.settle(write.inode, write.position, write.bytes, write.durable);
        }
    }

    pub fn settle(&mut self, inode: InodeId, position: u64, bytes: Rc<[u8]>, durable: bool) {
        let change = FileChange::Write { position, bytes };
        if durable && let Some(file) = self.files.get_mut(&inode) {
            let end = match &change {
                FileChange::Write { bytes, .. } => position + bytes.len() as u64,
                FileChange::SetLen(_) => position,
            };
            file.flush_range(position, end);
            change.apply(&mut file.visible);
            change.apply(&mut file.durable);
        } else {
            self.change(inode, change);
        }
    }

    // ---- space ----

    pub fn used_bytes(&self) -> u64 {
        let in_use = |file: &FileInode| file.visible.len().div_ceil(PAGE_BYTES) * PAGE_BYTES;
        self.reachable_files().iter().filter_map(|id| self.files.get(id)).map(in_use).sum()
    }

    pub fn free_bytes(&self) -> u64 {
        match self.capacity_bytes {
            Some(capacity) => capacity.saturating_sub(self.used_bytes()),
            None => 1 << 40,
        }
    }

    /// How many bytes of a write to `position` the disk still has room for.
    pub fn room_for(&self, id: InodeId, position: u64, len: usize) -> usize {
        let Some(capacity) = self.capacity_bytes else { return len };
        let current = self.files.get(&id).map_or(0, |file| file.visible.len());
        let end = position + len as u64;
        let rounded = current.div_ceil(PAGE_BYTES) * PAGE_BYTES;
        if end <= rounded {
            return len;
        }
        let limit = rounded + capacity.saturating_sub(self.used_bytes()) / PAGE_BYTES * PAGE_BYTES;
        usize::try_from(end.min(limit).saturating_sub(position)).unwrap_or(usize::MAX).min(len)
    }

    fn reachable_files(&self) -> BTreeSet<InodeId> {
        let visible = self.directories.values().flat_map(|directory| directory.visible.values());
        visible.filter(|id| self.files.contains_key(id)).copied().collect()
    }

    pub fn check_fault(&mut self, operation: DiskOperation, path: &Path) -> io::Result<()> {
        match self.faults.take(operation, path) {
            Some(kind) => Err(error(kind, &format!("injected failure of {operation:?}"), path)),
            None => Ok(()),
        }
    }
}
