//! What Kinesis sees of a partition: shards, the 128-bit hash-key space, sequence numbers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Offset, Timestamp};

/// A shard's number within its stream, from 0; written `shardId-000000000000`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

/// The text is no shard id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a shard id is 'shardId-' and twelve digits")]
pub struct InvalidShardId;

impl FromStr for ShardId {
    type Err = InvalidShardId;

    /// Takes `shardId-` and digits; AWS also takes the bare number with its zeros.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("shardId-").unwrap_or(text);
        if digits.is_empty() || digits.len() > 12 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidShardId);
        }
        digits.parse().map(ShardId).map_err(|_| InvalidShardId)
    }
}

/// A point of the hash-key space, `0..=2^128-1`: the MD5 of a partition key, or an explicit key.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct HashKey(pub u128);

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An inclusive range of hash keys. `start <= end` always holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct HashKeyRange {
    start: HashKey,
    end: HashKey,
}

impl HashKeyRange {
    /// The whole space.
    pub const ALL: HashKeyRange = HashKeyRange { start: HashKey(0), end: HashKey(u128::MAX) };

    /// The range from `start` to `end`, both in it; `None` if `start > end`.
    pub fn new(start: HashKey, end: HashKey) -> Option<HashKeyRange> {
        (start <= end).then_some(HashKeyRange { start, end })
    }

    /// Range `index` of `count` equal ones: `floor(2^128/count) * index` and so on, the last
    /// ending at `2^128-1`, as AWS divides the space. `None` unless `index < count`.
    pub fn uniform(index: u32, count: u32) -> Option<HashKeyRange> {
        if index >= count {
            return None;
        }
        let count = u128::from(count);
        // floor(2^128 / count) without 129 bits; for one range the width itself does not fit.
        if count == 1 {
            return Some(Self::ALL);
        }
        let mut width = u128::MAX / count;
        if u128::MAX % count == count - 1 {
            width += 1;
        }
        let start = width * u128::from(index);
        let last = u128::from(index) + 1 == count;
        let end = if last { u128::MAX } else { start + (width - 1) };
        Self::new(HashKey(start), HashKey(end))
    }

    /// The lowest key in the range.
    pub fn start(self) -> HashKey {
        self.start
    }

    /// The highest key in the range.
    pub fn end(self) -> HashKey {
        self.end
    }

    /// Whether `key` lies in the range.
    pub fn contains(self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }

    /// The number of keys less one (the whole space has `2^128` keys, which do not fit).
    pub fn width_less_one(self) -> u128 {
        self.end.0 - self.start.0
    }

    /// Two halves, the lower first; `None` for a range of one key.
    pub fn halves(self) -> Option<(HashKeyRange, HashKeyRange)> {
        if self.start == self.end {
            return None;
        }
        let middle = self.start.0 + self.width_less_one() / 2;
        Some((
            HashKeyRange { start: self.start, end: HashKey(middle) },
            HashKeyRange { start: HashKey(middle + 1), end: self.end },
        ))
    }
}

/// A record's place in a stream, as Kinesis writes it: a decimal of 56 digits that rises along a
/// shard and from parents to children, and gives the offset back without a look-up.
///
/// Layout, 186 bits from the top, after the version-2 numbers that AWS issues (so that a KCL's
/// own parser of their fields stays content): `10` (2 bits) · the shard's creation time in ms
/// (44) · offset (63) · zero (41) · shard number (32) · version 2 (4).
/// With the leading bits `10` every number has exactly 56 digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SequenceNumber {
    /// When the shard was made; strictly rising within a stream.
    pub shard_created: Timestamp,
    /// The record's offset in its partition.
    pub offset: Offset,
    /// The shard's number.
    pub shard: ShardId,
}

/// The text is no sequence number that this broker could have issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a sequence number of this broker")]
pub struct InvalidSequenceNumber;

const CREATED_BITS: u32 = 44;
const OFFSET_BITS: u32 = 63;
const VERSION: u128 = 2;

impl SequenceNumber {
    /// The number's 186 bits as (upper 93, lower 93).
    fn bits(self) -> (u128, u128) {
        let created = u128::from(self.shard_created.0.max(0) as u64) & ((1 << CREATED_BITS) - 1);
        let offset = u128::from(self.offset.0.max(0) as u64) & ((1 << OFFSET_BITS) - 1);
        // Upper 93 bits: 2 marker, 44 time, top 47 of the offset; lower 93: 16 of the offset, …
        let upper = (0b10 << 91) | (created << 47) | (offset >> 16);
        let lower = ((offset & 0xffff) << 77) | (u128::from(self.shard.0) << 4) | VERSION;
        (upper, lower)
    }
}

/// 10^28: splits a 56-digit decimal into two halves that fit 128 bits.
const HALF: u128 = 10_000_000_000_000_000_000_000_000_000;

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (upper, lower) = self.bits();
        // Long division of the 186-bit number, in limbs of 31 bits, by 10^28 taken as 10^14 twice.
        let mut limbs = [0_u128; 6];
        for (i, limb) in limbs.iter_mut().enumerate() {
            let half = if i < 3 { upper } else { lower };
            *limb = (half >> (62 - 31 * (i as u32 % 3))) & 0x7fff_ffff;
        }
        let mut low = 0_u128;
        for weight in [1, 100_000_000_000_000_u128] {
            low += weight * divide(&mut limbs, 100_000_000_000_000);
        }
        let high = limbs.iter().fold(0_u128, |sum, limb| (sum << 31) | limb);
        write!(f, "{high}{low:028}")
    }
}

/// Divides the big-endian 31-bit limbs in place and returns the remainder. `divisor < 2^64`.
fn divide(limbs: &mut [u128; 6], divisor: u128) -> u128 {
    let mut remainder = 0;
    for limb in limbs {
        let current = (remainder << 31) | *limb;
        *limb = current / divisor;
        remainder = current % divisor;
    }
    remainder
}

impl FromStr for SequenceNumber {
    type Err = InvalidSequenceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 56 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidSequenceNumber);
        }
        let (high, low) = text.split_at(28);
        let high: u128 = high.parse().map_err(|_| InvalidSequenceNumber)?;
        let low: u128 = low.parse().map_err(|_| InvalidSequenceNumber)?;
        // high * 10^28 + low in limbs of 31 bits, most significant last.
        let mut limbs = [0_u128; 7];
        let mut carry = low;
        for (i, limb) in limbs.iter_mut().enumerate() {
            carry += multiply_limb(high, i);
            *limb = carry & 0x7fff_ffff;
            carry >>= 31;
        }
        let [l0, l1, l2, u0, u1, u2, beyond] = limbs;
        if carry != 0 || beyond != 0 {
            return Err(InvalidSequenceNumber);
        }
        let (upper, lower) = ((u2 << 62) | (u1 << 31) | u0, (l2 << 62) | (l1 << 31) | l0);
        let offset = ((upper & ((1 << 47) - 1)) << 16) | (lower >> 77);
        let number = SequenceNumber {
            shard_created: Timestamp(((upper >> 47) & ((1 << CREATED_BITS) - 1)) as i64),
            offset: Offset(offset as i64),
            shard: ShardId(((lower >> 4) & 0xffff_ffff) as u32),
        };
        // Whatever else the digits said, they must be what we would have written.
        if number.bits() == (upper, lower) { Ok(number) } else { Err(InvalidSequenceNumber) }
    }
}

/// The `index`-th 31-bit column of `high * 10^28`, before carries.
fn multiply_limb(high: u128, index: usize) -> u128 {
    let limb = |value: u128, i: usize| {
        if i < 5 { (value >> (31 * i)) & 0x7fff_ffff } else { 0 }
    };
    (0..=index).map(|i| limb(high, i) * limb(HALF, index - i)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(created: i64, offset: i64, shard: u32) -> SequenceNumber {
        SequenceNumber {
            shard_created: Timestamp(created),
            offset: Offset(offset),
            shard: ShardId(shard),
        }
    }

    #[test]
    fn sequence_numbers_have_56_digits_and_round_trip() {
        for (created, offset, shard) in [
            (0, 0, 0),
            (1_795_000_000_000, 0, 0),
            (1_795_000_000_000, i64::MAX, u32::MAX),
            (1_795_000_000_001, 65_535, 3),
            (1_795_000_000_001, 65_536, 3),
            ((1 << 44) - 1, 123_456_789_012, 77),
        ] {
            let n = number(created, offset, shard);
            let text = n.to_string();
            assert_eq!(text.len(), 56, "{text}");
            assert_eq!(text.parse(), Ok(n), "{text}");
        }
    }

    #[test]
    fn sequence_numbers_rise_with_offset_and_with_the_shards_age() {
        let parent_end = number(1_795_000_000_000, 999_999, 0).to_string();
        let child = number(1_795_000_000_001, 5, 9).to_string();
        let next = number(1_795_000_000_001, 6, 9).to_string();
        assert!(parent_end < child && child < next, "{parent_end} {child} {next}");
    }

    #[test]
    fn foreign_digits_are_refused() {
        for text in [
            "",
            "0",
            &"9".repeat(56),
            &"1".repeat(56),
            "49590338271490256608559692538361571095921575989136588898",
            "4959033827149025660855969253836157109592157598913658889x",
        ] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
    }

    #[test]
    fn uniform_ranges_cover_the_space_without_gap_or_overlap() {
        for count in [1_u32, 2, 3, 4, 7, 16, 1000] {
            let mut next = 0_u128;
            for index in 0..count {
                let range = HashKeyRange::uniform(index, count).expect("index is below count");
                assert_eq!(range.start().0, next, "{index} of {count}");
                next = range.end().0.wrapping_add(1);
            }
            assert_eq!(next, 0, "the last of {count} ends at 2^128-1");
        }
        let first = HashKeyRange::uniform(0, 2).expect("0 < 2");
        assert_eq!(first.end().to_string(), "170141183460469231731687303715884105727");
    }

    #[test]
    fn shard_ids_have_aws_form() {
        assert_eq!(ShardId(7).to_string(), "shardId-000000000007");
        assert_eq!("shardId-000000000007".parse(), Ok(ShardId(7)));
        assert!("shardId-".parse::<ShardId>().is_err());
        assert!("shardId-99999999999999".parse::<ShardId>().is_err());
    }
}
