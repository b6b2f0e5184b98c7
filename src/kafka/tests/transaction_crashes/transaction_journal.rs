//! What producers did in their transactions and what they were told; and with it, what readers may be
//! shown: nothing of an open or aborted transaction, and a last stable offset that is exact.

use std::collections::{BTreeMap, BTreeSet};

use runtime::{Instant, simulation::Machine};

use crate::transactional_producer::PARTITIONS;

/// What is known of a transaction's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was confirmed.
    Committed,
    /// Its abort was confirmed, or it was refused, or its commit has not been asked for.
    Aborted,
    /// Nobody answered the request to commit it.
    Unknown,
}

/// What a transaction has written to one partition.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// No record of it lies below.
    from: i64,
    /// Its first record, once that was acknowledged.
    first: Option<i64>,
    /// Batches of one record that were acknowledged.
    pub records: usize,
}

/// What a member of a group has processed: offsets `from..to` of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processed {
    pub partition: usize,
    pub from: i64,
    pub to: i64,
}

/// One transaction.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub key: String,
    /// The transactional id.
    pub id: String,
    pub group: String,
    /// The offset that it commits for the group, on nobody's behalf.
    pub offset: Option<i64>,
    /// What it processes as a member of another group, whose offset it commits.
    pub processed: Option<Processed>,
    pub partitions: BTreeSet<usize>,
    pub outcome: Outcome,
    pub written: BTreeMap<usize, Written>,
    /// Nothing ends it before this time; `None` once something may have.
    pub open_until: Option<Instant>,
}

impl Attempt {
    pub fn new(id: &str, key: String, partitions: BTreeSet<usize>) -> Attempt {
        Attempt {
            key,
            id: id.to_owned(),
            group: String::new(),
            offset: None,
            processed: None,
            partitions,
            outcome: Outcome::Aborted,
            written: BTreeMap::new(),
            open_until: None,
        }
    }
}

/// What everybody knows of a partition.
#[derive(Debug, Default)]
struct Known {
    /// The greatest high watermark, and the greatest last stable offset, that anybody was told.
    high: i64,
    stable: i64,
    /// What `read_committed` readers were shown at each offset.
    shown: BTreeMap<i64, String>,
}

/// All transactions, in the order in which they began.
#[derive(Debug, Default)]
pub struct Journal {
    pub attempts: Vec<Attempt>,
    by_key: BTreeMap<String, usize>,
    /// Those whose markers may not all be written.
    live: BTreeSet<usize>,
    /// Requests for the identity of an id that may still be under way: each ends what the id has open.
    claims: BTreeMap<String, Vec<u64>>,
    partitions: [Known; PARTITIONS],
}

/// What was known when a fetch was sent.
pub struct Watch {
    live: BTreeSet<usize>,
    certainly_open: Vec<usize>,
    attempts: usize,
    stable: i64,
}

impl Journal {
    pub fn count(&self, outcome: Outcome) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome == outcome).count()
    }

    /// A transaction is about to begin. Its coordinator ends it on its own after `timeout_ms`.
    pub fn begin(&mut self, mut attempt: Attempt, timeout_ms: i32) -> usize {
        let timeout = std::time::Duration::from_millis(timeout_ms as u64);
        attempt.open_until = Some(runtime::now() + timeout);
        let place = self.attempts.len();
        self.by_key.insert(attempt.key.clone(), place);
        self.live.insert(place);
        self.attempts.push(attempt);
        place
    }

    /// A record of it is sent to a partition.
    pub fn write(&mut self, place: usize, partition: usize) {
        let from = self.partitions[partition].high;
        let fresh = || Written { from, ..Written::default() };
        self.attempts[place].written.entry(partition).or_insert_with(fresh);
    }

    /// The record is there.
    pub fn wrote(&mut self, place: usize, partition: usize, offset: i64) {
        self.note_high(partition, offset + 1);
        let written = self.attempts[place].written.get_mut(&partition).expect("it was sent");
        written.first.get_or_insert(offset);
        written.records += 1;
    }

    fn note_high(&mut self, partition: usize, high: i64) {
        let known = &mut self.partitions[partition].high;
        *known = high.max(*known);
    }

    /// Its end is asked for, or it is given up: from now on it may be over at any time.
    pub fn let_end(&mut self, place: usize) {
        self.attempts[place].open_until = None;
    }

    /// Its markers are written.
    pub fn is_over(&mut self, place: usize) {
        self.live.remove(&place);
    }

    /// The identity of an id is asked for, which ends what the id has open.
    pub fn claim(&mut self, id: &str) -> usize {
        self.let_all_end(id);
        let crashes = Machine::default().crash_count();
        self.claims.entry(id.to_owned()).or_default().push(crashes);
        self.attempts.len()
    }

    /// The answer has come.
    pub fn claim_is_answered(&mut self, id: &str) {
        self.let_all_end(id);
        self.claims.entry(id.to_owned()).or_default().pop();
    }

    /// It was a new identity: whatever the id had begun before it was asked for is over.
    pub fn identity_is_new(&mut self, id: &str, attempts_before: usize) {
        let attempts = &self.attempts;
        self.live.retain(|place| *place >= attempts_before || attempts[*place].id != id);
    }

    fn let_all_end(&mut self, id: &str) {
        for place in &self.live {
            let attempt = &mut self.attempts[*place];
            if attempt.id == id {
                attempt.open_until = None;
            }
        }
    }

    fn is_certainly_open(&self, place: usize) -> bool {
        let attempt = &self.attempts[place];
        // A claim whose answer was lost may still arrive, unless the broker has died since.
        let now = Machine::default().crash_count();
        let claims = self.claims.get(&attempt.id);
        let is_claimed = claims.is_some_and(|claims| claims.contains(&now));
        attempt.open_until.is_some_and(|until| runtime::now() < until) && !is_claimed
    }

    /// A `read_committed` reader is about to fetch from a partition.
    pub fn watch(&self, partition: usize) -> Watch {
        let has_written = |place: &usize| {
            let written = self.attempts[*place].written.get(&partition);
            written.is_some_and(|written| written.first.is_some())
        };
        let open = self.live.iter().copied().filter(has_written);
        Watch {
            live: self.live.clone(),
            certainly_open: open.filter(|place| self.is_certainly_open(*place)).collect(),
            attempts: self.attempts.len(),
            stable: self.partitions[partition].stable,
        }
    }

    /// The answer says that a partition is stable up to an offset: not beyond the first record of a
    /// transaction that is open, and not below that of one that may be.
    pub fn check_ends(&mut self, partition: usize, watch: &Watch, stable: i64, high: i64) {
        assert!(
            stable <= high,
            "partition {partition} is stable up to {stable} and ends at {high}"
        );
        let before = watch.stable;
        assert!(stable >= before, "the last stable offset went back from {before} to {stable}");
        for place in &watch.certainly_open {
            let attempt = &self.attempts[*place];
            let first = attempt.written[&partition].first.expect("acknowledged");
            assert!(
                stable <= first || !self.is_certainly_open(*place),
                "partition {partition} is stable up to {stable}, where {attempt:?} is open"
            );
        }
        let begun_since = watch.attempts..self.attempts.len();
        let firsts = watch.live.iter().copied().chain(begun_since).filter_map(|place| {
            let written = self.attempts[place].written.get(&partition)?;
            Some(written.first.unwrap_or(written.from))
        });
        let lowest = firsts.min().map_or(high, |first| first.min(high));
        assert!(
            stable >= lowest,
            "partition {partition} is stable up to {stable} of {high}, and nothing can be open below {lowest}"
        );
        self.note_high(partition, high);
        let known = &mut self.partitions[partition].stable;
        *known = stable.max(*known);
    }

    /// A `read_committed` reader was given a record.
    pub fn show(&mut self, partition: usize, offset: i64, key: &str) {
        let place = *self.by_key.get(key).expect("only what was written can be read");
        let attempt = &self.attempts[place];
        assert!(
            attempt.outcome != Outcome::Aborted,
            "partition {partition} shows offset {offset}, aborted or not yet committed: {attempt:?}"
        );
        let shown = &mut self.partitions[partition].shown;
        let before = shown.entry(offset).or_insert_with(|| key.to_owned());
        assert_eq!(before, key, "partition {partition} shows another record at {offset}");
    }

    /// What was shown of a partition below an offset must be all that is found there in the end.
    pub fn check_shown(&self, partition: usize, found: &BTreeMap<i64, String>) {
        for (offset, key) in &self.partitions[partition].shown {
            assert_eq!(found.get(offset), Some(key), "partition {partition} offset {offset}");
        }
    }
}
