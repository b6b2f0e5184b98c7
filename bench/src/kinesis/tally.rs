//! What the threads of one load have done, together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::load::sender::Window;
use crate::measure::clock::now_ns;

/// The sums, and the window in which they count.
pub struct Tally {
    /// What is measured.
    pub window: Window,
    issued: AtomicU64,
    done: AtomicU64,
    done_in_window: AtomicU64,
    bytes_in_window: AtomicU64,
    last_done_ns: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Tally {
    /// Of nothing.
    pub fn new(window: Window) -> Tally {
        Tally {
            window,
            issued: AtomicU64::new(0),
            done: AtomicU64::new(0),
            done_in_window: AtomicU64::new(0),
            bytes_in_window: AtomicU64::new(0),
            last_done_ns: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            first_failure: Mutex::new(None),
        }
    }

    /// Whether `records` more may be sent.
    pub fn issue(&self, records: u64) -> bool {
        self.issued.fetch_add(records, Relaxed) < self.window.records
    }

    /// Records of so many bytes together are acknowledged, or have arrived, now. Returns when that is.
    pub fn add(&self, records: u64, bytes: u64) -> u64 {
        let now = now_ns();
        self.done.fetch_add(records, Relaxed);
        if self.window.holds(now) {
            self.done_in_window.fetch_add(records, Relaxed);
            self.bytes_in_window.fetch_add(bytes, Relaxed);
        }
        self.last_done_ns.fetch_max(now, Relaxed);
        now
    }

    /// Something went wrong with `records` records, or with a thread.
    pub fn fail(&self, records: u64, why: &str) {
        if self.failed.fetch_add(records.max(1), Relaxed) == 0 {
            let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
            *first = Some(why.to_owned());
        }
    }

    /// Records that are done.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Records, and their bytes, that were done in the window.
    pub fn in_window(&self) -> (u64, u64) {
        (self.done_in_window.load(Relaxed), self.bytes_in_window.load(Relaxed))
    }

    /// When the last record was done.
    pub fn last_done_ns(&self) -> u64 {
        self.last_done_ns.load(Relaxed)
    }

    /// How many records failed, and why the first did.
    pub fn failures(&self) -> (u64, Option<String>) {
        let first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.failed.load(Relaxed), first)
    }
}
