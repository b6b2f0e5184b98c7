//! Any bytes as a Kafka request: size, header, guard, and the bodies that are decoded by hand. What
//! the guard lets through the `kafka-protocol` crate must decode without a panic and without
//! reserving memory for counts that the bytes do not bear out.
#![no_main]

use bytes::BytesMut;
use kafka::{apis, codec, frames, request};
use kafka_protocol::messages::{ApiKey, RequestKind};
use libfuzzer_sys::fuzz_target;

const FRAME_BYTES_MAX: usize = 100 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(size)) = frames::frame_size(bytes, FRAME_BYTES_MAX) {
        assert!(size <= FRAME_BYTES_MAX);
    }
    let Ok(parsed) = request::parse(BytesMut::from(bytes)) else { return };
    let version = parsed.header.api_version;
    match parsed.api.key {
        0 => drop(codec::produce::parse_request(parsed.body, version)),
        1 => drop(codec::fetch::parse_request(&parsed.body, version)),
        apis::API_VERSIONS_KEY => {}
        key => {
            let Ok(key) = ApiKey::try_from(key) else { return };
            let mut body = parsed.body.freeze();
            // Versions that the crate does not know are decoded as the newest it does, by us.
            let version = version.min(key.valid_versions().max);
            let _ = RequestKind::decode(key, &mut body, version);
        }
    }
});
