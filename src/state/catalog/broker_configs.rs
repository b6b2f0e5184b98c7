//! Settings as the catalog holds them: reading, listing, and planning their change.

use model::TopicConfig;

use super::{Catalog, CatalogCommand, CatalogError, OverrideChange, Topic};
use crate::{
    configs::{self, ConfigChange, ConfigEntry, ConfigError, Overrides},
    scaling::ScalingLimits,
};

impl Catalog {
    /// Takes this broker's id and its static settings (`--set key=value`), which
    /// [`configs::validate_static`] has passed. They are not journaled: set them at each start.
    /// What the program decides itself (`listeners`, `advertised.listeners`, `log.dirs`) may be
    /// added to them, to be listed.
    pub fn set_static_configs(&mut self, node_id: i32, mut configs: Overrides) {
        for name in ["node.id", "broker.id"] {
            configs.insert(name.to_owned(), node_id.to_string());
        }
        self.broker.set_static(node_id, configs);
        self.resolve_all();
    }

    /// A broker setting's value in force, by any of Kafka's broker-level names; `None` if it is
    /// unknown, or has neither value nor default.
    pub fn broker_value(&self, name: &str) -> Option<String> {
        self.broker.value(name)
    }

    /// A broker setting that is a number.
    pub fn broker_number(&self, name: &str) -> Option<i64> {
        self.broker_value(name)?.trim().parse().ok()
    }

    /// A broker setting that is true or false.
    pub fn broker_flag(&self, name: &str) -> Option<bool> {
        match self.broker_value(name)?.trim().to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The effective settings that a topic with these settings of its own would have.
    pub fn effective(&self, overrides: &Overrides) -> TopicConfig {
        configs::resolve_topic(overrides, &self.broker)
    }

    /// When a topic's shards are split and merged, if it is a stream on demand.
    pub fn scaling_limits(&self, topic: &Topic) -> ScalingLimits {
        ScalingLimits::resolve(&topic.overrides, &self.broker)
    }

    /// All settings of a topic, by name.
    pub fn topic_entries(&self, topic: &Topic) -> Vec<ConfigEntry> {
        self.described(&topic.overrides)
    }

    /// All settings that a topic with these settings of its own has or would have, by name.
    pub fn described(&self, overrides: &Overrides) -> Vec<ConfigEntry> {
        configs::topic_entries(overrides, &self.broker)
    }

    /// All settings of this broker, by name.
    pub fn broker_entries(&self) -> Vec<ConfigEntry> {
        configs::broker_entries(&self.broker)
    }

    /// The dynamic defaults of all brokers that are set, by name.
    pub fn broker_default_entries(&self) -> Vec<ConfigEntry> {
        configs::broker_default_entries(&self.broker)
    }

    /// All settings of a group that has these of its own, by name.
    pub fn group_entries(&self, overrides: &Overrides) -> Vec<ConfigEntry> {
        configs::group_entries(overrides, &self.broker)
    }

    /// A setting of such a group that is a number.
    pub fn group_number(&self, overrides: &Overrides, name: &str) -> Option<i64> {
        configs::group_table::number(overrides, &self.broker, name)
    }

    /// Judges a change of a group's own settings. `replace_all` is AlterConfigs.
    pub fn plan_group_configs(
        &self,
        current: &Overrides,
        changes: &[ConfigChange],
        replace_all: bool,
    ) -> Result<OverrideChange, CatalogError> {
        let base = if replace_all { Overrides::new() } else { current.clone() };
        let next = configs::alter_group(&base, changes, &self.broker)?;
        Ok(difference(current, next))
    }

    /// Judges a change of a topic's own settings and gives the command that makes it.
    /// `replace_all` is AlterConfigs: what is not named goes back to its default.
    pub fn plan_topic_configs(
        &self,
        topic: &Topic,
        changes: &[ConfigChange],
        replace_all: bool,
    ) -> Result<CatalogCommand, CatalogError> {
        let base = if replace_all { Overrides::new() } else { topic.overrides.clone() };
        let next = configs::alter_topic(&base, changes, &self.broker)?;
        let change = difference(&topic.overrides, next);
        Ok(CatalogCommand::AlterTopicConfigs { id: topic.id, change })
    }

    /// Judges a change of dynamic broker settings and gives the command that makes it. `broker`
    /// is this broker's id, or `None` for the default of all.
    pub fn plan_broker_configs(
        &self,
        broker: Option<i32>,
        changes: &[ConfigChange],
        replace_all: bool,
    ) -> Result<CatalogCommand, CatalogError> {
        let node_id = self.broker.node_id();
        if let Some(other) = broker.filter(|id| *id != node_id) {
            let error = ConfigError::UnexpectedBroker { found: other.to_string(), node_id };
            return Err(error.into());
        }
        let current = self.broker.dynamic_of(broker);
        let base = if replace_all { Overrides::new() } else { current.clone() };
        let next = configs::alter_broker(&base, changes, broker.is_none(), &self.broker)?;
        Ok(CatalogCommand::AlterBrokerConfigs { broker, change: difference(&current, next) })
    }
}

/// What turns `current` into `next`.
fn difference(current: &Overrides, next: Overrides) -> OverrideChange {
    let unset = current.keys().filter(|name| !next.contains_key(*name)).cloned().collect();
    let set = next.into_iter().filter(|(name, value)| current.get(name) != Some(value)).collect();
    OverrideChange { set, unset }
}
