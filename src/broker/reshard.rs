//! Changes of a stream's shards: splits, merges, more partitions.
//!
//! A shard closes at an offset, and every put must lie in the shard that owned its hash key at
//! that offset. So the partition's gate closes first: from then on its core turns away what was
//! routed to the shard, and the offset that the next batch would have got is the shard's end. Once
//! everything below it is durable, the change is made durable too, and then visible. A put that was
//! turned away waits for that ([`Broker::catalog_settled`]) and is routed anew.
//!
//! Kafka's producers choose partitions, not shards: theirs go on during a split, and their batches
//! from the end on are the child's. A partition that a merge is to seal takes nothing from the
//! moment that its gate closes; the merge is refused while one of them writes to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use lane::{Gate, OwnedPartition};
use model::{Offset, PartitionIndex, ShardId, Timestamp, TopicId, TopicPartition};
use state::{
    catalog::{Catalog, CatalogCommand, Topic},
    shards::ReshardStep,
};

use crate::{Broker, BrokerError, Outcome, catalog_change::CATALOG_CORE, topics::catalog_error};

/// A Kafka producer that has written within this time is taken to go on writing.
const KAFKA_WRITES_MS: i64 = 60_000;

/// What is to become of a stream's shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resharding {
    /// These splits and merges.
    Steps(Vec<ReshardStep>),
    /// So many shards of equal ranges.
    Uniform(u32),
}

/// A change of shards that was decided on.
pub(crate) struct ShardChange {
    pub topic: TopicId,
    /// The partitions on which a shard closes …
    pub closing: BTreeSet<PartitionIndex>,
    /// … and those of them to which nothing will be written any more.
    pub sealed: BTreeSet<PartitionIndex>,
    /// The command, from the ends of the closing partitions.
    pub command: Box<dyn FnOnce(&Ends) -> CatalogCommand>,
}

/// Where shards close, by partition.
pub(crate) type Ends = BTreeMap<PartitionIndex, Offset>;

impl Broker {
    /// Splits and merges shards. When this returns, every core routes by the new ones.
    pub async fn reshard(self: &Rc<Self>, id: TopicId, resharding: Resharding) -> Outcome<()> {
        self.cores
            .call(CATALOG_CORE, move |broker: Rc<Broker>| async move {
                broker.change_shards(|catalog| broker.plan_reshard(catalog, id, resharding)).await
            })
            .await?
    }

    pub(crate) fn plan_reshard(
        &self,
        catalog: &Catalog,
        id: TopicId,
        resharding: Resharding,
    ) -> Outcome<ShardChange> {
        if self.is_storage_full() {
            return Err(BrokerError::StorageFull(
                "The disk is full: no shard can be made until space is freed.".to_owned(),
            ));
        }
        let topic = catalog.topic_by_id(id).ok_or(BrokerError::UnknownTopicId)?;
        let steps = match resharding {
            Resharding::Steps(steps) => steps,
            Resharding::Uniform(target) => topic.shards.uniform_steps(target)?,
        };
        let closing = catalog.validate_reshard(topic, &steps).map_err(catalog_error)?;
        let lanes = self.place(catalog, closing.additional);
        let command = move |ends: &Ends| {
            let closing_offsets = ends.clone();
            CatalogCommand::Reshard { id, steps, lanes, closing_offsets }
        };
        let (sealed, closing) = (closing.sealed, closing.partitions);
        Ok(ShardChange { topic: id, closing, sealed, command: Box::new(command) })
    }

    /// On the catalog's core: decides on a change of shards, closes those that end, makes the
    /// change durable and applies it everywhere.
    pub(crate) async fn change_shards(
        self: &Rc<Self>,
        decide: impl FnOnce(&Catalog) -> Outcome<ShardChange>,
    ) -> Outcome<()> {
        if self.stopping.get() {
            return Err(BrokerError::Stopping);
        }
        // The semaphore is never closed, so acquiring cannot fail.
        let _turn = self.catalog_changes.acquire().await;
        let change = decide(&self.catalog.borrow())?;
        if change.closing.is_empty() {
            return Ok(());
        }
        let (topic, closing) = (change.topic, change.closing.clone());
        let made = match self.close_shards(&change).await {
            Ok(ends) => self.make_change((change.command)(&ends)).await.map(drop),
            Err(error) => Err(error),
        };
        if made.is_err() {
            self.reopen(topic, closing).await;
        }
        made
    }

    /// Closes the gates of partitions on which a shard ends, and gives those ends once all that
    /// lies below them is durable.
    async fn close_shards(self: &Rc<Self>, change: &ShardChange) -> Outcome<Ends> {
        let closings = change.closing.iter().map(|partition| {
            let at = TopicPartition { topic: change.topic, partition: *partition };
            (at, change.sealed.contains(partition))
        });
        let ends = self
            .ask_owners(
                closings.collect(),
                |(at, _)| *at,
                |owner, (at, seal)| async move { owner.close_shard_here(at, seal).await },
            )
            .await;
        // A guess would put records into the wrong shard for good, so any failure is the answer.
        change.closing.iter().zip(ends).map(|(partition, end)| Ok((*partition, end?))).collect()
    }

    async fn close_shard_here(&self, at: TopicPartition, seal: bool) -> Outcome<Offset> {
        let (lane, partition) = self.local(at)?;
        if seal {
            refuse_busy(&partition, runtime::wall_clock())?;
        }
        // Nothing is awaited between these two: what is proposed later lies behind the end.
        let end = partition.proposed_end();
        partition.set_gate(if seal { Gate::Sealed } else { Gate::Closing(end) });
        lane.barrier().await.map_err(|_| BrokerError::Stopping)?;
        Ok(end)
    }

    /// The shards stay as they are.
    async fn reopen(self: &Rc<Self>, topic: TopicId, partitions: BTreeSet<PartitionIndex>) {
        let partitions =
            partitions.into_iter().map(|partition| TopicPartition { topic, partition }).collect();
        self.ask_owners(
            partitions,
            |at| *at,
            |owner, at| async move {
                owner.set_gates(Some(at.topic));
                Ok(())
            },
        )
        .await;
    }

    /// Returns when every change of the catalog that is under way now is visible on all cores, or
    /// has failed.
    pub async fn catalog_settled(self: &Rc<Self>) -> Outcome<()> {
        self.cores
            .call(CATALOG_CORE, |broker: Rc<Broker>| async move {
                let _turn = broker.catalog_changes.acquire().await;
            })
            .await?;
        Ok(())
    }

    /// On the core that owns its partition: up to which offset records are a shard's. `None` while
    /// it is open, and not about to close.
    pub fn shard_end(&self, topic: TopicId, shard: ShardId) -> Option<Offset> {
        let shard = {
            let catalog = self.catalog.borrow();
            let found = catalog.topic_by_id(topic).and_then(|topic| topic.shards.get(shard));
            let shard = found?;
            if shard.end_offset.is_some() {
                return shard.end_offset;
            }
            TopicPartition { topic, partition: shard.partition }
        };
        match self.local(shard).ok()?.1.gate() {
            Gate::Closing(end) => Some(end),
            Gate::Open | Gate::Sealed => None,
        }
    }
}

/// What a producer is told of a partition that a merge has sealed.
pub(crate) fn sealed(topic: &Topic, partition: PartitionIndex, child: ShardId) -> BrokerError {
    let onto = topic.shards.get(child).map(|child| (child.parents.clone(), child.partition));
    let (parents, onto) = onto.unwrap_or_default();
    let parents: Vec<String> = parents.iter().map(ToString::to_string).collect();
    BrokerError::PolicyViolation(format!(
        "Partition {partition} of {} is sealed: the shards {} were merged into {child}, which is on partition {onto}. It can be read until its retention ends, but not written to.",
        topic.name,
        parents.join(" and "),
    ))
}

/// A partition that Kafka's producers use is not sealed under them.
fn refuse_busy(partition: &OwnedPartition, now: Timestamp) -> Outcome<()> {
    let last = partition.written_by_kafka();
    let writing = last != Timestamp::NONE && now.0.saturating_sub(last.0) < KAFKA_WRITES_MS;
    let mut producers = partition.producers().into_iter();
    let in_transaction = producers.any(|producer| producer.transaction_start.is_some());
    if !in_transaction && !writing {
        return Ok(());
    }
    let why = if in_transaction {
        "is in a transaction there".to_owned()
    } else {
        format!("wrote to it within the last {} s", KAFKA_WRITES_MS / 1000)
    };
    Err(BrokerError::InUse(format!(
        "The merge would seal partition {}, and a Kafka producer {why}. Stop it and wait, or merge the shards the other way round.",
        partition.id.partition,
    )))
}
