//! What each operation refuses, as a table: the operation, what is wrong, `__type` and message.
//! The messages are AWS's where they are publicly known. That every error of the model has a case is
//! for `model_errors_tests.rs`; here is what one operation says for different reasons.

use std::collections::BTreeMap;

use crate::{
    ApiError, Kinesis,
    fake::{FakeLog, stream_of},
    operation_tests::{caller, done},
    requests,
};

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const NO_CONSUMER: &str =
    "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/nobody:1795000000";
const UNDER: &str = "in stream s under account 000000000000";

/// A stream `s` of two shards, a closed one before them, and a stream `d` on demand.
fn kinesis() -> Kinesis<FakeLog> {
    let log = FakeLog::new();
    log.add(stream_of("s", 2));
    log.add(stream_of("d", 1));
    log.change("d", |stream| stream.on_demand = true);
    let kinesis = Kinesis::new(log, b"secret");
    let split = requests::SplitShard {
        stream_name: Some("s".into()),
        shard_to_split: Some("shardId-000000000000".into()),
        new_starting_hash_key: Some("1000".into()),
        ..Default::default()
    };
    done(kinesis.split_shard(&caller(), split)).unwrap();
    kinesis
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn retention(name: &str, hours: i64) -> requests::ChangeRetentionPeriod {
    requests::ChangeRetentionPeriod {
        stream_name: text(name),
        retention_period_hours: Some(hours),
        ..Default::default()
    }
}

fn split(name: &str, shard: &str, key: &str) -> requests::SplitShard {
    requests::SplitShard {
        stream_name: text(name),
        shard_to_split: text(&format!("shardId-{shard:0>12}")),
        new_starting_hash_key: text(key),
        ..Default::default()
    }
}

fn merge(into: u32, from: u32) -> requests::MergeShards {
    requests::MergeShards {
        stream_name: text("s"),
        shard_to_merge: text(&format!("shardId-{into:012}")),
        adjacent_shard_to_merge: text(&format!("shardId-{from:012}")),
        ..Default::default()
    }
}

fn count(name: &str, target: i64) -> requests::UpdateShardCount {
    requests::UpdateShardCount {
        stream_name: text(name),
        target_shard_count: Some(target),
        scaling_type: text("UNIFORM_SCALING"),
        ..Default::default()
    }
}

fn tags(pairs: impl IntoIterator<Item = String>) -> requests::AddTagsToStream {
    let tags: BTreeMap<_, _> = pairs.into_iter().map(|key| (key, String::new())).collect();
    requests::AddTagsToStream { stream_name: text("s"), tags: Some(tags), stream_arn: None }
}

/// A refusal, as the table writes it.
fn said<T>(outcome: Result<T, ApiError>) -> String {
    match outcome {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn settings_are_refused_in_these_words() {
    let (k, by) = (kinesis(), &caller());
    let increase =
        |name, hours| said(done(k.increase_stream_retention_period(by, retention(name, hours))));
    let decrease =
        |name, hours| said(done(k.decrease_stream_retention_period(by, retention(name, hours))));
    // The topic's default retention period is seven days.
    for (found, expected) in [
        (
            increase("s", 24),
            "InvalidArgumentException: Requested retention period (24 hours) for stream s can not be shorter than existing retention period (168 hours). Use DecreaseRetentionPeriod API.",
        ),
        (
            increase("s", 8761),
            "InvalidArgumentException: Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.",
        ),
        (
            decrease("s", 23),
            "InvalidArgumentException: Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
        ),
        (
            decrease("s", 169),
            "InvalidArgumentException: Requested retention period (169 hours) for stream s can not be longer than existing retention period (168 hours). Use IncreaseRetentionPeriod API.",
        ),
        (
            increase("x", 24),
            "ResourceNotFoundException: Stream x under account 000000000000 not found.",
        ),
        (increase("s", 168), "no error"),
        (increase("s", 8760), "no error"),
        (decrease("s", 24), "no error"),
    ] {
        assert_eq!(found, expected);
    }
    let auto = requests::UpdateStreamRecordDistributionStrategy {
        stream_arn: text(STREAM),
        record_distribution_strategy: text("AUTO"),
    };
    let warm = requests::UpdateStreamWarmThroughput {
        stream_name: text("d"),
        warm_throughput_mibps: Some(1),
        stream_arn: None,
    };
    let provisioned =
        requests::UpdateStreamWarmThroughput { stream_name: text("s"), ..warm.clone() };
    for (found, expected) in [
        (
            said(done(k.update_stream_record_distribution_strategy(by, auto))),
            "InvalidArgumentException: RecordDistributionStrategy AUTO is only supported for streams in ON_DEMAND mode.",
        ),
        (
            said(done(k.update_stream_warm_throughput(by, provisioned))),
            "InvalidArgumentException: Warm throughput is only supported for streams in ON_DEMAND mode.",
        ),
        (
            said(done(k.update_stream_warm_throughput(by, warm))),
            "InvalidArgumentException: Warm throughput is only supported for accounts with MinimumThroughputBillingCommitment enabled; see UpdateAccountSettings.",
        ),
    ] {
        assert_eq!(found, expected);
    }
}

#[test]
fn changes_of_shards_are_refused_in_these_words() {
    let (k, by) = (kinesis(), &caller());
    let last = "170141183460469231731687303715884105727";
    for (found, expected) in [
        (said(done(k.split_shard(by, split("s", "0", "500")))), format!("InvalidArgumentException: Shard shardId-000000000000 {UNDER} has already been merged or split, and thus is not eligible for merging or splitting.")),
        (said(done(k.split_shard(by, split("s", "3", "1001")))), format!("InvalidArgumentException: NewStartingHashKey 1001 used in SplitShard() on shard shardId-000000000003 {UNDER} is not both greater than one plus the shard's StartingHashKey 1000 and less than the shard's EndingHashKey {last}.")),
        (said(done(k.split_shard(by, split("s", "3", last)))), format!("InvalidArgumentException: NewStartingHashKey {last} used in SplitShard() on shard shardId-000000000003 {UNDER} is not both greater than one plus the shard's StartingHashKey 1000 and less than the shard's EndingHashKey {last}.")),
        (said(done(k.split_shard(by, split("s", "9", "5")))), format!("ResourceNotFoundException: Could not find shard shardId-000000000009 {UNDER}.")),
        (said(done(k.split_shard(by, split("x", "0", "5")))), "ResourceNotFoundException: Stream x under account 000000000000 not found.".into()),
        (said(done(k.split_shard(by, split("d", "0", "5")))), "ValidationException: Request is invalid. Stream d under account 000000000000 is in On-Demand mode.".into()),
        (said(done(k.merge_shards(by, merge(2, 1)))), format!("InvalidArgumentException: Shards shardId-000000000002 and shardId-000000000001 {UNDER} are not an adjacent pair of shards eligible for merging")),
        (said(done(k.merge_shards(by, merge(2, 2)))), format!("InvalidArgumentException: Shards shardId-000000000002 and shardId-000000000002 {UNDER} are not an adjacent pair of shards eligible for merging")),
        (said(done(k.merge_shards(by, merge(0, 1)))), format!("InvalidArgumentException: Shard shardId-000000000000 {UNDER} has already been merged or split, and thus is not eligible for merging or splitting.")),
        (said(done(k.update_shard_count(by, count("s", 7)))), "InvalidArgumentException: UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 3 Target shard count: 7".into()),
        (said(done(k.update_shard_count(by, count("s", 1)))), "InvalidArgumentException: UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: 3 Target shard count: 1".into()),
        (said(done(k.update_shard_count(by, count("s", 20_000)))), "LimitExceededException: UpdateShardCount cannot scale to 20000 shards: the limit is 10000.".into()),
        (said(done(k.update_shard_count(by, count("d", 2)))), "ValidationException: Request is invalid. Stream d under account 000000000000 is in On-Demand mode.".into()),
    ] {
        assert_eq!(found, expected);
    }
}

#[test]
fn tags_consumers_and_policies_are_refused_in_these_words() {
    let (k, by) = (kinesis(), &caller());
    let register = |name: &str| requests::RegisterStreamConsumer {
        stream_arn: text(STREAM),
        consumer_name: text(name),
        tags: None,
    };
    assert_eq!(said(done(k.register_stream_consumer(by, register("c")))), "no error");
    let policy = |arn: &str, policy: &str| requests::PutResourcePolicy {
        resource_arn: text(arn),
        policy: text(policy),
    };
    let of = |arn: &str| requests::OfResource { resource_arn: text(arn) };
    let consumer =
        |arn: Option<String>| requests::OfConsumer { consumer_arn: arn, ..Default::default() };
    let delete = requests::DeleteStream { stream_name: text("s"), ..Default::default() };
    for (found, expected) in [
        (said(done(k.add_tags_to_stream(by, tags((0..51).map(|n| format!("k{n}")))))), "InvalidArgumentException: Failed to add tags to stream s under account 000000000000 because a given stream cannot have more than 50 tags associated with it.".to_owned()),
        (said(done(k.add_tags_to_stream(by, tags(["a;b".to_owned()])))), "InvalidArgumentException: Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.".into()),
        (said(done(k.add_tags_to_stream(by, tags([String::new()])))), "ValidationException: 1 validation error detected: Value '[1 entries]' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]".into()),
        (said(done(k.register_stream_consumer(by, register("c")))), "ResourceInUseException: Consumer c under stream s already exists for account 000000000000.".into()),
        (said(done(k.describe_stream_consumer(by, consumer(text(NO_CONSUMER))))), "ResourceNotFoundException: Consumer nobody, account 000000000000 not found.".into()),
        (said(done(k.deregister_stream_consumer(by, consumer(None)))), "InvalidArgumentException: Either ConsumerARN or both StreamARN and ConsumerName must be provided.".into()),
        (said(done(k.delete_resource_policy(by, of(STREAM)))), format!("ResourceNotFoundException: No resource policy found for resource ARN {STREAM}.")),
        (said(done(k.put_resource_policy(by, policy(STREAM, "[]")))), "InvalidArgumentException: The resource policy is not a JSON object.".into()),
        (said(done(k.put_resource_policy(by, policy(NO_CONSUMER, "{}")))), "ResourceNotFoundException: Consumer nobody, account 000000000000 not found.".into()),
        (said(done(k.list_tags_for_resource(by, of("arn:aws:kinesis:us-east-1:000000000000:queue/q")))), "ResourceNotFoundException: Resource arn:aws:kinesis:us-east-1:000000000000:queue/q not found.".into()),
        (said(done(k.delete_stream(by, delete))), "ResourceInUseException: Stream s under account 000000000000 has 1 registered consumers. Deregister them, or set EnforceConsumerDeletion.".into()),
    ] {
        assert_eq!(found, expected);
    }
}
