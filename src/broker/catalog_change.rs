//! Changes of the catalog: decided on one core, journaled in lane 0, applied on every core.

use std::{path::PathBuf, rc::Rc};

use lane::{Gate, OwnedPartition};
use model::{CoreId, LaneId, PartitionIndex, Timestamp, TopicConfig, TopicId, TopicPartition};
use partition::Partition;
use state::{
    catalog::{Catalog, CatalogCommand, CatalogEvent, PartitionState},
    producers::ProducerTable,
};

use crate::{Broker, BrokerError, Outcome, broker::core_ids, partition_of};

/// Where the catalog's lane lives, whatever the core count.
pub(crate) const CATALOG_CORE: CoreId = CoreId(0);

/// A partition to be made on its core.
struct Placement {
    lane: LaneId,
    index: u32,
    directory: PathBuf,
    config: Rc<TopicConfig>,
    gate: Gate,
}

impl Broker {
    /// On the catalog's core: decides on a change, makes it durable, and applies it everywhere.
    /// When this resolves every core knows it, so what was made can be used at once.
    pub(crate) async fn change_catalog(
        self: &Rc<Self>,
        decide: impl FnOnce(&Catalog) -> Outcome<CatalogCommand>,
    ) -> Outcome<CatalogEvent> {
        if self.stopping.get() {
            return Err(BrokerError::Stopping);
        }
        // The semaphore is never closed, so acquiring cannot fail.
        let _turn = self.catalog_changes.acquire().await;
        let command = decide(&self.catalog.borrow())?;
        self.make_change(command).await
    }

    /// On the catalog's core, in its turn: makes a change durable and applies it everywhere.
    pub(crate) async fn make_change(
        self: &Rc<Self>,
        command: CatalogCommand,
    ) -> Outcome<CatalogEvent> {
        let lane = self.lanes.borrow().get(&LaneId::CATALOG).cloned();
        let lane = lane.ok_or(BrokerError::Stopping)?;
        let at = runtime::wall_clock();
        let judged = self.catalog.borrow().validate(&command, at);
        judged.map_err(crate::topics::catalog_error)?;
        let durable = lane
            .propose_catalog(at, &command.encode())
            .map_err(|error| BrokerError::Storage(error.to_string()))?;
        durable.await.map_err(|_| BrokerError::Stopping)?;
        let event = self.apply_change(&command, at).await;
        let others: Vec<_> = core_ids(self.cores.count())
            .filter(|core| *core != self.core)
            .map(|core| {
                let command = command.clone();
                self.cores.call(core, move |broker: Rc<Broker>| async move {
                    broker.apply_change(&command, at).await;
                })
            })
            .collect();
        for other in others {
            other.await?;
        }
        Ok(event)
    }

    /// Applies a durable change to this core's replica and partitions.
    async fn apply_change(&self, command: &CatalogCommand, at: Timestamp) -> CatalogEvent {
        let applied = self.catalog.borrow_mut().apply(command, at);
        let event = match applied {
            Ok(event) => event,
            // Decided against the same catalog, so this cannot be; going on would let the cores'
            // replicas drift apart.
            Err(error) => runtime::abort(&format!(
                "a durable change of the catalog cannot be applied on {}: {error}",
                self.core
            )),
        };
        match &event {
            CatalogEvent::TopicCreated { id } => self.add_partitions(*id, 0).await,
            CatalogEvent::PartitionsAdded { id, from, .. } => {
                self.set_gates(Some(*id));
                self.add_partitions(*id, *from).await;
            }
            CatalogEvent::TopicDeleted { topic } => {
                let lanes = topic.partitions.iter().map(|partition| partition.lane).collect();
                self.remove_partitions(topic.id, lanes);
                self.given.forget(topic.id);
            }
            CatalogEvent::TopicConfigsChanged { id } => self.set_configs(Some(*id)),
            CatalogEvent::BrokerConfigsChanged => self.set_configs(None),
            CatalogEvent::PropertiesChanged | CatalogEvent::ProducerIdsReserved { .. } => {}
        }
        self.catalog_changed.notify_waiters();
        event
    }

    async fn add_partitions(&self, id: TopicId, from: u32) {
        let placements: Vec<Placement> = {
            let catalog = self.catalog.borrow();
            let Some(topic) = catalog.topic_by_id(id) else { return };
            (0..)
                .zip(&topic.partitions)
                .skip(from as usize)
                .filter(|(_, partition)| partition.lane.home(self.cores.count()) == self.core)
                .map(|(index, partition)| Placement {
                    lane: partition.lane,
                    index,
                    directory: self.directory.partition(&topic.name, id, PartitionIndex(index)),
                    config: Rc::clone(&topic.effective),
                    gate: gate(partition),
                })
                .collect()
        };
        for Placement { lane, index, directory, config, gate } in placements {
            let id = partition_of(id, index);
            let created = Partition::create(&self.storage, directory, id, Rc::clone(&config)).await;
            let lane = self.lanes.borrow().get(&lane).cloned();
            match (created, lane) {
                (Ok(log), Some(lane)) => {
                    let producers = ProducerTable::default();
                    let partition = OwnedPartition::new(id, log, producers, config);
                    partition.set_gate(gate);
                    lane.add_partition(Rc::new(partition));
                }
                (Err(error), _) => {
                    tracing::error!(partition = %id, %error, "a partition could not be made");
                }
                (Ok(_), None) => tracing::error!(partition = %id, "its lane is not on this core"),
            }
        }
    }

    fn remove_partitions(&self, id: TopicId, lanes: Vec<LaneId>) {
        for (index, lane) in (0..).zip(lanes) {
            let lane = self.lanes.borrow().get(&lane).cloned();
            let Some(partition) =
                lane.and_then(|lane| lane.remove_partition(partition_of(id, index)))
            else {
                continue;
            };
            runtime::spawn_background("delete partition", async move {
                if let Err(error) = partition.log.delete().await {
                    // The next start clears away what is left.
                    tracing::warn!(partition = %partition.id, %error, "files were not all removed");
                }
            });
        }
    }

    /// Gives this core's partitions their new settings; of one topic or of all.
    fn set_configs(&self, only: Option<TopicId>) {
        let catalog = self.catalog.borrow();
        for lane in self.lanes() {
            for partition in lane.partitions() {
                if only.is_some_and(|id| id != partition.id.topic) {
                    continue;
                }
                if let Some(topic) = catalog.topic_by_id(partition.id.topic) {
                    partition.set_config(Rc::clone(&topic.effective));
                }
            }
        }
    }

    /// Lets this core's partitions take records, or not, as the catalog says; of one topic or of
    /// all.
    pub(crate) fn set_gates(&self, only: Option<TopicId>) {
        let catalog = self.catalog.borrow();
        for lane in self.lanes() {
            for partition in lane.partitions() {
                let TopicPartition { topic, partition: index } = partition.id;
                if only.is_some_and(|id| id != topic) {
                    continue;
                }
                let topic = catalog.topic_by_id(topic);
                if let Some(state) = topic.and_then(|t| t.partitions.get(index.0 as usize)) {
                    partition.set_gate(gate(state));
                }
            }
        }
    }
}

fn gate(partition: &PartitionState) -> Gate {
    if partition.sealed_by.is_some() { Gate::Sealed } else { Gate::Open }
}
