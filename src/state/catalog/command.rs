//! What lane 0 journals, and what the owners of partitions have to do when it is applied.

use std::collections::{BTreeMap, BTreeSet};

use model::{LaneId, Offset, PartitionIndex, ProducerId, TopicId, TopicName};
use serde::{Deserialize, Serialize};

use super::{StreamChange, StreamProperties, Topic};
use crate::{DecodeError, configs::Overrides, shards::ReshardStep, versioned::Format};

/// The most bytes of one encoded command: above 100,000 partitions with the longest settings,
/// below what the journal takes in one frame.
const LIMIT_BYTES: usize = 4 << 20;
/// The commands up to [`CatalogCommand::ReserveProducerIds`]; still written so, to be read by
/// whoever reads no other.
const FORMAT_1: Format = Format { what: "catalog command", version: 1, limit_bytes: LIMIT_BYTES };
/// The commands behind it, which joined at the end: format 2 reads what format 1 wrote.
const FORMAT_2: Format = Format { what: "catalog command", version: 2, limit_bytes: LIMIT_BYTES };

/// A change of the catalog, validated before it is journaled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatalogCommand {
    /// A topic is made, with one partition per lane named.
    CreateTopic {
        /// Its name.
        name: TopicName,
        /// Its id, drawn at random by the proposer.
        id: TopicId,
        /// The lane of each partition.
        partitions: Vec<LaneId>,
        /// Its own settings.
        configs: Overrides,
    },
    /// A topic goes, with its records.
    DeleteTopic {
        /// Which one.
        id: TopicId,
    },
    /// Partitions join a topic, by splits of its widest shards.
    AddPartitions {
        /// The topic.
        id: TopicId,
        /// The lane of each new partition.
        lanes: Vec<LaneId>,
        /// The log end of each partition there is, by number; a shard that is split closes there.
        closing_offsets: Vec<Offset>,
    },
    /// A topic's own settings change.
    AlterTopicConfigs {
        /// The topic.
        id: TopicId,
        /// The change.
        change: OverrideChange,
    },
    /// The broker's dynamic settings change.
    AlterBrokerConfigs {
        /// One broker's, or the default of all.
        broker: Option<i32>,
        /// The change.
        change: OverrideChange,
    },
    /// Producer ids are set aside for a core to give out.
    ReserveProducerIds {
        /// How many.
        count: u32,
    },
    /// A topic is made that has properties as a stream from its first moment.
    CreateStream {
        /// Its name.
        name: TopicName,
        /// Its id, drawn at random by the proposer.
        id: TopicId,
        /// The lane of each partition.
        partitions: Vec<LaneId>,
        /// Its own settings.
        configs: Overrides,
        /// Its properties.
        stream: Box<StreamProperties>,
    },
    /// A stream's properties change.
    ChangeStream {
        /// The topic.
        id: TopicId,
        /// The change.
        change: StreamChange,
    },
    /// Shards of a stream are split and merged.
    Reshard {
        /// The topic.
        id: TopicId,
        /// What is split and merged, in order.
        steps: Vec<ReshardStep>,
        /// The lane of each new partition, one per split.
        lanes: Vec<LaneId>,
        /// The log ends of the partitions on which a shard closes.
        closing_offsets: BTreeMap<PartitionIndex, Offset>,
    },
    /// The account's commitment to a minimum of throughput begins or ends.
    SetThroughputCommitment {
        /// Begins.
        is_enabled: bool,
    },
}

/// Settings to set and to take back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OverrideChange {
    /// New values.
    pub set: Overrides,
    /// Names that go back to the layer below.
    pub unset: BTreeSet<String>,
}

impl OverrideChange {
    /// Makes the change.
    pub fn apply(&self, overrides: &mut Overrides) {
        overrides.retain(|name, _| !self.unset.contains(name));
        overrides.extend(self.set.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty()
    }
}

impl CatalogCommand {
    /// The command for the journal: a version byte, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        self.format().encode(self)
    }

    /// Reads a journaled command back.
    pub fn decode(bytes: &[u8]) -> Result<CatalogCommand, DecodeError> {
        match bytes.first() {
            Some(1) => FORMAT_1.decode(bytes),
            _ => FORMAT_2.decode(bytes),
        }
    }

    fn format(&self) -> &'static Format {
        match self {
            CatalogCommand::CreateTopic { .. }
            | CatalogCommand::DeleteTopic { .. }
            | CatalogCommand::AddPartitions { .. }
            | CatalogCommand::AlterTopicConfigs { .. }
            | CatalogCommand::AlterBrokerConfigs { .. }
            | CatalogCommand::ReserveProducerIds { .. } => &FORMAT_1,
            CatalogCommand::CreateStream { .. }
            | CatalogCommand::ChangeStream { .. }
            | CatalogCommand::Reshard { .. }
            | CatalogCommand::SetThroughputCommitment { .. } => &FORMAT_2,
        }
    }
}

/// What an applied command means to the owners of partitions.
#[derive(Debug, Clone)]
pub enum CatalogEvent {
    /// Make its partitions.
    TopicCreated {
        /// The topic.
        id: TopicId,
    },
    /// Remove its partitions and their files.
    TopicDeleted {
        /// What was the topic.
        topic: Box<Topic>,
    },
    /// Make the partitions `from..to`, and look which ones are sealed.
    PartitionsAdded {
        /// The topic.
        id: TopicId,
        /// The first new partition.
        from: u32,
        /// The number of partitions there are now.
        to: u32,
    },
    /// Give its partitions the new settings.
    TopicConfigsChanged {
        /// The topic.
        id: TopicId,
    },
    /// Give every partition its new settings.
    BrokerConfigsChanged,
    /// A stream's or the account's properties are others: nothing to do.
    PropertiesChanged,
    /// The ids `first..first+count` belong to whoever proposed the command.
    ProducerIdsReserved {
        /// The first id.
        first: ProducerId,
        /// How many.
        count: u32,
    },
}
