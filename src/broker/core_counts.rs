//! What one core of the broker has counted, and what it holds at the moment, as plain numbers.

use std::{
    cell::RefCell,
    collections::{BTreeMap, btree_map::Entry},
    ops::AddAssign,
    time::Duration,
};

use journal::{Journal, JournalCounts};
use metrics::{Traffic, TrafficCounts};
use model::{CoreId, TopicId, TopicName};
use partition::ReadCounts;
use state::catalog::Catalog;

use crate::{Broker, FetchRequest, Fetched, Outcome, ScalingCounts};

/// One core's numbers.
#[derive(Debug, Clone)]
pub struct CoreCounts {
    /// Whose they are.
    pub core: CoreId,
    /// CPU time that the core's thread has used, in the kernel too.
    pub cpu_time: Duration,
    /// Topics that there are, on all cores.
    pub topic_count: usize,
    /// Partitions that live here.
    pub partitions: usize,
    /// All topics together, deleted ones too. Never falls while the process runs.
    pub total: TopicCounts,
    /// By topic: those of which this core has counted anything; one entry per partition, and one
    /// for what was given.
    pub topics: Vec<(TopicId, TopicCounts)>,
    /// Bytes of the logs that live here, by topic: those that hold anything, one entry per
    /// partition.
    pub log_bytes: Vec<(TopicId, u64)>,
    /// The journal; `None` until it is open.
    pub journal: Option<JournalCounts>,
    /// Bytes of commands that are not durable yet.
    pub journal_buffered_bytes: usize,
    /// Where reads found their batches.
    pub reads: ReadCounts,
    /// Memory of the newest batches, in bytes.
    pub tail_bytes: usize,
    /// What of that is in no segment yet.
    pub tail_unwritten_bytes: usize,
    /// What tails may take, in bytes.
    pub tail_max_bytes: usize,
    /// The disk is full: records are refused.
    pub storage_is_full: bool,
    /// What was done to streams on demand; nothing but on the catalog's core.
    pub scaled: ScalingCounts,
}

/// What came in and went out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicCounts {
    /// Made durable (with `write.caching`: taken into memory) here, where the partition lives.
    pub taken: TrafficCounts,
    /// Given to readers by this core, which may not be the partition's.
    pub given: TrafficCounts,
}

impl TopicCounts {
    /// What is left without `other`; nothing rather than less.
    pub fn saturating_sub(self, other: TopicCounts) -> TopicCounts {
        TopicCounts {
            taken: self.taken.saturating_sub(other.taken),
            given: self.given.saturating_sub(other.given),
        }
    }
}

impl AddAssign for TopicCounts {
    fn add_assign(&mut self, other: TopicCounts) {
        self.taken += other.taken;
        self.given += other.given;
    }
}

/// What this core has given to readers, by topic.
#[derive(Debug, Default)]
pub(crate) struct Given {
    topics: RefCell<BTreeMap<TopicId, Traffic>>,
    /// Of topics that were deleted.
    gone: Traffic,
}

impl Given {
    /// The answers of a fetch leave the broker. Only partitions with records in the answer cost a
    /// look into the map.
    pub fn note(
        &self,
        request: &FetchRequest,
        outcomes: &[Outcome<Fetched>],
        catalog: &RefCell<Catalog>,
    ) {
        for (wanted, outcome) in request.partitions.iter().zip(outcomes) {
            let Ok(fetched) = outcome else { continue };
            if fetched.batches.is_empty() {
                continue;
            }
            let records = fetched.batches.iter().map(|batch| batch::record_count(batch)).sum();
            let bytes = fetched.size_bytes() as u64;
            let id = wanted.topic.topic;
            match self.topics.borrow_mut().entry(id) {
                Entry::Occupied(topic) => topic.get().note(records, bytes),
                Entry::Vacant(place) if catalog.borrow().topic_by_id(id).is_some() => {
                    place.insert(Traffic::default()).note(records, bytes);
                }
                // Read while it was deleted.
                Entry::Vacant(_) => self.gone.note(records, bytes),
            }
        }
    }

    /// A topic was deleted.
    pub fn forget(&self, topic: TopicId) {
        if let Some(traffic) = self.topics.borrow_mut().remove(&topic) {
            self.gone.absorb(traffic.counts());
        }
    }
}

impl Broker {
    /// What this core has counted.
    pub fn counts(&self) -> CoreCounts {
        let (total, topics) = self.topic_counts();
        CoreCounts {
            core: self.core,
            cpu_time: runtime::core_cpu_time(),
            topic_count: self.catalog.borrow().topic_count(),
            partitions: self.storage.partition_count(),
            total,
            topics,
            log_bytes: self.log_bytes(),
            journal: self.journal.get().map(Journal::counts),
            journal_buffered_bytes: self.journal.get().map_or(0, Journal::buffered_bytes),
            reads: self.storage.read_counts(),
            tail_bytes: self.storage.tail_bytes(),
            tail_unwritten_bytes: self.storage.unflushed_bytes(),
            tail_max_bytes: self.tail_memory_bytes,
            storage_is_full: self.is_storage_full(),
            scaled: self.scaled.counts(),
        }
    }

    /// Total, and by topic. The core does nothing else meanwhile, so this only walks and copies.
    fn topic_counts(&self) -> (TopicCounts, Vec<(TopicId, TopicCounts)>) {
        let mut topics = Vec::new();
        for (id, given) in self.given.topics.borrow().iter() {
            topics.push((*id, TopicCounts { given: given.counts(), ..TopicCounts::default() }));
        }
        let mut total = TopicCounts { given: self.given.gone.counts(), ..TopicCounts::default() };
        for lane in self.lanes.borrow().values() {
            total.taken += lane.taken_of_removed();
            lane.for_each_taken(|id, taken| {
                topics.push((id.topic, TopicCounts { taken, ..TopicCounts::default() }));
            });
        }
        for (_, counts) in &topics {
            total += *counts;
        }
        (total, topics)
    }

    fn log_bytes(&self) -> Vec<(TopicId, u64)> {
        let mut logs = Vec::new();
        for lane in self.lanes.borrow().values() {
            lane.for_each_log(|id, size_bytes| logs.push((id.topic, size_bytes)));
        }
        logs
    }

    /// The topics' names; `None` for one that is no more.
    pub fn topic_names(&self, ids: &[TopicId]) -> Vec<Option<TopicName>> {
        let catalog = self.catalog.borrow();
        ids.iter().map(|id| catalog.topic_by_id(*id).map(|topic| topic.name.clone())).collect()
    }
}
