//! The hand-written codecs against the `kafka-protocol` crate, which is generated from Kafka's own
//! schemas: what it writes we read, and what we write it reads.

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        ApiVersionsRequest, ApiVersionsResponse, BrokerId, DescribeLogDirsResponse, FetchRequest,
        FetchResponse, ProduceRequest, ProduceResponse, TransactionalId,
        fetch_request::{FetchPartition, FetchTopic, ForgottenTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::{Decodable, Encodable, StrBytes},
};
use model::TopicId;
use proptest::prelude::*;

use super::{api_versions, describe_log_dirs, fetch, produce, topic_ref::TopicRef};
use crate::{
    errors::Refusal,
    topics::{wire_id, wire_name},
    wire::Writer,
};

fn encoded<M: Encodable>(message: &M, version: i16) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).unwrap();
    bytes
}

fn decoded<M: Decodable>(writer: Writer, version: i16) -> M {
    let mut bytes = writer.into_bytes().freeze();
    let message = M::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "{} bytes too many", bytes.len());
    message
}

fn writer(flexible: bool) -> Writer {
    Writer::new(BytesMut::new(), flexible)
}

fn topic_ref(version: i16, number: u128) -> TopicRef {
    if version >= 13 { TopicRef::Id(TopicId(number)) } else { TopicRef::Name(format!("t{number}")) }
}

type Partitions = Vec<(i32, Option<Vec<u8>>)>;

fn topics() -> impl Strategy<Value = Vec<(u128, Partitions)>> {
    let records = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    let partitions = prop::collection::vec((any::<i32>(), records), 0..4);
    prop::collection::vec((1..u128::MAX, partitions), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn produce_requests_are_read_as_the_crate_writes_them(
        topics in topics(), acks: i16, timeout_ms: i32, transactional: bool,
    ) {
        for version in 3..=13 {
            let id = transactional.then(|| TransactionalId(StrBytes::from_static_str("tx")));
            let topic_data = topics.iter().map(|(number, partitions)| {
                let data = partitions.iter().map(|(index, records)| {
                    PartitionProduceData::default()
                        .with_index(*index)
                        .with_records(records.clone().map(Bytes::from))
                });
                let topic = TopicProduceData::default().with_partition_data(data.collect());
                match topic_ref(version, *number) {
                    TopicRef::Id(id) => topic.with_topic_id(wire_id(id)),
                    TopicRef::Name(name) => topic.with_name(wire_name(&name)),
                }
            });
            let message = ProduceRequest::default()
                .with_transactional_id(id)
                .with_acks(acks)
                .with_timeout_ms(timeout_ms)
                .with_topic_data(topic_data.collect());
            let parsed = produce::parse_request(encoded(&message, version), version).unwrap();
            prop_assert_eq!(parsed.transactional_id.is_some(), transactional);
            prop_assert_eq!((parsed.acks, parsed.timeout_ms), (acks, timeout_ms));
            prop_assert_eq!(parsed.topics.len(), topics.len());
            for (topic, (number, partitions)) in parsed.topics.iter().zip(&topics) {
                prop_assert_eq!(&topic.topic, &topic_ref(version, *number));
                let read: Partitions = topic.partitions.iter()
                    .map(|p| (p.index, p.records.as_ref().map(|bytes| bytes.to_vec())))
                    .collect();
                prop_assert_eq!(&read, partitions);
            }
        }
    }

    #[test]
    fn fetch_requests_are_read_as_the_crate_writes_them(
        topics in topics(), offset: i64, epoch: i32, session: (i32, i32), isolation_level in 0..2_i8,
    ) {
        for version in 4..=18 {
            let topics: Vec<FetchTopic> = topics.iter().map(|(number, partitions)| {
                let partitions = partitions.iter().map(|(index, records)| {
                    let partition = FetchPartition::default()
                        .with_partition(*index)
                        .with_fetch_offset(offset)
                        .with_partition_max_bytes(records.as_ref().map_or(-1, |r| r.len() as i32));
                    if version >= 9 { partition.with_current_leader_epoch(epoch) } else { partition }
                });
                let topic = FetchTopic::default().with_partitions(partitions.collect());
                match topic_ref(version, *number) {
                    TopicRef::Id(id) => topic.with_topic_id(wire_id(id)),
                    TopicRef::Name(name) => topic.with_topic(wire_name(&name)),
                }
            }).collect();
            let mut message = FetchRequest::default()
                .with_max_wait_ms(1)
                .with_min_bytes(2)
                .with_max_bytes(3)
                .with_isolation_level(isolation_level)
                .with_topics(topics);
            if version < 15 {
                message.replica_id = BrokerId(-1);
            }
            if version >= 7 {
                (message.session_id, message.session_epoch) = session;
                let forgotten = ForgottenTopic::default().with_partitions(vec![1, 2, 3]);
                message.forgotten_topics_data = vec![if version >= 13 {
                    forgotten.with_topic_id(wire_id(TopicId(7)))
                } else {
                    forgotten.with_topic(wire_name("gone"))
                }];
            }
            if version >= 11 {
                message.rack_id = StrBytes::from_static_str("rack");
            }
            let bytes = encoded(&message, version);
            let parsed = fetch::parse_request(&bytes, version).unwrap();
            prop_assert_eq!((parsed.max_wait_ms, parsed.min_bytes, parsed.max_bytes), (1, 2, 3));
            prop_assert_eq!(parsed.isolation_level, isolation_level);
            if version >= 7 {
                prop_assert_eq!((parsed.session_id, parsed.session_epoch), session);
            }
            prop_assert_eq!(parsed.topics.len(), message.topics.len());
            for (read, sent) in parsed.topics.iter().zip(&message.topics) {
                let sent_partitions: Vec<_> = sent.partitions.iter().map(|p| fetch::FetchPartition {
                    index: p.partition,
                    current_leader_epoch: p.current_leader_epoch,
                    fetch_offset: p.fetch_offset,
                    max_bytes: p.partition_max_bytes,
                }).collect();
                prop_assert_eq!(&read.partitions, &sent_partitions);
            }
            // A message that ends early is malformed, wherever it ends.
            for end in 0..bytes.len() {
                prop_assert!(fetch::parse_request(&bytes[..end], version).is_err());
            }
        }
    }

    #[test]
    fn produce_requests_with_changed_bytes_are_refused_or_read(
        bytes in prop::collection::vec(any::<u8>(), 0..200), version in 3..=13_i16,
    ) {
        let _ = produce::parse_request(BytesMut::from(&bytes[..]), version);
        let _ = fetch::parse_request(&bytes, version + 1);
    }
}

#[test]
fn produce_replies_are_what_the_crate_reads() {
    let refusal = Refusal {
        code: 87,
        message: "no key".into(),
        records: vec![(4, "record 4".into())],
        log_bounds: None,
    };
    let produced =
        produce::Produced { base_offset: 5, log_append_time_ms: 77, log_start_offset: 2 };
    for version in 3..=13 {
        let topics = [produce::ProducedTopic {
            topic: topic_ref(version, 9),
            partitions: vec![
                produce::ProducedPartition { index: 0, outcome: Ok(produced) },
                produce::ProducedPartition { index: 1, outcome: Err(refusal.clone()) },
            ],
        }];
        let mut writer = writer(version >= 9);
        produce::write_response(&mut writer, version, &topics);
        let read: ProduceResponse = decoded(writer, version);
        let [topic] = &read.responses[..] else { panic!("{read:?}") };
        match version {
            13 => assert_eq!(topic.topic_id, wire_id(TopicId(9))),
            _ => assert_eq!(topic.name, wire_name("t9")),
        }
        let [good, bad] = &topic.partition_responses[..] else { panic!("{topic:?}") };
        assert_eq!((good.error_code, good.base_offset, good.log_append_time_ms), (0, 5, 77));
        assert_eq!((bad.index, bad.error_code, bad.base_offset), (1, 87, -1));
        assert_eq!(bad.log_append_time_ms, -1);
        if version >= 5 {
            assert_eq!((good.log_start_offset, bad.log_start_offset), (2, -1));
        }
        if version >= 8 {
            assert_eq!(good.error_message, None);
            assert_eq!(bad.error_message.as_deref(), Some("no key"));
            assert_eq!(bad.record_errors[0].batch_index, 4);
            let text = bad.record_errors[0].batch_index_error_message.as_deref();
            assert_eq!(text, Some("record 4"));
        }
    }
}

#[test]
fn fetch_replies_are_what_the_crate_reads_and_records_are_never_null() {
    let partition = |index, batches: &[&'static [u8]]| fetch::FetchedPartition {
        index,
        error_code: index as i16,
        high_watermark: 10,
        last_stable_offset: 9,
        log_start_offset: 3,
        aborted: vec![(7, 4), (8, 5)],
        batches: batches.iter().map(|batch| Bytes::from_static(batch)).collect(),
    };
    for version in 4..=18 {
        for read_committed in [false, true] {
            let topics = [fetch::FetchedTopic {
                topic: topic_ref(version, 9),
                partitions: vec![partition(0, &[b"first", b"second"]), partition(1, &[])],
            }];
            let head = fetch::FetchedHead { error_code: 0, read_committed };
            let mut writer = writer(version >= 12);
            fetch::write_response(&mut writer, version, head, &topics);
            let read: FetchResponse = decoded(writer, version);
            assert_eq!(read.session_id, 0);
            let [with, without] = &read.responses[0].partitions[..] else { panic!("{read:?}") };
            assert_eq!(with.records.as_deref(), Some(&b"firstsecond"[..]));
            assert_eq!(without.records.as_deref(), Some(&b""[..]));
            assert_eq!((with.high_watermark, with.last_stable_offset), (10, 9));
            assert_eq!(without.error_code, 1);
            let aborted = with.aborted_transactions.as_ref().map(|all| {
                all.iter().map(|it| (it.producer_id.0, it.first_offset)).collect::<Vec<_>>()
            });
            assert_eq!(aborted, read_committed.then(|| vec![(7, 4), (8, 5)]));
            assert_eq!(with.preferred_read_replica, -1);
            if version >= 5 {
                assert_eq!(with.log_start_offset, 3);
            }
        }
    }
}

#[test]
fn a_fetch_reply_fits_the_buffer_that_is_made_for_it() {
    for version in 4..=18 {
        let topics: Vec<_> = (0..3)
            .map(|number| fetch::FetchedTopic {
                topic: topic_ref(version, number),
                partitions: (0..4)
                    .map(|index| fetch::FetchedPartition {
                        index,
                        error_code: 0,
                        high_watermark: 0,
                        last_stable_offset: 0,
                        log_start_offset: 0,
                        aborted: vec![(1, 2); 10],
                        batches: vec![Bytes::from(vec![0; 1000])],
                    })
                    .collect(),
            })
            .collect();
        let head = fetch::FetchedHead { error_code: 0, read_committed: true };
        let mut writer = writer(version >= 12);
        fetch::write_response(&mut writer, version, head, &topics);
        assert!(writer.into_bytes().len() <= fetch::response_bytes(&topics), "version {version}");
    }
}

#[test]
fn api_versions_replies_are_what_the_crate_reads() {
    let ranges = [api_versions::ApiRange { key: 3, min: 0, max: 13 }];
    let features = [api_versions::Feature { name: "metadata.version", min: 7, max: 25, level: 25 }];
    for version in 0..=4 {
        let mut writer = writer(version >= 3);
        api_versions::write_response(&mut writer, version, 35, &ranges, &features);
        let read: ApiVersionsResponse = decoded(writer, version);
        assert_eq!(read.error_code, 35);
        let api = &read.api_keys[0];
        assert_eq!((api.api_key, api.min_version, api.max_version), (3, 0, 13));
        if version >= 3 {
            let supported = &read.supported_features[0];
            assert_eq!((supported.min_version, supported.max_version), (7, 25));
            let finalized = &read.finalized_features[0];
            assert_eq!((finalized.min_version_level, finalized.max_version_level), (25, 25));
            assert_eq!(read.finalized_features_epoch, 0);
        }
    }
}

#[test]
fn api_versions_requests_are_read_as_the_crate_writes_them() {
    for version in 0..=4 {
        let mut message = ApiVersionsRequest::default();
        if version >= 3 {
            message.client_software_name = StrBytes::from_static_str("name");
            message.client_software_version = StrBytes::from_static_str("1.2");
        }
        let parsed = api_versions::parse_request(&encoded(&message, version), version).unwrap();
        let software = (version >= 3).then(|| ("name".to_owned(), "1.2".to_owned()));
        assert_eq!(parsed.software, software);
    }
}

#[test]
fn describe_log_dirs_replies_are_what_the_crate_reads_and_version_5_adds_a_byte() {
    let directory = describe_log_dirs::LogDir {
        error_code: 0,
        path: "/data".into(),
        topics: vec![describe_log_dirs::LogDirTopic {
            name: "t".into(),
            partitions: vec![(2, 99)],
        }],
        total_bytes: 1000,
        usable_bytes: 500,
    };
    for version in 1..=4 {
        let mut writer = writer(version >= 2);
        describe_log_dirs::write_response(&mut writer, version, &directory);
        let read: DescribeLogDirsResponse = decoded(writer, version);
        let result = &read.results[0];
        assert_eq!(&*result.log_dir, "/data");
        let partition = &result.topics[0].partitions[0];
        assert_eq!((partition.partition_index, partition.partition_size), (2, 99));
        if version >= 4 {
            assert_eq!((result.total_bytes, result.usable_bytes), (1000, 500));
        }
    }
    let bytes_of = |version| {
        let mut writer = writer(true);
        describe_log_dirs::write_response(&mut writer, version, &directory);
        writer.into_bytes()
    };
    let (four, five) = (bytes_of(4), bytes_of(5));
    // IsCordoned stands before the two ends of structures.
    assert_eq!(&five[..four.len() - 2], &four[..four.len() - 2]);
    assert_eq!(&five[four.len() - 2..], &[0, 0, 0]);
}
