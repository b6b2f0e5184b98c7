//! A number that rises.

use std::cell::Cell;

/// Counts events or sums sizes on one core. Wraps around after 2^64.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.set(self.0.get().wrapping_add(amount));
    }

    /// What was counted so far.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}
