//! Kinesis Data Streams as a service of this door: which operation calls what.

use std::future::Future;

use kinesis::{ApiError, Kinesis, Log, model_operations};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    fault::Fault,
    service::{Answer, Call, Service, Weight},
    shard_events,
};

/// 10 MiB of data in base64, and room for 500 partition keys of 256 escaped characters and for
/// the JSON around them.
const PUT_BODY_BYTES_MAX: usize = 16 << 20;
/// No other operation's members come near this; a NextToken may have 1 MiB.
const BODY_BYTES_MAX: usize = 2 << 20;
/// 10 MiB of records, once as they are stored and once in base64 with the JSON around it.
const GET_ANSWER_BYTES_MAX: usize = 32 << 20;
/// 10,000 shards of some 500 bytes each.
const LIST_ANSWER_BYTES_MAX: usize = 8 << 20;
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// The operations that [`Service::call`] carries out.
const BUILT: &[&str] = &[
    "AddTagsToStream",
    "CreateStream",
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
    "GetRecords",
    "GetResourcePolicy",
    "GetShardIterator",
    "IncreaseStreamRetentionPeriod",
    "ListShards",
    "ListStreamConsumers",
    "ListStreams",
    "ListTagsForResource",
    "ListTagsForStream",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "PutResourcePolicy",
    "RegisterStreamConsumer",
    "RemoveTagsFromStream",
    "SplitShard",
    "SubscribeToShard",
    "TagResource",
    "UntagResource",
    "UpdateAccountSettings",
    "UpdateMaxRecordSize",
    "UpdateShardCount",
    "UpdateStreamMode",
    "UpdateStreamRecordDistributionStrategy",
    "UpdateStreamWarmThroughput",
];

impl<L: Log> Service for Kinesis<L> {
    const TARGET: &'static str = "Kinesis_20131202";
    const SIGNING_NAME: &'static str = "kinesis";

    fn operations() -> impl Iterator<Item = &'static str> {
        BUILT.iter().chain(model_operations::NOT_BUILT).copied()
    }

    fn weight(&self, operation: &str) -> Weight {
        let body_bytes_max = match operation {
            "PutRecord" | "PutRecords" => PUT_BODY_BYTES_MAX,
            _ => BODY_BYTES_MAX,
        };
        let answer_bytes_max = match operation {
            "GetRecords" => GET_ANSWER_BYTES_MAX,
            "DescribeStream" | "ListShards" | "ListStreams" => LIST_ANSWER_BYTES_MAX,
            _ => ANSWER_BYTES_MAX,
        };
        Weight { body_bytes_max, answer_bytes_max }
    }

    async fn call(&self, operation: &str, call: Call) -> Result<Answer, Fault> {
        let caller = call.caller.clone();
        let by = &caller;
        match operation {
            "AddTagsToStream" => silent(call, |r| self.add_tags_to_stream(by, r)).await,
            "CreateStream" => silent(call, |r| self.create_stream(by, r)).await,
            "DecreaseStreamRetentionPeriod" => {
                silent(call, |r| self.decrease_stream_retention_period(by, r)).await
            }
            "DeleteResourcePolicy" => silent(call, |r| self.delete_resource_policy(by, r)).await,
            "DeleteStream" => silent(call, |r| self.delete_stream(by, r)).await,
            "DeregisterStreamConsumer" => {
                silent(call, |r| self.deregister_stream_consumer(by, r)).await
            }
            "DescribeAccountSettings" => {
                answer(call, |r| self.describe_account_settings(by, r)).await
            }
            "DescribeLimits" => answer(call, |r| self.describe_limits(by, r)).await,
            "DescribeStream" => answer(call, |r| self.describe_stream(by, r)).await,
            "DescribeStreamConsumer" => {
                answer(call, |r| self.describe_stream_consumer(by, r)).await
            }
            "DescribeStreamSummary" => answer(call, |r| self.describe_stream_summary(by, r)).await,
            "DisableEnhancedMonitoring" => {
                answer(call, |r| self.disable_enhanced_monitoring(by, r)).await
            }
            "EnableEnhancedMonitoring" => {
                answer(call, |r| self.enable_enhanced_monitoring(by, r)).await
            }
            "GetRecords" => answer(call, |r| self.get_records(by, r)).await,
            "GetResourcePolicy" => answer(call, |r| self.get_resource_policy(by, r)).await,
            "GetShardIterator" => answer(call, |r| self.get_shard_iterator(by, r)).await,
            "IncreaseStreamRetentionPeriod" => {
                silent(call, |r| self.increase_stream_retention_period(by, r)).await
            }
            "ListShards" => answer(call, |r| self.list_shards(by, r)).await,
            "ListStreamConsumers" => answer(call, |r| self.list_stream_consumers(by, r)).await,
            "ListStreams" => answer(call, |r| self.list_streams(by, r)).await,
            "ListTagsForResource" => answer(call, |r| self.list_tags_for_resource(by, r)).await,
            "ListTagsForStream" => answer(call, |r| self.list_tags_for_stream(by, r)).await,
            "MergeShards" => silent(call, |r| self.merge_shards(by, r)).await,
            "PutRecord" => answer(call, |r| self.put_record(by, r)).await,
            "PutRecords" => answer(call, |r| self.put_records(by, r)).await,
            "PutResourcePolicy" => silent(call, |r| self.put_resource_policy(by, r)).await,
            "RegisterStreamConsumer" => {
                answer(call, |r| self.register_stream_consumer(by, r)).await
            }
            "RemoveTagsFromStream" => silent(call, |r| self.remove_tags_from_stream(by, r)).await,
            "SplitShard" => silent(call, |r| self.split_shard(by, r)).await,
            "SubscribeToShard" => {
                let (encoding, memory) = (call.encoding, call.memory.clone());
                let request = encoding.decode(&call.body)?;
                drop(call);
                let subscription = self.subscribe_to_shard(by, request).await?;
                Ok(Answer::Events(shard_events::events(subscription, encoding, memory)))
            }
            "TagResource" => silent(call, |r| self.tag_resource(by, r)).await,
            "UntagResource" => silent(call, |r| self.untag_resource(by, r)).await,
            "UpdateAccountSettings" => answer(call, |r| self.update_account_settings(by, r)).await,
            "UpdateMaxRecordSize" => silent(call, |r| self.update_max_record_size(by, r)).await,
            "UpdateShardCount" => answer(call, |r| self.update_shard_count(by, r)).await,
            "UpdateStreamMode" => silent(call, |r| self.update_stream_mode(by, r)).await,
            "UpdateStreamRecordDistributionStrategy" => {
                silent(call, |r| self.update_stream_record_distribution_strategy(by, r)).await
            }
            "UpdateStreamWarmThroughput" => {
                answer(call, |r| self.update_stream_warm_throughput(by, r)).await
            }
            later if model_operations::NOT_BUILT.contains(&later) => {
                Err(ApiError::not_built(later).into())
            }
            _ => Err(Fault::unknown_operation()),
        }
    }
}

/// An operation with an answer. The body is freed before the operation begins.
async fn answer<R, A, F>(call: Call, operation: impl FnOnce(R) -> F) -> Result<Answer, Fault>
where
    R: DeserializeOwned,
    A: Serialize,
    F: Future<Output = Result<A, ApiError>>,
{
    let encoding = call.encoding;
    let request = encoding.decode(&call.body)?;
    drop(call);
    Ok(Answer::Whole(encoding.encode(&operation(request).await?)?))
}

/// An operation that answers with an empty body.
async fn silent<R, F>(call: Call, operation: impl FnOnce(R) -> F) -> Result<Answer, Fault>
where
    R: DeserializeOwned,
    F: Future<Output = Result<(), ApiError>>,
{
    let request = call.encoding.decode(&call.body)?;
    operation(request).await?;
    Ok(Answer::Whole(Vec::new()))
}
