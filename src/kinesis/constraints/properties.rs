//! The members of requests about a stream's properties and settings.

use super::*;

impl Constrained for requests::DescribeStream {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "ExclusiveStartShardId", NAME, |r| Seen::text(&r.exclusive_start_shard_id);
        optional "Limit", PAGE, |r| Seen::number(r.limit);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };
}

impl Constrained for requests::ChangeRetentionPeriod {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "RetentionPeriodHours", Rule::Free, |r| Seen::number(r.retention_period_hours);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };
}

impl Constrained for requests::UpdateMaxRecordSize {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "MaxRecordSizeInKiB", RECORD_KIB, |r| Seen::number(r.max_record_size_kib);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
    };
}

impl Constrained for requests::UpdateStreamMode {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        required "StreamModeDetails", Rule::Free, |r| Seen::present(&r.stream_mode_details);
        optional "WarmThroughputMiBps", Rule::Number { min: 0, max: i64::MAX }, |r| Seen::number(r.warm_throughput_mibps);
    };

    fn check_entries(&self, breaches: &mut Breaches) {
        if let Some(details) = &self.stream_mode_details {
            breaches.check("streamModeDetails.", details);
        }
    }
}

impl Constrained for requests::UpdateStreamWarmThroughput {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
        required "WarmThroughputMiBps", Rule::Number { min: 0, max: i64::MAX }, |r| Seen::number(r.warm_throughput_mibps);
    };
}

impl Constrained for requests::UpdateStreamRecordDistributionStrategy {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "RecordDistributionStrategy", DISTRIBUTION, |r| Seen::text(&r.record_distribution_strategy);
        required "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
    };
}

impl Constrained for requests::ChangeEnhancedMonitoring {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "ShardLevelMetrics", METRICS, |r| Seen::texts(&r.shard_level_metrics);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };
}

impl Constrained for requests::AddTagsToStream {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
        required "Tags", TAGS, |r| Seen::tags(&r.tags);
    };
}

impl Constrained for requests::RemoveTagsFromStream {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
        required "TagKeys", TAG_KEYS, |r| Seen::texts(&r.tag_keys);
    };
}

impl Constrained for requests::ListTagsForStream {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "ExclusiveStartTagKey", TAG_KEY, |r| Seen::text(&r.exclusive_start_tag_key);
        optional "Limit", Rule::Number { min: 1, max: 50 }, |r| Seen::number(r.limit);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };
}

impl Constrained for requests::TagResource {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "ResourceARN", RESOURCE_ARN, |r| Seen::text(&r.resource_arn);
        required "Tags", TAGS, |r| Seen::tags(&r.tags);
    };
}

impl Constrained for requests::UntagResource {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "ResourceARN", RESOURCE_ARN, |r| Seen::text(&r.resource_arn);
        required "TagKeys", TAG_KEYS, |r| Seen::texts(&r.tag_keys);
    };
}

impl Constrained for requests::OfResource {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "ResourceARN", RESOURCE_ARN, |r| Seen::text(&r.resource_arn);
    };
}

impl Constrained for requests::PutResourcePolicy {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "Policy", Rule::Free, |r| Seen::text(&r.policy);
        required "ResourceARN", RESOURCE_ARN, |r| Seen::text(&r.resource_arn);
    };
}

impl Constrained for requests::OfAccount {
    const MEMBERS: &'static [Member<Self>] = members! {};
}

impl Constrained for requests::UpdateAccountSettings {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "MinimumThroughputBillingCommitment", Rule::Free, |r| Seen::present(&r.minimum_throughput_billing_commitment);
    };

    fn check_entries(&self, breaches: &mut Breaches) {
        if let Some(commitment) = &self.minimum_throughput_billing_commitment {
            breaches.check("minimumThroughputBillingCommitment.", commitment);
        }
    }
}

impl Constrained for requests::ThroughputCommitment {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "Status", Rule::Choice(&["ENABLED", "DISABLED"]), |r| Seen::text(&r.status);
    };
}
