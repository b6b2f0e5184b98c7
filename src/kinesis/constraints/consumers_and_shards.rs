//! The members of requests about consumers and shards.

use super::*;

impl Constrained for requests::RegisterStreamConsumer {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "ConsumerName", NAME, |r| Seen::text(&r.consumer_name);
        required "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "Tags", TAGS, |r| Seen::tags(&r.tags);
    };
}

impl Constrained for requests::OfConsumer {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "ConsumerARN", CONSUMER_ARN, |r| Seen::text(&r.consumer_arn);
        optional "ConsumerName", NAME, |r| Seen::text(&r.consumer_name);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
    };
}

impl Constrained for requests::ListStreamConsumers {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "MaxResults", PAGE, |r| Seen::number(r.max_results);
        optional "NextToken", NEXT_TOKEN, |r| Seen::text(&r.next_token);
        required "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamCreationTimestamp", Rule::Free, |r| Seen::present(&r.stream_creation_timestamp);
    };
}

impl Constrained for requests::SubscribeToShard {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "ConsumerARN", CONSUMER_ARN, |r| Seen::text(&r.consumer_arn);
        optional "DryRun", Rule::Free, |r| Seen::present(&r.dry_run);
        required "ShardId", NAME, |r| Seen::text(&r.shard_id);
        required "StartingPosition", Rule::Free, |r| Seen::present(&r.starting_position);
    };

    fn check_entries(&self, breaches: &mut Breaches) {
        if let Some(position) = &self.starting_position {
            breaches.check("startingPosition.", position);
        }
    }
}

impl Constrained for requests::StartingPosition {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "SequenceNumber", SEQUENCE_NUMBER, |r| Seen::text(&r.sequence_number);
        optional "Timestamp", Rule::Free, |r| Seen::present(&r.timestamp);
        required "Type", ITERATOR_TYPE, |r| Seen::text(&r.kind);
    };
}

impl Constrained for requests::SplitShard {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "NewStartingHashKey", HASH_KEY, |r| Seen::text(&r.new_starting_hash_key);
        required "ShardToSplit", NAME, |r| Seen::text(&r.shard_to_split);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };
}

impl Constrained for requests::MergeShards {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "AdjacentShardToMerge", NAME, |r| Seen::text(&r.adjacent_shard_to_merge);
        required "ShardToMerge", NAME, |r| Seen::text(&r.shard_to_merge);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };
}

impl Constrained for requests::UpdateShardCount {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "ScalingType", Rule::Choice(&["UNIFORM_SCALING"]), |r| Seen::text(&r.scaling_type);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
        required "TargetShardCount", Rule::Number { min: 1, max: i64::MAX }, |r| Seen::number(r.target_shard_count);
    };
}
