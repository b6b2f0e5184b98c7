//! An error as AWS's protocol writes it.

use std::{borrow::Cow, collections::BTreeMap};

use kinesis::ApiError;

use crate::encoding::Encoding;

/// An error's name, HTTP status and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// `__type`, and the header `x-amzn-ErrorType`.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// The text, if AWS gives one.
    pub message: Option<Cow<'static, str>>,
}

impl Fault {
    /// Any.
    pub fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault { code, status, message: Some(message.into()) }
    }

    /// No service of that target, or no operation of that name in it. AWS says nothing more.
    pub fn unknown_operation() -> Fault {
        Fault { code: "UnknownOperationException", status: 400, message: None }
    }

    /// The body is not what its content type says, or not the shape of the operation.
    pub fn serialization(message: String) -> Fault {
        Fault::new(400, "SerializationException", message)
    }

    /// A content type or encoding that is not served.
    pub fn unsupported_media(what: &str) -> Fault {
        let message = format!(
            "{what} is not served; send application/x-amz-json-1.1 or -cbor-1.1, not compressed."
        );
        Fault::new(415, "UnsupportedMediaTypeException", message)
    }

    /// The body is larger than any request of this operation can be.
    pub fn too_large(bytes_max: usize) -> Fault {
        let message = format!("The request body is larger than {bytes_max} bytes.");
        Fault::new(413, "RequestEntityTooLargeException", message)
    }

    /// The body did not arrive in time.
    pub fn slow_body() -> Fault {
        Fault::new(408, "RequestTimeoutException", "The request body took too long to arrive.")
    }

    /// The client went away in the middle of its body.
    pub fn broken_body() -> Fault {
        Fault::new(400, "IncompleteBodyException", "The request body ended early.")
    }

    /// No memory came free in time. SDKs send the request again after a 503.
    pub fn no_memory() -> Fault {
        Fault::new(503, "ServiceUnavailableException", "Too much work in progress; try again.")
    }

    /// An answer that could not be written.
    pub fn internal(message: String) -> Fault {
        Fault::new(500, "InternalFailure", message)
    }

    /// The body.
    pub fn body(&self, encoding: Encoding) -> Vec<u8> {
        // AWS writes this one error's text under another name.
        let text = if self.code == "SerializationException" { "Message" } else { "message" };
        let mut members = BTreeMap::from([("__type", self.code)]);
        if let Some(message) = &self.message {
            members.insert(text, message);
        }
        // A map of texts can be written in either.
        encoding.encode(&members).unwrap_or_default()
    }
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Fault {
        Fault::new(error.kind.status(), error.kind.code(), error.message)
    }
}
