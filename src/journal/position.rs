//! Where a command stands in a core's journal.

use std::fmt;

/// A frame's sequence number. The first frame is 1; 0 is "before everything". Rises by one with
/// each frame, over files and restarts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct JournalPosition(pub u64);

impl JournalPosition {
    /// Before the first frame.
    pub const NONE: JournalPosition = JournalPosition(0);
    /// The first frame of a new journal.
    pub const FIRST: JournalPosition = JournalPosition(1);

    /// The frame that follows.
    pub fn next(self) -> JournalPosition {
        JournalPosition(self.0 + 1)
    }
}

impl fmt::Display for JournalPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
