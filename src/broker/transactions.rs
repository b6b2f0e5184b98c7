//! Transactions: the coordinator's operations, on the lane that a transactional id lives on.
//!
//! What is decided stands in `state::transactions`; how a decided transaction is brought to its end
//! in `transaction_ends`; how batches find out that they belong to one in `transactional_append`.

use std::rc::Rc;

use lane::{Lane, ProposeError};
use model::{CoreId, LaneId, ProducerId, Timestamp, TopicPartition};
use runtime::sync::oneshot;
use state::transactions::{
    Begin, Begun, End, Ended, Identity, Protocol, Status, TIMEOUT_MAX_MS, Transaction,
    TransactionError, Transactions, TransactionsCommand,
};

use crate::{Broker, BrokerError, Outcome, broker::ask_all};

/// A request for the identity of a transactional producer.
#[derive(Debug, Clone)]
pub struct NewTransactionalProducer {
    /// The transactional id; not empty.
    pub id: String,
    /// Who the client was before, if it goes on after an error (KIP-360).
    pub expected: Option<Identity>,
    /// How long its transactions may stay open, milliseconds.
    pub timeout_ms: i32,
}

/// What joins a transaction.
#[derive(Debug, Clone, Default)]
pub struct Joining {
    /// Partitions.
    pub partitions: Vec<TopicPartition>,
    /// Consumer groups.
    pub groups: Vec<String>,
}

/// Which transactions to list; what is empty or `None` admits all.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    /// In one of these states, by Kafka's names.
    pub states: Vec<String>,
    /// Of one of these producers.
    pub producer_ids: Vec<i64>,
    /// Open for longer than this, milliseconds.
    pub open_for_ms: Option<i64>,
}

/// A transaction in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTransaction {
    /// The transactional id.
    pub id: String,
    /// Its producer.
    pub producer: ProducerId,
    /// How far it is.
    pub status: Status,
}

impl Broker {
    /// Where a transactional id lives.
    pub(crate) fn coordinator_of(&self, id: &str) -> Outcome<(CoreId, LaneId)> {
        let meta = self.meta.get().ok_or(BrokerError::Stopping)?;
        let lane = LaneId::of_name(id, meta.lanes);
        Ok((lane.home(self.cores.count()), lane))
    }

    /// Asks the coordinator of a transactional id.
    async fn ask_coordinator<T, F, Fut>(self: &Rc<Self>, id: &str, ask: F) -> Outcome<T>
    where
        T: Send + 'static,
        F: FnOnce(Rc<Broker>, Rc<Lane>) -> Fut + Send + 'static,
        Fut: Future<Output = Outcome<T>> + 'static,
    {
        if self.stopping.get() {
            return Err(BrokerError::Stopping);
        }
        let (core, lane) = self.coordinator_of(id)?;
        let ask = move |broker: Rc<Broker>| async move {
            let lane = broker.lanes.borrow().get(&lane).cloned().ok_or(BrokerError::Stopping)?;
            ask(broker, lane).await
        };
        self.cores.call(core, ask).await?
    }

    /// Gives a transactional producer its identity, which fences whoever had it before.
    pub async fn begin_transactional(
        self: &Rc<Self>,
        wanted: NewTransactionalProducer,
    ) -> Outcome<Identity> {
        let id = wanted.id.clone();
        self.ask_coordinator(
            &id,
            |broker, lane| async move { broker.begin_here(&lane, wanted).await },
        )
        .await
    }

    async fn begin_here(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        wanted: NewTransactionalProducer,
    ) -> Outcome<Identity> {
        let NewTransactionalProducer { id, expected, timeout_ms } = wanted;
        let setting = self.catalog.borrow().broker_number("transaction.max.timeout.ms");
        let timeout_max_ms =
            setting.and_then(|ms| i32::try_from(ms).ok()).unwrap_or(TIMEOUT_MAX_MS);
        let begun = self.decide(lane, |transactions, new_id, at| {
            transactions.begin(&Begin { id: &id, expected, timeout_ms, timeout_max_ms, new_id, at })
        });
        match begun.await? {
            (Begun::Identity(identity, command), at) => {
                self.make_durable(lane, command.as_ref(), at, Fullness::Refuses).await?;
                Ok(identity)
            }
            (Begun::AbortFirst(command), at) => {
                let durable = propose(lane, &command, at)?;
                self.spawn_finish(lane, id, durable);
                Err(TransactionError::Concurrent.into())
            }
        }
    }

    /// Adds partitions and groups to a producer's transaction, which begins with them if none is
    /// open.
    pub async fn add_to_transaction(
        self: &Rc<Self>,
        id: &str,
        identity: Identity,
        joining: Joining,
        protocol: Protocol,
    ) -> Outcome<()> {
        let name = id.to_owned();
        self.ask_coordinator(id, move |broker, lane| async move {
            let Joining { partitions, groups } = joining;
            let at = runtime::wall_clock();
            let command =
                lane.transactions().add(&name, identity, &partitions, &groups, protocol)?;
            broker.make_durable(&lane, command.as_ref(), at, Fullness::Refuses).await
        })
        .await
    }

    /// Whether partitions are part of a producer's open transaction, each for itself.
    pub async fn verify_in_transaction(
        self: &Rc<Self>,
        id: &str,
        identity: Identity,
        partitions: Vec<TopicPartition>,
    ) -> Outcome<Vec<bool>> {
        let name = id.to_owned();
        self.ask_coordinator(id, move |broker, lane| async move {
            let verified = lane.transactions().verify(&name, identity, &partitions)?;
            // Nothing may be written on the word of what a crash takes back.
            broker.settle(&lane).await?;
            Ok(verified)
        })
        .await
    }

    /// Whether a group is part of a producer's open transaction.
    pub async fn verify_group_in_transaction(
        self: &Rc<Self>,
        id: &str,
        identity: Identity,
        group: String,
    ) -> Outcome<bool> {
        let name = id.to_owned();
        self.ask_coordinator(id, move |broker, lane| async move {
            let verified = lane.transactions().verify_group(&name, identity, &group)?;
            broker.settle(&lane).await?;
            Ok(verified)
        })
        .await
    }

    /// Commits or aborts a producer's transaction. The answer is the identity to go on with. It
    /// comes once the decision is durable, and usually once every marker is written.
    pub async fn end_transaction(
        self: &Rc<Self>,
        id: &str,
        identity: Identity,
        commit: bool,
        protocol: Protocol,
    ) -> Outcome<Identity> {
        let name = id.to_owned();
        self.ask_coordinator(id, move |broker, lane| async move {
            let ended = broker.decide(&lane, |transactions, new_id, at| {
                let id = name.as_str();
                transactions.end(&End { id, identity, commit, protocol, new_id, at })
            });
            match ended.await? {
                (Ended::Already(identity), at) => {
                    broker.make_durable(&lane, None, at, Fullness::Passes).await?;
                    Ok(identity)
                }
                (Ended::Prepared(command, identity), at) => {
                    let durable = propose(&lane, &command, at)?;
                    broker.spawn_finish(&lane, name, durable).decided_and_done().await?;
                    Ok(identity)
                }
            }
        })
        .await
    }

    /// What is known of a transactional id.
    pub async fn describe_transaction(self: &Rc<Self>, id: &str) -> Outcome<Option<Transaction>> {
        let name = id.to_owned();
        self.ask_coordinator(id, move |_, lane| async move {
            Ok(lane.transactions().get(&name).cloned())
        })
        .await
    }

    /// The transactions of all lanes, by transactional id.
    pub async fn list_transactions(
        self: &Rc<Self>,
        filter: TransactionFilter,
    ) -> Outcome<Vec<ListedTransaction>> {
        let listed = ask_all(&self.cores, move |broker| {
            let filter = filter.clone();
            async move { broker.list_here(&filter) }
        });
        let mut listed: Vec<ListedTransaction> = listed.await?.into_iter().flatten().collect();
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(listed)
    }

    fn list_here(&self, filter: &TransactionFilter) -> Vec<ListedTransaction> {
        let now = runtime::wall_clock();
        let mut listed = Vec::new();
        for lane in self.lanes() {
            for (id, transaction) in lane.transactions().iter() {
                if filter.admits(transaction, now) {
                    let (producer, status) = (transaction.identity.id, transaction.status);
                    listed.push(ListedTransaction { id: id.to_owned(), producer, status });
                }
            }
        }
        listed
    }

    /// Lets the coordinator decide; once more with a new producer id if it needs one.
    async fn decide<T>(
        self: &Rc<Self>,
        lane: &Lane,
        decide: impl Fn(&Transactions, Option<ProducerId>, Timestamp) -> Result<T, TransactionError>,
    ) -> Outcome<(T, Timestamp)> {
        let at = runtime::wall_clock();
        let decided = decide(&lane.transactions(), None, at);
        if decided.as_ref().err() != Some(&TransactionError::NeedsProducerId) {
            return Ok((decided?, at));
        }
        let (new_id, _) = self.allocate_producer_id().await?;
        let at = runtime::wall_clock();
        let decided = decide(&lane.transactions(), Some(new_id), at);
        Ok((decided?, at))
    }

    /// Resolves when everything that an answer may rest on is durable.
    async fn settle(&self, lane: &Lane) -> Outcome<()> {
        lane.barrier().await.map_err(|_| BrokerError::Stopping)
    }

    /// Makes a command durable, or without one what the answer rests on.
    async fn make_durable(
        &self,
        lane: &Lane,
        command: Option<&TransactionsCommand>,
        at: Timestamp,
        fullness: Fullness,
    ) -> Outcome<()> {
        if command.is_some() && fullness == Fullness::Refuses && lane.is_full() {
            return Err(BrokerError::StorageFull(ProposeError::StorageFull.to_string()));
        }
        let Some(command) = command else { return self.settle(lane).await };
        propose(lane, command, at)?.await.map_err(|_| BrokerError::Stopping)
    }
}

/// What a full disk means for a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fullness {
    /// It would only make for more to write.
    Refuses,
    /// It brings something to its end.
    Passes,
}

pub(crate) fn propose(
    lane: &Lane,
    command: &TransactionsCommand,
    at: Timestamp,
) -> Outcome<oneshot::Receiver<()>> {
    lane.propose_transactions(at, command).map_err(|error| BrokerError::Storage(error.to_string()))
}

impl TransactionFilter {
    fn admits(&self, transaction: &Transaction, now: Timestamp) -> bool {
        let status = transaction.status.name();
        let open_for = now.0.saturating_sub(transaction.started.0);
        let is_open = transaction.started != Timestamp::NONE;
        (self.states.is_empty() || self.states.iter().any(|state| state == status))
            && (self.producer_ids.is_empty()
                || self.producer_ids.contains(&transaction.identity.id.0))
            && self.open_for_ms.is_none_or(|least| is_open && open_for > least)
    }
}
