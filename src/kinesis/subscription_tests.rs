//! Subscriptions over a log in memory; time passes only when a test waits.

use std::time::Duration;

use model::{Compression, PartitionIndex, Timestamp, TopicPartition};
use tokio::time::{Instant, advance, timeout};

use crate::{
    ApiError, Kinesis, Log, Subscription, Turn,
    answers::{Record, SubscribeToShardEvent},
    fake::{FakeLog, stream_of},
    log::StreamKey,
    operation_tests::{FIRST, caller, done, put, record, with_stream},
    requests,
};

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const SECOND: Duration = Duration::from_secs(1);

/// A stream `s` with a consumer, and its ARN.
fn with_consumer(shards: u32) -> (Kinesis<FakeLog>, String) {
    let kinesis = with_stream(shards);
    let arn = register(&kinesis, "app");
    (kinesis, arn)
}

fn register(kinesis: &Kinesis<FakeLog>, name: &str) -> String {
    let request = requests::RegisterStreamConsumer {
        stream_arn: Some(STREAM.into()),
        consumer_name: Some(name.into()),
        tags: None,
    };
    let registered = done(kinesis.register_stream_consumer(&caller(), request)).unwrap();
    registered.consumer.consumer_arn
}

fn request(arn: &str, kind: &str) -> requests::SubscribeToShard {
    requests::SubscribeToShard {
        consumer_arn: Some(arn.into()),
        shard_id: Some(FIRST.into()),
        starting_position: Some(requests::StartingPosition {
            kind: Some(kind.into()),
            ..Default::default()
        }),
        dry_run: None,
    }
}

fn at(arn: &str, kind: &str, number: &str) -> requests::SubscribeToShard {
    let mut request = request(arn, kind);
    request.starting_position.as_mut().unwrap().sequence_number = Some(number.into());
    request
}

fn subscribe(
    kinesis: &Kinesis<FakeLog>,
    request: requests::SubscribeToShard,
) -> Result<Subscription<FakeLog>, ApiError> {
    done(kinesis.subscribe_to_shard(&caller(), request))
}

/// The next event; none when the subscription ends.
async fn next(
    subscription: &mut Subscription<FakeLog>,
) -> Result<Option<SubscribeToShardEvent>, ApiError> {
    loop {
        if subscription.turn().await? == Turn::End {
            return Ok(None);
        }
        if let Some(event) = subscription.event().await? {
            return Ok(Some(event));
        }
    }
}

async fn next_event(subscription: &mut Subscription<FakeLog>) -> SubscribeToShardEvent {
    next(subscription).await.unwrap().expect("an event, not the end")
}

fn texts(event: &SubscribeToShardEvent) -> Vec<String> {
    let text = |record: &Record| String::from_utf8(record.data.0.to_vec()).unwrap();
    event.records.iter().map(text).collect()
}

fn after(event: &SubscribeToShardEvent) -> &str {
    event.continuation_sequence_number.as_deref().expect("not at the shard's end")
}

fn split(kinesis: &Kinesis<FakeLog>) {
    let request = requests::SplitShard {
        stream_name: Some("s".into()),
        shard_to_split: Some(FIRST.into()),
        new_starting_hash_key: Some("1000".into()),
        ..Default::default()
    };
    done(kinesis.split_shard(&caller(), request)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_put_is_pushed_and_the_number_says_where_to_go_on() {
    let (kinesis, arn) = with_consumer(1);
    put(&kinesis, vec![record("k", "before")]);
    let mut subscription = subscribe(&kinesis, request(&arn, "LATEST")).unwrap();
    let first = next_event(&mut subscription).await;
    assert!(first.records.is_empty(), "where it stands is told at once");

    let began = Instant::now();
    let putting = async {
        tokio::task::yield_now().await;
        put(&kinesis, vec![record("k", "1"), record("k", "2")]);
    };
    let (event, ()) = tokio::join!(next_event(&mut subscription), putting);
    assert_eq!(texts(&event), ["1", "2"]);
    assert_eq!(began.elapsed(), Duration::ZERO, "it did not wait for a timer");
    assert_eq!((event.millis_behind_latest, event.child_shards.len()), (0, 0));
    assert_eq!(after(&event), event.records[1].sequence_number);

    // Whoever goes on after an event's number misses nothing and sees nothing twice.
    drop(subscription);
    for (event, rest) in [(&event, vec![]), (&first, vec!["1", "2"])] {
        advance(5 * SECOND).await;
        let on = at(&arn, "AFTER_SEQUENCE_NUMBER", after(event));
        let mut subscription = subscribe(&kinesis, on).unwrap();
        assert_eq!(texts(&next_event(&mut subscription).await), rest);
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_an_empty_shard_leads_to_its_first_record() {
    let (kinesis, arn) = with_consumer(1);
    let mut subscription = subscribe(&kinesis, request(&arn, "TRIM_HORIZON")).unwrap();
    let empty = next_event(&mut subscription).await;
    put(&kinesis, vec![record("k", "first")]);
    for kind in ["AFTER_SEQUENCE_NUMBER", "AT_SEQUENCE_NUMBER"] {
        advance(5 * SECOND).await;
        let mut subscription = subscribe(&kinesis, at(&arn, kind, after(&empty))).unwrap();
        assert_eq!(texts(&next_event(&mut subscription).await), ["first"]);
    }
}

#[tokio::test(start_paused = true)]
async fn each_starting_position_begins_where_it_says() {
    let (kinesis, arn) = with_consumer(1);
    put(&kinesis, vec![record("k", "1")]);
    kinesis.log.pass_time(1000);
    let middle = kinesis.log.now();
    put(&kinesis, vec![record("k", "2")]);
    kinesis.log.pass_time(1000);
    put(&kinesis, vec![record("k", "3")]);
    let mut all = subscribe(&kinesis, request(&arn, "TRIM_HORIZON")).unwrap();
    let all = next_event(&mut all).await;
    let number = &all.records[1].sequence_number;
    let mut timed = request(&arn, "AT_TIMESTAMP");
    timed.starting_position.as_mut().unwrap().timestamp = Some(crate::wire::Time(middle));
    for (request, expected) in [
        (request(&arn, "TRIM_HORIZON"), vec!["1", "2", "3"]),
        (request(&arn, "LATEST"), vec![]),
        (at(&arn, "AT_SEQUENCE_NUMBER", number), vec!["2", "3"]),
        (at(&arn, "AFTER_SEQUENCE_NUMBER", number), vec!["3"]),
        (timed, vec!["2", "3"]),
    ] {
        advance(5 * SECOND).await;
        let kind = request.starting_position.as_ref().unwrap().kind.clone();
        let mut subscription = subscribe(&kinesis, request).unwrap();
        assert_eq!(texts(&next_event(&mut subscription).await), expected, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_shard_has_an_empty_event_every_five_seconds_for_five_minutes() {
    let (kinesis, arn) = with_consumer(1);
    let mut subscription = subscribe(&kinesis, request(&arn, "LATEST")).unwrap();
    let began = Instant::now();
    let mut at_seconds = Vec::new();
    while let Some(event) = next(&mut subscription).await.unwrap() {
        assert!(event.records.is_empty());
        at_seconds.push(began.elapsed().as_secs());
    }
    assert_eq!(at_seconds, (0..60).map(|n| n * 5).collect::<Vec<_>>());
    assert_eq!(began.elapsed().as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_closes_ends_with_its_children() {
    let (kinesis, arn) = with_consumer(1);
    let mut subscription = subscribe(&kinesis, request(&arn, "TRIM_HORIZON")).unwrap();
    next_event(&mut subscription).await;
    let began = Instant::now();
    let splitting = async {
        tokio::task::yield_now().await;
        split(&kinesis);
        // The lower child goes on on the same partition.
        let low = requests::PutRecordsEntry {
            explicit_hash_key: Some("0".into()),
            ..record("k", "the child's")
        };
        put(&kinesis, vec![low]);
    };
    let (last, ()) = tokio::join!(next_event(&mut subscription), splitting);
    assert_eq!(began.elapsed(), Duration::ZERO, "it did not wait for a timer");
    assert!(last.records.is_empty() && last.continuation_sequence_number.is_none());
    let children: Vec<_> = last.child_shards.iter().map(|child| child.shard_id.as_str()).collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    assert_eq!(next(&mut subscription).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_is_read_to_its_end_and_no_further() {
    let (kinesis, arn) = with_consumer(1);
    put(&kinesis, vec![record("k", "1"), record("k", "2")]);
    split(&kinesis);
    let mut subscription = subscribe(&kinesis, request(&arn, "TRIM_HORIZON")).unwrap();
    let mut found = Vec::new();
    let mut children = 0;
    while let Some(event) = next(&mut subscription).await.unwrap() {
        found.extend(texts(&event));
        children += event.child_shards.len();
        assert_eq!(event.continuation_sequence_number.is_none(), children > 0);
    }
    assert_eq!((found, children), (vec!["1".to_owned(), "2".to_owned()], 2));
}

#[tokio::test(start_paused = true)]
async fn a_later_call_takes_over_and_the_earlier_one_is_told() {
    let (kinesis, arn) = with_consumer(1);
    let mut first = subscribe(&kinesis, request(&arn, "LATEST")).unwrap();
    next_event(&mut first).await;
    let message = "Another active subscription exists for this consumer: \
                   000000000000:s:shardId-000000000000:app";
    let refused = subscribe(&kinesis, request(&arn, "LATEST")).err().unwrap();
    assert_eq!(refused.to_string(), format!("ResourceInUseException: {message}"));
    advance(5 * SECOND).await;
    let mut second = subscribe(&kinesis, request(&arn, "LATEST")).unwrap();
    assert_eq!(next(&mut first).await.unwrap_err(), refused);
    assert_eq!(next(&mut first).await, Ok(None));
    drop(first);
    put(&kinesis, vec![record("k", "1")]);
    assert_eq!(texts(&next_event(&mut second).await), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_consumer_or_stream_ends_it() {
    let (kinesis, arn) = with_consumer(1);
    let mut subscription = subscribe(&kinesis, request(&arn, "LATEST")).unwrap();
    next_event(&mut subscription).await;
    let deregister = requests::OfConsumer { consumer_arn: Some(arn.clone()), ..Default::default() };
    let deregistering = async {
        tokio::task::yield_now().await;
        done(kinesis.deregister_stream_consumer(&caller(), deregister)).unwrap();
        // Another one of that name is not the one that was subscribed.
        kinesis.log.pass_time(2000);
        register(&kinesis, "app");
    };
    let (told, ()) = tokio::join!(next(&mut subscription), deregistering);
    assert_eq!(
        told.unwrap_err().to_string(),
        "ResourceNotFoundException: Consumer app, account 000000000000 not found."
    );

    let arn = register(&kinesis, "other");
    let mut subscription = subscribe(&kinesis, request(&arn, "LATEST")).unwrap();
    next_event(&mut subscription).await;
    let deleting = async {
        tokio::task::yield_now().await;
        let stream = kinesis.log.stream(StreamKey::Name("s".parse().unwrap())).await.unwrap();
        kinesis.log.delete(stream.unwrap().id).await.unwrap();
    };
    let (told, ()) = tokio::join!(next(&mut subscription), deleting);
    assert_eq!(
        told.unwrap_err().to_string(),
        "ResourceNotFoundException: Stream s under account 000000000000 not found."
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_is_bounded_and_says_how_far_behind_it_is() {
    let (kinesis, arn) = with_consumer(1);
    let large = "x".repeat(300_000);
    for _ in 0..4 {
        put(&kinesis, vec![record("k", &large)]);
    }
    kinesis.log.pass_time(7000);
    let mut subscription = subscribe(&kinesis, request(&arn, "TRIM_HORIZON")).unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let event = next_event(&mut subscription).await;
        seen.push((event.records.len(), event.millis_behind_latest));
    }
    assert_eq!(seen, [(1, 7000), (1, 7000), (1, 7000), (1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_pushed_when_it_is_committed() {
    let (kinesis, arn) = with_consumer(1);
    let mut subscription = subscribe(&kinesis, request(&arn, "LATEST")).unwrap();
    next_event(&mut subscription).await;
    let stream = kinesis.log.stream(StreamKey::Name("s".parse().unwrap())).await.unwrap().unwrap();
    let topic = TopicPartition { topic: stream.id, partition: PartitionIndex(0) };
    let mut control = batch::BatchBuilder::new(Compression::None).control();
    control.push(Timestamp(1), Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[]);
    kinesis.log.produce(broker::AppendRequest { topic, batch: control.build().unwrap() });
    // A marker alone is no event.
    assert!(timeout(4 * SECOND, next(&mut subscription)).await.is_err());
    put(&kinesis, vec![record("k", "1")]);
    assert_eq!(texts(&next_event(&mut subscription).await), ["1"]);
}

#[test]
fn what_cannot_be_subscribed_to_is_refused_in_these_words() {
    let (kinesis, arn) = with_consumer(1);
    kinesis.log.add(stream_of("other", 1));
    let nobody = arn.replace("consumer/app", "consumer/nobody");
    let no_stream = arn.replace("stream/s", "stream/x");
    let foreign = arn.replace("000000000000", "111111111111");
    let elsewhere = requests::SubscribeToShard {
        shard_id: Some("shardId-000000000007".into()),
        ..request(&arn, "LATEST")
    };
    let dry = requests::SubscribeToShard { dry_run: Some(true), ..request(&arn, "LATEST") };
    for (request, expected) in [
        (
            request(&nobody, "LATEST"),
            "ResourceNotFoundException: Consumer nobody, account 000000000000 not found.",
        ),
        (
            request(&no_stream, "LATEST"),
            "ResourceNotFoundException: Stream x under account 000000000000 not found.",
        ),
        (
            request(&foreign, "LATEST"),
            "ResourceNotFoundException: Stream s under account 111111111111 not found.",
        ),
        (
            elsewhere,
            "ResourceNotFoundException: Could not find shard shardId-000000000007 in stream s under account 000000000000.",
        ),
        (
            request(&arn, "AT_TIMESTAMP"),
            "InvalidArgumentException: Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current value is null.",
        ),
        (
            request(&arn, "AT_SEQUENCE_NUMBER"),
            "InvalidArgumentException: Must specify startingSequenceNumber parameter for iterator of type AT_SEQUENCE_NUMBER. Current value is null.",
        ),
        (
            at(&arn, "AT_SEQUENCE_NUMBER", "7"),
            "InvalidArgumentException: StartingSequenceNumber 7 used in SubscribeToShard on shard shardId-000000000000 in stream s under account 000000000000 is invalid.",
        ),
        (
            dry,
            "DryRunOperationException: The request would have succeeded, but the DryRun flag is set.",
        ),
    ] {
        let refused = subscribe(&kinesis, request).err().expect(expected);
        assert_eq!(refused.to_string(), expected);
    }
    // None of that was a subscription.
    assert!(subscribe(&kinesis, request(&arn, "LATEST")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_limited_stream_pushes_two_mib_a_second() {
    let (kinesis, arn) = with_consumer(1);
    let large = "x".repeat(500_000);
    for _ in 0..20 {
        put(&kinesis, vec![record("k", &large)]);
    }
    kinesis.log.change("s", |stream| stream.is_limited = true);
    let mut subscription = subscribe(&kinesis, request(&arn, "TRIM_HORIZON")).unwrap();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(next_event(&mut subscription).await.records.len(), 1);
    }
    // The last one has come, and is not paid for yet.
    let seconds = 19.0 * 500_001.0 / f64::from(2 << 20);
    assert!((began.elapsed().as_secs_f64() - seconds).abs() < 0.05, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_limited_stream_looks_at_one_call_a_second_of_those_that_fail() {
    let (kinesis, arn) = with_consumer(1);
    let call = || subscribe(&kinesis, request(&arn, "LATEST"));
    let code = |outcome: Result<Subscription<FakeLog>, ApiError>| match outcome {
        Ok(_) => "",
        Err(error) => error.kind.code(),
    };
    for (is_limited, expected) in
        [(false, "ResourceInUseException"), (true, "LimitExceededException")]
    {
        advance(5 * SECOND).await;
        kinesis.log.change("s", |stream| stream.is_limited = is_limited);
        let subscription = call().unwrap();
        // Within five seconds of one that succeeded …
        assert_eq!(code(call()), "ResourceInUseException");
        // … and within one of the one that failed. That one is not looked at, and so counts for
        // nothing.
        advance(SECOND / 2).await;
        assert_eq!(code(call()), expected);
        advance(SECOND / 2).await;
        assert_eq!(code(call()), "ResourceInUseException");
        drop(subscription);
    }
    let wrong = || subscribe(&kinesis, at(&arn, "AT_SEQUENCE_NUMBER", "7"));
    advance(5 * SECOND).await;
    assert_eq!(code(wrong()), "InvalidArgumentException");
    let message = format!("Rate exceeded for consumer {arn} and shard {FIRST}.");
    assert_eq!(call().err().unwrap().message, message);
    advance(SECOND).await;
    assert_eq!(code(call()), "");
}
