//! The two encodings say the same, and what is no CBOR is refused without harm.

use std::collections::BTreeMap;

use bytes::Bytes;
use kinesis::{
    answers,
    requests::{CreateStream, GetShardIterator, PutRecord, PutRecords},
    wire::{Blob, Time},
};
use model::Timestamp;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::json;

use crate::{cbor, encoding::Encoding};

fn refusal<T: serde::de::DeserializeOwned + std::fmt::Debug>(body: &[u8]) -> String {
    let fault = cbor::decode::<T>(body).unwrap_err();
    assert_eq!((fault.status, fault.code), (400, "SerializationException"));
    fault.message.unwrap().into_owned()
}

/// CBOR of a JSON value.
fn as_cbor(value: &serde_json::Value) -> Vec<u8> {
    cbor::encode(value).unwrap()
}

#[test]
fn a_request_as_the_java_sdk_writes_it_is_read() {
    // {"StreamName": "s", "Data": h'00ff', "PartitionKey": "k"}, of indefinite length.
    let body = b"\xbf\x6aStreamName\x61s\x64Data\x42\x00\xff\x6cPartitionKey\x61k\xff";
    let request: PutRecord = cbor::decode(body).unwrap();
    assert_eq!(request.stream_name.as_deref(), Some("s"));
    assert_eq!(request.data, Some(Blob(Bytes::from_static(b"\x00\xff"))));

    // A time under tag 1, as an integer and as a number with a fraction, both in milliseconds.
    for time in [
        &b"\xc1\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x7b"[..],
        b"\xc1\xfb\x42\x78\xbc\xfe\x56\x87\xb0\x00",
        b"\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x7b",
    ] {
        let body = [&b"\xbf\x69Timestamp"[..], time, b"\xff"].concat();
        let request: GetShardIterator = cbor::decode(&body).unwrap();
        assert_eq!(request.timestamp, Some(Time(Timestamp(1_700_000_000_123))), "{time:x?}");
    }
}

#[test]
fn texts_and_blobs_may_come_in_parts_and_unknown_members_are_passed_over() {
    let body = b"\xbf\x7f\x64Stre\x66amName\xff\x7f\x61a\x60\x62bc\xff\x64Data\x5f\x41\x01\x42\x02\x03\xff\
                 \x65Other\x9f\x01\x20\xf9\x3c\x00\xf6\xf7\xf5\xc0\x60\xa1\x01\x80\xff\xff";
    let request: PutRecord = cbor::decode(body).unwrap();
    assert_eq!(request.stream_name.as_deref(), Some("abc"));
    assert_eq!(request.data, Some(Blob(Bytes::from_static(&[1, 2, 3]))));
    let nothing: PutRecord = cbor::decode(b"\xa1\x64Data\xf6").unwrap();
    assert_eq!(nothing.data, None);
}

#[test]
fn what_is_not_the_shape_of_the_operation_is_refused() {
    for (body, why) in [
        (&b""[..], "end of input"),
        (b"\x80", "no CBOR map"),
        (b"{}", "no CBOR map"),
        (b"\xa0\xa0", "1 bytes after the CBOR map"),
        (b"\xbf", "end of input"),
        (b"\xa1\x6aStreamName\x07", "invalid type"),
        (b"\xa1\x00\x61s", "a member's name is expected"),
        (b"\xa1\x64Data\x61s", "not base64"),
        (b"\xa1\x64Data\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "end of input"),
        (b"\xa1\x6aStreamName\x62\xff\xfe", "utf-8"),
        (b"\xa1\x6aStreamName\xff", "where a value is expected"),
        (b"\xa2\x64Data\x40\x64Data\x40", "duplicate field"),
    ] {
        let said = refusal::<PutRecord>(body);
        assert!(said.contains(why), "{body:x?}: {said}");
    }
    // A list is not taken for a structure.
    let said = refusal::<CreateStream>(b"\xa1\x71StreamModeDetails\x81\x68ON_DEMAND");
    assert!(said.contains("a map, is expected"), "{said}");
}

#[test]
fn counts_and_depths_are_not_believed() {
    // 2^60 records announced, none sent.
    let said = refusal::<PutRecords>(b"\xa1\x67Records\x9b\x10\x00\x00\x00\x00\x00\x00\x00");
    assert!(said.contains("end of input"), "{said}");
    // A million lists within each other, of either kind.
    for open in [0x81, 0x9f] {
        let body = [&b"\xa1\x61x"[..], &vec![open; 1 << 20]].concat();
        assert!(refusal::<PutRecord>(&body).contains("128 deep"));
    }
    // Tags nest without depth.
    let body = [&b"\xa1\x61x"[..], &vec![0xc1; 1 << 20], b"\x00"].concat();
    cbor::decode::<PutRecord>(&body).unwrap();
    // Of five million records no more are kept than refuse the request.
    let body = [&b"\xa1\x67Records\x9f"[..], &vec![0xa0; 5_000_000], b"\xff"].concat();
    assert_eq!(cbor::decode::<PutRecords>(&body).unwrap().records.unwrap().len(), 501);
}

#[test]
fn an_answer_has_times_under_tag_1_and_blobs_as_bytes() {
    let record = answers::Record {
        sequence_number: "49".into(),
        approximate_arrival_timestamp: Time(Timestamp(1_700_000_000_123)),
        data: Blob(Bytes::from_static(b"\x00\xff")),
        partition_key: "k".into(),
        encryption_type: "NONE",
    };
    let bytes = cbor::encode(&record).unwrap();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(has(b"\xc1\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x7b"), "{bytes:x?}");
    assert!(has(b"\x64Data\x42\x00\xff"), "{bytes:x?}");
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    stream_name: String,
    records: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    data: Blob,
    partition_key: String,
    explicit_hash_key: Option<String>,
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<u64>().prop_map(|value| json!(value)),
        (-1e15..1e15).prop_map(|value: f64| json!(value)),
        ".{0,20}".prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|list| json!(list)),
            prop::collection::btree_map(".{0,6}", inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn both_encodings_of_a_request_are_the_same_request(
        stream in ".{0,40}",
        records in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..300), ".{0,30}", prop::option::of("[0-9]{1,39}")),
            0..8,
        ),
        dry_run in any::<Option<bool>>(),
    ) {
        let entries = records.into_iter().map(|(data, partition_key, explicit_hash_key)| Entry {
            data: Blob(data.into()),
            partition_key,
            explicit_hash_key,
        });
        let put = Put { stream_name: stream, records: entries.collect(), dry_run };
        let told = [Encoding::Json, Encoding::Cbor].map(|encoding| {
            let body = encoding.encode(&put).unwrap();
            format!("{:?}", encoding.decode::<PutRecords>(&body).unwrap())
        });
        prop_assert_eq!(&told[0], &told[1]);
        prop_assert!(told[0].contains("records: Some"));
    }

    #[test]
    fn a_time_is_the_same_in_both(millis in -9_000_000_000_000i64..9_000_000_000_000) {
        let times = BTreeMap::from([("Timestamp", Time(Timestamp(millis)))]);
        for encoding in [Encoding::Json, Encoding::Cbor] {
            let body = encoding.encode(&times).unwrap();
            let request: GetShardIterator = encoding.decode(&body).unwrap();
            prop_assert_eq!(request.timestamp, Some(Time(Timestamp(millis))));
        }
    }

    #[test]
    fn any_value_is_read_back(members in prop::collection::btree_map(".{0,8}", any_json(), 0..6)) {
        let value = json!(members);
        prop_assert_eq!(cbor::decode::<serde_json::Value>(&as_cbor(&value)).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = cbor::decode::<serde_json::Value>(&bytes);
        let _ = cbor::decode::<PutRecords>(&[&b"\xbf\x67Records"[..], &bytes].concat());
        let _ = cbor::decode::<GetShardIterator>(&[&b"\xbf\x69Timestamp"[..], &bytes].concat());
    }

    #[test]
    fn a_body_with_a_few_bytes_changed_is_read_or_refused(
        members in prop::collection::btree_map(".{0,8}", any_json(), 0..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = as_cbor(&json!(members));
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = cbor::decode::<serde_json::Value>(&bytes);
        let _ = cbor::decode::<serde_json::Value>(&bytes[..cut.index(bytes.len())]);
    }
}
