//! Bringing decided transactions to their end: markers into every partition and group, and then
//! the coordinator's last word. What a crash interrupts is begun again at the next start; markers
//! that are there already are passed over.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use lane::{AppendGroup, Lane, Marker, ProposeError};
use model::{CoreId, LaneId, ProducerEpoch, ProducerId, TopicPartition};
use runtime::sync::oneshot;
use state::{groups::GroupsCommand, producers::ProducerView, transactions::Ending};

use crate::{Broker, BrokerError, Outcome, transactions::propose};

/// Between attempts to write markers that could not be written.
const MARKER_RETRY: Duration = Duration::from_millis(100);

/// An answer to EndTxn waits so long for the markers. The decision stands before that.
const MARKER_WAIT: Duration = Duration::from_secs(5);

/// Kafka's default for `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
const TIMEOUT_LOOK_MS: u64 = 10_000;
/// Kafka's default for `transaction.remove.expired.transaction.cleanup.interval.ms`.
const EXPIRY_LOOK_MS: u64 = 3_600_000;
/// Kafka's default for `transactional.id.expiration.ms`: a week.
const EXPIRATION_MS: i64 = 604_800_000;

/// A decided transaction on its way to its end.
pub(crate) struct Finishing {
    decided: oneshot::Receiver<()>,
    done: oneshot::Receiver<()>,
}

impl Finishing {
    /// Resolves once the decision is durable and, unless that takes long, all markers are written.
    pub async fn decided_and_done(self) -> Outcome<()> {
        self.decided.await.map_err(|_| BrokerError::Stopping)?;
        // However it ends: the decision is made.
        let _ = runtime::timeout(MARKER_WAIT, self.done).await;
        Ok(())
    }
}

impl Broker {
    /// Brings a transaction to its end, once its decision is durable.
    pub(crate) fn spawn_finish(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        id: String,
        durable: oneshot::Receiver<()>,
    ) -> Finishing {
        let (broker, lane) = (Rc::clone(self), Rc::clone(lane));
        let (decided_sender, decided) = oneshot::channel();
        let (done_sender, done) = oneshot::channel();
        runtime::spawn("end a transaction", async move {
            if durable.await.is_err() {
                return;
            }
            // Nobody may wait for it: timeouts and starts do not.
            let _ = decided_sender.send(());
            broker.finish(&lane, &id).await;
            let _ = done_sender.send(());
        });
        Finishing { decided, done }
    }

    async fn finish(self: &Rc<Self>, lane: &Lane, id: &str) {
        let Some(mut ending) = lane.transactions().ending(id) else { return };
        let identity = ending.identity;
        loop {
            if self.stopping.get() {
                return;
            }
            self.write_ends(&mut ending).await;
            if ending.partitions.is_empty() && ending.groups.is_empty() {
                break;
            }
            runtime::sleep(MARKER_RETRY).await;
        }
        let at = runtime::wall_clock();
        let command = lane.transactions().complete(id, identity, at);
        let Some(command) = command else { return };
        match propose(lane, &command, at) {
            Ok(durable) => drop(durable.await),
            Err(error) => tracing::error!(id, %error, "a transaction's end could not be journaled"),
        }
    }

    /// Writes what markers are missing and takes those that are durable out of `ending`.
    async fn write_ends(self: &Rc<Self>, ending: &mut Ending) {
        let marker = Marker {
            producer: ending.identity.id,
            epoch: ending.identity.epoch,
            commit: ending.commit,
        };
        let wanted: Vec<_> = ending.partitions.iter().map(|topic| (*topic, marker)).collect();
        let written = self.write_markers(wanted.clone()).await;
        for ((topic, _), outcome) in wanted.iter().zip(written) {
            let is_done = match outcome {
                Ok(()) => true,
                // Deleted since: nobody can read there any more.
                Err(BrokerError::UnknownTopicId | BrokerError::UnknownTopicOrPartition) => true,
                Err(BrokerError::InvalidProducerEpoch(why)) => {
                    tracing::warn!(partition = %topic, why, "a marker came too late");
                    true
                }
                Err(BrokerError::Stopping) => false,
                Err(error) => {
                    tracing::warn!(partition = %topic, %error, "a marker is to be tried again");
                    false
                }
            };
            if is_done {
                ending.partitions.remove(topic);
            }
        }
        let lanes = self.meta.get().map_or(1, |meta| meta.lanes);
        let of_groups: BTreeSet<LaneId> =
            ending.groups.iter().map(|group| LaneId::of_name(group, lanes)).collect();
        for lane in of_groups {
            let (producer, commit) = (ending.identity.id, ending.commit);
            let core = lane.home(self.cores.count());
            let ended = self.cores.call(core, move |owner: Rc<Broker>| async move {
                owner.end_staged_here(lane, producer, commit).await
            });
            match ended.await {
                Ok(Ok(())) => {
                    ending.groups.retain(|group| LaneId::of_name(group, lanes) != lane);
                }
                Err(_) | Ok(Err(BrokerError::Stopping)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%lane, %error, "a transaction's offsets are to be tried again");
                }
            }
        }
    }

    /// What a transaction has staged for the groups of a lane counts now, or never.
    async fn end_staged_here(
        &self,
        lane: LaneId,
        producer: ProducerId,
        commit: bool,
    ) -> Outcome<()> {
        let lane = self.lanes.borrow().get(&lane).cloned().ok_or(BrokerError::Stopping)?;
        self.verifying.end_groups(producer);
        let at = runtime::wall_clock();
        let command = GroupsCommand::EndStaged { producer, commit };
        let durable = lane.propose_groups(at, command);
        let durable = durable.map_err(|error| BrokerError::Storage(error.to_string()))?;
        durable.await.map_err(|_| BrokerError::Stopping)
    }

    /// Writes ends of transactions into partitions, each unless there is nothing to end. The answers
    /// stand in the order of the markers.
    pub async fn write_markers(
        self: &Rc<Self>,
        markers: Vec<(TopicPartition, Marker)>,
    ) -> Vec<Outcome<()>> {
        let mut outcomes = Vec::with_capacity(markers.len());
        let mut groups: BTreeMap<CoreId, (Vec<usize>, Vec<_>)> = BTreeMap::new();
        for (place, (topic, marker)) in markers.into_iter().enumerate() {
            match self.owner(topic) {
                Ok(core) => {
                    let (places, markers) = groups.entry(core).or_default();
                    places.push(place);
                    markers.push((topic, marker));
                    outcomes.push(Err(BrokerError::Stopping));
                }
                Err(error) => outcomes.push(Err(error)),
            }
        }
        let write = |(core, (places, markers)): (_, (Vec<usize>, Vec<_>))| {
            let write = |owner: Rc<Broker>| async move { owner.write_markers_here(markers).await };
            (places, self.cores.call(core, write))
        };
        let calls: Vec<_> = groups.into_iter().map(write).collect();
        for (places, call) in calls {
            for (place, outcome) in places.into_iter().zip(call.await.unwrap_or_default()) {
                if let Some(slot) = outcomes.get_mut(place) {
                    *slot = outcome;
                }
            }
        }
        outcomes
    }

    /// All are proposed before the first is waited for: one write of the journal takes many.
    async fn write_markers_here(&self, markers: Vec<(TopicPartition, Marker)>) -> Vec<Outcome<()>> {
        let (group, receiver) = AppendGroup::new(markers.len());
        let now = runtime::wall_clock();
        for (place, (topic, marker)) in markers.into_iter().enumerate() {
            self.verifying.end(topic, marker.producer);
            let slot = group.slot(place);
            match self.local(topic) {
                Ok((lane, partition)) => lane.propose_marker(&partition, marker, now, slot),
                Err(_) => slot.settle(Err(ProposeError::UnknownPartition)),
            }
        }
        let settled = receiver.await.unwrap_or_default().into_iter();
        settled.map(|it| it.map(drop).map_err(crate::append::refused)).collect()
    }

    /// The producers that partitions remember.
    pub async fn describe_producers(
        self: &Rc<Self>,
        partitions: Vec<TopicPartition>,
    ) -> Vec<Outcome<Vec<ProducerView>>> {
        let partition = |topic: &TopicPartition| *topic;
        self.ask_owners(partitions, partition, |owner, topic| async move {
            let (_, partition) = owner.local(topic)?;
            Ok(partition.producers())
        })
        .await
    }

    /// At the start: goes on with what was decided and not finished.
    pub(crate) fn finish_decided(self: &Rc<Self>) {
        for lane in self.lanes() {
            let unfinished = lane.transactions().unfinished();
            for id in unfinished {
                tracing::info!(id, "a transaction that was decided before the start is finished");
                self.spawn_finish(&lane, id, lane.barrier());
            }
        }
    }

    /// Aborts transactions whose time is up.
    pub(crate) async fn keep_timeouts(self: &Rc<Self>) {
        let name = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
        while !self.stopping.get() {
            runtime::sleep(self.interval(name, TIMEOUT_LOOK_MS)).await;
            for lane in self.lanes() {
                let now = runtime::wall_clock();
                let late = lane.transactions().timed_out(now);
                for id in late {
                    let Some(command) = lane.transactions().time_out(&id, now) else { continue };
                    tracing::info!(id, "a transaction took too long and is aborted");
                    match propose(&lane, &command, now) {
                        Ok(durable) => drop(self.spawn_finish(&lane, id, durable)),
                        Err(error) => tracing::error!(id, %error, "it could not be aborted"),
                    }
                }
            }
        }
    }

    /// Forgets transactional ids that nobody has used for long.
    pub(crate) async fn keep_transactional_ids(self: &Rc<Self>) {
        let name = "transaction.remove.expired.transaction.cleanup.interval.ms";
        while !self.stopping.get() {
            runtime::sleep(self.interval(name, EXPIRY_LOOK_MS)).await;
            let setting = self.catalog.borrow().broker_number("transactional.id.expiration.ms");
            let expiration_ms = setting.unwrap_or(EXPIRATION_MS);
            for lane in self.lanes() {
                let now = runtime::wall_clock();
                let expired = lane.transactions().expired(now, expiration_ms);
                for command in expired {
                    if let Err(error) = propose(&lane, &command, now) {
                        tracing::warn!(%error, "an unused transactional id stays");
                    }
                }
            }
        }
    }
}

/// The end of a transaction as an administrator writes it (WriteTxnMarkers).
pub fn marker(producer: ProducerId, epoch: ProducerEpoch, commit: bool) -> Marker {
    Marker { producer, epoch, commit }
}
