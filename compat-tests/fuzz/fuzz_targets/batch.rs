//! Any bytes as a produced batch, with the CRC made right so that the fuzzer gets past it: the
//! check and the walk must agree, bounds must hold, and what is accepted can be remade in every
//! codec.
#![no_main]

use batch::{BatchHeader, check_produced, recompress, records};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use model::Compression;

const LIMIT_BYTES: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let _ = BatchHeader::parse(bytes);
    let _ = check_produced(bytes, LIMIT_BYTES);
    if bytes.len() < batch::HEADER_BYTES {
        return;
    }
    let mut bytes = bytes.to_vec();
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());

    let bytes = Bytes::from(bytes);
    let checked = check_produced(&bytes, LIMIT_BYTES);
    let walked =
        records(&bytes, LIMIT_BYTES).and_then(|records| records.collect::<Result<Vec<_>, _>>());
    let Ok(checked) = checked else { return };
    assert!(checked.records_bytes <= LIMIT_BYTES.max(bytes.len()));
    let walked = walked.expect("what the check lets in can be read");
    assert_eq!(walked.len(), checked.header.record_count as usize);
    for codec in [Compression::None, Compression::Snappy, Compression::Lz4] {
        let remade = recompress(&bytes, codec, LIMIT_BYTES).expect("it can be remade").freeze();
        let again = check_produced(&remade, LIMIT_BYTES).expect("and is a good batch then");
        assert_eq!(again.max_timestamp, checked.max_timestamp);
        let again: Result<Vec<_>, _> =
            records(&remade, LIMIT_BYTES).expect("with records").collect();
        assert_eq!(again.expect("that can be read"), walked);
    }
});
