//! What the records hold.

use crate::load::options::Payload;

/// Records below this size carry no time.
pub const STAMP_BYTES: usize = 8;
const VARIANTS: usize = 64;
const WORDS: [&str; 16] = [
    "temperature",
    "pressure",
    "sensor",
    "celsius",
    "north",
    "south",
    "valve",
    "open",
    "closed",
    "reading",
    "error",
    "normal",
    "maintenance",
    "station",
    "flow",
    "level",
];

/// A producer's records, made before the measurement, handed out in turn.
pub struct Records {
    variants: Vec<Vec<u8>>,
    next: usize,
}

impl Records {
    /// Records of `size_bytes`; different seeds, different records.
    pub fn new(size_bytes: usize, payload: Payload, seed: u64) -> Records {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let variants = (0..VARIANTS).map(|_| contents(size_bytes, payload, &mut random)).collect();
        Records { variants, next: 0 }
    }

    /// The next record, with the time that it counts from in its first eight bytes, if it is that large.
    pub fn next(&mut self, intended_ns: u64) -> &[u8] {
        self.next = (self.next + 1) % VARIANTS;
        let Some(record) = self.variants.get_mut(self.next) else { return &[] };
        if let Some(stamp) = record.first_chunk_mut::<STAMP_BYTES>() {
            *stamp = intended_ns.to_le_bytes();
        }
        record
    }
}

/// The time in a record; none if the record is too small to hold one.
pub fn stamp_ns(record: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*record.first_chunk::<STAMP_BYTES>()?))
}

fn contents(size_bytes: usize, payload: Payload, random: &mut Random) -> Vec<u8> {
    let mut contents = Vec::with_capacity(size_bytes + 16);
    while contents.len() < size_bytes {
        let number = random.next();
        match payload {
            Payload::Random => contents.extend_from_slice(&number.to_le_bytes()),
            Payload::Text => {
                let word = WORDS.get(number as usize % WORDS.len()).copied().unwrap_or_default();
                contents.extend_from_slice(word.as_bytes());
                contents.push(b' ');
            }
        }
    }
    contents.truncate(size_bytes);
    contents
}

// xorshift64*: only the look of randomness is needed, and the same records every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_carries_the_time_that_it_counts_from() {
        let mut records = Records::new(100, Payload::Random, 1);
        let record = records.next(123_456_789);
        assert_eq!(record.len(), 100);
        assert_eq!(stamp_ns(record), Some(123_456_789));
    }

    #[test]
    fn a_record_too_small_for_a_time_carries_none() {
        let mut records = Records::new(7, Payload::Text, 1);
        assert_eq!(stamp_ns(records.next(1)), None);
    }

    #[test]
    fn neighbouring_records_differ() {
        let mut records = Records::new(100, Payload::Random, 1);
        let first = records.next(0).to_vec();
        assert_ne!(first, records.next(0));
    }
}
