//! The broker's settings in their layers, and how a name is looked up in them.

use std::collections::BTreeMap;

use super::{ConfigSource, ConfigSynonym, Overrides, broker_table, definition::ConfigDefinition};

/// What the broker was given: dynamic settings from the catalog, static ones from its start.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BrokerLayers {
    node_id: i32,
    /// Dynamic, for single brokers.
    nodes: BTreeMap<i32, Overrides>,
    /// Dynamic, for all brokers.
    default: Overrides,
    /// Given at start.
    fixed: Overrides,
}

impl BrokerLayers {
    /// The layers above Kafka's defaults, the strongest first.
    fn layers(&self) -> impl Iterator<Item = (ConfigSource, &Overrides)> {
        let node = self.nodes.get(&self.node_id);
        let node = node.into_iter().map(|node| (ConfigSource::DynamicBroker, node));
        node.chain([
            (ConfigSource::DynamicDefaultBroker, &self.default),
            (ConfigSource::StaticBroker, &self.fixed),
        ])
    }

    /// Every value that a setting of these names has, the one in force first. Layers come before
    /// names: a dynamic `log.retention.hours` beats a static `log.retention.ms`.
    pub(super) fn values<'a>(
        &'a self,
        names: impl Iterator<Item = &'static str> + Clone + 'a,
    ) -> impl Iterator<Item = ConfigSynonym> + 'a {
        let given = self.layers().flat_map({
            let names = names.clone();
            move |(source, layer)| {
                names.clone().filter_map(move |name| {
                    let value = layer.get(name)?.clone();
                    Some(ConfigSynonym { name: name.to_owned(), value: Some(value), source })
                })
            }
        });
        let defaults = names.filter_map(|name| {
            let value = broker_table::find(name)?.default?.to_owned();
            let (name, value) = (name.to_owned(), Some(value));
            Some(ConfigSynonym { name, value, source: ConfigSource::Default })
        });
        given.chain(defaults)
    }

    /// The value in force of one broker setting.
    pub fn value(&self, name: &str) -> Option<String> {
        let ConfigDefinition { name, .. } = broker_table::find(name)?;
        self.values(std::iter::once(*name)).next()?.value
    }

    /// The id of this broker.
    pub fn node_id(&self) -> i32 {
        self.node_id
    }

    /// Takes this broker's id and the settings it was started with.
    pub fn set_static(&mut self, node_id: i32, configs: Overrides) {
        self.node_id = node_id;
        self.fixed = configs;
    }

    /// The dynamic settings: of all brokers, and of single ones.
    pub fn dynamic(&self) -> (&Overrides, &BTreeMap<i32, Overrides>) {
        (&self.default, &self.nodes)
    }

    /// Replaces the dynamic settings.
    pub fn set_dynamic(&mut self, default: Overrides, nodes: BTreeMap<i32, Overrides>) {
        self.default = default;
        self.nodes = nodes;
    }

    /// The dynamic settings of one broker, or the default of all.
    pub fn dynamic_of(&self, broker: Option<i32>) -> Overrides {
        match broker {
            Some(id) => self.nodes.get(&id).cloned().unwrap_or_default(),
            None => self.default.clone(),
        }
    }

    /// The same, to change them.
    pub fn dynamic_mut(&mut self, broker: Option<i32>) -> &mut Overrides {
        match broker {
            Some(id) => self.nodes.entry(id).or_default(),
            None => &mut self.default,
        }
    }
}
