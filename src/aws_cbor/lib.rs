//! AWS CBOR 1.1: the shapes of AWS JSON, with blobs as byte strings and times as milliseconds under
//! tag 1.
//!
//! **What it is.** [`decode`] and [`encode`], between CBOR and whatever serde can read and write.
//! minicbor reads and writes the tokens; what they mean to serde is decided here.
//!
//! **What it owns.** How deep values nest ([`DEPTH_MAX`]), and the name by which a time is told from
//! a number ([`TIMESTAMP`]).
//!
//! **Where it runs.** Anywhere: nothing waits, and nothing is shared.
//!
//! **What it must never do.** Take memory on the word of a length: a count is believed element by
//! element, and a text or blob must lie in the body whole. Know any shape: those are `kinesis`'s.
//!
//! **Where to start reading.** [`reader`], which takes what strangers send. It is fuzzed:
//! `compat-tests/fuzz/fuzz_targets/cbor.rs`.

mod reader;
mod writer;

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

/// Lists and maps within each other: as deep as serde_json allows.
pub const DEPTH_MAX: usize = 128;
/// A newtype structure of this name holds milliseconds since 1970, and is written as a time.
pub const TIMESTAMP: &str = "Timestamp";
/// CBOR's tag for a point in time.
const TIME_TAG: u64 = 1;

/// Reads a body that is one map and nothing else. Members that the shape does not have are passed
/// over, as AWS does.
///
/// # Errors
/// If the body is no CBOR, nests deeper than [`DEPTH_MAX`], or is not of the shape.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, CborError> {
    reader::read(body)
}

/// Writes a value.
///
/// # Errors
/// If the value itself refuses to be written.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CborError> {
    writer::write(value)
}

/// What is wrong with a body, or cannot be said in CBOR.
#[derive(Debug)]
pub struct CborError(String);

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
