//! The `kafka-protocol` crate reads what is built here, and what it builds is read here.

use batch::{check_produced, records};
use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as theirs;
use model::{Compression, Timestamp};
use proptest::prelude::*;

use crate::generate::{Input, LIMIT_BYTES, build, codec, inputs};

fn their_codec(codec: Compression) -> theirs::Compression {
    match codec {
        Compression::None => theirs::Compression::None,
        Compression::Gzip => theirs::Compression::Gzip,
        Compression::Snappy => theirs::Compression::Snappy,
        Compression::Lz4 => theirs::Compression::Lz4,
        Compression::Zstd => theirs::Compression::Zstd,
    }
}

/// Their model loses duplicate header keys and refuses those that are not UTF-8.
fn with_headers_they_can_hold(mut inputs: Vec<Input>) -> Vec<Input> {
    for input in &mut inputs {
        input.headers.retain(|(key, _)| std::str::from_utf8(key).is_ok());
        input.headers.sort();
        input.headers.dedup_by(|one, other| one.0 == other.0);
    }
    inputs
}

fn their_record(index: usize, input: &Input) -> theirs::Record {
    theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        // Their encoder begins a new batch wherever sequence and offset do not rise together.
        producer_id: 1,
        producer_epoch: 0,
        timestamp_type: theirs::TimestampType::Creation,
        offset: index as i64,
        sequence: index as i32,
        timestamp: input.timestamp,
        key: input.key.clone(),
        value: input.value.clone(),
        headers: input
            .headers
            .iter()
            .map(|(key, value)| (StrBytes::from_utf8(key.clone()).unwrap(), value.clone()))
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn they_read_what_we_build(codec in codec(), inputs in inputs()) {
        let inputs = with_headers_they_can_hold(inputs);
        let mut ours = build(codec, &inputs).freeze();
        let decoded = theirs::RecordBatchDecoder::decode(&mut ours).unwrap();
        prop_assert_eq!(decoded.compression, their_codec(codec));
        prop_assert_eq!(decoded.records.len(), inputs.len());
        for (index, (record, input)) in decoded.records.iter().zip(&inputs).enumerate() {
            let expected = their_record(index, input);
            prop_assert_eq!(record.offset, expected.offset);
            prop_assert_eq!(record.timestamp, expected.timestamp);
            prop_assert_eq!(&record.key, &expected.key);
            prop_assert_eq!(&record.value, &expected.value);
            prop_assert_eq!(&record.headers, &expected.headers);
        }
    }

    #[test]
    fn we_read_what_they_build(codec in codec(), inputs in inputs()) {
        let inputs = with_headers_they_can_hold(inputs);
        let their_records: Vec<_> =
            inputs.iter().enumerate().map(|(index, input)| their_record(index, input)).collect();
        let options = theirs::RecordEncodeOptions { version: 2, compression: their_codec(codec) };
        let mut bytes = BytesMut::new();
        theirs::RecordBatchEncoder::encode(&mut bytes, &their_records, &options).unwrap();
        let checked = check_produced(&bytes, LIMIT_BYTES).unwrap();
        prop_assert_eq!(checked.header.record_count as usize, inputs.len());
        let bytes: Bytes = bytes.freeze();
        for (record, input) in records(&bytes, LIMIT_BYTES).unwrap().zip(&inputs) {
            let record = record.unwrap();
            prop_assert_eq!(record.timestamp, Timestamp(input.timestamp));
            prop_assert_eq!(&record.key, &input.key);
            prop_assert_eq!(&record.value, &input.value);
            prop_assert_eq!(&record.headers, &input.headers);
        }
    }
}
