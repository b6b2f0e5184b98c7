//! Fetch requests and replies, versions 4 to 18.
//!
//! A reply is built once: it refers to the batches as they are stored, and they are never decoded.
//! Version 7 brings sessions (KIP-227), 9 leader epochs (KIP-320), 12 is flexible, 13 has topic ids
//! (KIP-516), 15 moves the replica's state to a tagged field (KIP-903).

use bytes::Bytes;

use crate::{
    codec::topic_ref::TopicRef,
    wire::{Malformed, Reader, Writer},
};

const SESSIONS_SINCE: i16 = 7;
const LEADER_EPOCHS_SINCE: i16 = 9;
const RACK_SINCE: i16 = 11;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_SINCE: i16 = 12;
const TOPIC_IDS_SINCE: i16 = 13;

/// A parsed request.
#[derive(Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// How long to wait for `min_bytes`.
    pub max_wait_ms: i32,
    /// How much to wait for.
    pub min_bytes: i32,
    /// How much to return at most, the first batch apart.
    pub max_bytes: i32,
    /// 0 read_uncommitted, 1 read_committed.
    pub isolation_level: i8,
    /// The session that the client continues, or 0.
    pub session_id: i32,
    /// 0 asks for a new session, -1 for none, else the request is the session's next.
    pub session_epoch: i32,
    /// By topic, in the request's order.
    pub topics: Vec<FetchTopic>,
}

/// One topic's part of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct FetchTopic {
    /// Which topic.
    pub topic: TopicRef,
    /// Its partitions, in the request's order.
    pub partitions: Vec<FetchPartition>,
}

/// One partition's part of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPartition {
    /// The partition's number, not yet checked.
    pub index: i32,
    /// The epoch that the client believes in, or -1.
    pub current_leader_epoch: i32,
    /// The first offset wanted.
    pub fetch_offset: i64,
    /// How much to return at most.
    pub max_bytes: i32,
}

/// Reads the body of a Fetch request.
pub fn parse_request(body: &[u8], version: i16) -> Result<FetchRequest, Malformed> {
    let flexible = version >= FLEXIBLE_SINCE;
    let mut reader = Reader::new(body);
    if version <= 14 {
        reader.int32()?; // replica id: no broker replicates from us
    }
    let mut request = FetchRequest {
        max_wait_ms: reader.int32()?,
        min_bytes: reader.int32()?,
        max_bytes: reader.int32()?,
        isolation_level: reader.int8()?,
        session_id: 0,
        session_epoch: -1,
        topics: Vec::new(),
    };
    if version >= SESSIONS_SINCE {
        request.session_id = reader.int32()?;
        request.session_epoch = reader.int32()?;
    }
    let by_id = version >= TOPIC_IDS_SINCE;
    let topic_count = reader.array(flexible, TopicRef::least_bytes(by_id))?;
    request.topics.reserve_exact(topic_count);
    for _ in 0..topic_count {
        let topic = TopicRef::parse(&mut reader, by_id, flexible)?;
        let partition_count = reader.array(flexible, 16)?;
        let mut partitions = Vec::with_capacity(partition_count);
        for _ in 0..partition_count {
            partitions.push(parse_partition(&mut reader, version)?);
        }
        reader.skip_tagged_fields(flexible)?;
        request.topics.push(FetchTopic { topic, partitions });
    }
    if version >= SESSIONS_SINCE {
        skip_forgotten_topics(&mut reader, by_id, flexible)?;
    }
    if version >= RACK_SINCE {
        reader.string(flexible)?; // rack: there is one replica, so none is nearer
    }
    reader.skip_tagged_fields(flexible)?;
    Ok(request)
}

fn parse_partition(reader: &mut Reader<'_>, version: i16) -> Result<FetchPartition, Malformed> {
    let index = reader.int32()?;
    let current_leader_epoch = if version >= LEADER_EPOCHS_SINCE { reader.int32()? } else { -1 };
    let fetch_offset = reader.int64()?;
    if version >= FLEXIBLE_SINCE {
        reader.int32()?; // last fetched epoch: only replicas send one
    }
    if version >= 5 {
        reader.int64()?; // log start: only replicas send one
    }
    let max_bytes = reader.int32()?;
    reader.skip_tagged_fields(version >= FLEXIBLE_SINCE)?;
    Ok(FetchPartition { index, current_leader_epoch, fetch_offset, max_bytes })
}

/// Topics to be dropped from a session: there are no sessions to drop them from.
fn skip_forgotten_topics(
    reader: &mut Reader<'_>,
    by_id: bool,
    flexible: bool,
) -> Result<(), Malformed> {
    for _ in 0..reader.array(flexible, TopicRef::least_bytes(by_id))? {
        if by_id {
            reader.topic_id()?;
        } else {
            reader.string(flexible)?;
        }
        let count = reader.array(flexible, 4)?;
        reader.take(count * 4)?;
        reader.skip_tagged_fields(flexible)?;
    }
    Ok(())
}

/// One topic's part of a reply.
#[derive(Debug)]
pub struct FetchedTopic {
    /// The topic as the request named it.
    pub topic: TopicRef,
    /// Its partitions, in the request's order.
    pub partitions: Vec<FetchedPartition>,
}

/// One partition's part of a reply. Offsets as the protocol writes them, -1 for unknown.
#[derive(Debug)]
pub struct FetchedPartition {
    /// The partition's number as the request had it.
    pub index: i32,
    /// Kafka's error code, 0 for none.
    pub error_code: i16,
    /// Readers see offsets below this.
    pub high_watermark: i64,
    /// `read_committed` readers see offsets below this.
    pub last_stable_offset: i64,
    /// The partition's first offset.
    pub log_start_offset: i64,
    /// Producer and first offset of the aborted transactions that the batches have parts of.
    pub aborted: Vec<(i64, i64)>,
    /// Whole batches as stored.
    pub batches: Vec<Bytes>,
}

impl FetchedPartition {
    fn records_bytes(&self) -> usize {
        self.batches.iter().map(Bytes::len).sum()
    }
}

/// What goes before the partitions of a reply.
#[derive(Debug, Clone, Copy)]
pub struct FetchedHead {
    /// An error of the request as a whole (from version 7), 0 for none.
    pub error_code: i16,
    /// `read_committed` replies carry a list of aborted transactions, others null.
    pub read_committed: bool,
}

/// An upper bound on the size of a reply's body, so that its buffer is made once.
pub fn response_bytes(topics: &[FetchedTopic]) -> usize {
    let of_topic = |topic: &FetchedTopic| {
        let name = match &topic.topic {
            TopicRef::Name(name) => name.len() + 2,
            TopicRef::Id(_) => 16,
        };
        let partitions: usize = topic.partitions.iter().map(partition_bytes).sum();
        name + 8 + partitions
    };
    topics.iter().map(of_topic).sum::<usize>() + 24
}

fn partition_bytes(partition: &FetchedPartition) -> usize {
    51 + partition.aborted.len() * 17 + partition.records_bytes()
}

/// Writes the body of a reply.
pub fn write_response(
    writer: &mut Writer,
    version: i16,
    head: FetchedHead,
    topics: &[FetchedTopic],
) {
    writer.int32(0); // throttle time
    if version >= SESSIONS_SINCE {
        writer.int16(head.error_code);
        writer.int32(0); // no session
    }
    writer.count(topics.len());
    for topic in topics {
        topic.topic.write(writer, version >= TOPIC_IDS_SINCE);
        writer.count(topic.partitions.len());
        for partition in &topic.partitions {
            write_partition(writer, version, head.read_committed, partition);
        }
        writer.no_tagged_fields();
    }
    writer.no_tagged_fields();
}

fn write_partition(
    writer: &mut Writer,
    version: i16,
    read_committed: bool,
    partition: &FetchedPartition,
) {
    writer.int32(partition.index);
    writer.int16(partition.error_code);
    writer.int64(partition.high_watermark);
    writer.int64(partition.last_stable_offset);
    if version >= 5 {
        writer.int64(partition.log_start_offset);
    }
    if read_committed {
        writer.count(partition.aborted.len());
        for (producer_id, first_offset) in &partition.aborted {
            writer.int64(*producer_id);
            writer.int64(*first_offset);
            writer.no_tagged_fields();
        }
    } else {
        writer.null_array();
    }
    if version >= RACK_SINCE {
        writer.int32(-1); // preferred read replica
    }
    // Never null: clients fail on null records (KAFKA-18646).
    writer.count(partition.records_bytes());
    for batch in &partition.batches {
        writer.shared(batch);
    }
    writer.no_tagged_fields();
}
