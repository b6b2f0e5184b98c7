//! ApiVersions, versions 0 to 4: which APIs and features this broker has (KIP-35, KIP-511, KIP-584).

use crate::wire::{Malformed, Reader, Writer};

/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_SINCE: i16 = 3;

/// A client's name and version, sent from version 3 on.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiVersionsRequest {
    /// Its name and version; `None` before version 3.
    pub software: Option<(String, String)>,
}

/// Reads the body of a request.
pub fn parse_request(body: &[u8], version: i16) -> Result<ApiVersionsRequest, Malformed> {
    if version < FLEXIBLE_SINCE {
        return Ok(ApiVersionsRequest { software: None });
    }
    let mut reader = Reader::new(body);
    let name = reader.string(true)?.to_owned();
    let software_version = reader.string(true)?.to_owned();
    reader.skip_tagged_fields(true)?;
    Ok(ApiVersionsRequest { software: Some((name, software_version)) })
}

/// One API and the versions of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiRange {
    /// The API's number.
    pub key: i16,
    /// Its lowest version.
    pub min: i16,
    /// Its highest version.
    pub max: i16,
}

/// A feature, its supported levels and the level in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// The feature's name.
    pub name: &'static str,
    /// The lowest level supported.
    pub min: i16,
    /// The highest level supported.
    pub max: i16,
    /// The level in force.
    pub level: i16,
}

/// Writes the body of a reply.
pub fn write_response(
    writer: &mut Writer,
    version: i16,
    error_code: i16,
    apis: &[ApiRange],
    features: &[Feature],
) {
    writer.int16(error_code);
    writer.count(apis.len());
    for api in apis {
        writer.int16(api.key);
        writer.int16(api.min);
        writer.int16(api.max);
        writer.no_tagged_fields();
    }
    if version >= 1 {
        writer.int32(0); // throttle time
    }
    if version >= FLEXIBLE_SINCE {
        write_features(writer, features);
    }
}

/// Three tagged fields: 0 the supported features, 1 the epoch of 2, the levels in force.
fn write_features(writer: &mut Writer, features: &[Feature]) {
    let triples = |pick: fn(&Feature) -> (i16, i16)| {
        let mut field = Writer::new(bytes::BytesMut::new(), true);
        field.count(features.len());
        for feature in features {
            let (first, second) = pick(feature);
            field.string(feature.name);
            field.int16(first);
            field.int16(second);
            field.no_tagged_fields();
        }
        field.into_bytes()
    };
    writer.unsigned_varint(3);
    tagged(writer, 0, &triples(|f| (f.min, f.max)));
    tagged(writer, 1, &0_i64.to_be_bytes());
    // The levels in force are written highest first.
    tagged(writer, 2, &triples(|f| (f.level, f.level)));
}

fn tagged(writer: &mut Writer, tag: u32, value: &[u8]) {
    writer.unsigned_varint(tag);
    writer.unsigned_varint(u32::try_from(value.len()).unwrap_or(u32::MAX));
    writer.raw(value);
}
