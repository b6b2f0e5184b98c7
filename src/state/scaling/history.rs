//! What a shard has taken over the last window.

use std::{collections::VecDeque, fmt, ops::Add, time::Duration};

/// So many readings are kept of a window at most, however often one looks.
const READINGS_PER_WINDOW: u32 = 16;

/// What is written in a second, on average over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// Bytes a second.
    pub bytes: u64,
    /// Records a second.
    pub records: u64,
}

impl Add for Rate {
    type Output = Rate;

    fn add(self, other: Rate) -> Rate {
        Rate {
            bytes: self.bytes.saturating_add(other.bytes),
            records: self.records.saturating_add(other.records),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes/s and {} records/s", self.bytes, self.records)
    }
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Duration,
    records: u64,
    bytes: u64,
}

/// Readings of what was taken so far. The first is the newest one that is a window old, if any is.
#[derive(Debug, Default)]
pub(super) struct History {
    readings: VecDeque<Reading>,
}

impl History {
    /// Takes in what was taken up to `now`, and gives the rate since the first reading, unless that
    /// is less than a window ago.
    pub fn note(
        &mut self,
        records: u64,
        bytes: u64,
        now: Duration,
        window: Duration,
    ) -> Option<Rate> {
        let is_old = |reading: &Reading| now.saturating_sub(reading.at) >= window;
        while self.readings.get(1).is_some_and(is_old) {
            self.readings.pop_front();
        }
        let first = self.readings.front().copied();
        let apart = window / READINGS_PER_WINDOW;
        let last = self.readings.back();
        if last.is_none_or(|last| now.saturating_sub(last.at) >= apart) {
            self.readings.push_back(Reading { at: now, records, bytes });
        }
        let first = first.filter(is_old)?;
        let passed = now.saturating_sub(first.at);
        Some(Rate {
            bytes: per_second(bytes.saturating_sub(first.bytes), passed)?,
            records: per_second(records.saturating_sub(first.records), passed)?,
        })
    }
}

#[cfg(test)]
impl History {
    pub fn len(&self) -> usize {
        self.readings.len()
    }
}

/// `None` if no time has passed.
fn per_second(amount: u64, passed: Duration) -> Option<u64> {
    let rate = (u128::from(amount) * 1_000_000).checked_div(passed.as_micros())?;
    Some(u64::try_from(rate).unwrap_or(u64::MAX))
}
