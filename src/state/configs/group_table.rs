//! The settings of single groups that act here: those of the consumer protocol (Kafka's
//! `GroupConfig`, 4.3). Each falls back to the broker's setting of its name with `group.` before it,
//! and lies within the broker's bounds for that.

use super::{
    BrokerLayers, ConfigError, Overrides,
    definition::{Bounds::AtLeast, ConfigDefinition, ConfigType, Dynamic, Importance, Synonym},
};

const ASSIGNMENT_INTERVAL: &str = "consumer.assignment.interval.ms";
const HEARTBEAT_INTERVAL: &str = "consumer.heartbeat.interval.ms";
const SESSION_TIMEOUT: &str = "consumer.session.timeout.ms";

/// All group settings, by name.
pub static GROUP_CONFIGS: &[ConfigDefinition] = &[
    of(
        ASSIGNMENT_INTERVAL,
        ("1000", 0),
        &[Synonym { name: "group.consumer.assignment.interval.ms", factor: 1 }],
        "How long the assignment of this group stands at least before it is worked out anew.",
    ),
    of(
        HEARTBEAT_INTERVAL,
        ("5000", 1),
        &[Synonym { name: "group.consumer.heartbeat.interval.ms", factor: 1 }],
        "How often members of this group are told to send heartbeats.",
    ),
    of(
        SESSION_TIMEOUT,
        ("45000", 1),
        &[Synonym { name: "group.consumer.session.timeout.ms", factor: 1 }],
        "How long a member of this group may be silent before it is taken out.",
    ),
];

/// The group setting of a name.
pub fn find(name: &str) -> Option<&'static ConfigDefinition> {
    GROUP_CONFIGS.iter().find(|definition| definition.name == name)
}

const fn of(
    name: &'static str,
    (default, least): (&'static str, i64),
    synonyms: &'static [Synonym],
    documentation: &'static str,
) -> ConfigDefinition {
    ConfigDefinition {
        name,
        kind: ConfigType::Int,
        default: Some(default),
        bounds: AtLeast(least),
        importance: Importance::Medium,
        synonyms,
        acts: true,
        dynamic: Dynamic::ClusterWide,
        documentation,
    }
}

/// A group's number in force. The broker's bounds may have been narrowed since it was set: it then
/// counts as the nearest that they allow, as in Kafka.
pub fn number(overrides: &Overrides, broker: &BrokerLayers, name: &str) -> Option<i64> {
    let own = overrides.get(name).and_then(|text| text.trim().parse().ok());
    let of_broker = |prefix: &str| {
        let tail = name.strip_prefix("consumer.")?;
        broker.value(&format!("group.consumer.{prefix}{tail}"))?.trim().parse::<i64>().ok()
    };
    let Some(own): Option<i64> = own else { return of_broker("") };
    let least = of_broker("min.").unwrap_or(own);
    let most = of_broker("max.").unwrap_or(own);
    Some(own.min(most).max(least))
}

/// Whether these settings of a group lie within the broker's bounds and fit each other.
pub(super) fn check(overrides: &Overrides, broker: &BrokerLayers) -> Result<(), ConfigError> {
    for definition in GROUP_CONFIGS {
        let given = overrides.get(definition.name).and_then(|text| text.trim().parse().ok());
        let Some(given): Option<i64> = given else { continue };
        let tail = definition.name.strip_prefix("consumer.").unwrap_or_default();
        let bound = |prefix: &str| {
            let name = format!("group.consumer.{prefix}{tail}");
            let value = broker.value(&name)?.trim().parse::<i64>().ok()?;
            Some((name, value))
        };
        if let Some((name, least)) = bound("min.")
            && given < least
        {
            return Err(ConfigError::Conflict(format!(
                "{} must be greater than or equal to {name}",
                definition.name
            )));
        }
        if let Some((name, most)) = bound("max.")
            && given > most
        {
            return Err(ConfigError::Conflict(format!(
                "{} must be less than or equal to {name}",
                definition.name
            )));
        }
    }
    let in_force = |name| number(overrides, broker, name);
    match (in_force(SESSION_TIMEOUT), in_force(HEARTBEAT_INTERVAL)) {
        (Some(session), Some(heartbeat)) if session <= heartbeat => Err(ConfigError::Conflict(
            format!("{SESSION_TIMEOUT} must be greater than {HEARTBEAT_INTERVAL}"),
        )),
        _ => Ok(()),
    }
}
