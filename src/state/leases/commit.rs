//! A committed offset is a checkpoint: the mapping in both directions.
//!
//! Kafka knows one number per partition, the offset to be read next. A partition's records are
//! divided among shards that follow each other, so that number says: every shard that ends at or
//! before it is at SHARD_END, the shard that contains it was processed up to the offset before it,
//! and those behind it are untouched.

use model::{Offset, PartitionIndex, ShardId, TopicId, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{Checkpoint, CommitDetails, Lease, LeaseKey, LeaseTable, PreciseCheckpoint};
use crate::shards::Shards;

/// One of the shards that follow each other on a partition, as the catalog had it when a commit
/// was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardSpan {
    /// The shard.
    pub shard: ShardId,
    /// Its first offset.
    pub start: Offset,
    /// The offset after its last one; `None` while it is open.
    pub end: Option<Offset>,
}

/// The shards of a partition, oldest first.
pub fn spans(shards: &Shards, partition: PartitionIndex) -> Vec<ShardSpan> {
    let of_partition = shards.all().iter().filter(|shard| shard.partition == partition);
    of_partition
        .map(|shard| ShardSpan {
            shard: shard.id,
            start: shard.start_offset,
            end: shard.end_offset,
        })
        .collect()
}

/// An offset as Kafka commits it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetCommit {
    /// The partition.
    pub partition: TopicPartition,
    /// Its shards, oldest first; at least one.
    pub spans: Vec<ShardSpan>,
    /// The offset to be read next.
    pub offset: Offset,
    /// What Kafka keeps with it.
    pub details: CommitDetails,
}

/// A committed offset as Kafka reads it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed<'a> {
    /// The offset to be read next.
    pub offset: Offset,
    /// What was committed with it; `None` if the checkpoint was made by a KCL worker.
    pub details: Option<&'a CommitDetails>,
}

impl LeaseTable {
    /// Sets the checkpoints of a partition's shards to what a committed offset means.
    pub fn commit(&mut self, application: &str, commit: &OffsetCommit) {
        let OffsetCommit { partition, spans, offset, details } = commit;
        let next = *offset;
        let last = spans.len().saturating_sub(1);
        // The shard in which reading goes on. Beyond the end of a sealed partition it is the last.
        let current = spans.iter().rposition(|span| span.start <= next).unwrap_or(0);
        // Whoever holds the partition holds the shard in which reading goes on.
        let owner =
            self.of_partition(application, *partition).find_map(|(_, lease)| lease.owner.clone());
        for (place, span) in spans.iter().enumerate() {
            let key = LeaseKey {
                topic: partition.topic,
                partition: partition.partition,
                shard: span.shard,
            };
            let checkpoint = if place < current || (place == last && span.end == Some(next)) {
                Checkpoint::ShardEnd
            } else if place > current || next == span.start {
                Checkpoint::TrimHorizon
            } else {
                Checkpoint::After(Offset(next.0.saturating_sub(1)))
            };
            let lease = self.lease_or_new(application, key, *span);
            lease.end = span.end;
            lease.at = PreciseCheckpoint::whole(checkpoint);
            lease.pending = None;
            lease.owner_switches = 0;
            lease.commit = (place == current).then(|| details.clone());
            let owner = owner.as_ref().filter(|_| place == current);
            if lease.owner.as_ref() != owner {
                lease.give(owner.cloned());
            }
        }
    }

    /// The offset at which an application reads a partition next, if it has come anywhere.
    pub fn committed(&self, application: &str, partition: TopicPartition) -> Option<Committed<'_>> {
        committed_of(self.of_partition(application, partition).map(|(_, lease)| lease))
    }

    /// Every partition of an application with a committed offset.
    pub fn all_committed(
        &self,
        application: &str,
    ) -> impl Iterator<Item = (TopicPartition, Committed<'_>)> {
        let mut rest = self.of_application(application).peekable();
        std::iter::from_fn(move || {
            loop {
                let partition = rest.peek()?.0.topic_partition();
                let mut of_partition = Vec::new();
                while let Some((_, lease)) =
                    rest.next_if(|(key, _)| key.topic_partition() == partition)
                {
                    of_partition.push(lease);
                }
                if let Some(committed) = committed_of(of_partition.into_iter()) {
                    return Some((partition, committed));
                }
            }
        })
    }

    /// Forgets how far an application has come in a partition. Leases that are held stay, and those
    /// that workers know: without a lease a parent counts as read to its end. Answers whether there
    /// was anything to forget.
    pub fn forget_commit(&mut self, application: &str, partition: TopicPartition) -> bool {
        let known = self.committed(application, partition).is_some();
        self.retain_of_partition(application, partition, |lease| {
            lease.at = PreciseCheckpoint::whole(Checkpoint::TrimHorizon);
            (lease.commit, lease.pending) = (None, None);
            lease.owner.is_some() || lease.is_known_to_workers()
        });
        known
    }

    /// Forgets a topic of an application altogether.
    pub fn forget_topic(&mut self, application: &str, topic: TopicId) {
        self.retain(application, |key, _| key.topic != topic);
    }
}

/// Where reading goes on, from a partition's leases, oldest shard first. The first shard that is
/// not at its end decides. A shard without a lease lies before the application's beginning.
fn committed_of<'a>(leases: impl Iterator<Item = &'a Lease>) -> Option<Committed<'a>> {
    let mut finished = None;
    for lease in leases {
        let details = lease.commit.as_ref();
        match lease.at.checkpoint {
            Checkpoint::ShardEnd => {
                let offset = lease.end?;
                finished = Some(Committed { offset, details });
            }
            Checkpoint::After(offset) => {
                return Some(Committed { offset: offset.plus(1), details });
            }
            Checkpoint::TrimHorizon if details.is_some() || finished.is_some() => {
                return Some(Committed { offset: lease.start, details });
            }
            // Nothing was processed, and the shard before it says as much as there is to say.
            Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp(_) => {
                return finished;
            }
        }
    }
    finished
}
