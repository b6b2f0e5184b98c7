//! Produce: batches in, offsets out.
//!
//! Versions 0 to 2 are advertised and not served, as in Kafka 4: old librdkafka turns compression
//! off if it does not see version 0.

use broker::{Acks, AppendRequest, Appended, InTransaction};
use bytes::BytesMut;
use kafka_protocol::ResponseError;
use state::{catalog::Catalog, transactions::Protocol};

use crate::{
    apis::Api,
    codec::produce::{self as codec, Produced, ProducedPartition, ProducedTopic},
    codec::topic_ref::TopicRef,
    errors::Refusal,
    questions::{Answers, Questions},
    request::{Reply, ReplyFuture, ReplyTo, Request},
    topics,
};

/// The API's row.
pub const API: Api = Api {
    key: 0,
    name: "Produce",
    advertised_min: 0,
    served_min: 3,
    version_max: 13,
    flexible_since: 9,
    body: None,
    pipelined: true,
    serve,
};

/// The first version in which a client may send zstd (KIP-110).
const ZSTD_SINCE: i16 = 7;

/// The first version of the second transaction protocol, in which writing adds to a transaction.
const SECOND_PROTOCOL_SINCE: i16 = 12;
/// The first version whose clients know TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 11;

/// The topics and partition numbers of a request, in its order.
type Outline = Vec<(TopicRef, Vec<i32>)>;

/// Hands the batches to the broker before it returns, so that requests of one connection are
/// written in the order in which they came.
fn serve(mut request: Request) -> ReplyFuture {
    let version = request.version();
    let parsed = match codec::parse_request(std::mem::take(&mut request.body), version) {
        Ok(parsed) => parsed,
        Err(malformed) => return Box::pin(std::future::ready(malformed.into())),
    };
    let acks = acks_of(parsed.acks);
    let mut outline: Outline = Vec::with_capacity(parsed.topics.len());
    let mut questions = Questions::new();
    {
        let catalog = request.broker.catalog();
        for topic in parsed.topics {
            let mut indexes = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                indexes.push(partition.index);
                questions.push(acks.clone().and_then(|_| {
                    question(&catalog, version, &topic.topic, partition.index, partition.records)
                }));
            }
            outline.push((topic.topic, indexes));
        }
    }
    let reply_to = request.reply_to();
    let (asked, places) = questions.split();
    request.note_owners(asked.iter().map(|append| append.topic));
    let acks = acks.unwrap_or(Acks::Leader);
    let transaction = parsed.transactional_id.map(|id| InTransaction {
        id: id.into(),
        protocol: if version >= SECOND_PROTOCOL_SINCE { Protocol::V2 } else { Protocol::V1 },
    });
    let is_transactional = transaction.is_some();
    let ticket = request.broker.append_in(asked, acks, transaction);
    Box::pin(async move {
        let answers = places.fill(ticket.await);
        let mut produced = collect(outline, answers);
        if is_transactional {
            translate(&mut produced, version);
        }
        if acks == Acks::None {
            reply_to.count_errors(codes(&produced));
            answer_none(&produced)
        } else {
            send(reply_to, &produced)
        }
    })
}

fn acks_of(acks: i16) -> Result<Acks, Refusal> {
    match acks {
        0 => Ok(Acks::None),
        1 => Ok(Acks::Leader),
        -1 => Ok(Acks::All),
        _ => Err(Refusal::new(
            ResponseError::InvalidRequiredAcks,
            format!("acks must be -1, 0 or 1, not {acks}."),
        )),
    }
}

fn question(
    catalog: &Catalog,
    version: i16,
    topic: &TopicRef,
    index: i32,
    records: Option<BytesMut>,
) -> Result<AppendRequest, Refusal> {
    let topic = topics::partition(topics::resolve(catalog, topic)?, index)?;
    let batch = records.filter(|records| !records.is_empty()).ok_or_else(|| {
        Refusal::new(
            ResponseError::InvalidRecord,
            format!(
                "Produce requests with version {version} must have at least one record batch per partition"
            ),
        )
    })?;
    if version < ZSTD_SINCE && is_zstd(&batch) {
        return Err(Refusal::new(
            ResponseError::UnsupportedCompressionType,
            format!(
                "Produce requests with version {version} are not allowed to use ZStandard compression"
            ),
        ));
    }
    Ok(AppendRequest { topic, batch })
}

/// Whether the batch's attributes (bytes 21 and 22) name zstd. A batch too short to have any is
/// refused by the broker.
fn is_zstd(batch: &[u8]) -> bool {
    batch.get(22).is_some_and(|attributes| attributes & 0x07 == 4)
}

fn collect(outline: Outline, mut answers: Answers<Appended>) -> Vec<ProducedTopic> {
    let mut produced = Vec::with_capacity(outline.len());
    for (topic, indexes) in outline {
        let mut partitions = Vec::with_capacity(indexes.len());
        for index in indexes {
            let outcome = answers.take().map(|appended| Produced {
                base_offset: appended.base_offset.0,
                log_append_time_ms: appended.log_append_time.map_or(-1, |time| time.0),
                log_start_offset: appended.log_start.0,
            });
            let outcome = outcome.map_err(|refusal| topics::refusal_of(&topic, refusal));
            partitions.push(ProducedPartition { index, outcome });
        }
        produced.push(ProducedTopic { topic, partitions });
    }
    produced
}

/// The coordinator's refusals as producers of this version understand them (KIP-890).
fn translate(produced: &mut [ProducedTopic], version: i16) {
    use ResponseError as R;
    let partitions = produced.iter_mut().flat_map(|topic| &mut topic.partitions);
    for refusal in partitions.filter_map(|partition| partition.outcome.as_mut().err()) {
        let known = |code: R| refusal.code == code.code();
        if known(R::ProducerFenced) {
            refusal.code = R::InvalidProducerEpoch.code();
        } else if known(R::TransactionAbortable) && version < ABORTABLE_SINCE {
            refusal.code = R::InvalidTxnState.code();
        } else if known(R::ConcurrentTransactions) && version < SECOND_PROTOCOL_SINCE {
            // Retriable, and without a reason to ask for metadata.
            refusal.code = R::NotEnoughReplicas.code();
        }
    }
}

/// A client that wants no answer learns of an error by losing its connection, as in Kafka.
fn answer_none(produced: &[ProducedTopic]) -> Reply {
    let failed = produced.iter().flat_map(|topic| &topic.partitions).find_map(|partition| {
        partition.outcome.as_ref().err().map(|refusal| (partition.index, refusal))
    });
    match failed {
        None => Reply::Nothing,
        Some((index, refusal)) => Reply::Close(format!(
            "a produce request with acks=0 failed on partition {index}: error {}: {}",
            refusal.code, refusal.message
        )),
    }
}

/// The partitions' error codes.
fn codes(produced: &[ProducedTopic]) -> impl Iterator<Item = i16> {
    let partitions = produced.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.outcome.as_ref().err().map_or(0, |refusal| refusal.code))
}

fn send(reply_to: ReplyTo, produced: &[ProducedTopic]) -> Reply {
    let partitions: usize = produced.iter().map(|topic| topic.partitions.len()).sum();
    let body_bytes = 16 + produced.len() * 24 + partitions * 48;
    reply_to.send_by_hand(body_bytes, codes(produced), |writer| {
        codec::write_response(writer, reply_to.version(), produced);
    })
}
