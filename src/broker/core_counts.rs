//! What one core of the broker has counted, and what it holds at the moment, as plain numbers.

use std::{cell::RefCell, collections::BTreeMap, ops::AddAssign, time::Duration};

use journal::{Journal, JournalCounts};
use metrics::{Traffic, TrafficCounts};
use model::{CoreId, TopicId, TopicName};
use partition::ReadCounts;

use crate::{Broker, FetchRequest, Fetched, Outcome};

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
    /// By topic: those of which this core has counted anything.
    pub topics: Vec<(TopicId, TopicName, TopicCounts)>,
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
    pub fn note(&self, request: &FetchRequest, outcomes: &[Outcome<Fetched>]) {
        for (wanted, outcome) in request.partitions.iter().zip(outcomes) {
            let Ok(fetched) = outcome else { continue };
            if fetched.batches.is_empty() {
                continue;
            }
            let records = fetched.batches.iter().map(|batch| batch::record_count(batch)).sum();
            let bytes = fetched.size_bytes() as u64;
            let mut topics = self.topics.borrow_mut();
            topics.entry(wanted.topic.topic).or_default().note(records, bytes);
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
            topic_count: self.catalog.borrow().topics().count(),
            partitions: self.storage.partition_count(),
            total,
            topics,
            journal: self.journal.get().map(Journal::counts),
            journal_buffered_bytes: self.journal.get().map_or(0, Journal::buffered_bytes),
            reads: self.storage.read_counts(),
            tail_bytes: self.storage.tail_bytes(),
            tail_unwritten_bytes: self.storage.unflushed_bytes(),
            tail_max_bytes: self.tail_memory_bytes,
            storage_is_full: self.is_storage_full(),
        }
    }

    fn topic_counts(&self) -> (TopicCounts, Vec<(TopicId, TopicName, TopicCounts)>) {
        let mut total = TopicCounts { given: self.given.gone.counts(), ..TopicCounts::default() };
        let mut topics: BTreeMap<TopicId, TopicCounts> = BTreeMap::new();
        for (id, given) in self.given.topics.borrow().iter() {
            topics.entry(*id).or_default().given = given.counts();
        }
        for lane in self.lanes.borrow().values() {
            total.taken += lane.taken_of_removed();
            for partition in lane.partitions() {
                let taken = partition.taken.counts();
                if taken != TrafficCounts::default() {
                    topics.entry(partition.id.topic).or_default().taken += taken;
                }
            }
        }
        for counts in topics.values() {
            total += *counts;
        }
        let catalog = self.catalog.borrow();
        let mut named = Vec::with_capacity(topics.len());
        for (id, counts) in topics {
            match catalog.topic_by_id(id) {
                Some(topic) => named.push((id, topic.name.clone(), counts)),
                // Read while it was deleted.
                None => self.given.forget(id),
            }
        }
        (total, named)
    }
}
