//! Produce requests and replies, versions 3 to 13.
//!
//! The request's batches are split off the frame, so that each is owned and can be patched in
//! place. Version 9 is flexible (KIP-482), 8 brings record errors (KIP-467), 13 topic ids (KIP-516).

use std::ops::Range;

use bytes::{Buf, BytesMut};

use crate::{
    codec::topic_ref::TopicRef,
    errors::Refusal,
    wire::{Malformed, Reader, Writer},
};

const FLEXIBLE_SINCE: i16 = 9;
const TOPIC_IDS_SINCE: i16 = 13;
const RECORD_ERRORS_SINCE: i16 = 8;
const LOG_START_SINCE: i16 = 5;

/// A parsed request.
#[derive(Debug)]
pub struct ProduceRequest {
    /// Not `None` for a transactional producer.
    pub transactional_id: Option<String>,
    /// 0, 1, -1 (all), or something that must be refused.
    pub acks: i16,
    /// How long the client will wait for replicas.
    pub timeout_ms: i32,
    /// By topic, in the request's order.
    pub topics: Vec<ProduceTopic>,
}

/// One topic's part of a request.
#[derive(Debug)]
pub struct ProduceTopic {
    /// Which topic.
    pub topic: TopicRef,
    /// Its partitions, in the request's order.
    pub partitions: Vec<ProducePartition>,
}

/// One partition's part of a request.
#[derive(Debug)]
pub struct ProducePartition {
    /// The partition's number, not yet checked.
    pub index: i32,
    /// The batch as sent; `None` if the client sent null.
    pub records: Option<BytesMut>,
}

/// Reads the body of a Produce request; `body` begins behind the header.
pub fn parse_request(mut body: BytesMut, version: i16) -> Result<ProduceRequest, Malformed> {
    let (mut request, places) = scan(&body, version)?;
    // The places are in rising order, as the scan met them.
    let mut consumed = 0;
    let mut places = places.into_iter();
    for topic in &mut request.topics {
        for partition in &mut topic.partitions {
            if let Some(place) = places.next().flatten() {
                body.advance(place.start - consumed);
                partition.records = Some(body.split_to(place.len()));
                consumed = place.end;
            }
        }
    }
    Ok(request)
}

type Places = Vec<Option<Range<usize>>>;

fn scan(body: &[u8], version: i16) -> Result<(ProduceRequest, Places), Malformed> {
    let flexible = version >= FLEXIBLE_SINCE;
    let mut reader = Reader::new(body);
    let mut places = Vec::new();
    let transactional_id = reader.nullable_string(flexible)?.map(str::to_owned);
    let acks = reader.int16()?;
    let timeout_ms = reader.int32()?;
    let topic_count = reader.array(flexible, 2)?;
    let mut topics = Vec::with_capacity(topic_count);
    for _ in 0..topic_count {
        let topic = TopicRef::parse(&mut reader, version >= TOPIC_IDS_SINCE, flexible)?;
        let partition_count = reader.array(flexible, 5)?;
        let mut partitions = Vec::with_capacity(partition_count);
        for _ in 0..partition_count {
            partitions.push(ProducePartition { index: reader.int32()?, records: None });
            places.push(reader.nullable_bytes(flexible)?);
            reader.skip_tagged_fields(flexible)?;
        }
        reader.skip_tagged_fields(flexible)?;
        topics.push(ProduceTopic { topic, partitions });
    }
    reader.skip_tagged_fields(flexible)?;
    Ok((ProduceRequest { transactional_id, acks, timeout_ms, topics }, places))
}

/// One topic's part of a reply.
#[derive(Debug)]
pub struct ProducedTopic {
    /// The topic as the request named it.
    pub topic: TopicRef,
    /// Its partitions, in the request's order.
    pub partitions: Vec<ProducedPartition>,
}

/// One partition's part of a reply.
#[derive(Debug)]
pub struct ProducedPartition {
    /// The partition's number as the request had it.
    pub index: i32,
    /// What became of the batch.
    pub outcome: Result<Produced, Refusal>,
}

/// A batch that was written. Offsets and times as the protocol writes them, -1 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// The offset of its first record.
    pub base_offset: i64,
    /// The broker's time if the topic uses it, else -1.
    pub log_append_time_ms: i64,
    /// The partition's first offset.
    pub log_start_offset: i64,
}

/// Writes the body of a reply.
pub fn write_response(writer: &mut Writer, version: i16, topics: &[ProducedTopic]) {
    writer.count(topics.len());
    for topic in topics {
        topic.topic.write(writer, version >= TOPIC_IDS_SINCE);
        writer.count(topic.partitions.len());
        for partition in &topic.partitions {
            write_partition(writer, version, partition);
        }
        writer.no_tagged_fields();
    }
    writer.int32(0); // throttle time
    writer.no_tagged_fields();
}

fn write_partition(writer: &mut Writer, version: i16, partition: &ProducedPartition) {
    const NOTHING: Produced =
        Produced { base_offset: -1, log_append_time_ms: -1, log_start_offset: -1 };
    let (produced, refusal) = match &partition.outcome {
        Ok(produced) => (*produced, None),
        Err(refusal) => (NOTHING, Some(refusal)),
    };
    writer.int32(partition.index);
    writer.int16(refusal.map_or(0, |r| r.code));
    writer.int64(produced.base_offset);
    writer.int64(produced.log_append_time_ms);
    if version >= LOG_START_SINCE {
        writer.int64(produced.log_start_offset);
    }
    if version >= RECORD_ERRORS_SINCE {
        let records = refusal.map_or(&[][..], |r| &r.records);
        writer.count(records.len());
        for (index, message) in records {
            writer.int32(i32::try_from(*index).unwrap_or(i32::MAX));
            writer.nullable_string(Some(message));
            writer.no_tagged_fields();
        }
        writer.nullable_string(refusal.map(|r| r.message.as_str()));
    }
    writer.no_tagged_fields();
}
