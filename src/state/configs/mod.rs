//! Every setting by Kafka's name: its type, default, bounds, where its value comes from, and
//! whether it acts here.
//!
//! A topic's setting is looked up in the topic's own overrides, then among the broker's settings
//! under its synonyms (dynamic for this broker, dynamic default, static), then Kafka's default.
//! A setting that does not act yet may be set to its default only, and is listed as read-only.
//!
//! Start reading at [`definition`] and [`topic_table`], then `layers` and `alter`.

mod alter;
pub mod broker_table;
pub mod definition;
mod entry;
mod error;
pub mod group_table;
mod layers;
mod resolve;
pub mod topic_table;
mod value;

use std::collections::BTreeMap;

pub use self::{
    alter::{
        ConfigChange, alter_broker, alter_group, alter_topic, validate_static,
        validate_topic_overrides,
    },
    definition::{ConfigDefinition, ConfigType, Importance},
    entry::{
        ConfigEntry, ConfigSource, ConfigSynonym, broker_default_entries, broker_entries,
        group_entries, topic_entries,
    },
    error::ConfigError,
    layers::BrokerLayers,
    resolve::{resolve_topic, topic_number},
};

/// Settings that were given, by name.
pub type Overrides = BTreeMap<String, String>;

/// Partitions of a topic that is made without a count.
pub const NUM_PARTITIONS: &str = "num.partitions";
/// Whether topics are made when a client first names them.
pub const AUTO_CREATE_TOPICS_ENABLE: &str = "auto.create.topics.enable";
/// Whether topics can be deleted.
pub const DELETE_TOPIC_ENABLE: &str = "delete.topic.enable";
/// The greatest request that is read.
pub const SOCKET_REQUEST_MAX_BYTES: &str = "socket.request.max.bytes";
/// The greatest answer to one fetch.
pub const FETCH_MAX_BYTES: &str = "fetch.max.bytes";
/// How long an idle producer is remembered.
pub const PRODUCER_ID_EXPIRATION_MS: &str = "producer.id.expiration.ms";
/// Connections at one time.
pub const MAX_CONNECTIONS: &str = "max.connections";
/// How long an idle connection stays open.
pub const CONNECTIONS_MAX_IDLE_MS: &str = "connections.max.idle.ms";

#[cfg(test)]
mod tests;
