//! The operations as a client meets them, over a log in memory.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use broker::{AppendRequest, BrokerError};
use bytes::Bytes;
use model::{
    Compression, HashKeyRange, Offset, PartitionIndex, ShardId, Timestamp, TopicPartition,
};

use crate::{
    ApiError, Caller, ErrorKind, Kinesis, Log, answers,
    fake::{CREATED, FakeLog, stream_of},
    requests,
    wire::{Blob, Time},
};

/// The fake log never waits, so neither does an operation over it.
pub fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the fake log never waits"),
    }
}

pub fn caller() -> Caller {
    Caller { region: "us-east-1".into(), account: "000000000000".into() }
}

pub fn with_stream(shards: u32) -> Kinesis<FakeLog> {
    let log = FakeLog::new();
    log.add(stream_of("s", shards));
    Kinesis::new(log, b"secret")
}

pub fn record(key: &str, data: &str) -> requests::PutRecordsEntry {
    requests::PutRecordsEntry {
        data: Some(Blob(Bytes::copy_from_slice(data.as_bytes()))),
        partition_key: Some(key.into()),
        explicit_hash_key: None,
    }
}

pub fn put(
    kinesis: &Kinesis<FakeLog>,
    records: Vec<requests::PutRecordsEntry>,
) -> answers::PutRecords {
    let request = requests::PutRecords {
        stream_name: Some("s".into()),
        records: Some(records),
        dry_run: None,
        stream_arn: None,
    };
    done(kinesis.put_records(&caller(), request)).unwrap()
}

pub fn iterator(
    kinesis: &Kinesis<FakeLog>,
    shard: &str,
    kind: &str,
    change: impl FnOnce(&mut requests::GetShardIterator),
) -> Result<String, ApiError> {
    let mut request = requests::GetShardIterator {
        stream_name: Some("s".into()),
        shard_id: Some(shard.into()),
        shard_iterator_type: Some(kind.into()),
        ..Default::default()
    };
    change(&mut request);
    done(kinesis.get_shard_iterator(&caller(), request)).map(|answer| answer.shard_iterator)
}

pub fn read(kinesis: &Kinesis<FakeLog>, iterator: &str, limit: i64) -> answers::GetRecords {
    let request = requests::GetRecords {
        shard_iterator: Some(iterator.into()),
        limit: Some(limit),
        ..Default::default()
    };
    done(kinesis.get_records(&caller(), request)).unwrap()
}

pub fn texts(answer: &answers::GetRecords) -> Vec<String> {
    let text = |record: &answers::Record| String::from_utf8(record.data.0.to_vec()).unwrap();
    answer.records.iter().map(text).collect()
}

pub fn number(result: &answers::PutRecordsResult) -> (String, String) {
    match result {
        answers::PutRecordsResult::Taken { sequence_number, shard_id } => {
            (sequence_number.clone(), shard_id.clone())
        }
        failed => panic!("{failed:?}"),
    }
}

pub const FIRST: &str = "shardId-000000000000";

#[test]
fn records_are_read_as_they_were_put_in_order_with_key_and_sequence_number() {
    let kinesis = with_stream(1);
    let answer = put(&kinesis, vec![record("a", "1"), record("b", "2"), record("a", "3")]);
    assert_eq!(answer.failed_record_count, 0);
    assert_eq!(kinesis.log.batch_count("s", 0), 1, "one batch per shard");
    let from_start = iterator(&kinesis, FIRST, "TRIM_HORIZON", |_| {}).unwrap();
    let read = read(&kinesis, &from_start, 100);
    assert_eq!(texts(&read), ["1", "2", "3"]);
    assert_eq!(read.millis_behind_latest, 0);
    for (record, put) in read.records.iter().zip(&answer.records) {
        assert_eq!(record.sequence_number, number(put).0);
    }
    let keys: Vec<_> = read.records.iter().map(|r| r.partition_key.as_str()).collect();
    assert_eq!(keys, ["a", "b", "a"]);
}

#[test]
fn the_partition_key_chooses_the_shard_by_md5_and_the_hash_key_overrules_it() {
    let kinesis = with_stream(2);
    // MD5("a") begins with 0c, MD5("b") with 92.
    let low = record("a", "");
    let high = record("b", "");
    let forced = requests::PutRecordsEntry {
        explicit_hash_key: Some("340282366920938463463374607431768211455".into()),
        ..low.clone()
    };
    let answer = put(&kinesis, vec![low, high, forced]);
    let shards: Vec<_> = answer.records.iter().map(|r| number(r).1).collect();
    assert_eq!(shards, [FIRST, "shardId-000000000001", "shardId-000000000001"]);

    let over = requests::PutRecord {
        stream_name: Some("s".into()),
        data: Some(Blob::default()),
        partition_key: Some("k".into()),
        explicit_hash_key: Some("340282366920938463463374607431768211456".into()),
        ..Default::default()
    };
    let error = done(kinesis.put_record(&caller(), over)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    assert!(error.message.starts_with("Invalid ExplicitHashKey."), "{error}");
}

#[test]
fn every_iterator_type_begins_where_it_says() {
    let kinesis = with_stream(1);
    let mut numbers = Vec::new();
    for text in ["0", "1", "2", "3"] {
        numbers.push(number(&put(&kinesis, vec![record("k", text)]).records[0]).0);
        kinesis.log.pass_time(1000);
    }
    let from = |kind: &str, change: &dyn Fn(&mut requests::GetShardIterator)| {
        texts(&read(&kinesis, &iterator(&kinesis, FIRST, kind, |r| change(r)).unwrap(), 100))
    };
    assert_eq!(from("TRIM_HORIZON", &|_| {}), ["0", "1", "2", "3"]);
    assert_eq!(from("LATEST", &|_| {}), [""; 0]);
    let at = |r: &mut requests::GetShardIterator| {
        r.starting_sequence_number = Some(numbers[2].clone());
    };
    assert_eq!(from("AT_SEQUENCE_NUMBER", &at), ["2", "3"]);
    assert_eq!(from("AFTER_SEQUENCE_NUMBER", &at), ["3"]);
    let when = |ms: i64| {
        move |r: &mut requests::GetShardIterator| {
            r.timestamp = Some(Time(Timestamp(CREATED.0 + 60_000 + ms)));
        }
    };
    assert_eq!(from("AT_TIMESTAMP", &when(0)), ["0", "1", "2", "3"]);
    assert_eq!(from("AT_TIMESTAMP", &when(1001)), ["2", "3"]);
    assert_eq!(from("AT_TIMESTAMP", &when(3500)), [""; 0]);
    let future = iterator(&kinesis, FIRST, "AT_TIMESTAMP", when(60_000)).unwrap_err();
    assert!(future.message.starts_with("The timestampInMillis parameter cannot be greater"));
}

#[test]
fn the_latest_is_settled_when_the_iterator_is_made() {
    let kinesis = with_stream(1);
    put(&kinesis, vec![record("k", "before")]);
    let latest = iterator(&kinesis, FIRST, "LATEST", |_| {}).unwrap();
    put(&kinesis, vec![record("k", "after")]);
    assert_eq!(texts(&read(&kinesis, &latest, 100)), ["after"]);
}

#[test]
fn reading_on_gives_each_record_once_and_tells_how_far_behind_it_is() {
    let kinesis = with_stream(1);
    for n in 0..5 {
        put(&kinesis, vec![record("k", &format!("{n}a")), record("k", &format!("{n}b"))]);
    }
    kinesis.log.pass_time(7000);
    let mut next = iterator(&kinesis, FIRST, "TRIM_HORIZON", |_| {}).unwrap();
    let mut all = Vec::new();
    for _ in 0..4 {
        let answer = read(&kinesis, &next, 3);
        all.extend(texts(&answer));
        let behind_ms = if all.len() < 10 { 7000 } else { 0 };
        assert_eq!(answer.millis_behind_latest, behind_ms);
        next = answer.next_shard_iterator.unwrap();
    }
    assert_eq!(all, ["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b", "4a", "4b"]);
    assert!(read(&kinesis, &next, 3).records.is_empty());
}

/// A stream of one shard that took two records, then split: shard 1 goes on on its partition,
/// shard 2 on a new one.
fn split() -> Kinesis<FakeLog> {
    let kinesis = with_stream(1);
    put(&kinesis, vec![record("k", "old0"), record("k", "old1")]);
    kinesis.log.change("s", |stream| {
        let (lower, upper) = HashKeyRange::ALL.halves().unwrap();
        let mut parent = stream.shards[0].clone();
        let child = |id: u32, partition: u32, start: i64, range| {
            let mut child = stream_of("s", 1).shards.remove(0);
            (child.id, child.partition) = (ShardId(id), PartitionIndex(partition));
            (child.start_offset, child.range) = (Offset(start), range);
            (child.parents, child.created) = (vec![ShardId(0)], Timestamp(CREATED.0 + 5));
            child
        };
        parent.end_offset = Some(Offset(2));
        stream.shards = vec![parent, child(1, 0, 2, lower), child(2, 1, 0, upper)];
    });
    kinesis
}

#[test]
fn a_closed_shard_ends_with_its_children_and_its_records_stay_apart_from_theirs() {
    let kinesis = split();
    put(&kinesis, vec![record("a", "low"), record("b", "high")]);
    kinesis.log.pass_time(5000);
    let start = iterator(&kinesis, FIRST, "TRIM_HORIZON", |_| {}).unwrap();
    let answer = read(&kinesis, &start, 100);
    assert_eq!(texts(&answer), ["old0", "old1"]);
    assert_eq!(answer.next_shard_iterator, None);
    assert_eq!(answer.millis_behind_latest, 0);
    let children: Vec<_> = answer.child_shards.iter().map(|c| c.shard_id.as_str()).collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    assert_eq!(answer.child_shards[0].parent_shards, [FIRST]);
    for (shard, expect) in [("shardId-000000000001", "low"), ("shardId-000000000002", "high")] {
        let start = iterator(&kinesis, shard, "TRIM_HORIZON", |_| {}).unwrap();
        assert_eq!(texts(&read(&kinesis, &start, 100)), [expect]);
    }
    let latest = iterator(&kinesis, FIRST, "LATEST", |_| {}).unwrap();
    assert_eq!(read(&kinesis, &latest, 100).next_shard_iterator, None);
}

#[test]
fn a_limit_before_the_end_of_a_closed_shard_leaves_an_iterator() {
    let kinesis = split();
    let start = iterator(&kinesis, FIRST, "TRIM_HORIZON", |_| {}).unwrap();
    let first = read(&kinesis, &start, 1);
    assert_eq!((texts(&first), first.child_shards.len()), (vec!["old0".to_owned()], 0));
    let second = read(&kinesis, &first.next_shard_iterator.unwrap(), 1);
    assert_eq!(texts(&second), ["old1"]);
    assert_eq!((second.next_shard_iterator, second.child_shards.len()), (None, 2));
}

#[test]
fn a_sequence_number_of_another_shard_or_stream_is_refused() {
    let kinesis = split();
    let low = number(&put(&kinesis, vec![record("a", "low")]).records[0]).0;
    let with = |text: &str| {
        let text = text.to_owned();
        iterator(&kinesis, FIRST, "AT_SEQUENCE_NUMBER", |r| r.starting_sequence_number = Some(text))
    };
    let error = with(&low).unwrap_err();
    assert!(error.message.starts_with("Invalid StartingSequenceNumber. It encodes"), "{error}");
    let error = with("49590338271490256608559692538361571095921575989136588898").unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    let missing = iterator(&kinesis, FIRST, "AT_SEQUENCE_NUMBER", |_| {}).unwrap_err();
    assert!(missing.message.contains("Current value is null"), "{missing}");
}

#[test]
fn an_iterator_that_retention_passed_goes_on_with_the_oldest_record() {
    let kinesis = with_stream(1);
    for text in ["0", "1", "2"] {
        put(&kinesis, vec![record("k", text)]);
    }
    kinesis.log.drop_records_before("s", 0, 2);
    let start = iterator(&kinesis, FIRST, "TRIM_HORIZON", |_| {}).unwrap();
    assert_eq!(texts(&read(&kinesis, &start, 100)), ["2"]);
}

#[test]
fn compressed_kafka_batches_and_control_batches_are_read() {
    let kinesis = with_stream(1);
    let id = stream_of("s", 1).id;
    let append = |builder: batch::BatchBuilder| {
        let topic = TopicPartition { topic: id, partition: PartitionIndex(0) };
        let request = AppendRequest { topic, batch: builder.build().unwrap() };
        kinesis.log.produce(request);
    };
    let mut control = batch::BatchBuilder::new(Compression::None).control();
    control.push(Timestamp(1), Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[]);
    append(control);
    let mut zstd = batch::BatchBuilder::new(Compression::Zstd);
    zstd.push(Timestamp(CREATED.0), Some(b"\xff\x00"), Some(b"from kafka"), &[]);
    zstd.push(Timestamp(CREATED.0 + 1), Some(b"key"), None, &[]);
    append(zstd);
    let start = iterator(&kinesis, FIRST, "TRIM_HORIZON", |_| {}).unwrap();
    let answer = read(&kinesis, &start, 100);
    assert_eq!(texts(&answer), ["from kafka", ""]);
    assert_eq!(answer.records[0].partition_key, "kafka:base64:_wA");
    assert_eq!(answer.records[1].approximate_arrival_timestamp, Time(Timestamp(CREATED.0 + 1)));
}

#[test]
fn what_cannot_be_written_fails_record_by_record_and_may_be_sent_again() {
    let kinesis = with_stream(1);
    kinesis.log.fail_appends(BrokerError::StorageFull("the disk is full".into()));
    let answer = put(&kinesis, vec![record("a", "1"), record("b", "2")]);
    assert_eq!(answer.failed_record_count, 2);
    let failed = answers::PutRecordsResult::Failed {
        error_code: "InternalFailure",
        error_message: "the disk is full".into(),
    };
    assert_eq!(answer.records, vec![failed.clone(), failed]);
    let request = requests::PutRecord {
        stream_name: Some("s".into()),
        data: Some(Blob::default()),
        partition_key: Some("k".into()),
        ..Default::default()
    };
    let error = done(kinesis.put_record(&caller(), request)).unwrap_err();
    assert_eq!((error.kind, error.kind.status()), (ErrorKind::InternalFailure, 500));
}

#[test]
fn records_and_requests_over_their_limits_are_refused_whole() {
    let kinesis = with_stream(1);
    let request = |records: Vec<usize>| requests::PutRecords {
        stream_name: Some("s".into()),
        records: Some(records.into_iter().map(|size| record("k", &"x".repeat(size))).collect()),
        ..Default::default()
    };
    let refused = |sizes| done(kinesis.put_records(&caller(), request(sizes))).unwrap_err();
    assert_eq!(refused(vec![1, 1 << 20]).kind, ErrorKind::Validation);
    assert!(refused(vec![1, 1 << 20]).message.contains("records.2.member.data"));
    assert_eq!(refused(vec![1_000_000; 11]).kind, ErrorKind::InvalidArgument);
    assert_eq!(kinesis.log.batch_count("s", 0), 0);
}

#[test]
fn a_dry_run_writes_nothing() {
    let kinesis = with_stream(1);
    let request = requests::PutRecord {
        stream_name: Some("s".into()),
        data: Some(Blob::default()),
        partition_key: Some("k".into()),
        dry_run: Some(true),
        ..Default::default()
    };
    let error = done(kinesis.put_record(&caller(), request)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::DryRunOperation);
    assert_eq!(kinesis.log.batch_count("s", 0), 0);
}

fn create(name: &str, shards: Option<i64>, mode: Option<&str>) -> requests::CreateStream {
    requests::CreateStream {
        stream_name: Some(name.into()),
        shard_count: shards,
        stream_mode_details: mode
            .map(|mode| requests::StreamModeDetails { stream_mode: Some(mode.into()) }),
        ..Default::default()
    }
}

#[test]
fn streams_are_made_described_listed_and_deleted() {
    let kinesis = Kinesis::new(FakeLog::new(), b"secret");
    let caller = caller();
    done(kinesis.create_stream(&caller, create("one", Some(3), None))).unwrap();
    done(kinesis.create_stream(&caller, create("two", None, Some("ON_DEMAND")))).unwrap();
    let again = done(kinesis.create_stream(&caller, create("one", Some(1), None))).unwrap_err();
    assert_eq!(again.kind, ErrorKind::ResourceInUse);
    assert_eq!(again.message, "Stream one under account 000000000000 already exists.");
    let none = done(kinesis.create_stream(&caller, create("x", None, None))).unwrap_err();
    assert!(none.message.contains("Value null at 'shardCount'"));

    let describe = |name: &str| {
        let stream_name = Some(name.to_owned());
        let request = requests::DescribeStreamSummary { stream_name, stream_arn: None };
        let answer = done(kinesis.describe_stream_summary(&caller, request));
        answer.map(|answer| answer.stream_description_summary)
    };
    let one = describe("one").unwrap();
    assert_eq!((one.open_shard_count, one.retention_period_hours), (3, 24));
    assert_eq!((one.stream_status, one.max_record_size_kib), ("ACTIVE", 1024));
    let two = describe("two").unwrap();
    assert_eq!((two.open_shard_count, two.stream_mode_details.stream_mode), (4, "ON_DEMAND"));
    let missing = describe("three").unwrap_err();
    assert_eq!(missing.message, "Stream three under account 000000000000 not found.");

    let delete = requests::DeleteStream {
        stream_arn: Some("arn:aws:kinesis:us-east-1:000000000000:stream/one".into()),
        ..Default::default()
    };
    done(kinesis.delete_stream(&caller, delete.clone())).unwrap();
    let gone = done(kinesis.delete_stream(&caller, delete)).unwrap_err();
    assert_eq!(gone.kind, ErrorKind::ResourceNotFound);
}

#[test]
fn lists_go_page_by_page_and_leave_out_topics_whose_names_are_too_long() {
    let kinesis = Kinesis::new(FakeLog::new(), b"secret");
    for name in ["a", "b", "c", "d", &"e".repeat(129)] {
        kinesis.log.add(stream_of(name, 1));
    }
    let list = |next_token, exclusive_start_stream_name| {
        let limit = Some(2);
        let request = requests::ListStreams { limit, next_token, exclusive_start_stream_name };
        done(kinesis.list_streams(&caller(), request))
    };
    let first = list(None, None).unwrap();
    assert_eq!((first.stream_names, first.has_more_streams), (vec!["a".into(), "b".into()], true));
    let second = list(first.next_token.clone(), None).unwrap();
    assert_eq!((second.stream_names, second.next_token), (vec!["c".into(), "d".into()], None));
    assert_eq!(list(None, Some("b".into())).unwrap().stream_names, ["c", "d"]);
    kinesis.log.pass_time(300_001);
    let old = list(first.next_token, None).unwrap_err();
    assert_eq!(old.kind, ErrorKind::ExpiredNextToken);
}

#[test]
fn shards_are_listed_page_by_page_under_one_filter() {
    let kinesis = split();
    let first = requests::ListShards {
        stream_name: Some("s".into()),
        max_results: Some(1),
        shard_filter: Some(requests::ShardFilter {
            kind: Some("AT_LATEST".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let first = done(kinesis.list_shards(&caller(), first)).unwrap();
    assert_eq!(first.shards[0].shard_id, "shardId-000000000001");
    assert_eq!(first.shards[0].parent_shard_id.as_deref(), Some(FIRST));
    assert_eq!(first.shards[0].sequence_number_range.ending_sequence_number, None);
    let next_token = first.next_token;
    let second = requests::ListShards { next_token: next_token.clone(), ..Default::default() };
    let second = done(kinesis.list_shards(&caller(), second)).unwrap();
    assert_eq!(second.shards.len(), 1);
    assert_eq!(second.shards[0].shard_id, "shardId-000000000002");
    assert_eq!(second.next_token, None);
    let both =
        requests::ListShards { next_token, stream_name: Some("s".into()), ..Default::default() };
    let both = done(kinesis.list_shards(&caller(), both)).unwrap_err();
    assert_eq!(both.message, "NextToken and StreamName cannot be provided together.");
}

#[test]
fn a_stream_that_is_gone_is_not_read_under_an_old_iterator() {
    let kinesis = with_stream(1);
    let old = iterator(&kinesis, FIRST, "TRIM_HORIZON", |_| {}).unwrap();
    done(kinesis.log.delete(stream_of("s", 1).id)).unwrap();
    let request = requests::GetRecords { shard_iterator: Some(old), ..Default::default() };
    let error = done(kinesis.get_records(&caller(), request)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ResourceNotFound);
}

/// A stream of two shards that is held to AWS's limits.
fn limited() -> Kinesis<FakeLog> {
    let kinesis = with_stream(2);
    kinesis.log.change("s", |stream| stream.is_limited = true);
    kinesis
}

#[tokio::test(start_paused = true)]
async fn a_limited_shard_refuses_records_over_its_rate_one_by_one() {
    let kinesis = limited();
    // MD5("a") is in the first shard, MD5("b") in the second.
    let large = "x".repeat(600_000);
    let answer = put(&kinesis, ["a", "a", "b", "a"].map(|key| record(key, &large)).to_vec());
    assert_eq!(answer.failed_record_count, 2);
    let refused = answers::PutRecordsResult::Failed {
        error_code: "ProvisionedThroughputExceededException",
        error_message: format!(
            "Rate exceeded for shard {FIRST} in stream s under account 000000000000."
        ),
    };
    assert_eq!([&answer.records[1], &answer.records[3]], [&refused, &refused]);
    number(&answer.records[0]);
    number(&answer.records[2]);
    let one = |key: &str| requests::PutRecord {
        stream_name: Some("s".into()),
        data: Some(Blob(large.clone().into())),
        partition_key: Some(key.into()),
        ..Default::default()
    };
    let error = done(kinesis.put_record(&caller(), one("a"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ProvisionedThroughputExceeded);
    tokio::time::advance(std::time::Duration::from_millis(200)).await;
    done(kinesis.put_record(&caller(), one("a"))).unwrap();
    assert_eq!(kinesis.log.batch_count("s", 0), 2, "what was refused is not there");
}

#[tokio::test(start_paused = true)]
async fn a_limited_shard_answers_five_reads_a_second() {
    let kinesis = limited();
    let start = iterator(&kinesis, FIRST, "LATEST", |_| {}).unwrap();
    let get = || {
        let request =
            requests::GetRecords { shard_iterator: Some(start.clone()), ..Default::default() };
        done(kinesis.get_records(&caller(), request))
    };
    for _ in 0..5 {
        get().unwrap();
    }
    assert_eq!(
        get().unwrap_err().to_string(),
        format!(
            "ProvisionedThroughputExceededException: Rate exceeded for shard {FIRST} in stream s \
             under account 000000000000."
        )
    );
    tokio::time::advance(std::time::Duration::from_millis(200)).await;
    get().unwrap();
}
