//! The broker's part on one core.

use std::{
    cell::{Cell, OnceCell, Ref, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};

use journal::{Journal, JournalPosition};
use lane::{Lane, OwnedPartition};
use model::{CoreId, LaneId, TopicPartition};
use partition::{CoreStorage, StorageConfig};
use runtime::{
    Cores,
    sync::{Notify, Semaphore},
};
use state::catalog::Catalog;

use crate::{
    BrokerError, BrokerSettings, DataDirectory, Outcome, consumer_groups::coordinator::Coordinator,
    core_counts::Given, data_directory::Meta, groups::GroupSlots, scaling::ScalingCounters,
    transactional_append::Verifying, worker_leases::Workers,
};

/// One core's share of the broker: its lanes, and a replica of the catalog.
///
/// Operations may be called on any core; they reach the lane that owns the data themselves.
pub struct Broker {
    pub(crate) core: CoreId,
    pub(crate) cores: Cores<Broker>,
    pub(crate) settings: Arc<BrokerSettings>,
    pub(crate) directory: DataDirectory,
    pub(crate) meta: OnceCell<Meta>,
    pub(crate) catalog: RefCell<Catalog>,
    pub(crate) storage: Rc<CoreStorage>,
    /// What this core's tails may take, in bytes.
    pub(crate) tail_memory_bytes: usize,
    pub(crate) journal: OnceCell<Journal>,
    pub(crate) lanes: RefCell<BTreeMap<LaneId, Rc<Lane>>>,
    /// Told of every change of this core's replica of the catalog.
    pub(crate) catalog_changed: Notify,
    /// On the catalog's core: one change of the catalog at a time.
    pub(crate) catalog_changes: Semaphore,
    /// Producer ids reserved for this core: the next one and the first that is not ours.
    pub(crate) producer_ids: Cell<(i64, i64)>,
    pub(crate) producer_id_reservation: Semaphore,
    pub(crate) found: RefCell<lane::recovery::Found>,
    pub(crate) stopping: Cell<bool>,
    pub(crate) lock: RefCell<Option<runtime::fs::DirectoryLock>>,
    pub(crate) checkpoint_turn: Semaphore,
    /// The first journal frame that the last checkpoint does not cover.
    pub(crate) checkpointed: Cell<JournalPosition>,
    pub(crate) given: Given,
    /// Transactional batches that wait for the coordinator's word.
    pub(crate) verifying: Verifying,
    pub(crate) group_slots: GroupSlots,
    /// Groups of Kafka's newer protocol.
    pub(crate) consumer_groups: Coordinator,
    /// Workers that share leases with groups.
    pub(crate) workers: Workers,
    /// On the catalog's core: what streams on demand were changed.
    pub(crate) scaled: ScalingCounters,
}

/// The part of the memory that tails may take; the rest is for requests and replies.
const TAIL_MEMORY_SHARE: (u64, u64) = (1, 2);

impl Broker {
    pub(crate) fn new(core: CoreId, cores: Cores<Broker>, settings: Arc<BrokerSettings>) -> Self {
        let core_memory_bytes = settings.memory_bytes / cores.count().max(1) as u64;
        let (share, whole) = TAIL_MEMORY_SHARE;
        let tail_memory_bytes =
            usize::try_from(core_memory_bytes / whole * share).unwrap_or(usize::MAX);
        let storage = CoreStorage::new(StorageConfig {
            memory_bytes: tail_memory_bytes,
            open_files_max: settings.storage.open_files_max,
            ..StorageConfig::default()
        });
        Broker {
            core,
            cores,
            directory: DataDirectory::new(&settings.data_dir),
            settings,
            meta: OnceCell::new(),
            catalog: RefCell::default(),
            storage,
            tail_memory_bytes,
            journal: OnceCell::new(),
            lanes: RefCell::default(),
            catalog_changed: Notify::new(),
            catalog_changes: Semaphore::new(1),
            producer_ids: Cell::new((0, 0)),
            producer_id_reservation: Semaphore::new(1),
            found: RefCell::default(),
            stopping: Cell::new(false),
            lock: RefCell::new(None),
            checkpoint_turn: Semaphore::new(1),
            checkpointed: Cell::new(JournalPosition::FIRST),
            given: Given::default(),
            verifying: Verifying::default(),
            group_slots: GroupSlots::default(),
            consumer_groups: Coordinator::default(),
            workers: Workers::default(),
            scaled: ScalingCounters::default(),
        }
    }

    /// The core that this part runs on.
    pub fn core(&self) -> CoreId {
        self.core
    }

    /// Every core's part.
    pub fn cores(&self) -> &Cores<Broker> {
        &self.cores
    }

    /// How the broker was told to run.
    pub fn settings(&self) -> &BrokerSettings {
        &self.settings
    }

    /// The memory of this core that is not for tails: requests being read and replies being
    /// written, in bytes.
    pub fn request_memory_bytes(&self) -> usize {
        let core_memory_bytes = self.settings.memory_bytes / self.cores.count().max(1) as u64;
        usize::try_from(core_memory_bytes / 2).unwrap_or(usize::MAX)
    }

    /// How large the records of one batch may be when they are decompressed to be checked, in bytes.
    /// A core checks one batch at a time.
    pub(crate) fn unfolded_bytes_max(&self) -> usize {
        self.request_memory_bytes() / 2
    }

    /// Kafka's cluster id.
    pub fn cluster_id(&self) -> &str {
        self.meta.get().map_or("", |meta| &meta.cluster_id)
    }

    /// Kafka's broker id.
    pub fn node_id(&self) -> i32 {
        self.meta.get().map_or(-1, |meta| meta.node_id)
    }

    /// Signs what the broker hands out and takes back.
    pub fn secret(&self) -> &str {
        self.meta.get().map_or("", |meta| &meta.secret)
    }

    /// This core's replica of the catalog. Do not hold the borrow across an await.
    pub fn catalog(&self) -> Ref<'_, Catalog> {
        self.catalog.borrow()
    }

    /// Whether the disk is too full to write.
    pub fn is_storage_full(&self) -> bool {
        self.storage.is_full() || self.journal.get().is_some_and(Journal::is_full)
    }

    /// The core that owns a partition, by the catalog.
    pub fn owner(&self, id: TopicPartition) -> Outcome<CoreId> {
        let catalog = self.catalog.borrow();
        let topic = catalog.topic_by_id(id.topic).ok_or(BrokerError::UnknownTopicId)?;
        let partition = topic
            .partitions
            .get(id.partition.0 as usize)
            .ok_or(BrokerError::UnknownTopicOrPartition)?;
        Ok(partition.lane.home(self.cores.count()))
    }

    /// A partition that lives on this core, and its lane.
    pub(crate) fn local(&self, id: TopicPartition) -> Outcome<(Rc<Lane>, Rc<OwnedPartition>)> {
        let lane = {
            let catalog = self.catalog.borrow();
            let topic = catalog.topic_by_id(id.topic).ok_or(BrokerError::UnknownTopicId)?;
            topic.partitions.get(id.partition.0 as usize).map(|partition| partition.lane)
        };
        let lane = lane.ok_or(BrokerError::UnknownTopicOrPartition)?;
        let lane = self.lanes.borrow().get(&lane).cloned();
        let lane = lane.ok_or(BrokerError::UnknownTopicOrPartition)?;
        let partition = lane.partition(id).ok_or(BrokerError::UnknownTopicOrPartition)?;
        Ok((lane, partition))
    }

    /// All lanes of this core, lowest first.
    pub(crate) fn lanes(&self) -> Vec<Rc<Lane>> {
        self.lanes.borrow().values().cloned().collect()
    }
}

/// Asks every core at once and collects the answers in the order of the cores.
pub(crate) async fn ask_all<T, F, Fut>(
    cores: &Cores<Broker>,
    ask: F,
) -> Result<Vec<T>, runtime::CoreStopped>
where
    T: Send + 'static,
    F: Fn(Rc<Broker>) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = T> + 'static,
{
    let calls: Vec<_> = core_ids(cores.count()).map(|core| cores.call(core, ask.clone())).collect();
    let mut answers = Vec::with_capacity(calls.len());
    for call in calls {
        answers.push(call.await?);
    }
    Ok(answers)
}

/// The ids of `count` cores.
pub(crate) fn core_ids(count: usize) -> impl Iterator<Item = CoreId> {
    (0..count).filter_map(|core| u16::try_from(core).ok()).map(CoreId)
}
