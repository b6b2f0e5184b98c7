//! AWS's event stream encoding: messages with a checked length, checked headers and a payload.
//!
//! ```text
//! total length u32 | headers length u32 | CRC-32 of these 8 bytes | headers | payload | CRC-32 of all before
//! header: name length u8 | name | type u8 (7: a string) | value length u16 | value
//! ```
//! All numbers are big-endian. Source: AWS's event stream specification.

use crate::{encoding::Encoding, fault::Fault};

/// The content type of an answer that is a stream of events.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
/// The type of a header whose value is a string.
const STRING: u8 = 7;

/// The message that precedes all events: the answer's members that are no events, of which there
/// are none.
pub(crate) fn initial_response(encoding: Encoding) -> Vec<u8> {
    let nothing: &[u8] = match encoding {
        Encoding::Json => b"{}",
        // A map of no entries.
        Encoding::Cbor => &[0xa0],
    };
    event_message("initial-response", nothing, encoding)
}

/// The message that says why the stream ends. Not all of the body of a fault belongs there: the
/// name of the exception is a header of the message.
pub(crate) fn exception_message(fault: &Fault, encoding: Encoding) -> Vec<u8> {
    let headers = [
        (":exception-type", fault.code),
        (":content-type", encoding.event_content_type()),
        (":message-type", "exception"),
    ];
    message(&headers, &fault.body(encoding))
}

/// The message of one event, which has that name in the model.
pub(crate) fn event_message(kind: &str, payload: &[u8], encoding: Encoding) -> Vec<u8> {
    let headers = [
        (":event-type", kind),
        (":content-type", encoding.event_content_type()),
        (":message-type", "event"),
    ];
    message(&headers, payload)
}

/// One message. Names have at most 255 bytes and values 65,535: they are constants of the model. A
/// payload has less than 4 GiB: it has been made in memory within the door's budget.
fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let header_bytes: usize =
        headers.iter().map(|(name, value)| 1 + name.len() + 1 + 2 + value.len()).sum();
    let total = PRELUDE_BYTES + header_bytes + payload.len() + CHECKSUM_BYTES;
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(&(total as u32).to_be_bytes());
    bytes.extend_from_slice(&(header_bytes as u32).to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    for (name, value) in headers {
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(STRING);
        bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message read as a client reads it: every length and checksum is looked at.
    fn read(bytes: &[u8]) -> (Vec<(String, String)>, Vec<u8>, &[u8]) {
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let (total, header_bytes) = (number(0) as usize, number(4) as usize);
        assert_eq!(number(8), crc32fast::hash(&bytes[..8]));
        assert_eq!(number(total - 4), crc32fast::hash(&bytes[..total - 4]));
        let mut left = &bytes[PRELUDE_BYTES..PRELUDE_BYTES + header_bytes];
        let mut headers = Vec::new();
        while !left.is_empty() {
            let (name, rest) = left[1..].split_at(left[0].into());
            assert_eq!(rest[0], STRING);
            let length = u16::from_be_bytes([rest[1], rest[2]]);
            let (value, rest) = rest[3..].split_at(length.into());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            headers.push((text(name), text(value)));
            left = rest;
        }
        let payload = bytes[PRELUDE_BYTES + header_bytes..total - 4].to_vec();
        (headers, payload, &bytes[total..])
    }

    proptest! {
        #[test]
        fn any_message_is_read_back(
            headers in prop::collection::vec((":?[a-z-]{1,255}", ".{0,200}"), 0..5),
            payload in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let named: Vec<_> = headers.iter().map(|(n, v)| (&n[..n.len().min(255)], &v[..])).collect();
            let bytes = [message(&named, &payload), vec![1, 2, 3]].concat();
            let (found, content, rest) = read(&bytes);
            prop_assert_eq!(rest, &[1, 2, 3]);
            prop_assert_eq!(content, payload);
            let found: Vec<_> = found.iter().map(|(n, v)| (&n[..], &v[..])).collect();
            prop_assert_eq!(found, named);
        }
    }

    #[test]
    fn a_message_is_what_awss_specification_shows() {
        // The empty message, of which the checksums are published.
        let bytes = message(&[], b"");
        assert_eq!(
            bytes,
            [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff]
        );
    }

    #[test]
    fn a_stream_begins_with_the_initial_response_and_may_end_with_an_exception() {
        let bytes = initial_response(Encoding::Json);
        let (headers, payload, _) = read(&bytes);
        assert_eq!(payload, b"{}");
        assert!(headers.contains(&(":event-type".into(), "initial-response".into())));
        assert!(headers.contains(&(":message-type".into(), "event".into())));

        let fault = Fault::from(kinesis::ApiError::invalid_argument("no"));
        let bytes = exception_message(&fault, Encoding::Json);
        let (headers, payload, _) = read(&bytes);
        assert_eq!(payload, br#"{"__type":"InvalidArgumentException","message":"no"}"#);
        assert!(headers.contains(&(":exception-type".into(), "InvalidArgumentException".into())));
        assert!(headers.contains(&(":message-type".into(), "exception".into())));
    }
}
