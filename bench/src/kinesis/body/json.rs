//! Bodies in JSON.

use std::borrow::Cow;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};

use crate::kinesis::body::{Entry, Page};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecord<'a> {
    stream_name: &'a str,
    #[serde(flatten)]
    entry: JsonEntry<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecords<'a> {
    stream_name: &'a str,
    records: Vec<JsonEntry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct JsonEntry<'a> {
    data: String,
    partition_key: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecords<'a> {
    shard_iterator: &'a str,
    limit: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordsAnswer {
    failed_record_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecordsAnswer<'a> {
    #[serde(borrow)]
    records: Vec<Record<'a>>,
    next_shard_iterator: Option<String>,
    millis_behind_latest: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    #[serde(borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    // Borrowed, unless it holds an escaped slash.
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl JsonEntry<'_> {
    fn of(entry: &Entry) -> JsonEntry<'_> {
        JsonEntry { data: BASE64.encode(&entry.data), partition_key: &entry.partition_key }
    }
}

pub(super) fn put_record(stream: &str, entry: &Entry) -> anyhow::Result<Bytes> {
    written(&PutRecord { stream_name: stream, entry: JsonEntry::of(entry) })
}

pub(super) fn put_records(stream: &str, entries: &[Entry]) -> anyhow::Result<Bytes> {
    let records = entries.iter().map(JsonEntry::of).collect();
    written(&PutRecords { stream_name: stream, records })
}

pub(super) fn get_records(iterator: &str, limit: u32) -> anyhow::Result<Bytes> {
    written(&GetRecords { shard_iterator: iterator, limit })
}

pub(super) fn failed_records(answer: &[u8]) -> anyhow::Result<u64> {
    let answer: PutRecordsAnswer =
        serde_json::from_slice(answer).context("PutRecords' answer cannot be read")?;
    Ok(answer.failed_record_count)
}

pub(super) fn records(answer: &[u8], take: &mut dyn FnMut(&[u8])) -> anyhow::Result<Page> {
    let answer: GetRecordsAnswer<'_> =
        serde_json::from_slice(answer).context("GetRecords' answer cannot be read")?;
    hand_over(&answer.records, take)?;
    Ok(Page {
        next_iterator: answer.next_shard_iterator,
        millis_behind_latest: answer.millis_behind_latest,
    })
}

/// Hands the data of each record of a SubscribeToShardEvent to `take`, decoded, in order.
pub fn event_records(payload: &[u8], take: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
    let event: Event<'_> = serde_json::from_slice(payload).context("an event cannot be read")?;
    hand_over(&event.records, take)
}

fn hand_over(records: &[Record<'_>], take: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
    let mut data = Vec::new();
    for record in records {
        data.clear();
        BASE64
            .decode_vec(record.data.as_bytes(), &mut data)
            .context("a record's data are no Base64")?;
        take(&data);
    }
    Ok(())
}

fn written(body: &impl Serialize) -> anyhow::Result<Bytes> {
    Ok(serde_json::to_vec(body)?.into())
}
