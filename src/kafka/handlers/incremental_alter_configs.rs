//! IncrementalAlterConfigs: sets, deletes, appends and subtracts single settings (KIP-339).

use std::{collections::BTreeSet, rc::Rc};

use broker::{Broker, ConfigChange};
use kafka_protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    incremental_alter_configs_response::AlterConfigsResourceResponse,
};

use super::alter_configs::null_keys;
use crate::{
    apis::Api,
    config_codes,
    errors::{Refusal, code_and_text},
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 44,
    name: "IncrementalAlterConfigs",
    advertised_min: 0,
    served_min: 0,
    version_max: 1,
    flexible_since: 1,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::structs(&[
        guard::INT8,
        guard::STRING,
        guard::structs(&[guard::STRING, guard::INT8, guard::STRING.nullable_since(0)]),
    ]),
    guard::INT8,
];

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

async fn serve(mut request: Request) -> Reply {
    let message: IncrementalAlterConfigsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let mut seen = BTreeSet::new();
    let mut responses = Vec::with_capacity(message.resources.len());
    for resource in message.resources {
        let first = seen.insert((resource.resource_type, resource.resource_name.to_string()));
        let outcome = if first {
            alter(&request.broker, &resource, message.validate_only).await
        } else {
            Err(Refusal::invalid_request("Each resource must appear at most once."))
        };
        let (code, text) = code_and_text(&outcome);
        responses.push(
            AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(text)
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name),
        );
    }
    request.reply_to().send(&IncrementalAlterConfigsResponse::default().with_responses(responses))
}

async fn alter(
    broker: &Rc<Broker>,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let whose = config_codes::resource(broker, resource.resource_type, &resource.resource_name)?;
    let mut keys = BTreeSet::new();
    if !resource.configs.iter().all(|config| keys.insert(config.name.as_str())) {
        return Err(Refusal::invalid_request("Error due to duplicate config keys"));
    }
    let nulls = null_keys(
        resource
            .configs
            .iter()
            .map(|c| (c.name.as_str(), c.value.is_some() || c.config_operation == DELETE)),
    );
    if !nulls.is_empty() {
        return Err(Refusal::invalid_request(format!("Null value not supported for : {nulls}")));
    }
    let changes = resource.configs.iter().map(change).collect::<Result<Vec<_>, _>>()?;
    Ok(broker.alter_configs(whose, changes, false, validate_only).await?)
}

fn change(config: &AlterableConfig) -> Result<ConfigChange, Refusal> {
    let name = config.name.to_string();
    let value = config.value.as_ref().map(ToString::to_string);
    match config.config_operation {
        SET => Ok(ConfigChange::Set(name, value)),
        DELETE => Ok(ConfigChange::Delete(name)),
        APPEND => Ok(ConfigChange::Append(name, value)),
        SUBTRACT => Ok(ConfigChange::Subtract(name, value)),
        other => Err(Refusal::invalid_request(format!(
            "Unknown operation type {other} for configuration {name}."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_known_by_their_numbers_and_others_refused() {
        let config = |operation| {
            let config = AlterableConfig::default().with_name("a".into());
            change(&config.with_value(Some("b".into())).with_config_operation(operation))
        };
        let value = Some("b".to_owned());
        assert_eq!(config(0), Ok(ConfigChange::Set("a".into(), value.clone())));
        assert_eq!(config(1), Ok(ConfigChange::Delete("a".into())));
        assert_eq!(config(2), Ok(ConfigChange::Append("a".into(), value.clone())));
        assert_eq!(config(3), Ok(ConfigChange::Subtract("a".into(), value)));
        assert_eq!(config(4).map_err(|refusal| refusal.code), Err(42));
    }
}
