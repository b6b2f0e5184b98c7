//! Produce: batches are checked where they arrive, then proposed where their partition lives.

use std::{
    collections::BTreeMap,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use lane::{AppendGroup, Gate, OwnedPartition, ProposeError, lane::Proposal, reply::Outcomes};
use model::{CoreId, ShardId, Timestamp, TopicPartition};
use runtime::{Call, CoreStopped, sync::oneshot};
use state::producers::SequenceError;

use crate::{Acks, AppendRequest, Appended, Broker, BrokerError, InTransaction, Outcome};

/// How often a held-back answer looks whether the segments have caught up.
const LAGGING_LOOK: Duration = Duration::from_millis(1);

/// The answer to an append, in the order of its batches. The batches are proposed already;
/// dropping the ticket does not take them back.
pub struct AppendTicket {
    inner: Pin<Box<dyn Future<Output = Vec<Outcome<Appended>>>>>,
}

impl Future for AppendTicket {
    type Output = Vec<Outcome<Appended>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(context)
    }
}

/// A checked batch on its way to its core.
struct Routed {
    topic: TopicPartition,
    /// The shard that it was routed to; none if the producer chose the partition itself.
    shard: Option<ShardId>,
    proposal: Proposal,
}

/// The batches of one request for one core, and where in the request each stood.
#[derive(Default)]
struct Group {
    batches: Vec<Routed>,
    places: Vec<usize>,
}

/// How a core's group will answer.
enum Answer {
    Here(Pin<Box<dyn Future<Output = Option<Outcomes>>>>),
    There(Call<Option<Outcomes>>),
}

impl Broker {
    /// Checks and proposes batches at once, in order; the ticket resolves when all are settled:
    /// durable, or refused. Batches of successive calls from one core to one partition keep
    /// their order.
    pub fn append(self: &Rc<Self>, requests: Vec<AppendRequest>, acks: Acks) -> AppendTicket {
        self.append_in(requests, acks, None)
    }

    /// The same, where batches may be part of a transaction.
    pub fn append_in(
        self: &Rc<Self>,
        requests: Vec<AppendRequest>,
        acks: Acks,
        transaction: Option<InTransaction>,
    ) -> AppendTicket {
        let requests = requests.into_iter().map(|request| (request, None));
        self.append_routed(requests, acks, transaction)
    }

    /// Puts batches into shards. A batch whose shard has closed, or is closing, is answered with
    /// [`BrokerError::ShardMoved`]; so a batch that is taken lies in the shard that it was routed
    /// to.
    pub fn append_to_shards(
        self: &Rc<Self>,
        requests: Vec<(AppendRequest, ShardId)>,
    ) -> AppendTicket {
        let requests = requests.into_iter().map(|(request, shard)| (request, Some(shard)));
        self.append_routed(requests, Acks::All, None)
    }

    fn append_routed(
        self: &Rc<Self>,
        requests: impl ExactSizeIterator<Item = (AppendRequest, Option<ShardId>)>,
        acks: Acks,
        transaction: Option<InTransaction>,
    ) -> AppendTicket {
        let count = requests.len();
        let mut outcomes: Vec<Option<Outcome<Appended>>> = Vec::with_capacity(count);
        let mut groups: BTreeMap<CoreId, Group> = BTreeMap::new();
        for (place, (request, shard)) in requests.enumerate() {
            let topic = request.topic;
            match self.check(request, shard, acks, transaction.is_some()) {
                Ok((core, proposal)) => {
                    let group = groups.entry(core).or_default();
                    group.batches.push(Routed { topic, shard, proposal });
                    group.places.push(place);
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Err(error))),
            }
        }
        let answers: Vec<_> = groups
            .into_iter()
            .map(|(core, Group { batches, places })| {
                (places, self.send(core, batches, transaction.clone()))
            })
            .collect();
        let inner = Box::pin(async move {
            for (places, answer) in answers {
                let group = match answer {
                    Answer::Here(settled) => settled.await,
                    Answer::There(call) => call.await.unwrap_or(None),
                };
                let mut group = group.unwrap_or_default().into_iter();
                for place in places {
                    let outcome = match group.next() {
                        Some(outcome) => outcome.map(appended).map_err(refused),
                        None => Err(BrokerError::Stopping),
                    };
                    if let Some(slot) = outcomes.get_mut(place) {
                        *slot = Some(outcome);
                    }
                }
            }
            outcomes
                .into_iter()
                .map(|outcome| outcome.unwrap_or(Err(BrokerError::Stopping)))
                .collect()
        });
        AppendTicket { inner }
    }

    fn check(
        &self,
        request: AppendRequest,
        shard: Option<ShardId>,
        acks: Acks,
        in_transaction: bool,
    ) -> Outcome<(CoreId, Proposal)> {
        if self.stopping.get() {
            return Err(BrokerError::Stopping);
        }
        let (core, config) = {
            let catalog = self.catalog.borrow();
            let topic =
                catalog.topic_by_id(request.topic.topic).ok_or(BrokerError::UnknownTopicId)?;
            let partition = topic
                .partitions
                .get(request.topic.partition.0 as usize)
                .ok_or(BrokerError::UnknownTopicOrPartition)?;
            if let Some(child) = partition.sealed_by {
                if shard.is_some() {
                    return Err(BrokerError::ShardMoved);
                }
                return Err(crate::reshard::sealed(topic, request.topic.partition, child));
            }
            (partition.lane.home(self.cores.count()), Rc::clone(&topic.effective))
        };
        if acks == Acks::All && config.min_insync_replicas > 1 {
            return Err(BrokerError::NotEnoughReplicas(format!(
                "The size of the current ISR is 1, which is insufficient to satisfy the min.isr requirement of {}.",
                config.min_insync_replicas
            )));
        }
        let now = runtime::wall_clock();
        let proposal =
            crate::append_check::check(request.batch, &config, self.unfolded_bytes_max(), now)?;
        if !in_transaction && proposal.header.attributes.is_transactional() {
            return Err(BrokerError::InvalidTxnState(
                "A transactional batch in a request without a transactional id.".to_owned(),
            ));
        }
        Ok((core, proposal))
    }

    fn send(
        self: &Rc<Self>,
        core: CoreId,
        batches: Vec<Routed>,
        transaction: Option<InTransaction>,
    ) -> Answer {
        if core == self.core {
            let receiver = self.propose(batches, transaction);
            return Answer::Here(Box::pin(Rc::clone(self).settled(receiver)));
        }
        let call = self.cores.call(core, move |owner: Rc<Broker>| {
            // Proposed before anything is awaited, so the order of the calls is kept.
            let receiver = owner.propose(batches, transaction);
            owner.settled(receiver)
        });
        Answer::There(call)
    }

    fn propose(
        self: &Rc<Self>,
        batches: Vec<Routed>,
        transaction: Option<InTransaction>,
    ) -> oneshot::Receiver<Outcomes> {
        let now = runtime::wall_clock();
        // Allocates only when something is put in.
        let mut unverified = Vec::new();
        let (group, receiver) = AppendGroup::new(batches.len());
        for (place, Routed { topic, shard, proposal }) in batches.into_iter().enumerate() {
            let slot = group.slot(place);
            let found = self.local(topic).map_err(|_| ProposeError::UnknownPartition);
            let admitted = found.and_then(|(lane, partition)| {
                self.admit(&partition, shard, now).map(|()| (lane, partition))
            });
            match admitted {
                _ if self.storage.is_full() => slot.settle(Err(ProposeError::StorageFull)),
                Ok((lane, partition)) if proposal.header.attributes.is_transactional() => {
                    let asked = self.propose_transactional(&lane, &partition, proposal, now, slot);
                    unverified.extend(asked);
                }
                Ok((lane, partition)) => lane.propose_append(&partition, proposal, now, slot),
                Err(refusal) => slot.settle(Err(refusal)),
            }
        }
        if let Some(transaction) = transaction.filter(|_| !unverified.is_empty()) {
            self.verify(transaction, unverified);
        }
        receiver
    }

    /// Whether a partition of this core takes a batch that was routed to `shard`, or that its
    /// producer chose the partition for.
    pub(crate) fn admit(
        &self,
        partition: &OwnedPartition,
        shard: Option<ShardId>,
        now: Timestamp,
    ) -> Result<(), ProposeError> {
        match (partition.gate(), shard) {
            (Gate::Sealed, None) => Err(ProposeError::Sealed),
            (Gate::Open | Gate::Closing(_), None) => {
                partition.note_kafka(now);
                Ok(())
            }
            (Gate::Open, Some(shard)) if self.is_open(partition.id, shard) => Ok(()),
            (_, Some(_)) => Err(ProposeError::ShardMoved),
        }
    }

    /// Whether a shard is open on a partition.
    fn is_open(&self, partition: TopicPartition, shard: ShardId) -> bool {
        let catalog = self.catalog.borrow();
        let shard = catalog.topic_by_id(partition.topic).and_then(|topic| topic.shards.get(shard));
        shard.is_some_and(|shard| shard.is_open() && shard.partition == partition.partition)
    }
}

impl Broker {
    /// The outcomes of a group. They are held back while this core has more in memory than it may
    /// because writing the segments lags: a producer that waits for its answers then slows down.
    async fn settled(self: Rc<Self>, receiver: oneshot::Receiver<Outcomes>) -> Option<Outcomes> {
        let outcomes = receiver.await.ok();
        while self.storage.unflushed_bytes() > self.tail_memory_bytes
            && !self.storage.is_full()
            && !self.stopping.get()
        {
            runtime::sleep(LAGGING_LOOK).await;
        }
        outcomes
    }
}

fn appended(appended: lane::Appended) -> Appended {
    let lane::Appended { base_offset, log_append_time, log_start } = appended;
    Appended { base_offset, log_append_time, log_start }
}

pub(crate) fn refused(error: ProposeError) -> BrokerError {
    let text = error.to_string();
    match error {
        ProposeError::UnknownPartition => BrokerError::UnknownTopicOrPartition,
        ProposeError::StorageFull => BrokerError::StorageFull(text),
        ProposeError::ShardMoved => BrokerError::ShardMoved,
        ProposeError::Sealed => BrokerError::PolicyViolation(text),
        ProposeError::TooLarge { .. } => BrokerError::RecordListTooLarge(text),
        ProposeError::Transaction(error) => error.into(),
        ProposeError::Sequence(error) => match error {
            SequenceError::OutOfOrder { .. } | SequenceError::NewEpochNotAtZero { .. } => {
                BrokerError::OutOfOrderSequence(text)
            }
            SequenceError::InvalidEpoch { .. } => BrokerError::InvalidProducerEpoch(text),
            SequenceError::NotTransactional { .. } => BrokerError::InvalidTxnState(text),
        },
    }
}

impl From<CoreStopped> for BrokerError {
    fn from(_: CoreStopped) -> Self {
        BrokerError::Stopping
    }
}
