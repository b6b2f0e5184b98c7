//! Any bytes as a segment file: the header, and batch after batch.
#![no_main]

use libfuzzer_sys::fuzz_target;
use partition::{segment_header, segment_scan};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = segment_header::parse(bytes) {
        let again = header.encode();
        assert_eq!(segment_header::parse(&again), Ok(header));
        let batches = segment_scan::scan(bytes).map(|(_, batches)| batches).unwrap_or_default();
        for pair in batches.windows(2) {
            assert!(pair[0].next_offset() <= pair[1].base_offset);
        }
        let size_bytes: usize = batches.iter().map(|batch| batch.size_bytes()).sum();
        assert!(size_bytes <= bytes.len());
    }
});
