//! Settings as DescribeConfigs lists them.

use super::{
    BrokerLayers, ConfigDefinition, ConfigType, Overrides, broker_table, definition::Dynamic,
    group_table, topic_table,
};

/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// The topic's own setting.
    DynamicTopic,
    /// Altered for this broker.
    DynamicBroker,
    /// Altered for all brokers.
    DynamicDefaultBroker,
    /// Given at start.
    StaticBroker,
    /// Nobody set it.
    Default,
    /// The group's own setting.
    DynamicGroup,
}

impl ConfigSource {
    /// The number that stands for it in Kafka's protocol.
    pub fn code(self) -> i8 {
        match self {
            ConfigSource::DynamicTopic => 1,
            ConfigSource::DynamicBroker => 2,
            ConfigSource::DynamicDefaultBroker => 3,
            ConfigSource::StaticBroker => 4,
            ConfigSource::Default => 5,
            ConfigSource::DynamicGroup => 8,
        }
    }
}

/// One value that a setting has somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The name under which it stands there.
    pub name: String,
    /// The value, in that name's unit.
    pub value: Option<String>,
    /// Where.
    pub source: ConfigSource,
}

/// One setting, with the value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: String,
    /// The value in force; `None` is null.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether it cannot be altered: it is read at start only, or does not act here yet.
    pub read_only: bool,
    /// Whether the value is a secret. None of ours is.
    pub sensitive: bool,
    /// Its type.
    pub kind: ConfigType,
    /// What it does.
    pub documentation: &'static str,
    /// All values that it has, the one in force first.
    pub synonyms: Vec<ConfigSynonym>,
}

impl ConfigDefinition {
    fn entry(
        &self,
        value: Option<String>,
        source: ConfigSource,
        synonyms: Vec<ConfigSynonym>,
    ) -> ConfigEntry {
        ConfigEntry {
            name: self.name.to_owned(),
            value,
            source,
            read_only: !self.acts || self.dynamic == Dynamic::ReadOnly,
            sensitive: false,
            kind: self.kind,
            documentation: self.documentation,
            synonyms,
        }
    }

    /// The same for a topic or a group, from all the values that it has.
    fn resource_entry(&self, synonyms: Vec<ConfigSynonym>) -> ConfigEntry {
        let (value, source) = match synonyms.first() {
            Some(found) => (self.in_own_unit(found), found.source),
            None => (self.default.map(str::to_owned), ConfigSource::Default),
        };
        self.entry(value, source, synonyms)
    }
}

/// All settings of a topic that has `overrides` of its own, by name.
pub fn topic_entries(overrides: &Overrides, broker: &BrokerLayers) -> Vec<ConfigEntry> {
    let table = topic_table::TOPIC_CONFIGS.iter();
    table.map(|it| it.resource_entry(it.topic_values(overrides, broker))).collect()
}

/// All settings of a group that has `overrides` of its own, by name.
pub fn group_entries(overrides: &Overrides, broker: &BrokerLayers) -> Vec<ConfigEntry> {
    let values =
        |it: &'static ConfigDefinition| it.values_in(overrides, ConfigSource::DynamicGroup, broker);
    group_table::GROUP_CONFIGS.iter().map(|it| it.resource_entry(values(it))).collect()
}

/// All settings of this broker, by name.
pub fn broker_entries(broker: &BrokerLayers) -> Vec<ConfigEntry> {
    let entry = |definition: &'static ConfigDefinition| {
        let synonyms: Vec<_> = broker.values(std::iter::once(definition.name)).collect();
        let (value, source) = match synonyms.first() {
            Some(found) => (found.value.clone(), found.source),
            None => (None, ConfigSource::Default),
        };
        definition.entry(value, source, synonyms)
    };
    broker_table::BROKER_CONFIGS.iter().map(entry).collect()
}

/// The dynamic settings of all brokers, as far as any are set, by name.
pub fn broker_default_entries(broker: &BrokerLayers) -> Vec<ConfigEntry> {
    let (default, _) = broker.dynamic();
    let entry = |(name, value): (&String, &String)| {
        let source = ConfigSource::DynamicDefaultBroker;
        let synonym = ConfigSynonym { name: name.clone(), value: Some(value.clone()), source };
        let definition = broker_table::find(name)?;
        Some(definition.entry(Some(value.clone()), source, vec![synonym]))
    };
    default.iter().filter_map(entry).collect()
}
