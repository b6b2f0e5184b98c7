//! AWS's limits of throughput, for streams that have `stream.limits=aws`: how much a shard takes and
//! gives. Times are passed in, and nobody is waited for.
//!
//! Source of the figures: AWS's documentation of quotas and limits, and of GetRecords.

use std::{collections::BTreeMap, time::Duration};

use model::{ShardId, TopicId};
use tokio::time::Instant;

use crate::error::{ApiError, ErrorKind};

const MIB: i64 = 1 << 20;
/// Data and partition keys that a shard takes in a second, in bytes.
const BYTES_IN: i64 = MIB;
/// Records that a shard takes in a second.
const RECORDS_IN: i64 = 1000;
/// What all calls of GetRecords get of a shard in a second, in bytes. A call may get more; then the
/// next ones have to wait as long as that is worth: five seconds after 10 MiB.
const BYTES_OUT: i64 = 2 * MIB;
/// Calls of GetRecords for a shard in a second.
const CALLS_OUT: i64 = 5;
/// What one consumer is pushed of a shard in a second, in bytes.
const BYTES_PUSHED: u64 = 2 << 20;
/// A shard that nobody asked for that long has all its throughput again, and is forgotten.
const AT_REST: Duration = Duration::from_secs(60);
/// How many shards are kept before those at rest are looked for.
const KEPT: usize = 1024;

/// The time that pushing so many bytes takes.
pub(crate) fn push_time(bytes: usize) -> Duration {
    Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / BYTES_PUSHED)
}

/// AWS's words for a shard that has no throughput left.
pub(crate) fn rate_exceeded(shard: ShardId, stream: &str, account: &str) -> ApiError {
    ApiError::new(
        ErrorKind::ProvisionedThroughputExceeded,
        format!("Rate exceeded for shard {shard} in stream {stream} under account {account}."),
    )
}

/// A token bucket. What is taken may exceed what is there, and is owed then.
#[derive(Debug)]
struct Bucket {
    per_second: i64,
    burst: i64,
    /// In millionths of a token; below zero is owed.
    level: i64,
    filled: Instant,
}

impl Bucket {
    fn new(per_second: i64, burst: i64, now: Instant) -> Bucket {
        Bucket { per_second, burst, level: burst * 1_000_000, filled: now }
    }

    /// Whether `amount` may be taken; of more than the bucket holds, if it is full.
    fn has(&mut self, amount: i64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_micros();
        let passed_us = i64::try_from(passed).unwrap_or(i64::MAX);
        let level = self.level.saturating_add(passed_us.saturating_mul(self.per_second));
        (self.level, self.filled) = (level.min(self.burst * 1_000_000), now);
        self.level >= amount.min(self.burst) * 1_000_000
    }

    fn take(&mut self, amount: i64) {
        self.level = self.level.saturating_sub(amount.saturating_mul(1_000_000));
    }
}

/// One shard's buckets.
#[derive(Debug)]
struct ShardRates {
    bytes_in: Bucket,
    records_in: Bucket,
    bytes_out: Bucket,
    calls_out: Bucket,
    used: Instant,
}

impl ShardRates {
    fn new(now: Instant) -> ShardRates {
        ShardRates {
            bytes_in: Bucket::new(BYTES_IN, BYTES_IN, now),
            records_in: Bucket::new(RECORDS_IN, RECORDS_IN, now),
            bytes_out: Bucket::new(BYTES_OUT, 0, now),
            calls_out: Bucket::new(CALLS_OUT, CALLS_OUT, now),
            used: now,
        }
    }
}

/// What is left of the throughput of this node's shards.
#[derive(Debug, Default)]
pub(crate) struct Throughput {
    shards: BTreeMap<(TopicId, ShardId), ShardRates>,
}

impl Throughput {
    fn of(&mut self, topic: TopicId, shard: ShardId, now: Instant) -> &mut ShardRates {
        if self.shards.len() >= KEPT && !self.shards.contains_key(&(topic, shard)) {
            self.shards.retain(|_, rates| now.saturating_duration_since(rates.used) < AT_REST);
        }
        let rates = self.shards.entry((topic, shard)).or_insert_with(|| ShardRates::new(now));
        rates.used = now;
        rates
    }

    /// Whether the shard takes one more record, of so many bytes with its partition key.
    pub fn admit_record(
        &mut self,
        (topic, shard): (TopicId, ShardId),
        bytes: usize,
        now: Instant,
    ) -> bool {
        let rates = self.of(topic, shard, now);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let admitted = rates.bytes_in.has(bytes, now) & rates.records_in.has(1, now);
        if admitted {
            rates.bytes_in.take(bytes);
            rates.records_in.take(1);
        }
        admitted
    }

    /// Whether the shard answers one more call of GetRecords.
    pub fn admit_call(&mut self, (topic, shard): (TopicId, ShardId), now: Instant) -> bool {
        let rates = self.of(topic, shard, now);
        let admitted = rates.bytes_out.has(1, now) & rates.calls_out.has(1, now);
        if admitted {
            rates.calls_out.take(1);
        }
        admitted
    }

    /// A call of GetRecords was given so many bytes.
    pub fn note_given(&mut self, (topic, shard): (TopicId, ShardId), bytes: usize, now: Instant) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.of(topic, shard, now).bytes_out.take(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: (TopicId, ShardId) = (TopicId(1), ShardId(0));
    const KIB: usize = 1024;

    /// How many records of `bytes` a shard takes when one is put every `every_us` for a second.
    fn taken(
        throughput: &mut Throughput,
        start: Instant,
        bytes: usize,
        every_us: u64,
        seconds: u64,
    ) -> usize {
        let times = (0..seconds * 1_000_000).step_by(every_us as usize);
        let at = |us| start + Duration::from_micros(us);
        times.filter(|us| throughput.admit_record(SHARD, bytes, at(*us))).count()
    }

    #[test]
    fn a_shard_takes_a_thousand_records_and_a_mib_a_second_and_as_much_at_once() {
        for (bytes, seconds, expected) in [
            // A burst of one second's worth, and then what each second allows.
            (1, 1, 2000),
            (1, 10, 11_000),
            (KIB, 10, 11_000),
            (2 * KIB, 10, 512 * 11),
            (100 * KIB, 10, 112),
            // A record above what a second allows is taken, and paid for afterwards.
            (2048 * KIB, 10, 5),
        ] {
            let found = taken(&mut Throughput::default(), Instant::now(), bytes, 100, seconds);
            let off = found.abs_diff(expected);
            assert!(off <= 1, "{bytes} bytes for {seconds} s: {found}, not {expected}");
        }
    }

    #[test]
    fn a_shard_answers_five_calls_a_second() {
        let (mut throughput, start) = (Throughput::default(), Instant::now());
        for (ms, expected) in [
            (0, true),
            (0, true),
            (0, true),
            (0, true),
            (0, true),
            (0, false),
            (199, false),
            (200, true),
            (200, false),
            (400, true),
            (5000, true),
        ] {
            let at = start + Duration::from_millis(ms);
            assert_eq!(throughput.admit_call(SHARD, at), expected, "at {ms} ms");
        }
    }

    #[test]
    fn what_a_call_gives_over_two_mib_a_second_the_next_ones_wait_for() {
        for (given, wait_ms) in [(0, 0), (2 * KIB, 1), (2048 * KIB, 1000), (10_240 * KIB, 5000)] {
            let (mut throughput, start) = (Throughput::default(), Instant::now());
            let at = |ms| start + Duration::from_millis(ms);
            assert!(throughput.admit_call(SHARD, at(0)));
            throughput.note_given(SHARD, given, at(0));
            if wait_ms > 0 {
                assert!(!throughput.admit_call(SHARD, at(wait_ms - 1)), "{given} bytes");
            }
            assert!(throughput.admit_call(SHARD, at(wait_ms)), "{given} bytes");
        }
    }

    #[test]
    fn shards_do_not_share_and_those_at_rest_are_forgotten() {
        let (mut throughput, start) = (Throughput::default(), Instant::now());
        for shard in 0..2000 {
            assert!(throughput.admit_record((TopicId(1), ShardId(shard)), 1 << 20, start));
            assert!(!throughput.admit_record((TopicId(1), ShardId(shard)), 1 << 20, start));
        }
        assert!(throughput.admit_record((TopicId(2), ShardId(0)), 1, start + AT_REST));
        assert_eq!(throughput.shards.len(), 1);
    }

    #[test]
    fn pushing_takes_its_time() {
        for (bytes, ms) in [(0, 0), (2 << 20, 1000), (512 << 10, 250)] {
            assert_eq!(push_time(bytes), Duration::from_millis(ms));
        }
    }
}
