//! Produce and InitProducerId.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    CreateTopicsRequest, InitProducerIdRequest, ProduceRequest, TransactionalId,
    create_topics_request::CreatableTopic,
    produce_request::{PartitionProduceData, TopicProduceData},
    produce_response::PartitionProduceResponse,
};
use model::{BatchSequence, Compression, ProducerEpoch, ProducerId, Timestamp};

use crate::conversation::{Client, text, topic_name, with_broker};

/// A batch of so many records with keys, as a producer sends it.
pub fn batch(records: usize) -> BytesMut {
    builder(records, Some(b"key")).build().unwrap()
}

fn builder(records: usize, key: Option<&[u8]>) -> batch::BatchBuilder {
    let mut builder = batch::BatchBuilder::new(Compression::None);
    for index in 0..records {
        let at = Timestamp(runtime::wall_clock().0 + index as i64);
        builder.push(at, key, Some(format!("value {index}").as_bytes()), &[]);
    }
    builder
}

/// A request with one batch for partition 0 of topic "t".
pub fn produce(acks: i16, batch: impl Into<Bytes>) -> ProduceRequest {
    produce_to(acks, &[("t", 0, Some(batch.into()))])
}

/// A request with a batch for each of these partitions.
pub fn produce_to(acks: i16, batches: &[(&str, i32, Option<Bytes>)]) -> ProduceRequest {
    let topics = batches.iter().map(|(topic, index, records)| {
        let data = PartitionProduceData::default().with_index(*index).with_records(records.clone());
        TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data])
    });
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(1000)
        .with_topic_data(topics.collect())
}

async fn outcome(
    client: &mut Client,
    version: i16,
    request: ProduceRequest,
) -> PartitionProduceResponse {
    let mut response = client.ask(version, request).await;
    response.responses.remove(0).partition_responses.remove(0)
}

#[test]
fn every_version_writes_and_says_where() {
    with_broker(&[], async |mut client| {
        let id = client.create_topic("t", 1, &[]).await;
        for version in 3..=13 {
            let mut request = produce(-1, batch(2));
            if version >= 13 {
                request.topic_data[0].name = topic_name("");
                request.topic_data[0].topic_id = id;
            }
            let outcome = outcome(&mut client, version, request).await;
            assert_eq!(outcome.error_code, 0, "{version}: {outcome:?}");
            assert_eq!(outcome.base_offset, i64::from(version - 3) * 2);
            assert_eq!(outcome.log_append_time_ms, -1);
            if version >= 5 {
                assert_eq!(outcome.log_start_offset, 0);
            }
        }
    });
}

#[test]
fn each_partition_is_answered_for_itself_in_the_order_asked() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let good = || Some(batch(1).freeze());
        let mut broken = batch(1);
        broken[17] ^= 1; // a bit of the CRC
        let request = produce_to(
            -1,
            &[
                ("none", 0, good()),
                ("t", 1, good()),
                ("t", 7, good()),
                ("t", -1, good()),
                ("t", 0, None),
                ("t", 0, Some(Bytes::new())),
                ("t", 0, Some(broken.freeze())),
                ("t", 0, good()),
            ],
        );
        let response = client.ask(9, request).await;
        let codes: Vec<_> = response
            .responses
            .iter()
            .map(|topic| topic.partition_responses[0].error_code)
            .collect();
        assert_eq!(codes, [3, 0, 3, 3, 87, 87, 2, 0]);
    });
}

#[test]
fn acks_that_do_not_exist_are_refused_and_nothing_is_written() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        for acks in [2, -2, 100] {
            let refused = outcome(&mut client, 9, produce(acks, batch(1))).await;
            assert_eq!((refused.error_code, refused.base_offset), (21, -1));
        }
        assert_eq!(outcome(&mut client, 9, produce(1, batch(1))).await.base_offset, 0);
    });
}

#[test]
fn acks_0_is_not_answered_and_an_error_closes_the_connection() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let mut silent = client.another().await;
        silent.send(9, produce(0, batch(3))).await;
        // The next answer is that of the next request.
        assert_eq!(outcome(&mut silent, 9, produce(1, batch(1))).await.base_offset, 3);
        silent.send(9, produce_to(0, &[("none", 0, Some(batch(1).freeze()))])).await;
        assert_eq!(silent.reply_bytes().await, None);
    });
}

#[test]
fn log_append_time_is_echoed() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
        let before = runtime::wall_clock().0;
        let outcome = outcome(&mut client, 9, produce(1, batch(1))).await;
        assert!(outcome.log_append_time_ms >= before, "{outcome:?}");
    });
}

#[test]
fn a_keyless_record_on_a_compacted_topic_is_refused_by_its_index() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[("cleanup.policy", "compact")]).await;
        let keyless = builder(2, None).build().unwrap();
        let refused = outcome(&mut client, 8, produce(1, keyless)).await;
        assert_eq!(refused.error_code, 87);
        let indexes: Vec<_> = refused.record_errors.iter().map(|e| e.batch_index).collect();
        assert_eq!(indexes, [0, 1]);
        assert!(refused.error_message.is_some());
    });
}

#[test]
fn zstd_needs_version_7() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let zstd = || {
            let mut builder = batch::BatchBuilder::new(Compression::Zstd);
            builder.push(runtime::wall_clock(), Some(b"k"), Some(b"v"), &[]);
            builder.build().unwrap()
        };
        assert_eq!(outcome(&mut client, 6, produce(1, zstd())).await.error_code, 76);
        assert_eq!(outcome(&mut client, 7, produce(1, zstd())).await.error_code, 0);
    });
}

#[test]
fn a_batch_over_the_limit_is_too_large() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[("max.message.bytes", "100")]).await;
        assert_eq!(outcome(&mut client, 9, produce(1, batch(20))).await.error_code, 10);
    });
}

#[test]
fn many_requests_under_way_are_written_and_answered_in_order() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        for _ in 0..50 {
            client.send(9, produce(-1, batch(1))).await;
        }
        let mut last = 0;
        for expected in 0..50 {
            let (id, response) = client.any_reply::<ProduceRequest>(9).await;
            assert!(id > last);
            last = id;
            let outcome = &response.responses[0].partition_responses[0];
            assert_eq!((outcome.error_code, outcome.base_offset), (0, expected));
        }
    });
}

fn no_transactions() -> InitProducerIdRequest {
    InitProducerIdRequest::default().with_transactional_id(None)
}

#[test]
fn a_produce_sent_behind_a_create_topics_finds_the_topic() {
    with_broker(&[], async |mut client| {
        let topic = CreatableTopic::default()
            .with_name(topic_name("t"))
            .with_num_partitions(1)
            .with_replication_factor(1);
        client.send(7, CreateTopicsRequest::default().with_topics(vec![topic])).await;
        client.send(9, produce(-1, batch(1))).await;
        let (_, created) = client.any_reply::<CreateTopicsRequest>(7).await;
        assert_eq!(created.topics[0].error_code, 0);
        let (_, produced) = client.any_reply::<ProduceRequest>(9).await;
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    });
}

#[test]
fn a_repeated_batch_of_an_idempotent_producer_gets_its_first_offset() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let given = client.ask(4, no_transactions()).await;
        assert_eq!((given.error_code, given.producer_epoch), (0, 0));
        let id = ProducerId(given.producer_id.0);
        let sequenced = |sequence| {
            let builder = builder(2, Some(b"k"));
            builder.producer(id, ProducerEpoch(0), BatchSequence(sequence)).build().unwrap()
        };
        for (sequence, code, offset) in [(0, 0, 0), (2, 0, 2), (0, 0, 0), (2, 0, 2), (9, 45, -1)] {
            let outcome = outcome(&mut client, 9, produce(-1, sequenced(sequence))).await;
            assert_eq!((outcome.error_code, outcome.base_offset), (code, offset), "{sequence}");
        }
    });
}

#[test]
fn producers_get_different_ids_and_an_empty_transactional_id_is_refused() {
    with_broker(&[], async |mut client| {
        let mut ids = Vec::new();
        for version in 0..=5 {
            let given = client.ask(version, no_transactions()).await;
            assert_eq!(given.error_code, 0);
            ids.push(given.producer_id.0);
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 6);
        let id = Some(TransactionalId(text("")));
        let transactional = InitProducerIdRequest::default().with_transactional_id(id);
        let refused = client.ask(4, transactional).await;
        assert_eq!((refused.error_code, refused.producer_id.0), (42, -1));
    });
}
