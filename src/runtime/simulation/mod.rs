//! The runtime without an operating system: one thread, chance from a seed, time that jumps, disks
//! that forget, sockets that break. A crash or a race becomes a number that anyone can replay.
//!
//! **What it owns.** Every choice of a run: which task runs next, how long a disk or a packet takes,
//! what survives a power cut. All of it follows from the seed ([`Simulation::new`]).
//!
//! **What it must never do.** Ask the operating system for time, chance or threads; depend on an
//! address in memory or on a hash map's order.
//!
//! **Where to start reading.** [`Simulation`] and the controls in `control.rs`; then `executor.rs`
//! (who runs when), `disk.rs` and `forgetting.rs` (what a crash leaves), `network.rs`.
//!
//! A test looks like this:
//! ```ignore
//! Simulation::new(seed).run(async {
//!     let cores = simulation::start_cores(2, |core, cores| Broker::new(core, cores));
//!     // ... talk to it through `cores.cores().call(..)` or `net::connect(..)`
//!     simulation::crash(CrashKind::PowerCut);
//!     let cores = simulation::start_cores(2, |core, cores| Broker::new(core, cores));
//!     // ... look at what it remembers
//! });
//! ```
//! The test's own tasks survive crashes and see the default machine's disk.

pub(crate) mod clock;
mod control;
pub(crate) mod cores;
mod disk;
mod executor;
mod faults;
mod forgetting;
pub(crate) mod fs;
pub(crate) mod journal_file;
mod machine;
pub(crate) mod net;
mod network;
mod pages;
mod random;
mod run;
pub(crate) mod tasks;
mod time;

#[cfg(test)]
mod tests;

pub use control::{
    Machine, clear_faults, corrupt_file, crash, crashed, cut_connections, fail_next, flip_bit,
    open_connections, sabotage, set_cuts_per_million, set_free_bytes, settle, shift_wall_clock,
    start_cores, start_process, used_bytes,
};
pub use faults::{DiskOperation, Sabotage};
pub use machine::{CrashKind, MachineId};
pub use random::Random;
pub use run::{RunRecord, Simulation};
