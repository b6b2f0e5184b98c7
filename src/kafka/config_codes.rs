//! The numbers by which Kafka's protocol names configuration resources.

use broker::{Broker, ConfigResource};
use kafka_protocol::protocol::StrBytes;
use state::configs::ConfigEntry;

use crate::errors::Refusal;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Log levels of a broker, which Kafka shows as configurations.
pub const BROKER_LOGGER: i8 = 8;
const GROUP: i8 = 32;

/// Whose settings a request means (Kafka's `ConfigResource.Type`).
pub fn resource(broker: &Broker, kind: i8, name: &str) -> Result<ConfigResource, Refusal> {
    match kind {
        TOPIC => Ok(ConfigResource::Topic(name.to_owned())),
        BROKER if name.is_empty() => Ok(ConfigResource::BrokerDefault),
        BROKER => match name.parse::<i32>() {
            Ok(id) if id == broker.node_id() => Ok(ConfigResource::Broker(name.to_owned())),
            _ => Err(Refusal::invalid_request(format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                broker.node_id()
            ))),
        },
        GROUP if name.is_empty() => {
            Err(Refusal::invalid_request("The name of a group must not be empty."))
        }
        GROUP => Ok(ConfigResource::Group(name.to_owned())),
        _ => Err(Refusal::invalid_request(format!(
            "Configurations of resource type {kind} are not supported by this broker."
        ))),
    }
}

/// The value, unless it must not be shown.
pub fn shown_value(entry: &ConfigEntry) -> Option<StrBytes> {
    if entry.sensitive {
        return None;
    }
    entry.value.as_ref().map(|value| StrBytes::from_string(value.to_string()))
}
