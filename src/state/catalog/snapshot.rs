//! The whole catalog as bytes: for checkpoints, and for the other cores' replicas at start.

use std::{collections::BTreeMap, rc::Rc};

use model::{LaneId, ProducerId, Timestamp, TopicId, TopicName};
use serde::{Deserialize, Serialize};

use super::{Catalog, PartitionState, Topic};
use crate::{DecodeError, configs::Overrides, shards::Shards, versioned::Format};

const FORMAT: Format = Format { what: "catalog", version: 1, limit_bytes: 1 << 28 };

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
        FORMAT.encode(&CatalogSnapshot {
            topics: topics.collect(),
            next_producer_id: self.next_producer_id,
            default_configs: default_configs.clone(),
            node_configs: node_configs.clone(),
        })
    }

    /// Reads a snapshot back. Static settings are to be set anew.
    pub fn restore(bytes: &[u8]) -> Result<Catalog, DecodeError> {
        let snapshot: CatalogSnapshot = FORMAT.decode(bytes)?;
        let mut catalog =
            Catalog { next_producer_id: snapshot.next_producer_id, ..Catalog::default() };
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
                partitions: topic.lanes.into_iter().map(|lane| PartitionState { lane }).collect(),
                overrides: topic.overrides,
                effective: Rc::clone(&catalog.unaltered),
                shards: topic.shards,
            });
        }
        catalog.resolve_all();
        Ok(catalog)
    }
}
