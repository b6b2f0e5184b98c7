//! Judging settings before they are taken.

use std::collections::BTreeSet;

use super::{
    BrokerLayers, ConfigDefinition, ConfigError, ConfigType, Overrides, broker_table,
    definition::Dynamic, group_table, resolve_topic, topic_table, value::split_list,
};
use crate::scaling::ScalingLimits;

/// One change of one setting (IncrementalAlterConfigs; AlterConfigs only sets).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Set it.
    Set(String, Option<String>),
    /// Back to the layer below.
    Delete(String),
    /// Add to a list.
    Append(String, Option<String>),
    /// Take from a list.
    Subtract(String, Option<String>),
}

impl ConfigChange {
    /// The setting's name.
    pub fn name(&self) -> &str {
        match self {
            ConfigChange::Set(name, _)
            | ConfigChange::Delete(name)
            | ConfigChange::Append(name, _)
            | ConfigChange::Subtract(name, _) => name,
        }
    }
}

/// Settings that are decided elsewhere than by `--set`, and where.
const DECIDED_ELSEWHERE: &[(&str, &str)] = &[
    ("advertised.listeners", "it is set by --advertised-address"),
    ("broker.id", "it is kept in the data directory"),
    ("listeners", "it is set by --kafka-listen"),
    ("log.dir", "it is set by --data-dir"),
    ("log.dirs", "it is set by --data-dir"),
    ("node.id", "it is kept in the data directory"),
    ("process.roles", "there is one process, which is both"),
];

/// Whether a broker can be started with these settings (`--set key=value`).
pub fn validate_static(configs: &Overrides) -> Result<(), ConfigError> {
    for (name, value) in configs {
        let definition = broker_definition(name)?;
        if let Some((_, why)) = DECIDED_ELSEWHERE.iter().find(|(decided, _)| decided == name) {
            return Err(ConfigError::InvalidValue {
                name: name.clone(),
                value: value.clone(),
                why: (*why).to_owned(),
            });
        }
        definition.accept(value)?;
    }
    let mut broker = BrokerLayers::default();
    broker.set_static(0, configs.clone());
    check_conflicts(&Overrides::new(), &broker)
}

/// Whether a topic can be made with these settings of its own, under the broker's. Of a name given
/// twice the last counts.
pub fn validate_topic_overrides(
    configs: &[(String, Option<String>)],
    broker: &BrokerLayers,
) -> Result<Overrides, ConfigError> {
    let mut overrides = Overrides::new();
    for (name, value) in configs {
        let definition = topic_definition(name)?;
        let value = value.as_ref().ok_or_else(|| ConfigError::NullTopicConfig(name.clone()))?;
        definition.accept(value)?;
        overrides.insert(name.clone(), value.trim().to_owned());
    }
    check_conflicts(&overrides, broker)?;
    Ok(overrides)
}

/// A topic's own settings after `changes`.
pub fn alter_topic(
    base: &Overrides,
    changes: &[ConfigChange],
    broker: &BrokerLayers,
) -> Result<Overrides, ConfigError> {
    check_names_are_unique(changes)?;
    let mut next = base.clone();
    for change in changes {
        let current = |definition: &'static ConfigDefinition| {
            let values = definition.topic_values(base, broker);
            values.first().and_then(|found| definition.in_own_unit(found))
        };
        apply(&mut next, change, topic_definition, current)?;
    }
    check_conflicts(&next, broker)?;
    Ok(next)
}

/// A group's own settings after `changes`.
pub fn alter_group(
    base: &Overrides,
    changes: &[ConfigChange],
    broker: &BrokerLayers,
) -> Result<Overrides, ConfigError> {
    check_names_are_unique(changes)?;
    let mut next = base.clone();
    for change in changes {
        // No setting of groups is a list, so nothing is added to what is there.
        apply(&mut next, change, group_definition, |_| None)?;
    }
    group_table::check(&next, broker)?;
    Ok(next)
}

/// A broker's dynamic settings, or those of all (`cluster_wide`), after `changes`.
pub fn alter_broker(
    base: &Overrides,
    changes: &[ConfigChange],
    cluster_wide: bool,
    broker: &BrokerLayers,
) -> Result<Overrides, ConfigError> {
    check_names_are_unique(changes)?;
    let mut next = base.clone();
    for change in changes {
        let name = change.name();
        match broker_definition(name)?.dynamic {
            Dynamic::ReadOnly => return Err(ConfigError::ReadOnly(name.to_owned())),
            Dynamic::PerBroker if cluster_wide => {
                return Err(ConfigError::PerBrokerOnly(name.to_owned()));
            }
            Dynamic::PerBroker | Dynamic::ClusterWide => {}
        }
        let current = |definition: &'static ConfigDefinition| broker.value(definition.name);
        apply(&mut next, change, broker_definition, current)?;
    }
    let mut changed = broker.clone();
    *changed.dynamic_mut(if cluster_wide { None } else { Some(broker.node_id()) }) = next.clone();
    check_conflicts(&Overrides::new(), &changed)?;
    Ok(next)
}

fn apply(
    overrides: &mut Overrides,
    change: &ConfigChange,
    find: impl Fn(&str) -> Result<&'static ConfigDefinition, ConfigError>,
    current: impl Fn(&'static ConfigDefinition) -> Option<String>,
) -> Result<(), ConfigError> {
    let name = change.name();
    let given = |value: &Option<String>| {
        value.clone().ok_or_else(|| ConfigError::NullValue(name.to_owned()))
    };
    let list = |operation, value: &Option<String>| {
        let definition = find(name)?;
        if definition.kind != ConfigType::List {
            let name = name.to_owned();
            return Err(ConfigError::NotAList { operation, name });
        }
        let there = current(definition).unwrap_or_default();
        Ok((split_list(&there), split_list(&given(value)?)))
    };
    let next = match change {
        // An unknown name may be left over from another version: it can always be taken away.
        ConfigChange::Delete(_) => {
            overrides.remove(name);
            return Ok(());
        }
        ConfigChange::Set(_, value) => given(value)?,
        ConfigChange::Append(_, value) => {
            let (mut there, more) = list("APPEND", value)?;
            for element in more {
                if !there.contains(&element) {
                    there.push(element);
                }
            }
            there.join(",")
        }
        ConfigChange::Subtract(_, value) => {
            let (mut there, less) = list("SUBTRACT", value)?;
            there.retain(|element| !less.contains(element));
            there.join(",")
        }
    };
    find(name)?.accept(&next)?;
    overrides.insert(name.to_owned(), next.trim().to_owned());
    Ok(())
}

fn check_names_are_unique(changes: &[ConfigChange]) -> Result<(), ConfigError> {
    let mut names = BTreeSet::new();
    match changes.iter().find(|change| !names.insert(change.name())) {
        Some(twice) => Err(ConfigError::DuplicateName(twice.name().to_owned())),
        None => Ok(()),
    }
}

fn check_conflicts(overrides: &Overrides, broker: &BrokerLayers) -> Result<(), ConfigError> {
    check_group_times(broker)?;
    ScalingLimits::resolve(overrides, broker).check()?;
    let config = resolve_topic(overrides, broker);
    let (least, most) = (config.min_compaction_lag_ms, config.max_compaction_lag_ms);
    if least <= most {
        return Ok(());
    }
    Err(ConfigError::Conflict(format!(
        "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
    )))
}

/// What Kafka demands of the times of the consumer protocol.
fn check_group_times(broker: &BrokerLayers) -> Result<(), ConfigError> {
    let at_most = |less: &str, more: &str| {
        let number = |name| broker.value(name)?.trim().parse::<i64>().ok();
        match (number(less), number(more)) {
            (Some(low), Some(high)) if low > high => Err(ConfigError::Conflict(format!(
                "{less} ({low}) must not be greater than {more} ({high})"
            ))),
            _ => Ok(()),
        }
    };
    let [session, heartbeat] =
        ["group.consumer.session.timeout.ms", "group.consumer.heartbeat.interval.ms"];
    at_most("group.consumer.min.session.timeout.ms", session)?;
    at_most(session, "group.consumer.max.session.timeout.ms")?;
    at_most("group.consumer.min.heartbeat.interval.ms", heartbeat)?;
    at_most(heartbeat, "group.consumer.max.heartbeat.interval.ms")?;
    let assignment = "group.consumer.assignment.interval.ms";
    at_most("group.consumer.min.assignment.interval.ms", assignment)?;
    at_most(assignment, "group.consumer.max.assignment.interval.ms")?;
    at_most(heartbeat, session)
}

fn topic_definition(name: &str) -> Result<&'static ConfigDefinition, ConfigError> {
    topic_table::find(name).ok_or_else(|| ConfigError::UnknownTopicConfig(name.to_owned()))
}

fn group_definition(name: &str) -> Result<&'static ConfigDefinition, ConfigError> {
    group_table::find(name).ok_or_else(|| ConfigError::UnknownGroupConfig(name.to_owned()))
}

fn broker_definition(name: &str) -> Result<&'static ConfigDefinition, ConfigError> {
    broker_table::find(name).ok_or_else(|| ConfigError::UnknownBrokerConfig(name.to_owned()))
}
