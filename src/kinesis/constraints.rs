//! The table of what every member of every request may be. Source: botocore's
//! `kinesis/2013-12-02/service-2.json`; the compat test `test_kinesis_model.py` holds the two
//! together.

use crate::{
    requests,
    validation::{Breaches, Constrained, Seen},
};

/// A constrained member of the request `T`.
pub struct Member<T> {
    /// Its name in the model.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it must be.
    pub rule: Rule,
    /// Gets its value.
    pub seen: fn(&T) -> Seen<'_>,
}

/// What a member must be.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// A text of `min..=max` characters that matches a pattern.
    Text {
        /// At least so many characters.
        min: usize,
        /// At most so many characters.
        max: usize,
        /// What the whole text looks like.
        pattern: Option<Pattern>,
    },
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A whole number in `min..=max`.
    Number {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// Bytes.
    Blob {
        /// At most so many.
        max: usize,
    },
    /// A list or map.
    List {
        /// At least so many entries.
        min: usize,
        /// At most so many entries.
        max: usize,
    },
    /// A map of tags, the lengths of whose keys and values are bounded too.
    Tags {
        /// At least so many.
        min: usize,
        /// At most so many.
        max: usize,
    },
    /// A list of texts.
    Texts {
        /// At least so many.
        min: usize,
        /// At most so many.
        max: usize,
        /// What each of them must be.
        each: Each,
    },
    /// Anything of its type.
    Free,
}

/// What each text of a list must be.
#[derive(Debug, Clone, Copy)]
pub enum Each {
    /// So many characters long.
    Length {
        /// At least.
        min: usize,
        /// At most.
        max: usize,
    },
    /// One of these.
    Choice(&'static [&'static str]),
}

/// A regular expression of the model, and the same thing as a function.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// As the model writes it.
    pub regex: &'static str,
    /// Whether a text matches all of it.
    pub matches: fn(&str) -> bool,
}

/// Records in one PutRecords.
pub const RECORDS_PER_PUT_MAX: usize = 500;
/// Tags in one request.
pub const TAGS_MAX: usize = 200;
/// Keys of tags in one request.
pub const TAG_KEYS_MAX: usize = 50;
/// Characters of a tag's key.
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value.
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Names of metrics in one request.
pub const METRICS_MAX: usize = 7;
/// The metrics of a shard, and the name for all of them.
pub const SHARD_LEVEL_METRICS: &[&str] = &[
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
    "ALL",
];
/// Records in one answer of GetRecords.
pub const RECORDS_PER_GET_MAX: i64 = 10_000;
/// Bytes of data and partition keys in one PutRecords, and in one answer of GetRecords: 10 MiB.
pub const REQUEST_DATA_BYTES_MAX: usize = 10 << 20;
/// The greatest record that any stream can be set to take: 10 MiB.
pub const RECORD_BYTES_MAX: usize = 10 << 20;
/// Characters of a stream's name. A topic's name may be longer; such topics are not streams.
pub const STREAM_NAME_CHARS_MAX: usize = 128;

fn is_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    !text.is_empty() && text.bytes().all(legal)
}

fn is_stream_arn(text: &str) -> bool {
    crate::stream::StreamArn::parse(text).is_some()
}

fn is_decimal(text: &str, digits_max: usize) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits && text.len() <= digits_max && (text == "0" || !text.starts_with('0'))
}

const NAME: Rule = Rule::Text {
    min: 1,
    max: STREAM_NAME_CHARS_MAX,
    pattern: Some(Pattern { regex: "[a-zA-Z0-9_.-]+", matches: is_name }),
};
const ARN: Rule = Rule::Text {
    min: 1,
    max: 2048,
    pattern: Some(Pattern {
        regex: r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+",
        matches: is_stream_arn,
    }),
};
const HASH_KEY: Rule = Rule::Text {
    min: 0,
    max: usize::MAX,
    pattern: Some(Pattern {
        regex: r"^(0|([1-9]\d{0,38}))$",
        matches: |text| is_decimal(text, 39),
    }),
};
const SEQUENCE_NUMBER: Rule = Rule::Text {
    min: 0,
    max: usize::MAX,
    pattern: Some(Pattern {
        regex: r"^(0|([1-9]\d{0,128}))$",
        matches: |text| is_decimal(text, 129),
    }),
};
const PARTITION_KEY: Rule = Rule::Text { min: 1, max: 256, pattern: None };
const DATA: Rule = Rule::Blob { max: RECORD_BYTES_MAX };
const NEXT_TOKEN: Rule = Rule::Text { min: 1, max: 1_048_576, pattern: None };
const ITERATOR: Rule = Rule::Text { min: 1, max: 512, pattern: None };
const PAGE: Rule = Rule::Number { min: 1, max: 10_000 };
const STREAM_MODE: Rule = Rule::Choice(&["PROVISIONED", "ON_DEMAND"]);
const ITERATOR_TYPE: Rule = Rule::Choice(&[
    "AFTER_SEQUENCE_NUMBER",
    "LATEST",
    "AT_TIMESTAMP",
    "AT_SEQUENCE_NUMBER",
    "TRIM_HORIZON",
]);
const SHARD_FILTER_TYPE: Rule = Rule::Choice(&[
    "AFTER_SHARD_ID",
    "AT_TRIM_HORIZON",
    "FROM_TRIM_HORIZON",
    "AT_LATEST",
    "AT_TIMESTAMP",
    "FROM_TIMESTAMP",
]);
const RESOURCE_ARN: Rule = Rule::Text {
    min: 1,
    max: 2048,
    pattern: Some(Pattern {
        regex: r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+",
        matches: crate::resource::Resource::is_legal,
    }),
};
const CONSUMER_ARN: Rule = Rule::Text {
    min: 1,
    max: 2048,
    pattern: Some(Pattern {
        regex: r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+",
        matches: |text| crate::resource::ConsumerArn::parse(text).is_some(),
    }),
};
const RECORD_KIB: Rule = Rule::Number { min: 1024, max: 10_240 };
const TAGS: Rule = Rule::Tags { min: 1, max: TAGS_MAX };
const TAG_KEY: Rule = Rule::Text { min: 1, max: TAG_KEY_CHARS_MAX, pattern: None };
const TAG_KEYS: Rule = Rule::Texts {
    min: 1,
    max: TAG_KEYS_MAX,
    each: Each::Length { min: 1, max: TAG_KEY_CHARS_MAX },
};
const METRICS: Rule =
    Rule::Texts { min: 1, max: METRICS_MAX, each: Each::Choice(SHARD_LEVEL_METRICS) };
const DISTRIBUTION: Rule = Rule::Choice(&["AUTO", "USER_PARTITION_KEY"]);

/// A row: `required "Name", RULE, |request| value`.
macro_rules! members {
    ($($need:ident $name:literal, $rule:expr, $seen:expr;)*) => {
        &[$(Member { name: $name, required: members!(@ $need), rule: $rule, seen: $seen }),*]
    };
    (@ required) => { true };
    (@ optional) => { false };
}

mod consumers_and_shards;
mod properties;

impl Constrained for requests::CreateStream {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "ShardCount", Rule::Number { min: 1, max: i64::MAX }, |r| Seen::number(r.shard_count);
        required "StreamName", NAME, |r| Seen::text(&r.stream_name);
        optional "StreamModeDetails", Rule::Free, |r| Seen::present(&r.stream_mode_details);
        optional "Tags", TAGS, |r| Seen::tags(&r.tags);
        optional "WarmThroughputMiBps", Rule::Number { min: 0, max: i64::MAX }, |r| Seen::number(r.warm_throughput_mibps);
        optional "MaxRecordSizeInKiB", RECORD_KIB, |r| Seen::number(r.max_record_size_kib);
        optional "RecordDistributionStrategy", DISTRIBUTION, |r| Seen::text(&r.record_distribution_strategy);
    };

    fn check_entries(&self, breaches: &mut Breaches) {
        if let Some(details) = &self.stream_mode_details {
            breaches.check("streamModeDetails.", details);
        }
    }
}

impl Constrained for requests::StreamModeDetails {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "StreamMode", STREAM_MODE, |r| Seen::text(&r.stream_mode);
    };
}

impl Constrained for requests::DeleteStream {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "EnforceConsumerDeletion", Rule::Free, |r| Seen::present(&r.enforce_consumer_deletion);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };
}

impl Constrained for requests::ListStreams {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "ExclusiveStartStreamName", NAME, |r| Seen::text(&r.exclusive_start_stream_name);
        optional "Limit", PAGE, |r| Seen::number(r.limit);
        optional "NextToken", NEXT_TOKEN, |r| Seen::text(&r.next_token);
    };
}

impl Constrained for requests::DescribeStreamSummary {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };
}

impl Constrained for requests::ListShards {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "ExclusiveStartShardId", NAME, |r| Seen::text(&r.exclusive_start_shard_id);
        optional "MaxResults", PAGE, |r| Seen::number(r.max_results);
        optional "NextToken", NEXT_TOKEN, |r| Seen::text(&r.next_token);
        optional "ShardFilter", Rule::Free, |r| Seen::present(&r.shard_filter);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamCreationTimestamp", Rule::Free, |r| Seen::present(&r.stream_creation_timestamp);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };

    fn check_entries(&self, breaches: &mut Breaches) {
        if let Some(filter) = &self.shard_filter {
            breaches.check("shardFilter.", filter);
        }
    }
}

impl Constrained for requests::ShardFilter {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "ShardId", NAME, |r| Seen::text(&r.shard_id);
        optional "Timestamp", Rule::Free, |r| Seen::present(&r.timestamp);
        required "Type", SHARD_FILTER_TYPE, |r| Seen::text(&r.kind);
    };
}

impl Constrained for requests::PutRecord {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "Data", DATA, |r| Seen::sized(r.data.as_ref().map(|d| d.0.len()));
        optional "DryRun", Rule::Free, |r| Seen::present(&r.dry_run);
        optional "ExplicitHashKey", HASH_KEY, |r| Seen::text(&r.explicit_hash_key);
        optional "PartitionKey", PARTITION_KEY, |r| Seen::text(&r.partition_key);
        optional "SequenceNumberForOrdering", SEQUENCE_NUMBER, |r| Seen::text(&r.sequence_number_for_ordering);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };
}

impl Constrained for requests::PutRecords {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "DryRun", Rule::Free, |r| Seen::present(&r.dry_run);
        required "Records", Rule::List { min: 1, max: RECORDS_PER_PUT_MAX }, |r| Seen::sized(r.records.as_ref().map(Vec::len));
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
    };

    fn check_entries(&self, breaches: &mut Breaches) {
        let records = self.records.iter().flatten();
        for (place, record) in records.enumerate().take(RECORDS_PER_PUT_MAX) {
            breaches.check_entry("records", place, record);
        }
    }
}

impl Constrained for requests::PutRecordsEntry {
    const MEMBERS: &'static [Member<Self>] = members! {
        required "Data", DATA, |r| Seen::sized(r.data.as_ref().map(|d| d.0.len()));
        optional "ExplicitHashKey", HASH_KEY, |r| Seen::text(&r.explicit_hash_key);
        optional "PartitionKey", PARTITION_KEY, |r| Seen::text(&r.partition_key);
    };
}

impl Constrained for requests::GetShardIterator {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "DryRun", Rule::Free, |r| Seen::present(&r.dry_run);
        required "ShardId", NAME, |r| Seen::text(&r.shard_id);
        required "ShardIteratorType", ITERATOR_TYPE, |r| Seen::text(&r.shard_iterator_type);
        optional "StartingSequenceNumber", SEQUENCE_NUMBER, |r| Seen::text(&r.starting_sequence_number);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
        optional "StreamName", NAME, |r| Seen::text(&r.stream_name);
        optional "Timestamp", Rule::Free, |r| Seen::present(&r.timestamp);
    };
}

impl Constrained for requests::GetRecords {
    const MEMBERS: &'static [Member<Self>] = members! {
        optional "DryRun", Rule::Free, |r| Seen::present(&r.dry_run);
        optional "Limit", Rule::Number { min: 1, max: RECORDS_PER_GET_MAX }, |r| Seen::number(r.limit);
        required "ShardIterator", ITERATOR, |r| Seen::text(&r.shard_iterator);
        optional "StreamARN", ARN, |r| Seen::text(&r.stream_arn);
    };
}
