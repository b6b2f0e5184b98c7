//! Records that pass a point, and their bytes.

use std::ops::AddAssign;

use crate::Counter;

/// Counts record batches that pass a point on one core.
#[derive(Debug, Default)]
pub struct Traffic {
    records: Counter,
    bytes: Counter,
}

impl Traffic {
    /// A batch passes.
    pub fn note(&self, records: u64, bytes: u64) {
        self.records.add(records);
        self.bytes.add(bytes);
    }

    /// Takes over what was counted elsewhere.
    pub fn absorb(&self, counted: TrafficCounts) {
        self.note(counted.records, counted.bytes);
    }

    /// What was counted so far.
    pub fn counts(&self) -> TrafficCounts {
        TrafficCounts { records: self.records.get(), bytes: self.bytes.get() }
    }
}

/// What has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Records.
    pub records: u64,
    /// Bytes of their batches, headers included, as compressed as they came.
    pub bytes: u64,
}

impl TrafficCounts {
    /// What is left without `other`; nothing rather than less.
    pub fn saturating_sub(self, other: TrafficCounts) -> TrafficCounts {
        TrafficCounts {
            records: self.records.saturating_sub(other.records),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

impl AddAssign for TrafficCounts {
    fn add_assign(&mut self, other: TrafficCounts) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}
