//! How state is written: one byte of format version, then postcard.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// Why stored state was not read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// There is not even a version byte.
    #[error("the stored {what} is empty")]
    Empty {
        /// What was being read.
        what: &'static str,
    },
    /// Another version of thalweg wrote it.
    #[error(
        "the stored {what} has format version {found}, this thalweg reads {known}: start the version that wrote it"
    )]
    UnknownVersion {
        /// What was being read.
        what: &'static str,
        /// The version that was found.
        found: u8,
        /// The version that is read here.
        known: u8,
    },
    /// The bytes after the version are not what that version writes.
    #[error("the stored {what} does not decode: {why}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// More bytes than anything of ours has.
    #[error("the stored {what} has {found_bytes} bytes, more than the {limit_bytes} that are read")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// The size found.
        found_bytes: usize,
        /// The greatest size.
        limit_bytes: usize,
    },
}

/// A kind of stored state: its name for messages, its version, and the most bytes it may have.
pub(crate) struct Format {
    pub what: &'static str,
    pub version: u8,
    pub limit_bytes: usize,
}

impl Format {
    #[expect(clippy::expect_used, reason = "plain values always encode into memory")]
    pub fn encode(&self, value: &impl Serialize) -> Vec<u8> {
        postcard::to_extend(value, vec![self.version])
            .expect("plain structs, maps and lists have nothing to fail on")
    }

    pub fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, DecodeError> {
        let Format { what, version, limit_bytes } = *self;
        if bytes.len() > limit_bytes {
            return Err(DecodeError::TooLarge { what, found_bytes: bytes.len(), limit_bytes });
        }
        let (&found, body) = bytes.split_first().ok_or(DecodeError::Empty { what })?;
        if found != version {
            return Err(DecodeError::UnknownVersion { what, found, known: version });
        }
        let malformed = |why: String| DecodeError::Malformed { what, why };
        // A list is decoded element by element, so a lying count ends at the last byte.
        let (value, rest) =
            postcard::take_from_bytes(body).map_err(|error| malformed(error.to_string()))?;
        if rest.is_empty() {
            Ok(value)
        } else {
            Err(malformed(format!("{} bytes follow its end", rest.len())))
        }
    }
}
