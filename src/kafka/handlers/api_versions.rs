//! ApiVersions: what this broker can do, computed from the table.

use kafka_protocol::ResponseError;

use crate::{
    apis::{API_VERSIONS_KEY, APIS, Api},
    codec::api_versions::{self as codec, ApiRange, Feature},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: API_VERSIONS_KEY,
    name: "ApiVersions",
    advertised_min: 0,
    served_min: 0,
    version_max: 4,
    flexible_since: codec::FLEXIBLE_SINCE,
    body: None,
    pipelined: false,
    serve,
};

/// `metadata.version` 25 is Kafka 4.0's (4.0-IV3) and 7 the lowest that 4.x knows (3.3-IV3). Tools
/// read it to know which admin calls work. `transaction.version` 2 is KIP-890's second protocol.
/// `group.version` is left out, so that clients stay with what does not need it.
const FEATURES: &[Feature] = &[
    Feature { name: "metadata.version", min: 7, max: 25, level: 25 },
    Feature { name: "transaction.version", min: 0, max: 2, level: 2 },
];

fn serve(request: Request) -> ReplyFuture {
    Box::pin(std::future::ready(answer(&request)))
}

fn answer(request: &Request) -> Reply {
    let version = request.version();
    let parsed = match codec::parse_request(&request.body, version) {
        Ok(parsed) => parsed,
        Err(malformed) => return malformed.into(),
    };
    if let Some((name, software_version)) = &parsed.software {
        if !is_software_text(name) || !is_software_text(software_version) {
            return send(request, ResponseError::InvalidRequest.code(), &[]);
        }
        tracing::debug!(name, version = software_version, "client");
    }
    let ranges: Vec<ApiRange> = APIS.iter().map(Api::range).collect();
    send(request, 0, &ranges)
}

/// The answer to a version that we do not have: an error, and which versions we have (KIP-511).
/// The request was made version 0, in which every client reads it.
pub fn unknown_version(request: Request) -> ReplyFuture {
    let reply = send(&request, ResponseError::UnsupportedVersion.code(), &[API.range()]);
    Box::pin(std::future::ready(reply))
}

fn send(request: &Request, error_code: i16, ranges: &[ApiRange]) -> Reply {
    let version = request.version();
    request.reply_to().with_plain_header().send_by_hand(
        ranges.len() * 7 + 128,
        [error_code],
        |writer| {
            let features = if error_code == 0 { FEATURES } else { &[] };
            codec::write_response(writer, version, error_code, ranges, features);
        },
    )
}

/// Letters, digits, dots and dashes, beginning and ending with a letter or digit, as Kafka has it.
fn is_software_text(text: &str) -> bool {
    let alphanumeric = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    alphanumeric(text.as_bytes().first())
        && alphanumeric(text.as_bytes().last())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'.' || c == b'-')
}

#[cfg(test)]
mod tests {
    use super::is_software_text;

    #[test]
    fn client_software_names_are_checked_as_kafka_checks_them() {
        for good in ["librdkafka", "apache-kafka-java", "2.15.0", "a"] {
            assert!(is_software_text(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a_b", "ä"] {
            assert!(!is_software_text(bad), "{bad}");
        }
    }
}
