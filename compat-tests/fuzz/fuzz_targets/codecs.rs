//! Any bytes as compressed records: the first byte chooses the codec and whether the rest is to be
//! decompressed, or compressed and decompressed again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::Compression;

const LIMIT_BYTES: usize = 256 << 10;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let codec = match choice % 5 {
        0 => Compression::None,
        1 => Compression::Gzip,
        2 => Compression::Snappy,
        3 => Compression::Lz4,
        _ => Compression::Zstd,
    };
    if choice >= 128 {
        let compressed = batch::compress(codec, rest).expect("anything can be compressed");
        let back = batch::decompress(codec, &compressed, rest.len()).expect("and comes back");
        assert_eq!(back, rest);
    } else if let Ok(out) = batch::decompress(codec, rest, LIMIT_BYTES) {
        assert!(out.len() <= LIMIT_BYTES);
    }
});
