//! Any bytes as a journal file's front and as a frame, also with the CRC made right.
#![no_main]

use bytes::Bytes;
use journal::file::{FileHeader, FileName};
use journal::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameRecords};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = FileHeader::parse(bytes);
    if let Ok(name) = std::str::from_utf8(bytes) {
        let _ = FileName::parse(name);
    }
    if bytes.len() < FRAME_HEADER_BYTES {
        assert!(FrameHeader::parse(bytes, 0).is_err());
        return;
    }
    let mut bytes = bytes.to_vec();
    bytes[..4].copy_from_slice(b"TWJF");
    bytes[4..6].copy_from_slice(&1u16.to_le_bytes());
    let generation = u64::from_le_bytes(bytes[8..16].try_into().expect("8 bytes"));
    let Ok(header) = FrameHeader::peek(&bytes, generation, 1 << 30) else { return };
    let end = FRAME_HEADER_BYTES + header.payload_bytes as usize;
    if end > bytes.len() {
        assert!(FrameHeader::parse(&bytes, generation).is_err());
        return;
    }
    bytes.resize(bytes.len().max(header.frame_bytes()), 0);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..44]), &bytes[FRAME_HEADER_BYTES..end]);
    bytes[44..48].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(FrameHeader::parse(&bytes, generation), Ok(header));
    assert!(FrameHeader::parse(&bytes, generation.wrapping_add(1)).is_err());
    let frame = Bytes::from(bytes);
    let held: usize = FrameRecords::new(&frame, &header).map(|record| record.command.len()).sum();
    assert!(held <= header.payload_bytes as usize);
});
