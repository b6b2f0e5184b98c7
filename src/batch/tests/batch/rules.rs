//! What a produced batch may not be.

use batch::{BatchBuilder, BatchError, Fault, check_produced};
use bytes::BytesMut;
use model::{BatchSequence, Compression, ProducerEpoch, ProducerId, Timestamp};

use crate::generate::{CODECS, LIMIT_BYTES};

fn two_records(codec: Compression) -> BytesMut {
    let mut builder = BatchBuilder::new(codec);
    builder.push(Timestamp(1), Some(b"key"), Some(b"value"), &[]);
    builder.push(Timestamp(2), Some(b"key"), Some(b"value"), &[]);
    builder.build().unwrap()
}

/// Overwrites bytes and makes the CRC right again.
fn with(mut batch: BytesMut, at: usize, field: &[u8]) -> BytesMut {
    batch[at..at + field.len()].copy_from_slice(field);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[track_caller]
fn refuse(batch: &[u8], fault: Fault) -> BatchError {
    let error = check_produced(batch, LIMIT_BYTES).unwrap_err();
    assert_eq!(error.fault(), fault, "{error}");
    error
}

#[test]
fn another_magic_is_named_before_anything_else() {
    for magic in [0u8, 1, 3, 255] {
        let mut batch = two_records(Compression::None);
        batch[16] = magic;
        let error = refuse(&batch, Fault::UnsupportedFormat);
        assert_eq!(error, BatchError::UnsupportedMagic(magic as i8));
        // An old message set is shorter than this format's header.
        assert_eq!(refuse(&batch[..40], Fault::UnsupportedFormat), error);
    }
}

#[test]
fn a_wrong_crc_length_or_end_is_corruption() {
    let good = two_records(Compression::None);
    let mut flipped = good.clone();
    flipped[70] ^= 1;
    assert!(matches!(refuse(&flipped, Fault::Corrupt), BatchError::CorruptCrc { .. }));
    for end in [0, 1, 16, 17, 60, 61, good.len() - 1] {
        assert!(matches!(refuse(&good[..end], Fault::Corrupt), BatchError::Truncated { .. }));
    }
    for length in [i32::MIN, -1, 0, 48] {
        let batch = with(good.clone(), 8, &length.to_be_bytes());
        assert_eq!(refuse(&batch, Fault::Corrupt), BatchError::InvalidLength(length));
    }
    let batch = with(good, 8, &i32::MAX.to_be_bytes());
    assert!(matches!(refuse(&batch, Fault::Corrupt), BatchError::Truncated { .. }));
}

#[test]
fn two_batches_where_one_is_allowed_are_refused() {
    let mut batches = two_records(Compression::None);
    batches.extend_from_slice(&two_records(Compression::None));
    let error = refuse(&batches, Fault::InvalidRecord);
    assert!(matches!(error, BatchError::TrailingBytes { .. }));
}

#[test]
fn counts_must_agree_with_each_other_and_with_the_records() {
    for codec in CODECS {
        let good = two_records(codec);
        for (count, delta) in [(0, -1), (-1, -2), (2, 2), (2, 0), (1, 1), (i32::MIN, i32::MAX)] {
            let batch = with(good.clone(), 57, &i32::to_be_bytes(count));
            let batch = with(batch, 23, &i32::to_be_bytes(delta));
            let error = refuse(&batch, Fault::InvalidRecord);
            assert!(matches!(error, BatchError::InvalidCount { .. }), "{error}");
        }
        for count in [1, 3, 4, 5, 1_000_000_000, i32::MAX] {
            let batch = with(good.clone(), 57, &i32::to_be_bytes(count));
            let batch = with(batch, 23, &i32::to_be_bytes(count - 1));
            let error = refuse(&batch, Fault::InvalidRecord);
            assert!(matches!(error, BatchError::CountMismatch { .. }), "{error}");
        }
    }
}

#[test]
fn control_batches_and_half_a_producer_are_refused() {
    let push = |mut builder: BatchBuilder| {
        builder.push(Timestamp(1), None, None, &[]);
        builder.build().unwrap()
    };
    let control = push(BatchBuilder::new(Compression::None).control());
    assert_eq!(refuse(&control, Fault::InvalidRecord), BatchError::ControlBatch);
    let fields = [
        (ProducerEpoch(-1), BatchSequence(0), false),
        (ProducerEpoch(0), BatchSequence(-1), false),
        (ProducerEpoch(0), BatchSequence(0), true),
    ];
    for (epoch, sequence, good) in fields {
        let builder = BatchBuilder::new(Compression::None);
        let batch = push(builder.producer(ProducerId(7), epoch, sequence));
        assert_eq!(check_produced(&batch, LIMIT_BYTES).is_ok(), good);
    }
}

#[test]
fn an_unknown_codec_is_refused_as_such() {
    for codec in 5..8u8 {
        let batch = with(two_records(Compression::None), 22, &[codec]);
        let error = refuse(&batch, Fault::UnsupportedCompression);
        assert_eq!(error, BatchError::UnknownCodec(i16::from(codec)));
    }
}

#[test]
fn a_malformed_record_is_named_by_its_place() {
    // A record of "key" and "value" is: length, attributes, timestamp, offset, key length, 3 bytes,
    // value length, 5 bytes, header count. The second one begins after the first.
    let good = two_records(Compression::None);
    let second = 61 + (good.len() - 61) / 2;
    let faults: [(usize, u8, &str); 8] = [
        (0, 0x01, "its length is negative"),
        (0, 0x7e, "its length reaches beyond the batch"),
        (0, 0x1a, "its header count is no varint"),
        (3, 0x00, "its offset delta does not follow its predecessor's"),
        (4, 0x03, "its key's length is wrong"),
        (4, 0x7e, "its key's length is wrong"),
        (8, 0x7e, "its value's length is wrong"),
        (14, 0x02, "its header count is more than its bytes can hold"),
    ];
    for (at, byte, why) in faults {
        let error = refuse(&with(good.clone(), second + at, &[byte]), Fault::InvalidRecord);
        assert_eq!(error, BatchError::InvalidRecord { index: 1, why });
    }
}

#[test]
fn more_keyless_records_than_are_named_are_counted() {
    let mut builder = BatchBuilder::new(Compression::None);
    for _ in 0..100 {
        builder.push(Timestamp(1), None, Some(b"value"), &[]);
    }
    let checked = check_produced(&builder.build().unwrap(), LIMIT_BYTES).unwrap();
    assert_eq!(checked.keyless_records.count(), 100);
    assert_eq!(checked.keyless_records.len(), batch::check::KEYLESS_RECORDS_MAX);
}
