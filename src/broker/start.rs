//! From nothing to a serving broker, and back.

use std::{
    cell::RefCell, collections::BTreeMap, io, path::PathBuf, rc::Rc, sync::Arc, time::Duration,
};

use journal::{Journal, JournalConfig, JournalPosition, RecoveryReport};
use lane::{LaneError, recovery::CatalogPartition};
use model::{CoreId, LaneId};
use runtime::{CoresConfig, RunningCores};
use state::catalog::Catalog;
use thiserror::Error;

use crate::{
    Broker, BrokerHandle, BrokerSettings,
    broker::{ask_all, core_ids},
    data_directory::Meta,
    maintenance,
};

/// Why a broker did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another broker runs on the directory.
    #[error(
        "the data directory {path} is in use by another thalweg: stop that one first, or give this one another directory with --data-dir"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is not ours, or of another version.
    #[error("{path} is not usable: {why}. Nothing was changed")]
    UnknownFormat {
        /// The file that says so.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Stored state cannot be recovered.
    #[error("recovery failed on {core}: {source}")]
    Recovery {
        /// The core whose part it is.
        core: CoreId,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The checkpoint with which a broker stops could not be taken.
    #[error(
        "the last checkpoint failed on {core}: {source}. Nothing acknowledged is lost: the next start reads it from the journal"
    )]
    LastCheckpoint {
        /// The core whose part it is.
        core: CoreId,
        /// Why.
        source: LaneError,
    },
    /// The executors did not start.
    #[error("the cores did not start: {0}")]
    Cores(String),
    /// A core ended while starting.
    #[error("a core ended during start-up; the log says why")]
    CoreStopped(#[from] runtime::CoreStopped),
}

/// What recovery did, for the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecoverySummary {
    /// From the first file opened to the last command replayed.
    pub took: Duration,
    /// Commands replayed from the journals.
    pub commands: u64,
    /// Topics and partitions there are.
    pub topics: usize,
    /// Partitions there are.
    pub partitions: usize,
    /// Whether lanes moved because the core count changed.
    pub moved_lanes: bool,
}

/// A broker that has recovered and answers calls. Doors come on top.
pub struct RunningBroker {
    running: RunningCores<Broker>,
    handle: BrokerHandle,
    recovery: RecoverySummary,
}

impl RunningBroker {
    /// Starts the cores and recovers. Call it from the program's tokio runtime or from a
    /// simulation's main task.
    pub async fn start(settings: BrokerSettings) -> Result<RunningBroker, StartError> {
        let settings = Arc::new(settings);
        let config = CoresConfig {
            pinned: settings.pin_cores,
            spin_before_park: Duration::from_micros(settings.idle_spin_us),
            ..CoresConfig::new(settings.cores.max(1))
        };
        let running = runtime::start(config, move |core, cores| {
            Broker::new(core, cores, Arc::clone(&settings))
        })
        .map_err(|error| StartError::Cores(error.to_string()))?;
        let cores = running.cores().clone();
        match recover(&cores).await {
            Ok(recovery) => {
                ask_all(&cores, |broker| async move {
                    maintenance::start(&broker);
                    broker.open_stored_groups();
                    broker.expect_workers();
                })
                .await?;
                let handle = BrokerHandle::new(cores);
                Ok(RunningBroker { running, handle, recovery })
            }
            Err(error) => {
                // The error is what counts; the cores hold nothing that would be lost.
                let _ = running.stop();
                Err(error)
            }
        }
    }

    /// Reaches the broker from any thread.
    pub fn handle(&self) -> &BrokerHandle {
        &self.handle
    }

    /// What recovery did.
    pub fn recovery(&self) -> RecoverySummary {
        self.recovery
    }

    /// Stops cleanly: a last checkpoint on every core, journals closed, cores joined. The doors
    /// must be closed before.
    pub async fn stop(self) -> Result<(), StartError> {
        let cores = self.running.cores().clone();
        let closed = ask_all(&cores, |broker| async move { broker.close().await }).await?;
        self.running.stop().map_err(|error| StartError::Cores(error.to_string()))?;
        for (core, result) in core_ids(closed.len()).zip(closed) {
            result.map_err(|source| StartError::LastCheckpoint { core, source })?;
        }
        Ok(())
    }
}

fn recovery_error(
    core: CoreId,
    source: impl std::error::Error + Send + Sync + 'static,
) -> StartError {
    StartError::Recovery { core, source: Box::new(source) }
}

async fn recover(cores: &runtime::Cores<Broker>) -> Result<RecoverySummary, StartError> {
    let started = runtime::now();
    let first = CoreId(0);
    let meta = cores.call(first, |broker| async move { broker.open_directory().await }).await??;
    let moved_lanes = meta.cores != cores.count();
    let found = {
        let meta = meta.clone();
        ask_all(cores, move |broker| {
            let meta = meta.clone();
            async move { broker.find(&meta).await }
        })
        .await?
    };
    let commands = found.into_iter().sum::<Result<u64, StartError>>()?;

    // The catalog first: it says which partitions there are. Every core gets a replica.
    let catalog =
        cores.call(first, |broker| async move { broker.recover_catalog().await }).await??;
    let recovered = ask_all(cores, move |broker| {
        let catalog = catalog.clone();
        async move { broker.recover_lanes(&catalog).await }
    })
    .await?;
    recovered.into_iter().collect::<Result<(), StartError>>()?;

    if moved_lanes {
        move_lanes(cores, meta).await?;
    }
    let (topics, partitions) = cores
        .call(first, |broker| async move {
            let catalog = broker.catalog();
            let partitions = catalog.topics().map(|topic| topic.partitions.len()).sum();
            (catalog.topics().count(), partitions)
        })
        .await?;
    let took = runtime::now() - started;
    Ok(RecoverySummary { took, commands, topics, partitions, moved_lanes })
}

/// Writes what was recovered into a new generation and makes it the one in force.
async fn move_lanes(cores: &runtime::Cores<Broker>, old: Meta) -> Result<(), StartError> {
    let first = CoreId(0);
    let written = ask_all(cores, |broker| async move { broker.checkpoint().await }).await?;
    for (core, result) in core_ids(written.len()).zip(written) {
        result.map_err(|error| recovery_error(core, error))?;
    }
    cores
        .call(first, move |broker| async move {
            let Some(new) = broker.meta.get() else { return Ok(()) };
            tracing::info!(from = old.cores, to = new.cores, "lanes moved to other cores");
            broker.directory.write_meta(new).await?;
            let io = |source| StartError::Io { path: broker.directory.root().to_owned(), source };
            broker.directory.remove_old_generations(new.generation).await.map_err(io)
        })
        .await?
}

impl Broker {
    /// On the first core: takes the lock, reads or makes `meta.json`.
    async fn open_directory(&self) -> Result<Meta, StartError> {
        let root = self.directory.root().to_owned();
        let io = |source| StartError::Io { path: root.clone(), source };
        runtime::fs::create_directory_all(&root).await.map_err(io)?;
        let lock =
            runtime::fs::DirectoryLock::lock(self.directory.lock()).map_err(|error| match error
                .kind()
            {
                io::ErrorKind::WouldBlock => StartError::Locked { path: root.clone() },
                _ => io(error),
            })?;
        *self.lock.borrow_mut() = Some(lock);
        let meta = self.directory.open(self.cores.count(), self.settings.storage.lanes).await?;
        if meta.cores == self.cores.count() {
            self.directory.remove_old_generations(meta.generation).await.map_err(io)?;
        } else {
            let next =
                Meta { cores: self.cores.count(), generation: meta.generation + 1, ..meta.clone() };
            self.directory.make_generation(&next).await.map_err(io)?;
        }
        Ok(meta)
    }

    /// Reads this core's checkpoint and journal (after a change of the core count: everybody's,
    /// for the lanes that now live here). Returns the number of commands to replay.
    async fn find(&self, stored: &Meta) -> Result<u64, StartError> {
        let count = self.cores.count();
        let moved = stored.cores != count;
        let generation = stored.generation + u64::from(moved);
        let meta = Meta { cores: count, generation, ..stored.clone() };
        let mine = |lane: LaneId| lane.home(count) == self.core;
        let found = RefCell::new(lane::recovery::Found::default());
        let failed = |error: LaneError| recovery_error(self.core, error);

        let old_cores = core_ids(stored.cores).filter(|core| moved || *core == self.core);
        let mut replay_from = BTreeMap::new();
        for core in old_cores {
            let path = self.directory.checkpoint(stored.generation, core);
            let snapshot = lane::checkpoint::read(&path).await.map_err(failed)?;
            let (from, lanes) = snapshot.map_or_else(
                || (JournalPosition::FIRST, Vec::new()),
                |snapshot| (JournalPosition(snapshot.replay_from), snapshot.lanes),
            );
            found.borrow_mut().add_snapshots(lanes, mine);
            replay_from.insert(core, from);
        }
        let add = |command: journal::RecoveredCommand| {
            if mine(command.lane) { found.borrow_mut().add_command(command) } else { Ok(()) }
        };
        if moved {
            for (core, replay_from) in replay_from {
                let directory = self.directory.journal(stored.generation, core);
                Journal::scan(&directory, replay_from, add)
                    .await
                    .map_err(|error| recovery_error(self.core, error))?;
            }
            self.open_journal(&meta, JournalPosition::FIRST, |_| Ok::<(), LaneError>(())).await?;
        } else {
            let replay_from =
                replay_from.get(&self.core).copied().unwrap_or(JournalPosition::FIRST);
            self.checkpointed.set(replay_from);
            self.open_journal(&meta, replay_from, add).await?;
        }
        let _ = self.meta.set(meta);
        let commands = found.borrow().command_count() as u64;
        self.found.replace(found.into_inner());
        Ok(commands)
    }

    async fn open_journal(
        &self,
        meta: &Meta,
        replay_from: JournalPosition,
        visit: impl FnMut(journal::RecoveredCommand) -> Result<(), LaneError>,
    ) -> Result<RecoveryReport, StartError> {
        let config = JournalConfig {
            file_size_bytes: self.settings.storage.journal_file_bytes,
            replay_from,
            ..JournalConfig::new(self.directory.journal(meta.generation, self.core))
        };
        let (journal, report) =
            Journal::open(config, visit).await.map_err(|error| recovery_error(self.core, error))?;
        let _ = self.journal.set(journal);
        Ok(report)
    }

    /// On the first core: the catalog, encoded for every core's replica.
    async fn recover_catalog(&self) -> Result<Vec<u8>, StartError> {
        if !self.found.borrow().knows(LaneId::CATALOG) {
            self.refuse_unknown_topics().await?;
        }
        let catalog = self.found.borrow_mut().recover_catalog();
        catalog.map(|catalog| catalog.snapshot()).map_err(|error| recovery_error(self.core, error))
    }

    /// Topics' files come after the catalog's commands. If there are some and no command is known,
    /// the catalog is lost: its topics must not be taken for deleted ones, and removed.
    async fn refuse_unknown_topics(&self) -> Result<(), StartError> {
        let path = self.directory.topics();
        let io = |source| StartError::Io { path: path.clone(), source };
        if !runtime::fs::exists(&path).await.map_err(io)?
            || runtime::fs::read_directory(&path).await.map_err(io)?.is_empty()
        {
            return Ok(());
        }
        Err(recovery_error(self.core, LaneError::LostState { path }))
    }

    /// The same for the partitions of a core of which nothing is known: their files must not be
    /// taken for leftovers.
    async fn refuse_unknown_partitions(
        &self,
        placed: &BTreeMap<LaneId, Vec<CatalogPartition>>,
    ) -> Result<(), StartError> {
        let count = self.cores.count();
        let mine = placed.iter().filter(|(lane, _)| lane.home(count) == self.core);
        for CatalogPartition { directory, .. } in mine.flat_map(|(_, partitions)| partitions) {
            let path = directory.clone();
            let io = |source| StartError::Io { path: path.clone(), source };
            if runtime::fs::exists(directory).await.map_err(io)? {
                return Err(recovery_error(self.core, LaneError::LostState { path }));
            }
        }
        Ok(())
    }

    async fn recover_lanes(self: &Rc<Self>, catalog: &[u8]) -> Result<(), StartError> {
        let failed = |error: LaneError| recovery_error(self.core, error);
        let catalog = Catalog::restore(catalog)
            .map_err(|error| failed(LaneError::Catalog(error.to_string())))?;
        let mut placed: BTreeMap<LaneId, Vec<CatalogPartition>> = BTreeMap::new();
        for topic in catalog.topics() {
            for (index, partition) in (0..).zip(&topic.partitions) {
                let id = crate::partition_of(topic.id, index);
                let directory = self.directory.partition(&topic.name, topic.id, id.partition);
                let config = Rc::clone(&topic.effective);
                let place = CatalogPartition { id, directory, config };
                placed.entry(partition.lane).or_default().push(place);
            }
        }
        *self.catalog.borrow_mut() = catalog;
        self.apply_static_configs();

        let (Some(journal), Some(meta)) = (self.journal.get(), self.meta.get()) else {
            return Ok(());
        };
        let mut found = self.found.take();
        if found.is_empty() {
            self.refuse_unknown_partitions(&placed).await?;
        }
        for lane in (0..meta.lanes).map(LaneId) {
            if lane.home(self.cores.count()) != self.core {
                continue;
            }
            let partitions = placed.remove(&lane).unwrap_or_default();
            let recovered = found
                .recover_lane(lane, journal, &self.storage, partitions)
                .await
                .map_err(failed)?;
            self.lanes.borrow_mut().insert(lane, Rc::new(recovered));
        }
        self.set_gates(None);
        let broker = Rc::downgrade(self);
        journal.set_durable_listener(Box::new(move |durable| {
            if let Some(broker) = broker.upgrade() {
                for lane in broker.lanes.borrow().values() {
                    lane.apply_durable(durable);
                }
            }
        }));
        Ok(())
    }

    /// The last checkpoint, and the end of the journal.
    async fn close(self: Rc<Self>) -> Result<(), LaneError> {
        self.stopping.set(true);
        self.group_slots.release_waiting();
        let mut result = self.checkpoint().await;
        if result.is_err() {
            // A damaged segment is set aside by the attempt that meets it.
            result = self.checkpoint().await;
        }
        if let Some(journal) = self.journal.get() {
            journal.clone().close().await;
        }
        self.lock.borrow_mut().take();
        result
    }
}
