//! AWS JSON 1.1: requests in, answers out.

use serde::{Serialize, de::DeserializeOwned};

use crate::fault::Fault;

/// Reads a request. Members that the shape does not have are passed over, as AWS does.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    // serde would take a list as a structure without names; AWS does not.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Fault::serialization("the body is no JSON object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| Fault::serialization(error.to_string()))
}

/// Writes an answer.
pub(crate) fn encode<T: Serialize>(answer: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(answer).map_err(|error| Fault::internal(error.to_string()))
}
