//! When records are meant to be sent.
//!
//! A latency counts from the *intended* time. If the broker stalls for a second, the records that should have been
//! sent in that second waited too; a generator that counts from the moment when it got round to sending them leaves
//! them out (coordinated omission), and shows a far better p99 than users would see.

/// The intended send times of one of several producers that share a rate evenly, taking turns.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start_ns: u64,
    records_per_second: f64,
    producer: u64,
    producers: u64,
}

impl Schedule {
    /// Of `producer` (from 0) of `producers`, which together send `records_per_second` from `start_ns` on.
    pub fn new(start_ns: u64, records_per_second: f64, producer: u64, producers: u64) -> Schedule {
        Schedule { start_ns, records_per_second, producer, producers }
    }

    /// When this producer's record number `index` (from 0) is meant to be sent. Computed from the start, so that
    /// rounding does not add up.
    pub fn intended_ns(&self, index: u64) -> u64 {
        let turn = index * self.producers + self.producer;
        self.start_ns + (turn as f64 * 1e9 / self.records_per_second) as u64
    }
}

/// How many records of `record_size` bytes make `gigabytes` (10^9 bytes); at least one.
pub fn records_in(gigabytes: f64, record_size: u64) -> u64 {
    ((gigabytes * 1e9) as u64 / record_size.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_meant_to_be_sent_evenly() {
        let schedule = Schedule::new(5_000, 1_000.0, 0, 1);
        let times: Vec<u64> = (0..3).map(|index| schedule.intended_ns(index)).collect();
        assert_eq!(times, [5_000, 1_005_000, 2_005_000]);
    }

    #[test]
    fn producers_take_turns() {
        let first = Schedule::new(0, 1_000.0, 0, 2);
        let second = Schedule::new(0, 1_000.0, 1, 2);
        let mut times: Vec<u64> = (0..2)
            .flat_map(|index| [first.intended_ns(index), second.intended_ns(index)])
            .collect();
        times.sort_unstable();
        assert_eq!(times, [0, 1_000_000, 2_000_000, 3_000_000]);
    }

    #[test]
    fn an_interval_that_is_no_whole_number_of_nanoseconds_does_not_drift() {
        let schedule = Schedule::new(0, 3.0, 0, 1);
        assert_eq!(schedule.intended_ns(3_000_000), 1_000_000_000_000_000);
    }
}
