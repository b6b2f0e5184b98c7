//! Kafka's primitive types, read from untrusted bytes and written to a reply.
//!
//! Format: <https://kafka.apache.org/protocol.html#protocol_types>; "flexible" versions, with compact
//! lengths and tagged fields, are KIP-482. Nothing here reserves memory from a count of the wire:
//! [`Reader::array`] checks it against the bytes that remain and against a limit on elements.

use bytes::{BufMut, Bytes, BytesMut};
use model::TopicId;
use thiserror::Error;

use crate::rope::Rope;

/// Most elements (array entries and unknown tagged fields) that one request may hold. A decoded
/// element costs some hundred bytes, so this bounds what a request can cost beyond its own bytes.
pub const ELEMENTS_MAX: usize = 250_000;

/// The bytes are no request of the schema that their header names.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("malformed request: {what} at byte {position}")]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// Where, counted from the start of what was parsed.
    pub position: usize,
}

/// Reads primitives in order; every length is checked against what remains.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    elements: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, position: 0, elements: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Array elements and unknown tagged fields seen so far, at most [`ELEMENTS_MAX`].
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The error "`what` is wrong here".
    pub fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, position: self.position }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some(taken) = rest.get(..count) else {
            return Err(self.malformed("fewer bytes than a field needs"));
        };
        self.position += count;
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let position = self.position;
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Malformed { what: "fewer bytes than a field needs", position })
    }

    /// INT8
    pub fn int8(&mut self) -> Result<i8, Malformed> {
        self.array_of().map(i8::from_be_bytes)
    }

    /// INT16
    pub fn int16(&mut self) -> Result<i16, Malformed> {
        self.array_of().map(i16::from_be_bytes)
    }

    /// INT32
    pub fn int32(&mut self) -> Result<i32, Malformed> {
        self.array_of().map(i32::from_be_bytes)
    }

    /// INT64
    pub fn int64(&mut self) -> Result<i64, Malformed> {
        self.array_of().map(i64::from_be_bytes)
    }

    /// UUID of a topic
    pub fn topic_id(&mut self) -> Result<TopicId, Malformed> {
        self.array_of().map(|bytes| TopicId(u128::from_be_bytes(bytes)))
    }

    /// UNSIGNED_VARINT of at most 32 bits; an overlong or overflowing one is malformed.
    pub fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array_of::<1>()?;
            if shift == 28 && byte > 0x0f {
                return Err(self.malformed("a varint of more than 32 bits"));
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    /// The length of a string, byte sequence or array: `None` for null.
    fn length(
        &mut self,
        plain: impl FnOnce(&mut Self) -> Result<i64, Malformed>,
        flexible: bool,
    ) -> Result<Option<usize>, Malformed> {
        let length = if flexible { i64::from(self.unsigned_varint()?) - 1 } else { plain(self)? };
        match length {
            -1 => Ok(None),
            _ => match usize::try_from(length) {
                Ok(length) => Ok(Some(length)),
                Err(_) => Err(self.malformed("a negative length")),
            },
        }
    }

    /// NULLABLE_STRING, or COMPACT_NULLABLE_STRING if `flexible`.
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<&'a str>, Malformed> {
        let Some(length) = self.length(|r| r.int16().map(i64::from), flexible)? else {
            return Ok(None);
        };
        if length > i16::MAX as usize {
            return Err(self.malformed("a string of more than 32767 bytes"));
        }
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(self.malformed("a string that is not UTF-8")),
        }
    }

    /// STRING, or COMPACT_STRING if `flexible`.
    pub fn string(&mut self, flexible: bool) -> Result<&'a str, Malformed> {
        match self.nullable_string(flexible)? {
            Some(text) => Ok(text),
            None => Err(self.malformed("null where a string must be")),
        }
    }

    /// NULLABLE_BYTES or RECORDS: where they lie in the bytes given to [`Reader::new`].
    pub fn nullable_bytes(
        &mut self,
        flexible: bool,
    ) -> Result<Option<std::ops::Range<usize>>, Malformed> {
        let Some(length) = self.length(|r| r.int32().map(i64::from), flexible)? else {
            return Ok(None);
        };
        let start = self.position;
        self.take(length)?;
        Ok(Some(start..self.position))
    }

    /// The count of an ARRAY (COMPACT_ARRAY if `flexible`) whose elements take at least
    /// `element_bytes_min` bytes each; `None` for null.
    pub fn nullable_array(
        &mut self,
        flexible: bool,
        element_bytes_min: usize,
    ) -> Result<Option<usize>, Malformed> {
        let Some(count) = self.length(|r| r.int32().map(i64::from), flexible)? else {
            return Ok(None);
        };
        if count > self.remaining() / element_bytes_min.max(1) {
            return Err(self.malformed("an array count that the bytes left cannot hold"));
        }
        self.count_elements(count)?;
        Ok(Some(count))
    }

    /// As [`Reader::nullable_array`], but null is malformed.
    pub fn array(&mut self, flexible: bool, element_bytes_min: usize) -> Result<usize, Malformed> {
        match self.nullable_array(flexible, element_bytes_min)? {
            Some(count) => Ok(count),
            None => Err(self.malformed("null where an array must be")),
        }
    }

    fn count_elements(&mut self, count: usize) -> Result<(), Malformed> {
        self.elements = self.elements.saturating_add(count);
        if self.elements > ELEMENTS_MAX {
            return Err(self.malformed("more array elements than one request may hold"));
        }
        Ok(())
    }

    /// Skips the tagged fields at the end of a structure, if the version is `flexible`.
    pub fn skip_tagged_fields(&mut self, flexible: bool) -> Result<(), Malformed> {
        if !flexible {
            return Ok(());
        }
        let count = self.unsigned_varint()? as usize;
        if count > self.remaining() / 2 {
            return Err(self.malformed("a count of tagged fields that the bytes left cannot hold"));
        }
        self.count_elements(count)?;
        for _ in 0..count {
            self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            self.take(size)?;
        }
        Ok(())
    }
}

/// Writes primitives to the end of a reply.
#[derive(Debug)]
pub struct Writer {
    rope: Rope,
    flexible: bool,
}

impl Writer {
    /// Continues `bytes` in a `flexible` version or not.
    pub fn new(bytes: BytesMut, flexible: bool) -> Writer {
        Writer { rope: Rope::from(bytes), flexible }
    }

    /// What was written, in one piece.
    pub fn into_bytes(self) -> BytesMut {
        self.rope.into_bytes()
    }

    /// What was written.
    pub fn into_rope(self) -> Rope {
        self.rope
    }

    /// Bytes as they are, without a length, and without a copy if they are many.
    pub fn shared(&mut self, bytes: &Bytes) {
        self.rope.share(bytes);
    }

    /// INT8
    pub fn int8(&mut self, value: i8) {
        self.rope.own().put_i8(value);
    }

    /// INT16
    pub fn int16(&mut self, value: i16) {
        self.rope.own().put_i16(value);
    }

    /// INT32
    pub fn int32(&mut self, value: i32) {
        self.rope.own().put_i32(value);
    }

    /// INT64
    pub fn int64(&mut self, value: i64) {
        self.rope.own().put_i64(value);
    }

    /// UUID of a topic
    pub fn topic_id(&mut self, id: TopicId) {
        self.rope.own().put_slice(&id.to_bytes());
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.rope.own().put_slice(bytes);
    }

    /// UNSIGNED_VARINT
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.rope.own().put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.rope.own().put_u8(value as u8);
    }

    /// STRING or COMPACT_STRING. Longer than 32,767 bytes is cut at a character boundary: only
    /// texts for people can be so long.
    pub fn string(&mut self, text: &str) {
        let mut end = text.len().min(i16::MAX as usize);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if self.flexible {
            self.unsigned_varint(end as u32 + 1);
        } else {
            self.int16(end as i16);
        }
        self.raw(text.as_bytes().get(..end).unwrap_or_default());
    }

    /// NULLABLE_STRING or COMPACT_NULLABLE_STRING
    pub fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None if self.flexible => self.unsigned_varint(0),
            None => self.int16(-1),
        }
    }

    /// The count of an ARRAY or COMPACT_ARRAY, or the size of RECORDS. What we write is far below
    /// `i32::MAX`.
    pub fn count(&mut self, count: usize) {
        let count = i32::try_from(count).unwrap_or(i32::MAX - 1);
        if self.flexible {
            self.unsigned_varint(count as u32 + 1);
        } else {
            self.int32(count);
        }
    }

    /// A null ARRAY
    pub fn null_array(&mut self) {
        if self.flexible {
            self.unsigned_varint(0);
        } else {
            self.int32(-1);
        }
    }

    /// The end of a structure: no tagged fields, if the version is flexible.
    pub fn no_tagged_fields(&mut self) {
        if self.flexible {
            self.unsigned_varint(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_count_is_checked_before_anything_is_reserved() {
        // 2^31-1 elements of at least one byte, and nothing behind the count.
        assert!(Reader::new(&[0x7f, 0xff, 0xff, 0xff]).array(false, 1).is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).array(true, 1).is_err());
        // Few enough elements for a request, but more than the bytes behind the count can hold.
        assert!(Reader::new(&[0, 0, 0, 2, 9]).array(false, 1).is_err());
        assert!(Reader::new(&[0, 0, 0, 2, 9, 9, 9]).array(false, 2).is_err());
        assert_eq!(Reader::new(&[0, 0, 0, 2, 9, 9]).array(false, 1), Ok(2));
        // Enough bytes, but more elements than a request may have.
        let mut bytes = vec![0, 0x10, 0, 0];
        bytes.resize(4 + 0x10_0000, 0);
        let error = Reader::new(&bytes).array(false, 1).unwrap_err();
        assert!(error.what.contains("more array elements"), "{error}");
    }

    #[test]
    fn a_varint_over_32_bits_is_malformed() {
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x10]).unsigned_varint().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff]).unsigned_varint().is_err());
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).unsigned_varint(), Ok(u32::MAX));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: u32, text: Option<String>, flexible: bool) {
            let mut writer = Writer::new(BytesMut::new(), flexible);
            writer.unsigned_varint(value);
            writer.nullable_string(text.as_deref());
            writer.count(3);
            writer.raw(&[0; 3]);
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.unsigned_varint(), Ok(value));
            prop_assert_eq!(reader.nullable_string(flexible), Ok(text.as_deref()));
            prop_assert_eq!(reader.array(flexible, 1), Ok(3));
        }
    }
}
