//! AWS CBOR 1.1: requests in, answers out.

use serde::{Serialize, de::DeserializeOwned};

use crate::fault::Fault;

/// Reads a request. Members that the shape does not have are passed over, as AWS does.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    aws_cbor::decode(body).map_err(|error| Fault::serialization(error.to_string()))
}

/// Writes an answer.
pub(crate) fn encode<T: Serialize>(answer: &T) -> Result<Vec<u8>, Fault> {
    aws_cbor::encode(answer).map_err(|error| Fault::internal(error.to_string()))
}
