//! Who writes to the stream: puts, routed by hash keys, and Kafka producers, which choose
//! partitions. Each waits for the answer to one call before it makes the next, and sends nothing
//! again.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use batch::BatchBuilder;
use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kinesis::{answers::PutRecordsResult, requests, wire::Blob};
use md5::{Digest, Md5};
use model::{Compression, HashKey, PartitionIndex};
use runtime::simulation::Random;
use uuid::Uuid;

use crate::{
    client::Client,
    streams::{STREAM, Stream, caller},
};

const PRODUCE_VERSION: i16 = 13;
const NONE: i16 = 0;
const POLICY_VIOLATION: i16 = 44;
/// Storage error, timed out, and a partition that is not known on every core yet.
const LATER: [i16; 3] = [56, 7, 3];
/// One run writes no more than this: it is read again and again.
const RECORDS_MAX: usize = 4_000;

/// A partition key, and what routes it.
struct Key {
    text: String,
    explicit: bool,
    hash: HashKey,
}

impl Key {
    fn new(random: &Random, text: String) -> Key {
        let explicit = random.chance(1, 2);
        let hash = if explicit {
            u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())
        } else {
            u128::from_be_bytes(Md5::digest(text.as_bytes()).into())
        };
        Key { text, explicit, hash: HashKey(hash) }
    }
}

/// Puts records of a few keys.
pub async fn put(stream: Stream, writer: u64, random: Random, stop: Rc<Cell<bool>>) {
    let keys: Vec<Key> = (0..random.between(1, 12))
        .map(|number| Key::new(&random, format!("put-{writer}-{number}")))
        .collect();
    let pause_us = random.choose([300, 10_000, 60_000]);
    let data_bytes_max = random.choose([10, 400, 3_000]);
    while !stop.get() && stream.model.borrow().sent() < RECORDS_MAX {
        let mut numbers = Vec::new();
        let mut records = Vec::new();
        for _ in 0..random.between(1, 8) {
            let key = &keys[random.index(keys.len())];
            let number = stream.model.borrow_mut().send(&key.text, Some(key.hash));
            numbers.push(number);
            records.push(requests::PutRecordsEntry {
                data: Some(Blob(value(number, random.below(data_bytes_max)))),
                partition_key: Some(key.text.clone()),
                explicit_hash_key: key.explicit.then(|| key.hash.to_string()),
            });
        }
        let request = requests::PutRecords {
            stream_name: Some(STREAM.to_owned()),
            records: Some(records),
            ..Default::default()
        };
        match stream.kinesis().put_records(&caller(), request).await {
            Ok(answer) => {
                for (number, told) in numbers.into_iter().zip(answer.records) {
                    let PutRecordsResult::Taken { sequence_number, shard_id } = told else {
                        continue;
                    };
                    let sequence: model::SequenceNumber =
                        sequence_number.parse().expect("a sequence number");
                    assert_eq!(sequence.shard.to_string(), shard_id, "of record {number}");
                    stream.model.borrow_mut().acknowledge_put(number, sequence);
                }
            }
            Err(broken) => {
                tracing::debug!(writer, %broken, "put");
                runtime::sleep(Duration::from_millis(10)).await;
            }
        }
        runtime::sleep(Duration::from_micros(random.below(pause_us))).await;
    }
}

/// Produces to every third partition, so that there are others that a merge may seal. A key is
/// written to one partition only, and is given up when an answer is lost: what was on its way may
/// yet arrive behind what is sent later on another connection.
pub async fn produce(stream: Stream, producer: u64, random: Random, stop: Rc<Cell<bool>>) {
    let mut connections = 0;
    let pause_us = random.choose([3_000, 60_000]);
    while !stop.get() {
        connections += 1;
        let mut client = Client::connect_patiently().await;
        let name = format!("kafka-{producer}-{connections}");
        let produced: io::Result<()> = async {
            while !stop.get() && stream.model.borrow().sent() < RECORDS_MAX {
                let partitions = partition_count(&stream);
                let partition = 3 * random.below(u64::from(partitions.div_ceil(3))) as u32;
                let records = random.between(1, 4);
                if !produce_batch(&stream, &mut client, &name, partition, records).await? {
                    break;
                }
                runtime::sleep(Duration::from_micros(random.below(pause_us))).await;
            }
            Ok(())
        }
        .await;
        tracing::debug!(producer, ?produced, "producer's connection to the stream ended");
        runtime::sleep(Duration::from_millis(random.between(5, 60))).await;
    }
}

fn partition_count(stream: &Stream) -> u32 {
    let model = stream.model.borrow();
    let last = model.lineage.newest().iter().map(|shard| shard.partition).max();
    last.map_or(0, |PartitionIndex(last)| last + 1)
}

/// Produces one batch. False if it is not known what became of it.
async fn produce_batch(
    stream: &Stream,
    client: &mut Client,
    name: &str,
    partition: u32,
    records: u64,
) -> io::Result<bool> {
    let key = format!("{name}-{partition}");
    let mut builder = BatchBuilder::new(Compression::None);
    let mut numbers = Vec::new();
    for _ in 0..records {
        let number = stream.model.borrow_mut().send(&key, None);
        let value = value(number, 20);
        builder.push(runtime::wall_clock(), Some(key.as_bytes()), Some(&value), &[]);
        numbers.push(number);
    }
    let mut data = PartitionProduceData::default();
    data.index = partition as i32;
    data.records = Some(builder.build().expect("a small batch").freeze());
    let mut topic = TopicProduceData::default();
    topic.topic_id = Uuid::from_bytes(stream.id.to_bytes());
    topic.partition_data = vec![data];
    let mut request = ProduceRequest::default();
    request.acks = -1;
    request.timeout_ms = 10_000;
    request.topic_data = vec![topic];
    let response = client.ask(&request, PRODUCE_VERSION).await?;
    let answer = &response.responses[0].partition_responses[0];
    let mut model = stream.model.borrow_mut();
    match answer.error_code {
        NONE => {
            for (offset, number) in (answer.base_offset..).zip(numbers) {
                model.acknowledge(number, PartitionIndex(partition), offset);
            }
        }
        POLICY_VIOLATION => numbers.into_iter().for_each(|number| model.refuse(number)),
        code => {
            let why = &answer.error_message;
            assert!(LATER.contains(&code), "partition {partition} answers {code}: {why:?}");
            return Ok(false);
        }
    }
    Ok(true)
}

/// A record's content: its number, and so many bytes more.
fn value(number: usize, padding_bytes: u64) -> Bytes {
    let mut value = (number as u64).to_be_bytes().to_vec();
    value.resize(8 + padding_bytes as usize, b'.');
    value.into()
}

/// The number of a record with this content.
pub fn number_of(value: &[u8]) -> usize {
    let number = value.first_chunk().expect("every record has a number");
    u64::from_be_bytes(*number) as usize
}
