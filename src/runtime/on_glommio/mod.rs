//! The production backend: glommio's executors, timers and sockets, and an io_uring of our own for files.
//!
//! Two faults of glommio 0.9.0 shape it. **Lost wake-ups**: an executor can park although a task is ready, so a
//! thread wakes every core again and again ([`pulse`]). **Direct files on a polling ring**: its `DmaFile` spins and starves
//! on devices that cannot poll, so no file goes through glommio ([`disk_ring`]).

mod blocking;
pub(crate) mod clock;
pub(crate) mod cores;
mod disk_ring;
mod executor;
mod file_handle;
pub(crate) mod fs;
pub(crate) mod journal_file;
mod large_write;
#[cfg(test)]
mod lost_wake_ups;
mod mailbox;
pub(crate) mod net;
mod pulse;
mod staying;
pub(crate) mod tasks;
