//! AWS CBOR 1.1: the shapes of AWS JSON, with blobs as byte strings and times as milliseconds under
//! tag 1. minicbor reads and writes the tokens; what they mean to serde is decided here.
//!
//! Reading takes no memory on the word of a length: a count is believed element by element, and a
//! text or blob must lie in the body whole. How deep values nest is bounded by [`DEPTH_MAX`].

mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::fault::Fault;

/// Lists and maps within each other: as deep as serde_json allows.
const DEPTH_MAX: usize = 128;
/// CBOR's tag for a point in time.
const TIME_TAG: u64 = 1;

/// Reads a request. Members that the shape does not have are passed over, as AWS does.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    reader::read(body).map_err(|error| Fault::serialization(error.0))
}

/// Writes an answer.
pub(crate) fn encode<T: Serialize>(answer: &T) -> Result<Vec<u8>, Fault> {
    writer::write(answer).map_err(|error| Fault::internal(error.0))
}

/// What is wrong with a body, or cannot be said in CBOR.
#[derive(Debug)]
pub(crate) struct CborError(String);

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CborError {}

impl serde::de::Error for CborError {
    fn custom<T: fmt::Display>(message: T) -> CborError {
        CborError(message.to_string())
    }
}

impl serde::ser::Error for CborError {
    fn custom<T: fmt::Display>(message: T) -> CborError {
        CborError(message.to_string())
    }
}

impl From<minicbor::decode::Error> for CborError {
    fn from(error: minicbor::decode::Error) -> CborError {
        CborError(format!("no CBOR: {error}"))
    }
}

impl<E: fmt::Display> From<minicbor::encode::Error<E>> for CborError {
    fn from(error: minicbor::encode::Error<E>) -> CborError {
        CborError(format!("not written as CBOR: {error}"))
    }
}
