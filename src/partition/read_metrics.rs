//! Where reads of one core found their batches.

use metrics::Counter;

/// Counted with every read that found something.
#[derive(Debug, Default)]
pub(crate) struct ReadMetrics {
    pub tail: Found,
    pub segments: Found,
}

/// What one place gave.
#[derive(Debug, Default)]
pub(crate) struct Found {
    reads: Counter,
    bytes: Counter,
}

impl Found {
    /// A read found so much here; nothing is no find.
    pub fn note(&self, bytes: usize) {
        if bytes > 0 {
            self.reads.increment();
            self.bytes.add(bytes as u64);
        }
    }

    fn counts(&self) -> FoundCounts {
        FoundCounts { reads: self.reads.get(), bytes: self.bytes.get() }
    }
}

impl ReadMetrics {
    pub fn counts(&self) -> ReadCounts {
        ReadCounts { tail: self.tail.counts(), segments: self.segments.counts() }
    }
}

/// Where reads found their batches. One that begins in a segment and ends in the tail counts for
/// both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// In memory.
    pub tail: FoundCounts,
    /// In segment files, whether the operating system had them in its cache or not.
    pub segments: FoundCounts,
}

/// What one place gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FoundCounts {
    /// Reads that found something.
    pub reads: u64,
    /// Bytes of the batches found.
    pub bytes: u64,
}
