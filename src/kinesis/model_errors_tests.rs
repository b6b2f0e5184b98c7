//! Every operation with every error that AWS's model names for it (`model_errors.txt`, which
//! `compat-tests/test_kinesis_model.py` holds against botocore): a request that is refused so, with
//! the message, or why that cannot happen here.

use std::collections::BTreeSet;

use broker::BrokerError;
use model::{Offset, ShardId, Timestamp, TopicId};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{
    Kinesis, Log,
    fake::{CREATED, FakeLog, stream_of},
    log::StreamKey,
    operation_tests::{caller, done},
    subscription::Subscription,
    token::{ShardPosition, TokenKind},
};

const MODEL: &str = include_str!("model_errors.txt");

/// What cannot happen: the error, the operations (all, if none is named), and why.
const NEVER: &[(&str, &[&str], &str)] = &[
    ("AccessDenied", &[], "policies are kept, not enforced"),
    ("KMSAccessDenied", &[], "nothing is encrypted"),
    ("KMSDisabled", &[], "nothing is encrypted"),
    ("KMSInvalidState", &[], "nothing is encrypted"),
    ("KMSNotFound", &[], "nothing is encrypted"),
    ("KMSOptInRequired", &[], "nothing is encrypted"),
    ("KMSThrottling", &[], "nothing is encrypted"),
    ("LimitExceeded", CALLS_ARE_NOT_COUNTED, "calls of the control plane are not counted"),
    ("ResourceInUse", DONE_AT_ONCE, "streams are active whenever they are there"),
    (
        "InvalidArgument",
        &["DeleteResourcePolicy", "GetResourcePolicy", "ListTagsForResource", "UntagResource"],
        "an ARN that is none breaks a constraint, and any other one names a resource or none",
    ),
    ("InvalidArgument", &["UpdateAccountSettings"], "its one member has two values, both good"),
    ("ProvisionedThroughputExceeded", &["GetShardIterator"], "its calls are not counted"),
    ("ProvisionedThroughputExceeded", &["PutRecords"], "it is said of each record"),
];

/// Their limit in AWS is one of calls a second, or of streams that are being made.
const CALLS_ARE_NOT_COUNTED: &[&str] = &[
    "AddTagsToStream",
    "DecreaseStreamRetentionPeriod",
    "DeleteResourcePolicy",
    "DeleteStream",
    "DeregisterStreamConsumer",
    "DescribeAccountSettings",
    "DescribeLimits",
    "DescribeStream",
    "DescribeStreamConsumer",
    "DescribeStreamSummary",
    "DisableEnhancedMonitoring",
    "EnableEnhancedMonitoring",
    "GetResourcePolicy",
    "IncreaseStreamRetentionPeriod",
    "ListShards",
    "ListStreamConsumers",
    "ListStreams",
    "ListTagsForResource",
    "ListTagsForStream",
    "MergeShards",
    "RemoveTagsFromStream",
    "TagResource",
    "UntagResource",
    "UpdateAccountSettings",
    "UpdateMaxRecordSize",
    "UpdateStreamRecordDistributionStrategy",
];

/// They refuse a stream that AWS is still changing.
const DONE_AT_ONCE: &[&str] = &[
    "AddTagsToStream",
    "DecreaseStreamRetentionPeriod",
    "DeleteResourcePolicy",
    "DisableEnhancedMonitoring",
    "EnableEnhancedMonitoring",
    "GetResourcePolicy",
    "IncreaseStreamRetentionPeriod",
    "ListShards",
    "ListStreamConsumers",
    "ListTagsForResource",
    "PutResourcePolicy",
    "RemoveTagsFromStream",
    "SplitShard",
    "TagResource",
    "UntagResource",
    "UpdateMaxRecordSize",
    "UpdateStreamMode",
    "UpdateStreamRecordDistributionStrategy",
    "UpdateStreamWarmThroughput",
];

/// A row of `model_errors_table.txt`.
struct Case {
    operation: &'static str,
    request: &'static str,
    refusal: &'static str,
}

/// The table: `Operation {request}` and, on the line below, `ErrorException: message`.
fn table() -> impl Iterator<Item = Case> {
    let lines: Vec<&str> = include_str!("model_errors_table.txt").lines().collect();
    let rows: Vec<Case> = lines
        .chunks(2)
        .map(|lines| {
            let (operation, request) = lines[0].split_once(' ').unwrap();
            Case { operation, request, refusal: lines[1].trim() }
        })
        .collect();
    rows.into_iter()
}

/// A broker in which something can go wrong in every way:
/// - `s` has a closed shard, `shardId-000000000000`, and three open ones; its consumer `c` is
///   subscribed to `shardId-000000000001`;
/// - `d` is on demand and has all the consumers that it may have;
/// - `l` is held to AWS's limits, and there is nothing left of its first shard's throughput;
/// - there are as many shards as there may be, and Kafka's producers write to all partitions.
///
/// Time stands still.
struct World {
    kinesis: Kinesis<FakeLog>,
    consumer: String,
    limited_consumer: String,
    _subscription: Subscription<FakeLog>,
}

impl World {
    fn new() -> World {
        let log = FakeLog::new();
        for (name, shards) in [("s", 2), ("d", 1), ("l", 3), ("many", 993)] {
            log.add(stream_of(name, shards));
        }
        log.change("d", |stream| stream.on_demand = true);
        log.change("l", |stream| stream.is_limited = true);
        done(log.commit_throughput(true)).unwrap();
        let kinesis = Kinesis::new(log, b"secret");
        let by = &caller();
        // The account's last shard but one becomes two.
        let split = json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "1000"});
        done(kinesis.split_shard(by, from(&split))).unwrap();
        kinesis.log.refuse_reshards(BrokerError::InUse("Kafka producers write to it.".into()));
        let register = |stream: &str, name: &str| {
            let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{stream}");
            let request = json!({"StreamARN": arn, "ConsumerName": name});
            let registered = done(kinesis.register_stream_consumer(by, from(&request))).unwrap();
            registered.consumer.consumer_arn
        };
        (0..20).for_each(|n| drop(register("d", &format!("c{n}"))));
        let (consumer, limited_consumer) = (register("s", "c"), register("l", "c"));
        let subscribe = |arn: &str, shard: &str, kind: &str| {
            let request =
                json!({"ConsumerARN": arn, "ShardId": shard, "StartingPosition": {"Type": kind}});
            done(kinesis.subscribe_to_shard(by, from(&request)))
        };
        let subscription = subscribe(&consumer, "shardId-000000000001", "LATEST").unwrap();
        let failed = subscribe(&limited_consumer, "shardId-000000000000", "AT_SEQUENCE_NUMBER");
        assert!(failed.is_err());
        let world = World { _subscription: subscription, kinesis, consumer, limited_consumer };
        world.use_up();
        world
    }

    /// Takes what the first shard of `l` gives and takes in a second.
    fn use_up(&self) {
        let (kinesis, by) = (&self.kinesis, &caller());
        let record = json!({"Data": "", "PartitionKey": "k", "ExplicitHashKey": "0"});
        for _ in 0..5 {
            let get = json!({"ShardIterator": self.iterator("l", CREATED)});
            done(kinesis.get_records(by, from(&get))).unwrap();
        }
        for _ in 0..2 {
            let put = json!({"StreamName": "l", "Records": vec![record.clone(); 500]});
            assert_eq!(done(kinesis.put_records(by, from(&put))).unwrap().failed_record_count, 0);
        }
    }

    /// An iterator at the beginning of a stream's first shard; of no stream, if there is none.
    fn iterator(&self, stream: &str, issued: Timestamp) -> String {
        let key = StreamKey::Name(stream.parse().unwrap());
        let topic =
            done(self.kinesis.log.stream(key)).unwrap().map_or(TopicId(7), |found| found.id);
        let position = ShardPosition { topic, shard: ShardId(0), offset: Offset(0) };
        position.seal(&self.kinesis.tokens, issued)
    }

    /// What only this world can say: the words that stand for it in the table's requests.
    fn words(&self) -> Vec<(&'static str, String)> {
        let long_ago = Timestamp(CREATED.0 - 3_600_000);
        let page = |kind| self.kinesis.tokens.seal(kind, long_ago, b"s");
        vec![
            ("<EXPIRED_ITERATOR>", self.iterator("s", long_ago)),
            ("<GONE_ITERATOR>", self.iterator("x", CREATED)),
            ("<LIMITED_ITERATOR>", self.iterator("l", CREATED)),
            ("<ITERATOR>", self.iterator("s", CREATED)),
            ("<STREAMS_PAGE>", page(TokenKind::StreamsPage)),
            ("<SHARDS_PAGE>", page(TokenKind::ShardsPage)),
            ("<CONSUMERS_PAGE>", page(TokenKind::ConsumersPage)),
            ("<LIMITED_CONSUMER>", self.limited_consumer.clone()),
            ("<CONSUMER>", self.consumer.clone()),
            ("<ARN>", "arn:aws:kinesis:us-east-1:000000000000:stream".to_owned()),
            ("<TOO_LONG>", "x".repeat((20 << 10) + 1)),
        ]
    }

    /// What an operation answers, as the table writes it.
    fn ask(&self, words: &[(&str, String)], operation: &str, request: &str) -> String {
        let fill_in =
            |request: String, (word, meaning): &(&str, String)| request.replace(word, meaning);
        let request = words.iter().fold(request.to_owned(), fill_in);
        let request = serde_json::from_str(&request).unwrap();
        let (kinesis, by) = (&self.kinesis, &caller());
        /// `Operation: method, …`, as a `match`.
        macro_rules! operations {
            ($($name:ident: $method:ident,)*) => {
                match operation {
                    $(stringify!($name) => {
                        done(kinesis.$method(by, from(&request))).err().map(|e| e.to_string())
                    })*
                    other => panic!("{other} is not served"),
                }
            };
        }
        let refusal = operations! {
            AddTagsToStream: add_tags_to_stream,
            CreateStream: create_stream,
            DecreaseStreamRetentionPeriod: decrease_stream_retention_period,
            DeleteResourcePolicy: delete_resource_policy,
            DeleteStream: delete_stream,
            DeregisterStreamConsumer: deregister_stream_consumer,
            DescribeStream: describe_stream,
            DescribeStreamConsumer: describe_stream_consumer,
            DescribeStreamSummary: describe_stream_summary,
            DisableEnhancedMonitoring: disable_enhanced_monitoring,
            EnableEnhancedMonitoring: enable_enhanced_monitoring,
            GetRecords: get_records,
            GetResourcePolicy: get_resource_policy,
            GetShardIterator: get_shard_iterator,
            IncreaseStreamRetentionPeriod: increase_stream_retention_period,
            ListShards: list_shards,
            ListStreamConsumers: list_stream_consumers,
            ListStreams: list_streams,
            ListTagsForResource: list_tags_for_resource,
            ListTagsForStream: list_tags_for_stream,
            MergeShards: merge_shards,
            PutRecord: put_record,
            PutRecords: put_records,
            PutResourcePolicy: put_resource_policy,
            RegisterStreamConsumer: register_stream_consumer,
            RemoveTagsFromStream: remove_tags_from_stream,
            SplitShard: split_shard,
            SubscribeToShard: subscribe_to_shard,
            TagResource: tag_resource,
            UntagResource: untag_resource,
            UpdateAccountSettings: update_account_settings,
            UpdateMaxRecordSize: update_max_record_size,
            UpdateShardCount: update_shard_count,
            UpdateStreamMode: update_stream_mode,
            UpdateStreamRecordDistributionStrategy: update_stream_record_distribution_strategy,
            UpdateStreamWarmThroughput: update_stream_warm_throughput,
        };
        refusal.unwrap_or_else(|| "no error".to_owned())
    }
}

fn from<T: DeserializeOwned>(request: &serde_json::Value) -> T {
    T::deserialize(request).unwrap()
}

/// Whether the broker must be on its way out for this to be said.
fn is_of_stopping(refusal: &str) -> bool {
    refusal.starts_with("InternalFailure")
}

#[tokio::test(start_paused = true)]
async fn requests_are_refused_in_these_words() {
    let world = World::new();
    let words = world.words();
    let mut wrong = Vec::new();
    let mut check = |case: Case| {
        let found = world.ask(&words, case.operation, case.request);
        if found != case.refusal {
            wrong.push(format!("{} {}\n  {found}", case.operation, case.request));
        }
    };
    table().filter(|case| !is_of_stopping(case.refusal)).for_each(&mut check);
    world.kinesis.log.stop();
    table().filter(|case| is_of_stopping(case.refusal)).for_each(&mut check);
    assert!(wrong.is_empty(), "{} are answered otherwise:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_table_has_every_error_of_the_model_that_can_happen() {
    let pairs = MODEL.lines().flat_map(|line| {
        let (operation, errors) = line.split_once(':').unwrap();
        errors.split_whitespace().map(move |error| (operation, error))
    });
    let is_never = |(operation, error): &(&str, &str)| {
        NEVER.iter().any(|(never, operations, _)| {
            never == error && (operations.is_empty() || operations.contains(operation))
        })
    };
    let (never, can_happen): (BTreeSet<_>, BTreeSet<_>) = pairs.partition(is_never);
    let has_case = |pair: &(&str, &str)| {
        table().any(|case| {
            let (error, _) = case.refusal.split_once("Exception: ").unwrap();
            (case.operation, error) == *pair
        })
    };
    let missing: Vec<_> = can_happen.iter().filter(|pair| !has_case(pair)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    // What is said never to happen does not.
    let there: Vec<_> = never.iter().filter(|pair| has_case(pair)).collect();
    assert!(there.is_empty(), "a case for {there:?}");
    assert!(can_happen.len() > 100, "the model was read");
}
