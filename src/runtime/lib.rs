//! The ground that every other room stands on: cores, calls between cores, tasks, time, sockets, files.
//!
//! **What it is.** One narrow set of names with two things behind it. In production glommio (one pinned
//! executor per core, `on_glommio`) and a ring of our own for files. Under the feature `simulation` a
//! deterministic simulator: one thread, a seeded scheduler, virtual time, a disk that forgets.
//!
//! **What it owns.** Every use of glommio, io_uring, threads, the operating system's clock, its randomness,
//! its files and its sockets by the rooms from `journal` up to `kafka`; and all `unsafe` code.
//!
//! **Where it runs.** Unless an item says otherwise, it may only be used on a core: inside [`start`]'s `make`,
//! inside a call, or inside a task spawned from there. [`Cores`], [`Call`], [`now`], [`wall_clock`] and
//! [`random_u64`] work on any thread, tokio's included.
//!
//! **What it must never do.** Swallow an error of a file or a socket; free a buffer that the kernel may still
//! read or write; let a panic pass: a task that panics ends the process, because what it held is unknown.
//!
//! **Where to start reading.** This file for the names, then [`cores`], then `on_glommio/executor.rs` (how a
//! core starts), `on_glommio/disk_ring.rs` (how files are awaited), `on_glommio/journal_file.rs` (the durable
//! write path).
//!
//! # The two backends
//! A backend is a module with these children, the same in both, and nothing else is used of it here:
//!
//! | module | names |
//! |---|---|
//! | `tasks` | `spawn`, `spawn_background`, `spawn_joinable`, `Task`, `yield_now`, `current_core`, `abort` |
//! | `clock` | `now`, `sleep`, `wall_clock`, `random_u64`, `core_cpu_time` |
//! | `cores` | `Cores`, `RunningCores`, `start`, `run_single` |
//! | `net` | `Listener`, `Stream`, `MovingStream`, `ReadHalf`, `WriteHalf`, `connect` |
//! | `fs` | `File`, `DirectoryLock` and the directory operations |
//! | `journal_file` | `JournalFile` |

#[cfg(not(feature = "simulation"))]
mod on_glommio;
#[cfg(not(feature = "simulation"))]
use on_glommio as backend;

#[cfg(feature = "simulation")]
pub mod simulation;
#[cfg(feature = "simulation")]
use simulation as backend;

mod aligned_buffer;
mod call;
pub mod cores;
pub mod fs;
mod host;
mod memory;
pub mod net;
mod time;

pub use backend::clock::{core_cpu_time, now, random_u64, sleep, wall_clock};
pub use backend::cores::{Cores, RunningCores, run_single, start};
pub use backend::tasks::{
    Task, abort, current_core, spawn, spawn_background, spawn_joinable, yield_now,
};
pub use call::{Call, CoreStopped};
pub use cores::{CoresConfig, StartError, StopError};
pub use host::{HostError, HostWarning, check_address_unused, check_host};
pub use memory::keep_freed_memory;
pub use time::{Elapsed, Instant, timeout};

/// Waiting for one another, within a core or across threads. They are tokio's, which need no tokio runtime.
pub mod sync {
    pub use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
}

/// 128 random bits; for ids that must not repeat. Works on any thread.
pub fn random_u128() -> u128 {
    (u128::from(random_u64()) << 64) | u128::from(random_u64())
}
