//! A set of partitions, by topic.

use std::collections::{BTreeMap, BTreeSet};

use model::{PartitionIndex, TopicId};
use serde::{Deserialize, Serialize};

/// Partitions by topic id. A topic without partitions is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Assignment(BTreeMap<TopicId, BTreeSet<PartitionIndex>>);

impl Assignment {
    /// Whether it holds no partition.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many partitions it holds.
    pub fn partition_count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Whether it holds this partition.
    pub fn contains(&self, topic: TopicId, partition: PartitionIndex) -> bool {
        self.0.get(&topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Takes in a partition.
    pub fn insert(&mut self, topic: TopicId, partition: PartitionIndex) {
        self.0.entry(topic).or_default().insert(partition);
    }

    /// Lets a partition go.
    pub fn remove(&mut self, topic: TopicId, partition: PartitionIndex) {
        if let Some(partitions) = self.0.get_mut(&topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.0.remove(&topic);
            }
        }
    }

    /// Every partition, by topic id and number.
    pub fn iter(&self) -> impl Iterator<Item = (TopicId, PartitionIndex)> {
        self.0.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |partition| (*topic, *partition))
        })
    }

    /// Its topics and their partitions.
    pub fn topics(&self) -> impl Iterator<Item = (TopicId, &BTreeSet<PartitionIndex>)> {
        self.0.iter().map(|(topic, partitions)| (*topic, partitions))
    }

    /// What both hold.
    pub fn intersection(&self, other: &Assignment) -> Assignment {
        self.iter().filter(|(topic, partition)| other.contains(*topic, *partition)).collect()
    }

    /// What this one holds and the other does not.
    pub fn difference(&self, other: &Assignment) -> Assignment {
        self.iter().filter(|(topic, partition)| !other.contains(*topic, *partition)).collect()
    }

    /// Whether the other holds all that this one holds.
    pub fn is_subset(&self, other: &Assignment) -> bool {
        self.iter().all(|(topic, partition)| other.contains(topic, partition))
    }

    /// Whether there is a partition that both hold.
    pub fn overlaps(&self, other: &Assignment) -> bool {
        self.iter().any(|(topic, partition)| other.contains(topic, partition))
    }
}

impl FromIterator<(TopicId, PartitionIndex)> for Assignment {
    fn from_iter<I: IntoIterator<Item = (TopicId, PartitionIndex)>>(partitions: I) -> Assignment {
        let mut assignment = Assignment::default();
        assignment.extend(partitions);
        assignment
    }
}

impl Extend<(TopicId, PartitionIndex)> for Assignment {
    fn extend<I: IntoIterator<Item = (TopicId, PartitionIndex)>>(&mut self, partitions: I) {
        for (topic, partition) in partitions {
            self.insert(topic, partition);
        }
    }
}
