//! The header that begins every request, and the one that begins every reply.
//!
//! Request header 1 is `api_key, api_version, correlation_id, client_id`; header 2, of flexible
//! versions, adds tagged fields (the client id stays a plain string). Reply header 0 is the
//! correlation id; header 1, of flexible versions, adds tagged fields; ApiVersions always answers
//! with header 0, so that a client can read the answer to a version that we do not know (KIP-511).

use bytes::{BufMut, BytesMut};

use crate::{
    rope::Rope,
    wire::{Malformed, Reader},
};

/// The fixed part, which every version of every request begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedHeader {
    /// Which API.
    pub api_key: i16,
    /// Which version of its schema.
    pub api_version: i16,
    /// Echoed in the reply.
    pub correlation_id: i32,
}

/// The fewest bytes that a request has: key, version and correlation id.
pub const FIXED_HEADER_BYTES: usize = 8;

impl FixedHeader {
    /// Reads the first eight bytes.
    pub fn parse(reader: &mut Reader<'_>) -> Result<FixedHeader, Malformed> {
        Ok(FixedHeader {
            api_key: reader.int16()?,
            api_version: reader.int16()?,
            correlation_id: reader.int32()?,
        })
    }
}

/// Reads the rest of a request's header; the body follows. Returns the client id.
pub fn parse_client_id<'a>(
    reader: &mut Reader<'a>,
    flexible: bool,
) -> Result<Option<&'a str>, Malformed> {
    let client_id = reader.nullable_string(false)?;
    reader.skip_tagged_fields(flexible)?;
    Ok(client_id)
}

/// A reply in the making: size, header, then the body.
#[derive(Debug)]
pub struct ReplyFrame;

impl ReplyFrame {
    /// Begins a reply of about `body_bytes` bytes with header 0 or, if `tagged_header`, 1.
    pub fn begin(correlation_id: i32, tagged_header: bool, body_bytes: usize) -> BytesMut {
        let mut bytes = BytesMut::with_capacity(body_bytes + 9);
        bytes.put_i32(0);
        bytes.put_i32(correlation_id);
        if tagged_header {
            bytes.put_u8(0);
        }
        bytes
    }

    /// Fills in the size; `None` if the reply is too large for its size field.
    pub fn finish(mut reply: Rope) -> Option<Rope> {
        let size = i32::try_from(reply.len().checked_sub(4)?).ok()?;
        reply.own().get_mut(..4)?.copy_from_slice(&size.to_be_bytes());
        Some(reply)
    }
}
