//! Values that JSON and CBOR write differently: blobs and times.
//!
//! A self-describing text format (JSON) carries a blob as base64 and a time as seconds with a
//! fraction; a binary one (CBOR) carries bytes and milliseconds. serde tells which is in use.

use std::fmt;

use aws_cbor::TIMESTAMP;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use model::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

/// Bytes of any content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Blob, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(BlobVisitor)
        } else {
            deserializer.deserialize_bytes(BlobVisitor)
        }
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a blob, in base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
        match STANDARD.decode(text) {
            Ok(bytes) => Ok(Blob(bytes.into())),
            Err(error) => Err(E::custom(format_args!("not base64: {error}"))),
        }
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(Bytes::copy_from_slice(bytes)))
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            // Milliseconds since 1970 stay below 2^53 for 285,000 years: no digit is lost.
            serializer.serialize_f64(self.0.0 as f64 / 1000.0)
        } else {
            serializer.serialize_newtype_struct(TIMESTAMP, &self.0.0)
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        if deserializer.is_human_readable() {
            from_millis(f64::deserialize(deserializer)? * 1000.0)
        } else {
            deserializer.deserialize_any(MillisVisitor)
        }
    }
}

fn from_millis<E: Error>(millis: f64) -> Result<Time, E> {
    let millis = millis.round();
    if !millis.is_finite() || millis.abs() >= 9.0e15 {
        return Err(E::custom("a timestamp out of range"));
    }
    Ok(Time(Timestamp(millis as i64)))
}

/// Milliseconds: an integer from the Java SDK, with a fraction from others.
struct MillisVisitor;

impl Visitor<'_> for MillisVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time in milliseconds")
    }

    fn visit_i64<E: Error>(self, millis: i64) -> Result<Time, E> {
        from_millis(millis as f64)
    }

    fn visit_u64<E: Error>(self, millis: u64) -> Result<Time, E> {
        from_millis(millis as f64)
    }

    fn visit_f64<E: Error>(self, millis: f64) -> Result<Time, E> {
        from_millis(millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_base64_in_json_and_comes_back() {
        let blob = Blob(Bytes::from_static(b"\x00\xffhello"));
        let json = serde_json::to_string(&blob).unwrap();
        assert_eq!(json, "\"AP9oZWxsbw==\"");
        assert_eq!(serde_json::from_str::<Blob>(&json).unwrap(), blob);
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for bad in ["\"a\"", "\"====\"", "\"äö\"", "7", "null"] {
            assert!(serde_json::from_str::<Blob>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_seconds_with_milliseconds_in_json() {
        let time = Time(Timestamp(1_795_226_825_211));
        assert_eq!(serde_json::to_string(&time).unwrap(), "1795226825.211");
        for text in ["1795226825.211", "1795226825.2111", "1.795226825211e9"] {
            assert_eq!(serde_json::from_str::<Time>(text).unwrap(), time, "{text}");
        }
        assert_eq!(serde_json::from_str::<Time>("5").unwrap(), Time(Timestamp(5000)));
        assert!(serde_json::from_str::<Time>("1e300").is_err());
    }
}
