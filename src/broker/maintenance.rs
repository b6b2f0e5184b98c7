//! What a core does beside serving: checkpoints, retention, compaction, clearing away the files of
//! deleted topics, and on the catalog's core looking at the load of streams on demand. Nearly all
//! of it at low priority.

use std::{rc::Rc, time::Duration};

use lane::{Checkpoint, LaneError, OwnedPartition};
use model::LaneId;

use crate::{Broker, catalog_change::CATALOG_CORE, settings::StorageSettings};

/// How often the checkpoint's conditions are looked at.
const CHECKPOINT_LOOK: Duration = Duration::from_millis(100);

/// Between attempts while checkpoints fail, and while the journal is full of what one may free.
const CHECKPOINT_RETRY: Duration = Duration::from_secs(1);

/// What decides whether a checkpoint is due.
#[derive(Clone, Copy)]
struct CheckpointNeed {
    /// Since the last attempt.
    waited: Duration,
    /// The last attempt failed.
    failing: bool,
    /// Journal bytes that the last checkpoint does not cover.
    journal_bytes: u64,
    journal_is_full: bool,
}

impl CheckpointNeed {
    fn is_due(self, settings: &StorageSettings) -> bool {
        let retry = self.waited >= CHECKPOINT_RETRY;
        if self.failing || self.journal_is_full {
            return retry;
        }
        self.waited >= Duration::from_millis(settings.checkpoint_interval_ms)
            || self.journal_bytes >= settings.checkpoint_bytes
    }
}

/// Starts the background tasks of a core. They end when the broker stops.
pub(crate) fn start(broker: &Rc<Broker>) {
    let checkpoints = Rc::clone(broker);
    runtime::spawn_background("checkpoints", async move { checkpoints.keep_checkpoints().await });
    let retention = Rc::clone(broker);
    runtime::spawn_background("retention", async move { retention.keep_retention().await });
    let compaction = Rc::clone(broker);
    runtime::spawn_background("compaction", async move { compaction.keep_compacted().await });
    broker.finish_decided();
    let timeouts = Rc::clone(broker);
    runtime::spawn_background(
        "transaction timeouts",
        async move { timeouts.keep_timeouts().await },
    );
    let ids = Rc::clone(broker);
    runtime::spawn_background(
        "transactional ids",
        async move { ids.keep_transactional_ids().await },
    );
    let sessions = Rc::clone(broker);
    runtime::spawn("consumer sessions", async move { sessions.keep_consumer_sessions().await });
    let offsets = Rc::clone(broker);
    runtime::spawn_background("offsets", async move { offsets.keep_offsets().await });
    if broker.core == CATALOG_CORE {
        // Not in the background: who waits for a change of shards waits for this task.
        let scaling = Rc::clone(broker);
        runtime::spawn("scaling", async move { scaling.keep_scaled().await });
        let orphans = Rc::clone(broker);
        runtime::spawn_background("orphans", async move { orphans.remove_orphans().await });
    }
}

impl Broker {
    /// Takes a checkpoint now.
    pub async fn checkpoint(&self) -> Result<(), LaneError> {
        let (Some(journal), Some(meta)) = (self.journal.get(), self.meta.get()) else {
            return Ok(());
        };
        // The semaphores are never closed, so acquiring cannot fail.
        let _turn = self.checkpoint_turn.acquire().await;
        let checkpoint = {
            // No change of the catalog may stand between its journaling and its application.
            let _quiet = self.catalog_changes.acquire().await;
            let lanes = self.lanes();
            let holds_catalog = lanes.iter().any(|lane| lane.id() == LaneId::CATALOG);
            let catalog = holds_catalog.then(|| self.catalog.borrow().snapshot());
            Checkpoint::begin(lanes, journal, catalog)
        };
        let path = self.directory.checkpoint(meta.generation, self.core);
        self.checkpointed.set(checkpoint.complete(&path).await?);
        Ok(())
    }

    async fn keep_checkpoints(&self) {
        let mut last = runtime::now();
        // Told once, not with every attempt: on a full disk the log would take up space too.
        let mut told: Option<String> = None;
        while !self.stopping.get() {
            runtime::sleep(CHECKPOINT_LOOK).await;
            let Some(journal) = self.journal.get() else { return };
            let need = CheckpointNeed {
                waited: runtime::now() - last,
                failing: told.is_some(),
                journal_bytes: journal.written_bytes_since(self.checkpointed.get()),
                journal_is_full: journal.is_full(),
            };
            let changed = self.lanes.borrow().values().any(|lane| lane.has_changed());
            if !need.is_due(&self.settings.storage) || !changed || self.stopping.get() {
                continue;
            }
            match self.checkpoint().await {
                Err(error) => {
                    let text = error.to_string();
                    if told.as_ref() != Some(&text) {
                        tracing::error!(
                            %error, core = self.core.0,
                            "no checkpoint could be taken; the journal keeps everything, it is tried again every second"
                        );
                    }
                    told = Some(text);
                }
                Ok(()) if told.take().is_some() => {
                    tracing::info!(core = self.core.0, "checkpoints are taken again");
                }
                Ok(()) => {}
            }
            last = runtime::now();
        }
    }

    fn own_partitions(&self) -> Vec<(Rc<lane::Lane>, Rc<OwnedPartition>)> {
        let pair = |lane: Rc<lane::Lane>| {
            let partitions = lane.partitions();
            partitions.into_iter().map(move |partition| (Rc::clone(&lane), partition))
        };
        self.lanes().into_iter().flat_map(pair).collect()
    }

    pub(crate) fn interval(&self, key: &str, fallback_ms: u64) -> Duration {
        let value = self.catalog.borrow().broker_number(key);
        let configured = value.and_then(|value| u64::try_from(value).ok());
        Duration::from_millis(configured.unwrap_or(fallback_ms).max(10))
    }

    async fn keep_retention(&self) {
        while !self.stopping.get() {
            // Kafka's default for log.retention.check.interval.ms
            runtime::sleep(self.interval("log.retention.check.interval.ms", 300_000)).await;
            let expiration_ms = self
                .catalog
                .borrow()
                .broker_number(state::configs::PRODUCER_ID_EXPIRATION_MS)
                .unwrap_or(state::producers::EXPIRATION_MS);
            for (lane, partition) in self.own_partitions() {
                if self.stopping.get() {
                    return;
                }
                partition.expire_producers(runtime::wall_clock(), expiration_ms);
                let Some(offset) = partition.log.retention_target(runtime::wall_clock()) else {
                    continue;
                };
                match lane.propose_log_start(&partition, offset) {
                    Ok(done) => drop(done.await),
                    Err(error) => tracing::warn!(%error, partition = %partition.id, "retention"),
                }
                runtime::yield_now().await;
            }
        }
    }

    async fn keep_compacted(&self) {
        while !self.stopping.get() {
            // Kafka's default for log.cleaner.backoff.ms
            runtime::sleep(self.interval("log.cleaner.backoff.ms", 15_000)).await;
            for (lane, partition) in self.own_partitions() {
                if self.stopping.get() {
                    return;
                }
                if !partition.config().cleanup_policy.compact {
                    continue;
                }
                match partition.log.compact(runtime::wall_clock()).await {
                    Ok(report) if report.segments_rewritten > 0 => {
                        lane.mark_changed();
                        tracing::info!(partition = %partition.id, ?report, "compacted");
                    }
                    Ok(_) | Err(partition::StorageError::Deleted { .. }) => {}
                    Err(error) => {
                        tracing::error!(%error, partition = %partition.id, "compaction failed");
                    }
                }
            }
        }
    }

    /// Removes what a crash left of deleted topics.
    async fn remove_orphans(&self) {
        if let Err(error) = self.try_remove_orphans().await {
            tracing::warn!(%error, "files of deleted topics could not be removed");
        }
    }

    async fn try_remove_orphans(&self) -> std::io::Result<()> {
        let folder = self.directory.topics();
        let listed = runtime::fs::read_directory(&folder).await?;
        for name in listed.into_iter().map(|entry| entry.name) {
            let topic = folder.join(&name);
            for entry in runtime::fs::read_directory(&topic).await? {
                // Asked anew each time: topics are made while this runs.
                if !self.is_known(&name, &entry.name) {
                    runtime::fs::remove_directory_all(&topic.join(&entry.name)).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether a folder `<topic id>-<partition>` belongs to a partition that there is.
    fn is_known(&self, topic: &str, folder: &str) -> bool {
        let catalog = self.catalog.borrow();
        let name = model::TopicName::new(topic).ok();
        let Some(topic) = name.and_then(|name| catalog.topic(&name)) else { return false };
        let Some((id, index)) = folder.rsplit_once('-') else { return false };
        let within = index.parse::<usize>().is_ok_and(|index| index < topic.partitions.len());
        within && id == topic.id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_due_after_time_or_bytes_but_a_failing_one_waits_before_each_attempt() {
        let settings = StorageSettings::default();
        let (bytes, interval) = (settings.checkpoint_bytes, settings.checkpoint_interval_ms);
        let need = |waited_ms, failing, journal_bytes, journal_is_full| {
            let waited = Duration::from_millis(waited_ms);
            CheckpointNeed { waited, failing, journal_bytes, journal_is_full }.is_due(&settings)
        };
        assert!(!need(interval - 1, false, bytes - 1, false));
        assert!(need(interval, false, 0, false));
        assert!(need(0, false, bytes, false));
        // However much there is to do: attempts without a pause would fill the log.
        assert!(!need(999, true, bytes, true));
        assert!(need(1000, true, 0, false));
        // One that frees a journal file is not waited for longer than that either.
        assert!(!need(999, false, 0, true));
        assert!(need(1000, false, 0, true));
    }
}
