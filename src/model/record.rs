//! What a record carries or is given: offset, leader epoch, producer identity, time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A record's position in its partition, from 0.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Offset(pub i64);

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Offset = Offset(0);

    /// The offset `count` records later; saturates at the greatest offset.
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0.saturating_add(count))
    }

    /// The offset that follows.
    pub fn next(self) -> Offset {
        self.plus(1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Kafka's name for the term in which a leader wrote a batch.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    /// "Not known", as clients send it.
    pub const UNKNOWN: LeaderEpoch = LeaderEpoch(-1);
}

/// An idempotent producer's identity, given out by InitProducerId.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct ProducerId(pub i64);

impl ProducerId {
    /// A batch of a producer that is not idempotent.
    pub const NONE: ProducerId = ProducerId(-1);
}

/// Distinguishes incarnations of one producer id.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct ProducerEpoch(pub i16);

impl ProducerEpoch {
    /// A batch of a producer that is not idempotent.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}

/// A record's number in its producer's sequence on one partition, `0..=i32::MAX`, then 0 again.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct BatchSequence(pub i32);

impl BatchSequence {
    /// A batch of a producer that is not idempotent.
    pub const NONE: BatchSequence = BatchSequence(-1);

    /// The sequence `count` records later, wrapping from `i32::MAX` to 0 as Kafka's
    /// `DefaultRecordBatch.incrementSequence` does. `count` is not negative.
    pub fn plus(self, count: i32) -> BatchSequence {
        let wrapped = (i64::from(self.0) + i64::from(count)).rem_euclid(i64::from(i32::MAX) + 1);
        // The remainder is in 0..=i32::MAX, so the conversion never takes the fallback.
        BatchSequence(i32::try_from(wrapped).unwrap_or(0))
    }
}

/// Milliseconds since the Unix epoch; -1 is "none" in Kafka's protocol.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// "No timestamp".
    pub const NONE: Timestamp = Timestamp(-1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_wraps_to_zero_after_the_greatest_value() {
        assert_eq!(BatchSequence(i32::MAX).plus(1), BatchSequence(0));
        assert_eq!(BatchSequence(i32::MAX - 1).plus(3), BatchSequence(1));
        assert_eq!(BatchSequence(7).plus(0), BatchSequence(7));
    }
}
