//! Any bytes as an index file, also with the CRC made right: what parses is written back alike, and
//! a look-up never points before or behind what the index covers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Offset, Timestamp};
use partition::offset_index;

fuzz_target!(|bytes: &[u8]| {
    let _ = offset_index::parse(bytes);
    if bytes.len() < 40 {
        return;
    }
    let mut bytes = bytes.to_vec();
    bytes[..8].copy_from_slice(b"THWLINDX");
    bytes[8..10].copy_from_slice(&1_u16.to_le_bytes());
    let count = ((bytes.len() - 40) / 16) as u32;
    bytes.truncate(40 + count as usize * 16);
    bytes[12..16].copy_from_slice(&count.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..28]), &bytes[32..]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    let Ok((index, generation)) = offset_index::parse(&bytes) else { return };
    assert!(offset_index::parse(&index.encode(generation)).is_ok());
    for number in [i64::MIN, -1, 0, 1, 1 << 20, i64::MAX] {
        for entry in [index.for_offset(Offset(number)), index.for_time(Timestamp(number))] {
            assert!(entry.is_none_or(|entry| entry.position < index.covered_bytes()));
        }
    }
});
