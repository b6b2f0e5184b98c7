//! Why a setting is refused, in Kafka's words.

use thiserror::Error;

/// Why a setting is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// There is no such setting of a topic.
    #[error("Unknown topic config name: {0}")]
    UnknownTopicConfig(String),
    /// There is no such setting of a group.
    #[error("Unknown group config name: {0}")]
    UnknownGroupConfig(String),
    /// There is no such setting of a broker.
    #[error("Unknown broker config name: {0}")]
    UnknownBrokerConfig(String),
    /// The value is not of the setting's type, or out of its bounds.
    #[error("Invalid value {value} for configuration {name}: {why}")]
    InvalidValue {
        /// The setting.
        name: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A list has an empty element.
    #[error("Configuration '{0}' values must not be empty.")]
    EmptyListElement(String),
    /// Two settings contradict each other.
    #[error("{0}")]
    Conflict(String),
    /// The setting is known and does nothing here yet.
    #[error(
        "Configuration {name} is not supported by this broker yet: it can only be set to its default, {default}"
    )]
    NotSupported {
        /// The setting.
        name: String,
        /// Its default.
        default: String,
    },
    /// The broker setting is read at start only.
    #[error("Cannot update these configs dynamically: [{0}]")]
    ReadOnly(String),
    /// The broker setting cannot be the default of all brokers.
    #[error(
        "Cannot update these configs at default cluster level, broker id must be specified: [{0}]"
    )]
    PerBrokerOnly(String),
    /// A setting without a value.
    #[error("Null value not supported for topic configs: {0}")]
    NullTopicConfig(String),
    /// A change without a value.
    #[error("Null value not supported for : {0}")]
    NullValue(String),
    /// A list operation on something else.
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NotAList {
        /// APPEND or SUBTRACT.
        operation: &'static str,
        /// The setting.
        name: String,
    },
    /// A setting named twice in one request.
    #[error("Error due to duplicate config keys: {0}")]
    DuplicateName(String),
    /// Another broker's settings.
    #[error("Unexpected broker id, expected {node_id} or empty string, but received {found}")]
    UnexpectedBroker {
        /// The broker asked for.
        found: String,
        /// This broker.
        node_id: i32,
    },
}

impl ConfigError {
    /// Whether Kafka answers INVALID_REQUEST instead of INVALID_CONFIG.
    pub fn is_malformed_request(&self) -> bool {
        matches!(
            self,
            ConfigError::NullValue(_)
                | ConfigError::DuplicateName(_)
                | ConfigError::UnexpectedBroker { .. }
                | ConfigError::ReadOnly(_)
                | ConfigError::PerBrokerOnly(_)
        )
    }
}
