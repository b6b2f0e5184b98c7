//! Fetch: read every partition where it lives; wait on the partitions, without polling, until
//! there is enough.

use std::{collections::BTreeMap, pin::pin, rc::Rc, time::Duration};

use futures_util::{
    FutureExt,
    future::{self, Either},
    stream::{FuturesUnordered, StreamExt},
};
use lane::OwnedPartition;
use model::{CoreId, LeaderEpoch, Offset};
use partition::StorageError;
use runtime::sync::oneshot;

use crate::{
    Broker, BrokerError, FetchPartition, FetchRequest, Fetched, Outcome, StandingReads,
    standing_reads::{Known, refused},
};

/// A partition of a request with its place there.
pub(crate) type Placed = (usize, FetchPartition);

/// What became of it, with the same place.
pub(crate) type PlacedOutcome = (usize, Outcome<Fetched>);

impl Broker {
    /// Reads what is there, and waits for more if that is less than `min_bytes` and no partition
    /// is in error. The answers stand in the order of the request. Dropping the future ends the
    /// wait on every core.
    pub async fn fetch(self: &Rc<Self>, request: FetchRequest) -> Vec<Outcome<Fetched>> {
        self.fetch_again(request, &StandingReads::default()).await
    }

    /// The same for a reader that has asked before and will ask again.
    pub async fn fetch_again(
        self: &Rc<Self>,
        request: FetchRequest,
        standing: &StandingReads,
    ) -> Vec<Outcome<Fetched>> {
        let _waiting = standing.begin_waiting();
        let deadline = runtime::now() + request.max_wait;
        let mut outcomes = self.read_all(&request, standing).await;
        loop {
            let failed = outcomes.iter().any(Result::is_err);
            let size_bytes: usize = outcomes.iter().flatten().map(Fetched::size_bytes).sum();
            let now = runtime::now();
            let enough = size_bytes >= request.min_bytes || request.partitions.is_empty();
            if failed || enough || now >= deadline || self.stopping.get() {
                self.given.note(&request, &outcomes, &self.catalog);
                return outcomes;
            }
            for (place, outcome) in self.wait(&request, &outcomes, deadline - now, standing).await {
                put(&mut outcomes, place, outcome);
            }
            keep_within(&mut outcomes, request.max_bytes);
        }
    }

    async fn read_all(
        self: &Rc<Self>,
        request: &FetchRequest,
        standing: &StandingReads,
    ) -> Vec<Outcome<Fetched>> {
        let mut outcomes: Vec<Outcome<Fetched>> =
            vec![Err(BrokerError::Stopping); request.partitions.len()];
        let mut groups: BTreeMap<CoreId, Vec<Placed>> = BTreeMap::new();
        for (place, partition) in request.partitions.iter().enumerate() {
            match self.owner(partition.topic) {
                Ok(core) => groups.entry(core).or_default().push((place, *partition)),
                Err(error) => put(&mut outcomes, place, Err(error)),
            }
        }
        let max_bytes = request.max_bytes;
        let here = groups.remove(&self.core);
        standing.keep_only(|core| groups.contains_key(&core));
        let mut there = FuturesUnordered::new();
        for (core, group) in groups {
            match standing.know(core, &group, request) {
                Known::Nothing => there.push(self.read_there(core, group, request, standing)),
                Known::Read(group) | Known::Waits(group) => {
                    group.into_iter().for_each(|(place, got)| put(&mut outcomes, place, got));
                }
            }
        }
        // Posts the questions before this core reads its own.
        let mut answers = Vec::new();
        while let Some(Some(answer)) = there.next().now_or_never() {
            answers.push(answer);
        }
        if let Some(group) = here {
            answers.push(self.read_here(group, max_bytes).await);
        }
        while let Some(answer) = there.next().await {
            answers.push(answer);
        }
        for (place, outcome) in answers.into_iter().flatten() {
            put(&mut outcomes, place, outcome);
        }
        keep_within(&mut outcomes, max_bytes);
        outcomes
    }

    /// Reads partitions of this core, in order, until the byte budget is spent.
    pub(crate) async fn read_here(
        &self,
        group: Vec<Placed>,
        max_bytes: usize,
    ) -> Vec<PlacedOutcome> {
        let mut left_bytes = max_bytes;
        let mut any = false;
        let mut outcomes = Vec::with_capacity(group.len());
        for (place, wanted) in group {
            let outcome = self.read_one(wanted, left_bytes, any).await;
            if let Ok(fetched) = &outcome {
                let size_bytes = fetched.size_bytes();
                left_bytes = left_bytes.saturating_sub(size_bytes);
                any |= size_bytes > 0;
            }
            outcomes.push((place, outcome));
        }
        outcomes
    }

    async fn read_one(
        &self,
        wanted: FetchPartition,
        left_bytes: usize,
        any: bool,
    ) -> Outcome<Fetched> {
        let (lane, partition) = self.local(wanted.topic)?;
        check_epoch(wanted.leader_epoch, lane.leader_epoch())?;
        let ceiling = ceiling(&partition, wanted.read_committed);
        let mut fetched = Fetched {
            batches: Vec::new(),
            high_watermark: partition.high_watermark(),
            last_stable: partition.last_stable(),
            log_start: partition.log.log_start(),
            aborted: Vec::new(),
        };
        let max_bytes = wanted.max_bytes.min(left_bytes);
        let log = &partition.log;
        if wanted.offset < log.log_start() || wanted.offset > log.log_end() {
            return Err(out_of_range(&partition));
        }
        if wanted.offset >= ceiling || (any && max_bytes == 0) {
            return Ok(fetched);
        }
        let read = log.read(wanted.offset, max_bytes, ceiling).await;
        let read = read.map_err(|error| storage_error(&partition, error))?;
        // Only the first non-empty partition of a reply may exceed the budget (KIP-74).
        if !any || read.size_bytes <= max_bytes {
            fetched.batches = read.batches;
        }
        if wanted.read_committed
            && let Some(last) = fetched.batches.last()
            && let Ok(header) = batch::BatchHeader::parse(last)
        {
            fetched.aborted = log.aborted_within(wanted.offset, header.next_offset());
        }
        Ok(fetched)
    }

    /// Resolves when any partition has more than was read, or time is up. The core that has more
    /// reads it at once: a second call would cost what the first one did.
    async fn wait(
        self: &Rc<Self>,
        request: &FetchRequest,
        outcomes: &[Outcome<Fetched>],
        at_most: Duration,
        standing: &StandingReads,
    ) -> Vec<PlacedOutcome> {
        let mut groups: BTreeMap<CoreId, Vec<(Placed, Offset)>> = BTreeMap::new();
        for (place, (partition, outcome)) in request.partitions.iter().zip(outcomes).enumerate() {
            let (Ok(core), Ok(fetched)) = (self.owner(partition.topic), outcome) else { continue };
            groups.entry(core).or_default().push(((place, *partition), fetched.high_watermark));
        }
        let max_bytes = request.max_bytes;
        let mut waits = FuturesUnordered::new();
        // Dropped with this future, which ends the waits on the other cores.
        let mut cancels = Vec::new();
        for (core, group) in groups {
            if core == self.core {
                waits.push(Either::Left(self.read_when_appended(group, max_bytes)));
            } else if !standing.stands(core) {
                let (cancel, cancelled) = oneshot::channel::<()>();
                cancels.push(cancel);
                let asked: Vec<Placed> = group.iter().map(|(placed, _)| *placed).collect();
                let call = self.cores.call(core, move |owner: Rc<Broker>| async move {
                    let read = pin!(owner.read_when_appended(group, max_bytes));
                    match future::select(read, cancelled).await {
                        Either::Left((read, _)) => read,
                        Either::Right(_) => Vec::new(),
                    }
                });
                // A core that has stopped is told as by the first read, not waited for again.
                waits.push(Either::Right(
                    call.map(move |read| read.unwrap_or_else(|_| refused(&asked))),
                ));
            }
        }
        let here_or_new = async {
            match waits.next().await {
                Some(read) => read,
                None => future::pending().await,
            }
        };
        let here_or_new = pin!(here_or_new);
        let first = future::select(here_or_new, standing.next());
        // A timeout is as good an end as any.
        let first = runtime::timeout(at_most, first).await;
        first.map(|first| first.factor_first().0).unwrap_or_default()
    }

    async fn read_when_appended(
        &self,
        group: Vec<(Placed, Offset)>,
        max_bytes: usize,
    ) -> Vec<PlacedOutcome> {
        let (placed, ends): (Vec<Placed>, Vec<Offset>) = group.into_iter().unzip();
        self.wait_here(placed.iter().map(|(_, partition)| *partition).zip(ends)).await;
        self.read_here(placed, max_bytes).await
    }

    pub(crate) async fn wait_here(&self, group: impl Iterator<Item = (FetchPartition, Offset)>) {
        let mut appends = FuturesUnordered::new();
        for (wanted, beyond) in group {
            // A partition that is gone has something to tell, too: do not wait.
            let Ok((_, partition)) = self.local(wanted.topic) else { return };
            appends.push(partition.log.wait_for_append(beyond));
        }
        appends.next().await;
    }
}

fn put<T>(outcomes: &mut [Outcome<T>], place: usize, outcome: Outcome<T>) {
    if let Some(slot) = outcomes.get_mut(place) {
        *slot = outcome;
    }
}

/// Each core read up to the whole budget; what is over it in the order of the request goes back.
fn keep_within(outcomes: &mut [Outcome<Fetched>], max_bytes: usize) {
    let mut left_bytes = max_bytes;
    let mut any = false;
    for fetched in outcomes.iter_mut().flatten() {
        let mut kept = 0;
        for batch in &fetched.batches {
            let first = !any && kept == 0;
            if batch.len() > left_bytes && !first {
                break;
            }
            left_bytes = left_bytes.saturating_sub(batch.len());
            kept += 1;
        }
        any |= kept > 0;
        fetched.batches.truncate(kept);
    }
}

pub(crate) fn ceiling(partition: &OwnedPartition, read_committed: bool) -> Offset {
    if read_committed { partition.last_stable() } else { partition.high_watermark() }
}

pub(crate) fn check_epoch(claimed: Option<LeaderEpoch>, current: LeaderEpoch) -> Outcome<()> {
    match claimed {
        Some(claimed) if claimed != LeaderEpoch::UNKNOWN && claimed < current => {
            Err(BrokerError::FencedLeaderEpoch)
        }
        Some(claimed) if claimed > current => Err(BrokerError::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

fn out_of_range(partition: &OwnedPartition) -> BrokerError {
    BrokerError::OffsetOutOfRange {
        log_start: partition.log.log_start(),
        log_end: partition.log.log_end(),
    }
}

pub(crate) fn storage_error(partition: &OwnedPartition, error: StorageError) -> BrokerError {
    match error {
        StorageError::OffsetOutOfRange { .. } => out_of_range(partition),
        StorageError::Deleted { .. } => BrokerError::UnknownTopicOrPartition,
        other => {
            tracing::error!(partition = %partition.id, error = %other, "stored data could not be read");
            BrokerError::Storage(other.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn fetched(sizes: &[usize]) -> Outcome<Fetched> {
        let batches = sizes.iter().map(|size| Bytes::from(vec![0; *size])).collect();
        Ok(Fetched { batches, ..Fetched::default() })
    }

    fn sizes(outcomes: &[Outcome<Fetched>]) -> Vec<usize> {
        outcomes.iter().flatten().map(Fetched::size_bytes).collect()
    }

    #[test]
    fn the_budget_is_spent_in_the_order_of_the_request_and_the_first_batch_always_comes() {
        for (budget, left) in [
            (1000, vec![30, 20, 10]),
            (45, vec![30, 10, 0]),
            (30, vec![30, 0, 0]),
            (0, vec![10, 0, 0]),
        ] {
            let mut outcomes = [fetched(&[10, 20]), fetched(&[10, 10]), fetched(&[10])];
            keep_within(&mut outcomes, budget);
            assert_eq!(sizes(&outcomes), left, "budget {budget}");
        }
    }

    #[test]
    fn an_epoch_is_fenced_when_older_and_unknown_when_newer() {
        let current = LeaderEpoch(3);
        assert_eq!(check_epoch(None, current), Ok(()));
        assert_eq!(check_epoch(Some(LeaderEpoch::UNKNOWN), current), Ok(()));
        assert_eq!(check_epoch(Some(LeaderEpoch(3)), current), Ok(()));
        assert_eq!(check_epoch(Some(LeaderEpoch(2)), current), Err(BrokerError::FencedLeaderEpoch));
        assert_eq!(
            check_epoch(Some(LeaderEpoch(4)), current),
            Err(BrokerError::UnknownLeaderEpoch)
        );
    }
}
