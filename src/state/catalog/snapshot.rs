//! The whole catalog as bytes: for checkpoints, and for the other cores' replicas at start.

use std::{collections::BTreeMap, rc::Rc};

use model::{LaneId, ProducerId, Timestamp, TopicId, TopicName};
use serde::{Deserialize, Serialize};

use super::{AccountSettings, Catalog, PartitionState, StreamProperties, Topic};
use crate::{DecodeError, configs::Overrides, shards::Shards, versioned::Format};

const LIMIT_BYTES: usize = 1 << 28;
/// Topics and settings; read, no longer written.
const FORMAT_1: Format = Format { what: "catalog", version: 1, limit_bytes: LIMIT_BYTES };
/// The same, followed by what Kinesis keeps.
const FORMAT: Format = Format { what: "catalog", version: 2, limit_bytes: LIMIT_BYTES };

#[derive(Serialize, Deserialize)]
struct CatalogSnapshot {
    topics: Vec<TopicSnapshot>,
    next_producer_id: ProducerId,
    default_configs: Overrides,
    node_configs: BTreeMap<i32, Overrides>,
}

#[derive(Serialize, Deserialize)]
struct TopicSnapshot {
    id: TopicId,
    name: TopicName,
    created: Timestamp,
    lanes: Vec<LaneId>,
    overrides: Overrides,
    shards: Shards,
}

/// What Kinesis keeps: of streams that were told anything, and of the account.
#[derive(Default, Serialize, Deserialize)]
struct StreamsSnapshot {
    streams: BTreeMap<TopicId, StreamProperties>,
    account: AccountSettings,
}

impl Catalog {
    /// Everything that commands have made, encoded. This process's static settings are not in it.
    pub fn snapshot(&self) -> Vec<u8> {
        let topics = self.topics.values().map(|topic| TopicSnapshot {
            id: topic.id,
            name: topic.name.clone(),
            created: topic.created,
            lanes: topic.partitions.iter().map(|partition| partition.lane).collect(),
            overrides: topic.overrides.clone(),
            shards: topic.shards.clone(),
        });
        let (default_configs, node_configs) = self.broker.dynamic();
        let snapshot = CatalogSnapshot {
            topics: topics.collect(),
            next_producer_id: self.next_producer_id,
            default_configs: default_configs.clone(),
            node_configs: node_configs.clone(),
        };
        let told = |topic: &&Topic| topic.stream != StreamProperties::default();
        let streams = self.topics.values().filter(told);
        let streams = StreamsSnapshot {
            streams: streams.map(|topic| (topic.id, topic.stream.clone())).collect(),
            account: self.account,
        };
        FORMAT.encode(&(snapshot, streams))
    }

    /// Reads a snapshot back. Static settings are to be set anew.
    pub fn restore(bytes: &[u8]) -> Result<Catalog, DecodeError> {
        let (snapshot, mut streams): (CatalogSnapshot, StreamsSnapshot) = match bytes.first() {
            Some(1) => (FORMAT_1.decode(bytes)?, StreamsSnapshot::default()),
            _ => FORMAT.decode(bytes)?,
        };
        let mut catalog = Catalog {
            next_producer_id: snapshot.next_producer_id,
            account: streams.account,
            ..Catalog::default()
        };
        catalog.broker.set_dynamic(snapshot.default_configs, snapshot.node_configs);
        for topic in snapshot.topics {
            catalog.check_name_is_free(&topic.name).map_err(|error| DecodeError::Malformed {
                what: FORMAT.what,
                why: error.to_string(),
            })?;
            catalog.insert(Topic {
                id: topic.id,
                name: topic.name,
                created: topic.created,
                partitions: topic.lanes.into_iter().map(PartitionState::open).collect(),
                overrides: topic.overrides,
                effective: Rc::clone(&catalog.unaltered),
                shards: topic.shards,
                stream: streams.streams.remove(&topic.id).unwrap_or_default(),
            });
        }
        catalog.resolve_all();
        Ok(catalog)
    }
}
