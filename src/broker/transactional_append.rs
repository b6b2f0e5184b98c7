//! The first batch of a transaction in a partition: before it is appended, the coordinator says
//! whether the partition is part of the transaction, or takes it in (KIP-890). Otherwise a batch that
//! comes late, after its transaction's marker, would begin one that nobody ever ends.
//!
//! Batches that come meanwhile wait behind the first one, so that their order is kept. A marker
//! that comes meanwhile turns them away: what the coordinator then says is about a transaction that
//! has ended.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use lane::{AppendSlot, Lane, OwnedPartition, ProposeError, lane::Proposal};
use model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use state::transactions::{Identity, Protocol, TransactionError};

use crate::{Broker, BrokerError, Joining, Outcome};

/// While the producer's last transaction is being ended, the coordinator is asked so often …
const ATTEMPTS: usize = 5;
/// … with this pause, before the client has to ask again.
const RETRY: Duration = Duration::from_millis(20);

/// The transaction that a request's batches belong to.
#[derive(Debug, Clone)]
pub struct InTransaction {
    /// The transactional id.
    pub id: Arc<str>,
    /// How its client speaks.
    pub protocol: Protocol,
}

/// Batches that wait for the coordinator's word, on the core that owns their partition.
#[derive(Default)]
pub(crate) struct Verifying {
    waiting: RefCell<BTreeMap<(TopicPartition, ProducerId, ProducerEpoch), Waiting>>,
    /// Offsets of groups that wait likewise: whether their transaction has ended meanwhile.
    groups: RefCell<BTreeMap<ProducerId, (usize, bool)>>,
}

#[derive(Default)]
struct Waiting {
    batches: Vec<(Proposal, AppendSlot)>,
    /// The producer's transaction was ended here since.
    ended: bool,
}

impl Verifying {
    /// A transaction of this producer ends in a partition.
    pub fn end(&self, partition: TopicPartition, producer: ProducerId) {
        let (first, last) = (ProducerEpoch(i16::MIN), ProducerEpoch(i16::MAX));
        let mut waiting = self.waiting.borrow_mut();
        let of_producer = (partition, producer, first)..=(partition, producer, last);
        for (_, waiting) in waiting.range_mut(of_producer) {
            waiting.ended = true;
        }
    }

    /// A transaction of this producer ends for the groups of this core.
    pub fn end_groups(&self, producer: ProducerId) {
        if let Some((_, ended)) = self.groups.borrow_mut().get_mut(&producer) {
            *ended = true;
        }
    }

    /// Offsets of a producer's transaction begin to wait for the coordinator.
    pub fn begin_group(&self, producer: ProducerId) {
        self.groups.borrow_mut().entry(producer).or_default().0 += 1;
    }

    /// They wait no more. Whether their transaction has ended meanwhile.
    pub fn leave_group(&self, producer: ProducerId) -> bool {
        let mut groups = self.groups.borrow_mut();
        let Some((count, ended)) = groups.get_mut(&producer) else { return false };
        let ended = *ended;
        *count -= 1;
        if *count == 0 {
            groups.remove(&producer);
        }
        ended
    }
}

/// A partition whose transaction the coordinator is to be asked about.
pub(crate) type Unverified = (TopicPartition, Identity);

impl Broker {
    /// Proposes a transactional batch, now or when the coordinator has spoken. `Some` if it is to
    /// be asked.
    pub(crate) fn propose_transactional(
        &self,
        lane: &Lane,
        partition: &Rc<OwnedPartition>,
        proposal: Proposal,
        now: Timestamp,
        slot: AppendSlot,
    ) -> Option<Unverified> {
        let (id, epoch) = (proposal.header.producer_id, proposal.header.producer_epoch);
        let key = (partition.id, id, epoch);
        let mut waiting = self.verifying.waiting.borrow_mut();
        if let Some(waiting) = waiting.get_mut(&key) {
            waiting.batches.push((proposal, slot));
            return None;
        }
        if partition.is_in_transaction(&proposal.header) {
            drop(waiting);
            lane.propose_append(partition, proposal, now, slot);
            return None;
        }
        waiting.insert(key, Waiting { batches: vec![(proposal, slot)], ended: false });
        Some((partition.id, Identity { id, epoch }))
    }

    /// Asks the coordinator about partitions and proposes, or refuses, what waits for its word.
    pub(crate) fn verify(self: &Rc<Self>, transaction: InTransaction, unverified: Vec<Unverified>) {
        let mut by_producer: BTreeMap<(ProducerId, ProducerEpoch), Vec<TopicPartition>> =
            BTreeMap::new();
        for (partition, Identity { id, epoch }) in unverified {
            by_producer.entry((id, epoch)).or_default().push(partition);
        }
        for ((id, epoch), partitions) in by_producer {
            let (broker, transaction) = (Rc::clone(self), transaction.clone());
            runtime::spawn("verify a transaction", async move {
                let identity = Identity { id, epoch };
                let answer = broker.are_in_transaction(&transaction, identity, &partitions).await;
                broker.go_on(identity, &partitions, answer);
            });
        }
    }

    async fn are_in_transaction(
        self: &Rc<Self>,
        transaction: &InTransaction,
        identity: Identity,
        partitions: &[TopicPartition],
    ) -> Outcome<Vec<bool>> {
        let InTransaction { id, protocol } = transaction;
        let mut attempt = 1;
        loop {
            let answer = match protocol {
                Protocol::V1 => self.verify_in_transaction(id, identity, partitions.to_vec()).await,
                Protocol::V2 => {
                    let joining = Joining { partitions: partitions.to_vec(), ..Joining::default() };
                    let added = self.add_to_transaction(id, identity, joining, *protocol).await;
                    added.map(|()| vec![true; partitions.len()])
                }
            };
            let is_concurrent =
                matches!(answer, Err(BrokerError::Transaction(TransactionError::Concurrent)));
            if !is_concurrent || attempt == ATTEMPTS {
                return answer;
            }
            attempt += 1;
            runtime::sleep(RETRY).await;
        }
    }

    fn go_on(&self, identity: Identity, partitions: &[TopicPartition], answer: Outcome<Vec<bool>>) {
        let now = runtime::wall_clock();
        for (place, topic) in partitions.iter().enumerate() {
            let key = (*topic, identity.id, identity.epoch);
            let waiting = self.verifying.waiting.borrow_mut().remove(&key);
            let Some(Waiting { batches, ended }) = waiting else { continue };
            let verdict = match &answer {
                Err(error) => Err(as_refusal(error)),
                Ok(are_in) if ended || are_in.get(place) != Some(&true) => {
                    Err(TransactionError::NotInTransaction.into())
                }
                Ok(_) => self.local(*topic).map_err(|_| ProposeError::UnknownPartition),
            };
            for (proposal, slot) in batches {
                // A merge may have sealed the partition meanwhile.
                let admitted = verdict
                    .as_ref()
                    .map_err(Clone::clone)
                    .and_then(|at| self.admit(&at.1, None, now).map(|()| at));
                match admitted {
                    Ok((lane, partition)) => lane.propose_append(partition, proposal, now, slot),
                    Err(refusal) => slot.settle(Err(refusal)),
                }
            }
        }
    }
}

fn as_refusal(error: &BrokerError) -> ProposeError {
    match error {
        BrokerError::Transaction(error) => ProposeError::Transaction(error.clone()),
        BrokerError::StorageFull(_) => ProposeError::StorageFull,
        // The coordinator did not answer: the client may try again.
        _ => ProposeError::Transaction(TransactionError::Concurrent),
    }
}
