//! How cores are started: what can be chosen, and what can go wrong.

use std::{io, time::Duration};

use model::CoreId;

/// How many cores to run, and how.
#[derive(Clone, Debug)]
pub struct CoresConfig {
    /// Cores to start, 1 to 65,535. Each is a thread; more than the machine has CPUs share them.
    pub cores: usize,
    /// Whether each thread stays on one CPU: caches stay warm, and the scheduler does not put two cores on one CPU.
    /// Where much else runs on the same CPUs, a pinned thread waits for its own while another is free.
    pub pinned: bool,
    /// How long a core with nothing to do spins before it sleeps. Off (zero) by default: spinning cuts a
    /// round trip between cores from about 60 to 13 microseconds, and costs an idle CPU.
    pub spin_before_park: Duration,
    /// How long [`RunningCores::stop`](crate::RunningCores::stop) waits for calls that are still running.
    pub stop_grace: Duration,
}

impl CoresConfig {
    /// `cores` cores, everything else by default.
    pub fn new(cores: usize) -> CoresConfig {
        CoresConfig {
            cores,
            pinned: true,
            spin_before_park: Duration::ZERO,
            stop_grace: Duration::from_secs(10),
        }
    }
}

/// The cores could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Zero cores, or more than core ids can number.
    #[error("cannot run {cores} cores: choose between 1 and 65535")]
    CoreCount {
        /// What was asked for.
        cores: usize,
    },
    /// The thread or its executor could not be made.
    #[error(
        "{core} could not start its executor: {reason} (see the limits on locked memory, open files and io_uring)"
    )]
    Executor {
        /// The core that failed; the others were stopped again.
        core: CoreId,
        /// What the executor said.
        reason: String,
    },
    /// A thread for blocking file operations could not be made.
    #[error("a thread beside the cores could not be started: {0} (raise the limit on processes)")]
    BlockingThread(#[source] io::Error),
}

/// A core did not end in good order.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Calls were still running when the grace ran out; their callers get [`CoreStopped`](crate::CoreStopped).
    #[error("{core} stopped with {calls} calls still running after {} ms", .grace.as_millis())]
    CallsRunning {
        /// The core.
        core: CoreId,
        /// Calls cut off.
        calls: usize,
        /// How long it waited.
        grace: Duration,
    },
    /// The executor itself failed.
    #[error("{core} ended with an error: {reason}")]
    Executor {
        /// The core.
        core: CoreId,
        /// What the executor said.
        reason: String,
    },
}
