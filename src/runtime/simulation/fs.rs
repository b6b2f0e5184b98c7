//! The files of the facade, on a simulated disk. Same names and promises as in production.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;

use super::disk::{Disk, FileChange, InFlightWrite, InodeId, error};
use super::executor::{Owner, World, try_world, world};
use super::faults::{DiskOperation, Sabotage};
use super::machine::MachineId;
use super::time::sleep_ns;
use crate::fs::{DirectoryEntry, OpenOptions};

fn current_machine(world: &World) -> MachineId {
    match world.current().owner {
        Owner::Test => MachineId::DEFAULT,
        Owner::Process { machine, .. } => machine,
    }
}

fn current_disk() -> Rc<RefCell<Disk>> {
    let world = world();
    world.disks.of(current_machine(&world))
}

/// Waits as long as the operation takes, then fails it if a fault is planned.
async fn operate(
    disk: &Rc<RefCell<Disk>>,
    operation: DiskOperation,
    path: &Path,
) -> io::Result<()> {
    let latency_ns = disk.borrow().latencies.draw_ns(operation, &world().random);
    sleep_ns(latency_ns).await;
    disk.borrow_mut().check_fault(operation, path)
}

/// An open file's place on its disk, void after a crash of the machine.
pub(super) struct Handle {
    pub(super) disk: Rc<RefCell<Disk>>,
    inode: InodeId,
    pub(super) path: PathBuf,
    crashes: u64,
}

impl Handle {
    fn new(disk: Rc<RefCell<Disk>>, inode: InodeId, path: &Path) -> Self {
        let crashes = disk.borrow().crashes;
        Handle { disk, inode, path: path.to_owned(), crashes }
    }

    fn check(&self) -> io::Result<()> {
        if self.disk.borrow().crashes == self.crashes {
            return Ok(());
        }
        Err(error(io::ErrorKind::BrokenPipe, "handle from before the machine's crash", &self.path))
    }

    pub(super) async fn read(&self, position: u64, len: usize) -> io::Result<Bytes> {
        self.check()?;
        operate(&self.disk, DiskOperation::Read, &self.path).await?;
        self.check()?;
        let disk = self.disk.borrow();
        Ok(Bytes::from(disk.file(self.inode, &self.path)?.visible.read(position, len)))
    }

    pub(super) async fn write(
        &self,
        position: u64,
        bytes: Rc<[u8]>,
        durable: bool,
    ) -> io::Result<()> {
        self.check()?;
        let operation = if durable { DiskOperation::DurableWrite } else { DiskOperation::Write };
        let len = bytes.len();
        let room = self.disk.borrow().room_for(self.inode, position, len);
        let bytes: Rc<[u8]> =
            if room < len { bytes.iter().take(room).copied().collect() } else { bytes };
        let id = self.disk.borrow_mut().begin_write(InFlightWrite {
            inode: self.inode,
            position,
            bytes,
            durable,
        });
        let write = UnfinishedWrite { disk: Rc::clone(&self.disk), id };
        operate(&self.disk, operation, &self.path).await?;
        drop(write);
        self.check()?;
        if room < len {
            return Err(error(io::ErrorKind::StorageFull, "no space left on device", &self.path));
        }
        Ok(())
    }

    pub(super) async fn sync(&self) -> io::Result<()> {
        self.check()?;
        let sequence = self.disk.borrow().sequence();
        let synced = operate(&self.disk, DiskOperation::FileSync, &self.path).await;
        self.check()?;
        let mut disk = self.disk.borrow_mut();
        if let Err(failure) = synced {
            disk.fail_sync(self.inode);
            return Err(failure);
        }
        if !disk.faults.is_sabotaged(Sabotage::SkipFileSync, &self.path) {
            disk.sync_file(self.inode, sequence);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.check()?;
        Ok(self.disk.borrow().file(self.inode, &self.path)?.visible.len())
    }
}

/// The device goes on with a write whose future is dropped; a crash has settled it before.
struct UnfinishedWrite {
    disk: Rc<RefCell<Disk>>,
    id: u64,
}

impl Drop for UnfinishedWrite {
    fn drop(&mut self) {
        if let Ok(mut disk) = self.disk.try_borrow_mut() {
            disk.complete_write(self.id);
        }
    }
}

/// A file read and written through the page cache. Clones are the same file.
#[derive(Clone)]
pub struct File {
    pub(super) handle: Rc<Handle>,
}

impl File {
    /// Opens or creates a file. A new file's name is durable after [`sync_directory`].
    pub async fn open(path: impl AsRef<Path>, options: OpenOptions) -> io::Result<File> {
        let path = path.as_ref();
        let disk = current_disk();
        operate(&disk, DiskOperation::Open, path).await?;
        let inode = {
            let mut disk = disk.borrow_mut();
            match disk.file_id(path) {
                Ok(_) if options.create_new => {
                    return Err(error(io::ErrorKind::AlreadyExists, "file exists", path));
                }
                Ok(id) => {
                    if options.truncate {
                        disk.change(id, FileChange::SetLen(0));
                    }
                    id
                }
                Err(missing)
                    if missing.kind() == io::ErrorKind::NotFound
                        && (options.create || options.create_new) =>
                {
                    disk.create_file(path)?
                }
                Err(other) => return Err(other),
            }
        };
        Ok(File { handle: Rc::new(Handle::new(disk, inode, path)) })
    }

    /// Reads `len` bytes; fewer only at the end of the file.
    pub async fn read_at(&self, position: u64, len: usize) -> io::Result<Bytes> {
        self.handle.read(position, len).await
    }

    /// Writes the parts one after the other. Durable only after [`File::sync`].
    pub async fn write_at(&self, position: u64, parts: &[Bytes]) -> io::Result<()> {
        let bytes: Rc<[u8]> = parts.concat().into();
        self.handle.write(position, bytes, false).await
    }

    /// fdatasync: everything written before this call is durable when it returns `Ok`.
    pub async fn sync(&self) -> io::Result<()> {
        self.handle.sync().await
    }

    /// The file's length in bytes.
    pub async fn len(&self) -> io::Result<u64> {
        self.handle.len()
    }

    /// Cuts or extends the file; new bytes are zeros. Durable only after [`File::sync`].
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        self.handle.check()?;
        operate(&self.handle.disk, DiskOperation::Write, &self.handle.path).await?;
        self.handle.check()?;
        let mut disk = self.handle.disk.borrow_mut();
        let current = disk.file(self.handle.inode, &self.handle.path)?.visible.len();
        let grows = usize::try_from(len.saturating_sub(current)).unwrap_or(usize::MAX);
        if disk.room_for(self.handle.inode, current, grows) < grows {
            return Err(error(
                io::ErrorKind::StorageFull,
                "no space left on device",
                &self.handle.path,
            ));
        }
        disk.change(self.handle.inode, FileChange::SetLen(len));
        Ok(())
    }

    /// Closes this handle.
    pub async fn close(self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes a directory and those above it. Durable after [`sync_directory`] of each parent.
pub async fn create_directory_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    let disk = current_disk();
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    for ancestor in ancestors {
        if disk.borrow().look_up(ancestor).is_ok() {
            continue;
        }
        operate(&disk, DiskOperation::Open, ancestor).await?;
        let mut disk = disk.borrow_mut();
        if disk.look_up(ancestor).is_err() {
            disk.create_directory(ancestor)?;
        }
    }
    disk.borrow().directory(path).map(|_| ())
}

/// What a directory holds, sorted by name.
pub async fn read_directory(path: impl AsRef<Path>) -> io::Result<Vec<DirectoryEntry>> {
    let path = path.as_ref();
    let disk = current_disk();
    operate(&disk, DiskOperation::Open, path).await?;
    let disk = disk.borrow();
    let (_, directory) = disk.directory(path)?;
    let entry = |(name, id): (&String, &InodeId)| DirectoryEntry {
        name: name.clone(),
        is_directory: disk.directories.contains_key(id),
        size_bytes: disk.files.get(id).map_or(0, |file| file.visible.len()),
    };
    Ok(directory.visible.iter().map(entry).collect())
}

/// Gives a file or directory another name, replacing a file of that name.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let disk = current_disk();
    operate(&disk, DiskOperation::Rename, to.as_ref()).await?;
    disk.borrow_mut().rename(from.as_ref(), to.as_ref())
}

/// Removes a file.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let disk = current_disk();
    operate(&disk, DiskOperation::Remove, path.as_ref()).await?;
    let mut disk = disk.borrow_mut();
    disk.file_id(path.as_ref())?;
    disk.remove(path.as_ref())
}

/// Removes a directory and all below it, one entry after the other: a crash may come between.
pub async fn remove_directory_all(path: impl AsRef<Path>) -> io::Result<()> {
    let disk = current_disk();
    let paths = {
        let disk = disk.borrow();
        disk.directory(path.as_ref())?;
        disk.tree_bottom_up(path.as_ref())?
    };
    for path in paths {
        operate(&disk, DiskOperation::Remove, &path).await?;
        disk.borrow_mut().remove(&path)?;
    }
    Ok(())
}

/// Makes the creates, renames and removes in a directory durable.
pub async fn sync_directory(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    let disk = current_disk();
    operate(&disk, DiskOperation::DirectorySync, path).await?;
    let mut disk = disk.borrow_mut();
    let (id, _) = disk.directory(path)?;
    if !disk.faults.is_sabotaged(Sabotage::SkipDirectorySync, path) {
        disk.sync_directory(id);
    }
    Ok(())
}

/// Whether a file or directory of this name exists.
pub async fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    match current_disk().borrow().look_up(path.as_ref()) {
        Ok(_) => Ok(true),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(other) => Err(other),
    }
}

/// A whole file of at most `limit_bytes`; a longer one is `FileTooLarge`.
pub async fn read_file(path: impl AsRef<Path>, limit_bytes: usize) -> io::Result<Bytes> {
    let path = path.as_ref();
    let file = File::open(path, OpenOptions { read: true, ..OpenOptions::default() }).await?;
    let len = file.len().await?;
    match usize::try_from(len) {
        Ok(len) if len <= limit_bytes => file.read_at(0, len).await,
        _ => {
            let what = format!("file has {len} bytes, limit is {limit_bytes}");
            Err(error(io::ErrorKind::FileTooLarge, &what, path))
        }
    }
}

/// Writes a file so that a crash leaves the old content or the new: temporary file, sync, rename,
/// directory sync.
pub async fn write_file_durably(path: impl AsRef<Path>, content: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let options =
        OpenOptions { write: true, create: true, truncate: true, ..OpenOptions::default() };
    let file = File::open(&temporary, options).await?;
    let written = file.write_at(0, &[Bytes::copy_from_slice(content)]).await;
    let synced = match written {
        Ok(()) => file.sync().await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = synced {
        remove_file(&temporary).await.ok();
        return Err(failure);
    }
    rename(&temporary, path).await?;
    sync_directory(path.parent().unwrap_or(Path::new("/"))).await
}

/// Free space on the file system that holds `path`.
pub async fn available_bytes(path: impl AsRef<Path>) -> io::Result<u64> {
    let _ = path;
    Ok(current_disk().borrow().free_bytes())
}

/// An exclusive lock, held until it is dropped or its process dies.
#[derive(Debug)]
pub struct DirectoryLock {
    machine: MachineId,
    path: PathBuf,
    crashes: u64,
}

impl DirectoryLock {
    /// Takes the lock, or fails with `WouldBlock` when another holds it.
    pub fn lock(path: impl AsRef<Path>) -> io::Result<DirectoryLock> {
        let path = path.as_ref().to_owned();
        let world = world();
        let machine = current_machine(&world);
        let disk = world.disks.of(machine);
        let mut disk = disk.borrow_mut();
        if !disk.locks.insert(path.clone()) {
            return Err(error(io::ErrorKind::WouldBlock, "locked by another process", &path));
        }
        Ok(DirectoryLock { machine, path, crashes: disk.crashes })
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        let Some(world) = try_world() else { return };
        let disk = world.disks.of(self.machine);
        if let Ok(mut disk) = disk.try_borrow_mut()
            && disk.crashes == self.crashes
        {
            disk.locks.remove(&self.path);
        }
    }
}
