//! What a produce request costs before it is anybody's data: the frame, its batches.
#![expect(clippy::unwrap_used, reason = "a benchmark may fail this way")]

use std::hint::black_box;

use batch::{BatchBuilder, check_produced};
use bytes::{BufMut, Bytes, BytesMut};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kafka::codec::produce;
use kafka::request;
use kafka_protocol::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use kafka_protocol::messages::{ApiKey, RequestHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use model::{Compression, Timestamp};

const VERSION: i16 = 9;
const LIMIT_BYTES: usize = 16 << 20;
/// Records of a batch, and the bytes of each: one alone, and what a busy client sends.
const SHAPES: [(usize, usize); 3] = [(1, 1024), (1000, 1024), (10_000, 100)];

fn batch_of(records: usize, record_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for number in 0..records {
        let value = vec![number as u8; record_bytes];
        builder.push(Timestamp(1_700_000_000_000), None, Some(&value), &[]);
    }
    builder.build().unwrap().freeze()
}

/// A produce request of one batch for each of 16 partitions, without its size.
fn frame_of(batch: &Bytes) -> BytesMut {
    let partitions = (0..16)
        .map(|index| {
            PartitionProduceData::default().with_index(index).with_records(Some(batch.clone()))
        })
        .collect();
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str("measurements")))
        .with_partition_data(partitions);
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::Produce as i16)
        .with_request_api_version(VERSION)
        .with_client_id(Some(StrBytes::from_static_str("rdkafka")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, 2).unwrap();
    let body = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic]);
    body.encode(&mut frame, VERSION).unwrap();
    frame
}

fn own(frame: &BytesMut) -> BytesMut {
    let mut copy = BytesMut::with_capacity(frame.len());
    copy.put_slice(frame);
    copy
}

fn frame_parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame parse, 16 partitions");
    for (records, record_bytes) in SHAPES {
        let frame = frame_of(&batch_of(records, record_bytes));
        let id = BenchmarkId::from_parameter(format!("{records} x {record_bytes} B"));
        group.bench_function(id, |bencher| {
            let parse = |frame: BytesMut| {
                let parsed = request::parse(frame).unwrap();
                produce::parse_request(parsed.body, parsed.header.api_version).unwrap()
            };
            // Copies are made before, not measured: the socket's buffer is the parser's own.
            bencher.iter_batched(|| own(&frame), parse, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn batch_check(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch check");
    for (records, record_bytes) in SHAPES {
        let batch = batch_of(records, record_bytes);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        let id = BenchmarkId::from_parameter(format!("{records} x {record_bytes} B"));
        group.bench_function(id, |bencher| {
            bencher.iter(|| check_produced(black_box(&batch), LIMIT_BYTES).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, frame_parse, batch_check);
criterion_main!(benches);
