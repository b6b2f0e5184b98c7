//! Bytes that no honest producer sends: nothing may panic, and nothing may take more memory than
//! allowed.

use batch::{BatchError, BatchHeader, check_produced, decompress, records};
use bytes::Bytes;
use model::Compression;
use proptest::prelude::*;

use crate::generate::{CODECS, LIMIT_BYTES, build, codec, inputs};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_damaged_batch_is_noticed(
        codec in codec(),
        inputs in inputs(),
        place in any::<prop::sample::Index>(),
    ) {
        let good = build(codec, &inputs);
        let mut damaged = good.clone();
        let bit = place.index(damaged.len() * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        match check_produced(&damaged, LIMIT_BYTES) {
            // Base offset and leader epoch are the broker's to set, and not summed.
            Ok(_) => prop_assert!(bit / 8 < 8 || (12..16).contains(&(bit / 8))),
            Err(_) => prop_assert!(check_produced(&good, LIMIT_BYTES).is_ok()),
        }
        let cut = place.index(good.len());
        prop_assert!(check_produced(&good[..cut], LIMIT_BYTES).is_err());
    }

    #[test]
    fn no_bytes_panic_even_with_a_right_crc(
        codec in codec(),
        inputs in inputs(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = build(codec, &inputs).to_vec();
        for (place, byte) in changes {
            // Not the length: that is the previous property.
            let at = 12 + place.index(bytes.len() - 12);
            bytes[at] = byte;
        }
        bytes[16] = 2;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let accepted = check_produced(&bytes, LIMIT_BYTES).is_ok();
        let walked = records(&Bytes::from(bytes), LIMIT_BYTES)
            .and_then(|records| records.collect::<Result<Vec<_>, _>>());
        if accepted {
            prop_assert!(walked.is_ok(), "what the check lets in can be read: {walked:?}");
        }
    }

    #[test]
    fn random_bytes_are_no_batch(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = BatchHeader::parse(&bytes);
        prop_assert!(check_produced(&bytes, LIMIT_BYTES).is_err());
        for codec in CODECS {
            if let Ok(out) = decompress(codec, &bytes, 1_000) {
                prop_assert!(out.len() <= 1_000);
            }
        }
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0u8; 32 << 20];
    for codec in CODECS {
        let bomb = batch::compress(codec, &zeros).unwrap();
        let error = decompress(codec, &bomb, LIMIT_BYTES).unwrap_err();
        assert_eq!(error, BatchError::TooLargeDecompressed { limit_bytes: LIMIT_BYTES });
        assert_eq!(decompress(codec, &bomb, zeros.len()).unwrap().len(), zeros.len());
        let error = decompress(codec, &bomb, zeros.len() - 1).unwrap_err();
        assert!(matches!(error, BatchError::TooLargeDecompressed { .. }));
    }
}

#[test]
fn a_snappy_block_that_lies_about_its_length_costs_nothing() {
    // A bare block that claims 2^32 - 1 bytes, and a framed one.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    assert!(decompress(Compression::Snappy, &claim, usize::MAX >> 1).is_err());
    let mut framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x06".to_vec();
    framed.extend(claim);
    assert!(decompress(Compression::Snappy, &framed, usize::MAX >> 1).is_err());
}

#[test]
fn a_zstd_frame_that_asks_for_a_giant_window_is_refused() {
    // Magic, descriptor 0 (no content size, no single segment), window of 2^(10+21) bytes, then an
    // empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    let error = decompress(Compression::Zstd, &frame, LIMIT_BYTES).unwrap_err();
    assert!(matches!(error, BatchError::Decompress { .. }), "{error}");
}
