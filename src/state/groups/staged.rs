//! Offsets that a transaction has committed and that count only once it commits itself.

use std::collections::{BTreeMap, BTreeSet};

use model::{ProducerId, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::leases::OffsetCommit;

/// One staged offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Staged {
    commit: OffsetCommit,
    /// A plain commit came after it and stays, whatever becomes of the transaction. Until then the
    /// partition counts as unstable all the same.
    superseded: bool,
}

/// The staged offsets of one lane's groups, by transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StagedOffsets {
    producers: BTreeMap<ProducerId, BTreeMap<String, BTreeMap<TopicPartition, Staged>>>,
}

impl StagedOffsets {
    pub(super) fn stage(&mut self, producer: ProducerId, group: &str, offsets: &[OffsetCommit]) {
        let groups = self.producers.entry(producer).or_default();
        let staged = groups.entry(group.to_owned()).or_default();
        staged.extend(offsets.iter().map(|commit| {
            (commit.partition, Staged { commit: commit.clone(), superseded: false })
        }));
    }

    /// Takes out what a transaction has staged and no later commit has replaced.
    pub(super) fn end(&mut self, producer: ProducerId) -> Vec<(String, Vec<OffsetCommit>)> {
        let groups = self.producers.remove(&producer).unwrap_or_default();
        let live = |staged: BTreeMap<_, Staged>| {
            let staged = staged.into_values().filter(|staged| !staged.superseded);
            staged.map(|staged| staged.commit).collect()
        };
        groups.into_iter().map(|(group, staged)| (group, live(staged))).collect()
    }

    pub(super) fn supersede(&mut self, group: &str, partition: TopicPartition) {
        for groups in self.producers.values_mut() {
            if let Some(staged) = groups.get_mut(group).and_then(|of| of.get_mut(&partition)) {
                staged.superseded = true;
            }
        }
    }

    pub(super) fn forget(&mut self, group: &str) {
        for groups in self.producers.values_mut() {
            groups.remove(group);
        }
        self.producers.retain(|_, groups| !groups.is_empty());
    }

    pub(super) fn knows(&self, group: &str) -> bool {
        self.producers.values().any(|groups| groups.contains_key(group))
    }

    pub(super) fn partitions(&self, group: &str) -> BTreeSet<TopicPartition> {
        let staged = self.producers.values().filter_map(|groups| groups.get(group));
        staged.flat_map(BTreeMap::keys).copied().collect()
    }

    pub(super) fn producers(&self) -> impl Iterator<Item = ProducerId> {
        self.producers.keys().copied()
    }
}
