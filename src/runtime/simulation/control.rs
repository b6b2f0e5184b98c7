//! What a test does to the simulated world.

use std::future::Future;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use model::CoreId;
use tokio::sync::oneshot;

use super::cores::{Cores, RunningCores, process_owner, start_as};
use super::disk::{FileChange, error};
use super::executor::world;
use super::faults::{DiskOperation, Sabotage};
use super::machine::{CrashKind, MachineId};
use super::time::{duration_ns, sleep_ns};
use crate::CoreStopped;

/// One simulated machine: a disk, and at most one process at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Machine {
    id: MachineId,
}

impl Machine {
    /// A machine by its number. All of them exist from the start, with empty disks.
    pub fn new(id: MachineId) -> Machine {
        Machine { id }
    }

    /// Starts the cores of a process on this machine. After a crash this is the restart.
    pub fn start_cores<S, M>(self, count: usize, make: M) -> RunningCores<S>
    where
        M: Fn(CoreId, Cores<S>) -> S,
    {
        let world = world();
        let owner = process_owner(&world, self.id);
        start_as(&world, owner, count, make)
    }

    /// Runs a future as part of this machine's process, on core 0. `CoreStopped` when a crash ends it.
    pub fn start_process<T: 'static>(
        self,
        name: &'static str,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Result<T, CoreStopped>> {
        let world = world();
        let (sender, result) = oneshot::channel();
        world.in_context(process_owner(&world, self.id), CoreId(0), || {
            world.spawn(name, async move {
                let value = future.await;
                sender.send(value).ok();
            });
        });
        async move { result.await.map_err(|_| CoreStopped) }
    }

    /// Ends the machine's process now. A task of that process that calls this does not return.
    pub fn crash(self, kind: CrashKind) {
        world().crash(self.id, kind);
    }

    /// Waits until the machine's process ends by a crash or by `runtime::abort`.
    pub async fn crashed(self) {
        let mut watch = world().machines.watch(self.id);
        watch.changed().await.ok();
    }

    /// How often this machine has crashed or its process has aborted.
    pub fn crash_count(self) -> u64 {
        world().machines.incarnation(self.id)
    }

    fn disk<T>(self, change: impl FnOnce(&mut super::disk::Disk) -> T) -> T {
        change(&mut world().disks.of(self.id).borrow_mut())
    }

    /// Leaves the disk so many free bytes; `None` makes it endless again.
    pub fn set_free_bytes(self, free_bytes: Option<u64>) {
        self.disk(|disk| disk.capacity_bytes = free_bytes.map(|free| free + disk.used_bytes()));
    }

    /// Bytes in files, in whole blocks.
    pub fn used_bytes(self) -> u64 {
        self.disk(|disk| disk.used_bytes())
    }

    /// Lets the next `times` operations of a kind fail on paths that contain `path_part`.
    pub fn fail_next(
        self,
        operation: DiskOperation,
        path_part: &str,
        kind: io::ErrorKind,
        times: u64,
    ) {
        self.disk(|disk| disk.faults.plan(operation, path_part, kind, times));
    }

    /// Forgets the failures that are still to come.
    pub fn clear_faults(self) {
        self.disk(|disk| disk.faults.clear());
    }

    /// Breaks a promise of the disk from now on, for paths that contain `path_part`; with `$` at its
    /// end, for paths that end with it.
    pub fn sabotage(self, sabotage: Sabotage, path_part: &str) {
        self.disk(|disk| disk.faults.sabotage(sabotage, path_part));
    }

    /// Replaces bytes of a file on the platter and in the page cache, as a failing disk would.
    pub fn corrupt_file(
        self,
        path: impl AsRef<Path>,
        position: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        let path = path.as_ref();
        self.disk(|disk| {
            let id = disk.file_id(path)?;
            let change = FileChange::Write { position, bytes: Rc::from(bytes) };
            match disk.files.get_mut(&id) {
                Some(file) => {
                    change.apply(&mut file.visible);
                    change.apply(&mut file.durable);
                    Ok(())
                }
                None => Err(error(io::ErrorKind::NotFound, "file is gone", path)),
            }
        })
    }

    /// Flips one bit of a file, as [`Machine::corrupt_file`].
    pub fn flip_bit(self, path: impl AsRef<Path>, position: u64, bit: u8) -> io::Result<()> {
        let path = path.as_ref();
        let byte = self.disk(|disk| {
            let id = disk.file_id(path)?;
            let byte = disk.file(id, path)?.visible.read(position, 1).first().copied();
            byte.ok_or_else(|| error(io::ErrorKind::UnexpectedEof, "position beyond the end", path))
        })?;
        self.corrupt_file(path, position, &[byte ^ (1 << (bit % 8))])
    }
}

/// [`Machine::start_cores`] on the default machine.
pub fn start_cores<S, M>(count: usize, make: M) -> RunningCores<S>
where
    M: Fn(CoreId, Cores<S>) -> S,
{
    Machine::default().start_cores(count, make)
}

/// [`Machine::start_process`] on the default machine.
pub fn start_process<T: 'static>(
    name: &'static str,
    future: impl Future<Output = T> + 'static,
) -> impl Future<Output = Result<T, CoreStopped>> {
    Machine::default().start_process(name, future)
}

/// [`Machine::crash`] of the default machine.
pub fn crash(kind: CrashKind) {
    Machine::default().crash(kind);
}

/// [`Machine::crashed`] of the default machine.
pub async fn crashed() {
    Machine::default().crashed().await;
}

/// [`Machine::set_free_bytes`] of the default machine.
pub fn set_free_bytes(free_bytes: Option<u64>) {
    Machine::default().set_free_bytes(free_bytes);
}

/// [`Machine::used_bytes`] of the default machine.
pub fn used_bytes() -> u64 {
    Machine::default().used_bytes()
}

/// [`Machine::fail_next`] of the default machine.
pub fn fail_next(operation: DiskOperation, path_part: &str, kind: io::ErrorKind, times: u64) {
    Machine::default().fail_next(operation, path_part, kind, times);
}

/// [`Machine::clear_faults`] of the default machine.
pub fn clear_faults() {
    Machine::default().clear_faults();
}

/// [`Machine::sabotage`] of the default machine.
pub fn sabotage(sabotage: Sabotage, path_part: &str) {
    Machine::default().sabotage(sabotage, path_part);
}

/// [`Machine::corrupt_file`] of the default machine.
pub fn corrupt_file(path: impl AsRef<Path>, position: u64, bytes: &[u8]) -> io::Result<()> {
    Machine::default().corrupt_file(path, position, bytes)
}

/// [`Machine::flip_bit`] of the default machine.
pub fn flip_bit(path: impl AsRef<Path>, position: u64, bit: u8) -> io::Result<()> {
    Machine::default().flip_bit(path, position, bit)
}

/// Cuts each open connection with a chance of `per_hundred` in 100. Says how many.
pub fn cut_connections(per_hundred: u64) -> usize {
    let world = world();
    world.network.cut_some(per_hundred, &world.random)
}

/// Lets every socket operation cut its connection with this chance in a million.
pub fn set_cuts_per_million(cuts: u64) {
    world().network.cuts_per_million.set(cuts);
}

/// How many connections are open.
pub fn open_connections() -> usize {
    world().network.open_connections()
}

/// Moves every wall clock, forward or back.
pub fn shift_wall_clock(by_ms: i64) {
    world().timers.shift_wall_clock_ms(by_ms);
}

/// Lets virtual time pass: the same as `runtime::sleep`, by the name that says why a test does it.
pub async fn settle(duration: Duration) {
    sleep_ns(duration_ns(duration)).await;
}
