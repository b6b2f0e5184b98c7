//! Fetch: whole batches as stored, waiting for them if asked to.
//!
//! There are no fetch sessions (KIP-227): every answer says session 0, so every request is complete
//! in itself. A request that continues a session is told that there is none.

use std::pin::pin;

use broker::{FetchRequest, Fetched};
use futures_util::future::{Either, select};
use kafka_protocol::ResponseError;
use model::{Compression, CompressionSetting, Offset};
use state::catalog::Catalog;

use crate::{
    apis::Api,
    codec::fetch::{self as codec, FetchedHead, FetchedPartition, FetchedTopic},
    codec::topic_ref::TopicRef,
    errors::Refusal,
    questions::{Answers, Questions},
    request::{Reply, ReplyFuture, ReplyTo, Request},
    topics,
};

/// The API's row.
pub const API: Api = Api {
    key: 1,
    name: "Fetch",
    advertised_min: 4,
    served_min: 4,
    version_max: 18,
    flexible_since: codec::FLEXIBLE_SINCE,
    body: None,
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

/// The first version whose clients must understand zstd (KIP-110).
const ZSTD_SINCE: i16 = 10;

/// A reply may always have this many bytes, however short of memory we are.
const REPLY_BYTES_LEAST: usize = 1 << 20;

async fn serve(request: Request) -> Reply {
    let version = request.version();
    let parsed = match codec::parse_request(&request.body, version) {
        Ok(parsed) => parsed,
        Err(malformed) => return malformed.into(),
    };
    let reply_to = request.reply_to();
    if !is_full_request(&parsed) {
        let head = FetchedHead {
            error_code: ResponseError::FetchSessionIdNotFound.code(),
            read_committed: false,
        };
        return send(reply_to, head, &[]);
    }
    let read_committed = parsed.isolation_level == 1;
    let questions = ask(&request.broker.catalog(), version, &parsed);
    // An error is worth telling at once.
    let max_wait =
        if questions.any_refused() { topics::wait(0) } else { topics::wait(parsed.max_wait_ms) };
    let (partitions, places) = questions.split();
    request.note_owners(partitions.iter().map(|partition| partition.topic));
    let max_bytes = reply_bytes_max(&request, parsed.max_bytes);
    let fetch = FetchRequest {
        partitions,
        max_bytes,
        min_bytes: usize::try_from(parsed.min_bytes).unwrap_or(0).min(max_bytes),
        max_wait,
    };
    let fetched = request.broker.fetch_again(fetch, &request.standing);
    let gone = pin!(request.disconnect.clone().wait());
    let answers = match select(pin!(fetched), gone).await {
        Either::Left((answers, _)) => answers,
        // Nobody waits any more; dropping the fetch ends it on every core.
        Either::Right(_) => return Reply::Nothing,
    };
    let fetched = collect(parsed.topics, places.fill(answers));
    let share = request.budget.admit_beyond(codec::response_bytes(&fetched)).await;
    let head = FetchedHead { error_code: 0, read_committed };
    match send(reply_to, head, &fetched) {
        Reply::Pieces(rope) => Reply::Large(rope, share),
        other => other,
    }
}

/// Session epoch -1 asks for no session and 0 for a new one; anything else continues one.
fn is_full_request(request: &codec::FetchRequest) -> bool {
    matches!(request.session_epoch, 0 | -1)
}

/// As much as was asked for, as is configured, and as memory allows.
fn reply_bytes_max(request: &Request, asked: i32) -> usize {
    let free_bytes = request.budget.free_bytes() / 4;
    usize::try_from(asked)
        .unwrap_or(0)
        .min(request.limits.fetch_bytes_max)
        .min(free_bytes.max(REPLY_BYTES_LEAST))
}

fn ask(
    catalog: &Catalog,
    version: i16,
    request: &codec::FetchRequest,
) -> Questions<broker::FetchPartition> {
    let mut questions = Questions::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let read_committed = request.isolation_level == 1;
            questions.push(question(catalog, version, &topic.topic, partition, read_committed));
        }
    }
    questions
}

fn question(
    catalog: &Catalog,
    version: i16,
    topic: &TopicRef,
    partition: &codec::FetchPartition,
    read_committed: bool,
) -> Result<broker::FetchPartition, Refusal> {
    let topic = topics::resolve(catalog, topic)?;
    let zstd = CompressionSetting::Codec(Compression::Zstd);
    if version < ZSTD_SINCE && topic.effective.compression == zstd {
        return Err(Refusal::new(
            ResponseError::UnsupportedCompressionType,
            "The topic's batches are compressed with zstd, which needs Fetch version 10.",
        ));
    }
    Ok(broker::FetchPartition {
        topic: topics::partition(topic, partition.index)?,
        offset: Offset(partition.fetch_offset),
        max_bytes: usize::try_from(partition.max_bytes).unwrap_or(0),
        leader_epoch: topics::leader_epoch(partition.current_leader_epoch),
        read_committed,
    })
}

fn collect(asked: Vec<codec::FetchTopic>, mut answers: Answers<Fetched>) -> Vec<FetchedTopic> {
    let mut fetched = Vec::with_capacity(asked.len());
    for topic in asked {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let answer = answers.take();
            let answer = answer.map_err(|refusal| topics::refusal_of(&topic.topic, refusal));
            partitions.push(fetched_partition(partition.index, answer));
        }
        fetched.push(FetchedTopic { topic: topic.topic, partitions });
    }
    fetched
}

fn fetched_partition(index: i32, answer: Result<Fetched, Refusal>) -> FetchedPartition {
    match answer {
        Ok(fetched) => FetchedPartition {
            index,
            error_code: 0,
            high_watermark: fetched.high_watermark.0,
            last_stable_offset: fetched.last_stable.0,
            log_start_offset: fetched.log_start.0,
            aborted: aborted(&fetched),
            batches: fetched.batches,
        },
        Err(refusal) => {
            let (log_start, log_end) = refusal.log_bounds.map_or((-1, -1), |(a, b)| (a.0, b.0));
            FetchedPartition {
                index,
                error_code: refusal.code,
                high_watermark: log_end,
                last_stable_offset: log_end,
                log_start_offset: log_start,
                aborted: Vec::new(),
                batches: Vec::new(),
            }
        }
    }
}

fn aborted(fetched: &Fetched) -> Vec<(i64, i64)> {
    fetched.aborted.iter().map(|it| (it.producer_id.0, it.first_offset.0)).collect()
}

fn send(reply_to: ReplyTo, head: FetchedHead, fetched: &[FetchedTopic]) -> Reply {
    let partitions = fetched.iter().flat_map(|topic| &topic.partitions);
    let codes = partitions.map(|partition| partition.error_code).chain([head.error_code]);
    reply_to.send_by_hand(codec::response_bytes(fetched), codes, |writer| {
        codec::write_response(writer, reply_to.version(), head, fetched);
    })
}
