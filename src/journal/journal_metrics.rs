//! What one core's journal counts.

use std::time::Duration;

use metrics::{Buckets, Histogram, HistogramCounts};

/// From one block to 16 MiB.
const FRAME_BYTES: Buckets = Buckets { lowest_log2: 12, octaves: 12, steps_log2: 0 };
/// From one command to 4,096.
const FRAME_COMMANDS: Buckets = Buckets { lowest_log2: 0, octaves: 12, steps_log2: 0 };

/// Counted with every frame that is durable.
#[derive(Debug)]
pub(crate) struct JournalMetrics {
    /// From a write's start to its frame being durable, in nanoseconds.
    write_time: Histogram,
    frame_bytes: Histogram,
    frame_commands: Histogram,
}

impl JournalMetrics {
    pub fn new() -> JournalMetrics {
        JournalMetrics {
            write_time: Histogram::new(Buckets::NANOSECONDS),
            frame_bytes: Histogram::new(FRAME_BYTES),
            frame_commands: Histogram::new(FRAME_COMMANDS),
        }
    }

    /// A frame is on disk.
    pub fn note_write(&self, took: Duration, frame_bytes: usize, commands: u32) {
        self.write_time.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        self.frame_bytes.record(frame_bytes as u64);
        self.frame_commands.record(u64::from(commands));
    }

    pub fn counts(&self) -> JournalCounts {
        JournalCounts {
            write_time_ns: self.write_time.counts(),
            frame_bytes: self.frame_bytes.counts(),
            frame_commands: self.frame_commands.counts(),
        }
    }
}

/// What a journal has counted. Each histogram has one value per write.
#[derive(Debug, Clone)]
pub struct JournalCounts {
    /// How long writes took until they were durable, in nanoseconds.
    pub write_time_ns: HistogramCounts,
    /// How large they were, padding included.
    pub frame_bytes: HistogramCounts,
    /// How many commands had gathered in them.
    pub frame_commands: HistogramCounts,
}
