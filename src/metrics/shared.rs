//! The same off the cores, where threads take turns: for doors on tokio.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Buckets, HistogramCounts};

/// Counts values by size, from any thread. Dearer than [`crate::Histogram`]: not for cores.
#[derive(Debug)]
pub struct SharedHistogram {
    buckets: Buckets,
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl SharedHistogram {
    /// Nothing counted yet.
    pub fn new(buckets: Buckets) -> SharedHistogram {
        let counts = (0..buckets.count()).map(|_| AtomicU64::new(0)).collect();
        SharedHistogram { buckets, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        if let Some(count) = self.counts.get(self.buckets.of(value)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What was counted so far. Values that are counted meanwhile may be in the counts and not in
    /// the sum, or the other way round.
    pub fn counts(&self) -> HistogramCounts {
        HistogramCounts {
            buckets: self.buckets,
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}
