//! AWS's event stream encoding, read: messages with lengths, checksums, headers and a payload.
//!
//! ```text
//! total length u32 | headers length u32 | CRC-32 of these 8 bytes | headers | payload | CRC-32 of all before
//! header: name length u8 | name | type u8 (7: a string) | value length u16 | value
//! ```
//! All numbers are big-endian. Source: AWS's event stream specification.

use anyhow::{Context, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};

const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
const STRING: u8 = 7;
const MOST_MESSAGE_BYTES: usize = 64 << 20;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The name of the event, or of the exception.
    pub kind: String,
    /// Whether it is an exception, which ends the stream.
    pub is_exception: bool,
    /// What it holds.
    pub payload: Bytes,
}

/// The messages of a stream whose bytes come in pieces of any size.
#[derive(Default)]
pub struct Messages {
    unread: BytesMut,
}

impl Messages {
    /// Adds what has come.
    pub fn add(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next message, if all of it has come.
    pub fn next(&mut self) -> anyhow::Result<Option<Message>> {
        let Some(mut prelude) = self.unread.get(..PRELUDE_BYTES) else { return Ok(None) };
        let total = prelude.get_u32() as usize;
        let headers_length = prelude.get_u32() as usize;
        let checked = self.unread.get(..PRELUDE_BYTES - CHECKSUM_BYTES).unwrap_or_default();
        ensure!(crc32fast::hash(checked) == prelude.get_u32(), "a damaged prelude of an event");
        ensure!(total <= MOST_MESSAGE_BYTES, "an event of {total} bytes");
        let least = PRELUDE_BYTES + CHECKSUM_BYTES + headers_length;
        ensure!(total >= least, "an event of {total} bytes with {headers_length} of headers");
        if self.unread.len() < total {
            return Ok(None);
        }
        let mut message = self.unread.split_to(total).freeze();
        let mut checksum = message.split_off(total - CHECKSUM_BYTES);
        ensure!(crc32fast::hash(&message) == checksum.get_u32(), "a damaged event");
        message.advance(PRELUDE_BYTES);
        let headers = message.split_to(headers_length);
        let (kind, is_exception) = read_headers(headers)?;
        Ok(Some(Message { kind, is_exception, payload: message }))
    }
}

fn read_headers(mut headers: Bytes) -> anyhow::Result<(String, bool)> {
    let (mut kind, mut is_exception) = (None, false);
    while headers.has_remaining() {
        let (name, value) = read_header(&mut headers).context("a malformed header of an event")?;
        match name.as_slice() {
            b":event-type" | b":exception-type" => {
                kind = Some(String::from_utf8_lossy(&value).into_owned());
            }
            b":message-type" => is_exception = value != b"event",
            _ => {}
        }
    }
    Ok((kind.context("an event without a type")?, is_exception))
}

fn read_header(headers: &mut Bytes) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let name_length = usize::from(headers.try_get_u8()?);
    let name = taken(headers, name_length)?;
    let kind = headers.try_get_u8()?;
    if kind != STRING {
        bail!("of type {kind}, where a string is expected");
    }
    let value_length = usize::from(headers.try_get_u16()?);
    Ok((name, taken(headers, value_length)?))
}

fn taken(bytes: &mut Bytes, length: usize) -> anyhow::Result<Vec<u8>> {
    ensure!(bytes.remaining() >= length, "{length} bytes of {}", bytes.remaining());
    Ok(bytes.split_to(length).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
        let mut written = Vec::new();
        for (name, value) in headers {
            written.push(name.len() as u8);
            written.extend_from_slice(name.as_bytes());
            written.push(STRING);
            written.extend_from_slice(&(value.len() as u16).to_be_bytes());
            written.extend_from_slice(value.as_bytes());
        }
        let total = PRELUDE_BYTES + written.len() + payload.len() + CHECKSUM_BYTES;
        let mut message = (total as u32).to_be_bytes().to_vec();
        message.extend_from_slice(&(written.len() as u32).to_be_bytes());
        message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
        message.extend_from_slice(&written);
        message.extend_from_slice(payload);
        message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
        message
    }

    fn event(payload: &[u8]) -> Vec<u8> {
        message(&[(":event-type", "SubscribeToShardEvent"), (":message-type", "event")], payload)
    }

    #[test]
    fn messages_are_found_in_whatever_pieces_they_come() {
        let both = [event(b"first"), event(b"")].concat();
        let mut messages = Messages::default();
        let mut payloads = Vec::new();
        for byte in both {
            messages.add(&[byte]);
            while let Some(message) = messages.next().unwrap() {
                assert_eq!(
                    (message.kind.as_str(), message.is_exception),
                    ("SubscribeToShardEvent", false)
                );
                payloads.push(message.payload);
            }
        }
        assert_eq!(payloads, [Bytes::from_static(b"first"), Bytes::new()]);
    }

    #[test]
    fn an_exception_is_told_from_an_event() {
        let headers =
            [(":exception-type", "InternalFailureException"), (":message-type", "exception")];
        let mut messages = Messages::default();
        messages.add(&message(&headers, b"{}"));
        let message = messages.next().unwrap().unwrap();
        assert!(message.is_exception && message.kind == "InternalFailureException");
    }

    #[test]
    fn a_message_with_one_wrong_bit_is_refused() {
        let sound = event(b"payload");
        for position in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[position] ^= 1;
            let mut messages = Messages::default();
            messages.add(&damaged);
            assert!(messages.next().is_err(), "byte {position}");
        }
    }
}
