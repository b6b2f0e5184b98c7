//! DescribeConfigs: all settings with values, sources, synonyms and documentation.

use std::rc::Rc;

use broker::Broker;
use kafka_protocol::{
    messages::{
        DescribeConfigsRequest, DescribeConfigsResponse,
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::{
            DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
        },
    },
    protocol::StrBytes,
};
use state::configs::ConfigEntry;

use crate::{
    apis::Api,
    config_codes,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 32,
    name: "DescribeConfigs",
    advertised_min: 1,
    served_min: 1,
    version_max: 4,
    flexible_since: 4,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::structs(&[guard::INT8, guard::STRING, guard::STRINGS.nullable_since(0)]),
    guard::INT8,
    guard::INT8.since(3),
];

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: DescribeConfigsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let show = Show {
        version,
        synonyms: message.include_synonyms,
        documentation: message.include_documentation,
    };
    let mut results = Vec::with_capacity(message.resources.len());
    for resource in message.resources {
        let result = match entries(&request.broker, &resource).await {
            Ok(entries) => DescribeConfigsResult::default()
                .with_configs(entries.iter().map(|entry| show.entry(entry)).collect()),
            Err(refusal) => DescribeConfigsResult::default()
                .with_error_code(refusal.code)
                .with_error_message(refusal.text()),
        };
        results.push(
            result
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name),
        );
    }
    request.reply_to().send(&DescribeConfigsResponse::default().with_results(results))
}

async fn entries(
    broker: &Rc<Broker>,
    resource: &DescribeConfigsResource,
) -> Result<Vec<ConfigEntry>, Refusal> {
    if resource.resource_type == config_codes::BROKER_LOGGER {
        return Ok(Vec::new()); // log levels are not set through Kafka's protocol
    }
    let whose = config_codes::resource(broker, resource.resource_type, &resource.resource_name)?;
    // An empty list of keys means all of them, as null does.
    let keys: Option<Vec<String>> = resource
        .configuration_keys
        .as_ref()
        .filter(|keys| !keys.is_empty())
        .map(|keys| keys.iter().map(ToString::to_string).collect());
    Ok(broker.describe_configs(&whose, keys.as_deref()).await?)
}

/// How much of an entry to show.
#[derive(Clone, Copy)]
struct Show {
    version: i16,
    synonyms: bool,
    documentation: bool,
}

impl Show {
    fn entry(self, entry: &ConfigEntry) -> DescribeConfigsResourceResult {
        let mut result = DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_string(entry.name.to_string()))
            .with_value(config_codes::shown_value(entry))
            .with_read_only(entry.read_only)
            .with_config_source(entry.source.code())
            .with_is_sensitive(entry.sensitive);
        if self.synonyms {
            result.synonyms = entry.synonyms.iter().map(|s| synonym(entry, s)).collect();
        }
        if self.version >= 3 {
            result.config_type = entry.kind.code();
            if self.documentation {
                let documentation = entry.documentation.to_string();
                result.documentation = Some(StrBytes::from_string(documentation));
            }
        }
        result
    }
}

fn synonym(entry: &ConfigEntry, synonym: &state::configs::ConfigSynonym) -> DescribeConfigsSynonym {
    let value = synonym.value.as_ref().filter(|_| !entry.sensitive);
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_string(synonym.name.to_string()))
        .with_value(value.map(|value| StrBytes::from_string(value.to_string())))
        .with_source(synonym.source.code())
}
