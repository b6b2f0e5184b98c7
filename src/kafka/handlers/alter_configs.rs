//! AlterConfigs: replaces all of a resource's own settings. Old tools use it; new ones use
//! IncrementalAlterConfigs.

use std::{collections::BTreeSet, rc::Rc};

use broker::{Broker, ConfigChange};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, alter_configs_request::AlterConfigsResource,
    alter_configs_response::AlterConfigsResourceResponse,
};

use crate::{
    apis::Api,
    config_codes,
    errors::{Refusal, code_and_text},
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 33,
    name: "AlterConfigs",
    advertised_min: 0,
    served_min: 0,
    version_max: 2,
    flexible_since: 2,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::structs(&[
        guard::INT8,
        guard::STRING,
        guard::structs(&[guard::STRING, guard::STRING.nullable_since(0)]),
    ]),
    guard::INT8,
];

async fn serve(mut request: Request) -> Reply {
    let message: AlterConfigsRequest = match request.decode() {
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
    request.reply_to().send(&AlterConfigsResponse::default().with_responses(responses))
}

async fn alter(
    broker: &Rc<Broker>,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let whose = config_codes::resource(broker, resource.resource_type, &resource.resource_name)?;
    let nulls = null_keys(resource.configs.iter().map(|c| (c.name.as_str(), c.value.is_some())));
    if !nulls.is_empty() {
        return Err(Refusal::invalid_request(format!("Null value not supported for : {nulls}")));
    }
    let changes = resource
        .configs
        .iter()
        .map(|config| {
            let value = config.value.as_ref().map(ToString::to_string);
            ConfigChange::Set(config.name.to_string(), value)
        })
        .collect();
    Ok(broker.alter_configs(whose, changes, true, validate_only).await?)
}

/// The keys without a value, joined by commas.
pub(super) fn null_keys<'a>(keys: impl Iterator<Item = (&'a str, bool)>) -> String {
    let nulls: Vec<&str> = keys.filter(|(_, has_value)| !has_value).map(|(key, _)| key).collect();
    nulls.join(",")
}
