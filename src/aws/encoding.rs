//! The two encodings of AWS's protocol: one shape, written as text or as bytes.

use serde::{Serialize, de::DeserializeOwned};

use crate::{cbor, fault::Fault, json};

/// How a request is written, and so its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `application/x-amz-json-1.1`.
    Json,
    /// `application/x-amz-cbor-1.1`.
    Cbor,
}

impl Encoding {
    /// What a content type (without its parameters) stands for.
    pub fn of(content_type: &str) -> Option<Encoding> {
        let is = |name| content_type.eq_ignore_ascii_case(name);
        if is(Encoding::Json.content_type()) || is("application/json") {
            return Some(Encoding::Json);
        }
        is(Encoding::Cbor.content_type()).then_some(Encoding::Cbor)
    }

    /// The content type of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/x-amz-json-1.1",
            Encoding::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// The content type of one event in an event stream.
    pub fn event_content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Cbor => "application/cbor",
        }
    }

    /// Reads a request.
    pub fn decode<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, Fault> {
        match self {
            Encoding::Json => json::decode(body),
            Encoding::Cbor => cbor::decode(body),
        }
    }

    /// Writes an answer.
    pub fn encode<T: Serialize>(self, answer: &T) -> Result<Vec<u8>, Fault> {
        match self {
            Encoding::Json => json::encode(answer),
            Encoding::Cbor => cbor::encode(answer),
        }
    }
}
