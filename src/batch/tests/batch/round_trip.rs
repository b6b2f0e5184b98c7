//! What goes in comes out.

use batch::{BatchBuilder, BatchHeader, check_crc, check_produced, recompress, records};
use bytes::Bytes;
use model::{
    BatchSequence, Compression, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp,
    TimestampType,
};
use proptest::prelude::*;

use crate::generate::{CODECS, LIMIT_BYTES, build, codec, inputs, push_all};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_built_batch_passes_the_check_and_gives_its_records_back(codec in codec(), inputs in inputs()) {
        let mut bytes = build(codec, &inputs);
        let checked = check_produced(&bytes, LIMIT_BYTES).unwrap();
        prop_assert_eq!(checked.header.record_count as usize, inputs.len());
        prop_assert_eq!(checked.header.attributes.compression().unwrap(), codec);
        let max = inputs.iter().map(|input| input.timestamp).max().unwrap();
        let first_max = inputs.iter().position(|input| input.timestamp == max).unwrap();
        let min = inputs.iter().map(|input| input.timestamp).min().unwrap();
        prop_assert_eq!(checked.max_timestamp, Timestamp(max));
        prop_assert_eq!(checked.header.max_timestamp, Timestamp(max));
        prop_assert_eq!(checked.max_timestamp_offset(), Offset(first_max as i64));
        prop_assert_eq!(checked.min_timestamp, Timestamp(min));
        let keyless: Vec<u32> = (0u32..)
            .zip(&inputs)
            .filter(|(_, input)| input.key.is_none())
            .map(|(index, _)| index)
            .collect();
        prop_assert_eq!(&checked.keyless_records[..], &keyless[..]);
        prop_assert_eq!(checked.keyless_records.count() as usize, keyless.len());

        batch::set_base_offset(&mut bytes, Offset(1_000));
        batch::set_leader_epoch(&mut bytes, LeaderEpoch(4));
        let bytes = bytes.freeze();
        let mut count = 0;
        for (index, record) in records(&bytes, LIMIT_BYTES).unwrap().enumerate() {
            let record = record.unwrap();
            let input = &inputs[index];
            prop_assert_eq!(record.offset, Offset(1_000 + index as i64));
            prop_assert_eq!(record.timestamp, Timestamp(input.timestamp));
            prop_assert_eq!(&record.key, &input.key);
            prop_assert_eq!(&record.value, &input.value);
            prop_assert_eq!(&record.headers, &input.headers);
            count += 1;
        }
        prop_assert_eq!(count, inputs.len());
    }

    #[test]
    fn recompressing_changes_the_codec_and_nothing_else(
        from in codec(),
        to in codec(),
        inputs in inputs(),
    ) {
        let mut builder = BatchBuilder::new(from)
            .base_offset(Offset(77))
            .leader_epoch(LeaderEpoch(3))
            .producer(ProducerId(5), ProducerEpoch(1), BatchSequence(9))
            .log_append_time(Timestamp(1_234))
            .transactional();
        push_all(&mut builder, &inputs);
        let before = builder.build().unwrap().freeze();
        let after = recompress(&before, to, LIMIT_BYTES).unwrap().freeze();
        let (old, new) = (BatchHeader::parse(&before).unwrap(), BatchHeader::parse(&after).unwrap());
        check_crc(&after, &new).unwrap();
        prop_assert_eq!(new.attributes, old.attributes.with_compression(to));
        let BatchHeader { length, crc, attributes, .. } = new;
        prop_assert_eq!(new, BatchHeader { length, crc, attributes, ..old });
        prop_assert_eq!(new.size_bytes(), after.len());
        let all = |bytes: &Bytes| records(bytes, LIMIT_BYTES).unwrap().collect::<Result<Vec<_>, _>>();
        prop_assert_eq!(all(&before).unwrap(), all(&after).unwrap());
    }
}

#[test]
fn log_append_time_gives_every_record_the_brokers_time() {
    let mut builder = BatchBuilder::new(Compression::None);
    for (index, key) in [b"a", b"b"].into_iter().enumerate() {
        builder.push(Timestamp(100 + index as i64), Some(key), None, &[]);
    }
    let mut bytes = builder.build().unwrap();
    batch::set_log_append_time(&mut bytes, Timestamp(9_999));
    let header = BatchHeader::parse(&bytes).unwrap();
    check_crc(&bytes, &header).unwrap();
    assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(header.base_timestamp, Timestamp(100), "the producer's own field stays");
    let timestamps: Vec<_> = records(&bytes.freeze(), LIMIT_BYTES)
        .unwrap()
        .map(|record| record.unwrap().timestamp)
        .collect();
    assert_eq!(timestamps, [Timestamp(9_999); 2]);
}

#[test]
fn an_unset_max_timestamp_is_found_and_can_be_set() {
    // As Sarama sends it.
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.push(Timestamp(500), None, Some(b"x"), &[]);
    let mut bytes = builder.build().unwrap();
    batch::set_max_timestamp(&mut bytes, Timestamp::NONE);
    let checked = check_produced(&bytes, LIMIT_BYTES).unwrap();
    assert_eq!(checked.header.max_timestamp, Timestamp::NONE);
    assert_eq!(checked.max_timestamp, Timestamp(500));
    batch::set_max_timestamp(&mut bytes, checked.max_timestamp);
    let checked = check_produced(&bytes, LIMIT_BYTES).unwrap();
    assert_eq!(checked.header.max_timestamp, Timestamp(500));
}

#[test]
fn a_compacted_batch_keeps_its_range_of_offsets_also_when_nothing_is_left() {
    for codec in CODECS {
        let mut builder = BatchBuilder::new(codec)
            .base_offset(Offset(10))
            .last_offset_delta(9)
            .producer(ProducerId(1), ProducerEpoch(0), BatchSequence(20));
        builder.push_at(3, Timestamp(1), Some(b"k"), Some(b"v"), &[]);
        builder.push_at(7, Timestamp(2), Some(b"l"), None, &[]);
        let bytes = builder.build().unwrap().freeze();
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!((header.last_offset(), header.next_offset()), (Offset(19), Offset(20)));
        assert_eq!(header.last_sequence(), BatchSequence(29));
        let offsets: Vec<_> =
            records(&bytes, LIMIT_BYTES).unwrap().map(|record| record.unwrap().offset).collect();
        assert_eq!(offsets, [Offset(13), Offset(17)]);

        let empty = BatchBuilder::new(codec).last_offset_delta(9).build().unwrap().freeze();
        let header = BatchHeader::parse(&empty).unwrap();
        check_crc(&empty, &header).unwrap();
        assert_eq!((header.record_count, header.next_offset()), (0, Offset(10)));
        assert_eq!(records(&empty, LIMIT_BYTES).unwrap().count(), 0);
        let remade = recompress(&empty, Compression::Gzip, LIMIT_BYTES).unwrap().freeze();
        assert_eq!(records(&remade, LIMIT_BYTES).unwrap().count(), 0);
    }
}
