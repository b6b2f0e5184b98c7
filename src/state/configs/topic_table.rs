//! Every setting of a topic that Apache Kafka 4.3 documents, `write.caching`, and those of streams
//! (`stream.…`).
//!
//! Names, types, defaults and bounds are those of Kafka's `LogConfig`.

use super::definition::{
    Bounds::{self, Any, AtLeast, Between, BetweenOr, OneOf, Ratio, ThrottledReplicas},
    ConfigDefinition,
    ConfigType::{self, Boolean, Double, Int, List, Long, String},
    Dynamic, Importance, Synonym,
};

/// The greatest LONG, Kafka's way to write "never".
pub(super) const NEVER: &str = "9223372036854775807";
pub(super) const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
pub(super) const POLICIES: &[&str] = &["compact", "delete"];
pub(super) const STREAM_LIMITS: &[&str] = &["none", "aws"];
const STREAM_MODES: &[&str] = &["provisioned", "on_demand"];
pub(super) const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The topic setting of a name.
pub fn find(name: &str) -> Option<&'static ConfigDefinition> {
    let place = TOPIC_CONFIGS.binary_search_by(|definition| definition.name.cmp(name)).ok()?;
    TOPIC_CONFIGS.get(place)
}

const fn of(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    bounds: Bounds,
    synonyms: &'static [Synonym],
    documentation: &'static str,
) -> ConfigDefinition {
    ConfigDefinition {
        name,
        kind,
        default: Some(default),
        bounds,
        importance: Importance::Medium,
        synonyms,
        acts: true,
        dynamic: Dynamic::ClusterWide,
        documentation,
    }
}

/// A setting that this broker knows and does not follow yet.
const fn idle(definition: ConfigDefinition) -> ConfigDefinition {
    ConfigDefinition { acts: false, ..definition }
}

const fn ms(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

/// All topic settings, by name.
#[rustfmt::skip] // One setting is two or three lines: it reads as a table.
pub static TOPIC_CONFIGS: &[ConfigDefinition] = &[
    of("cleanup.policy", List, "delete", OneOf(POLICIES), &[same("log.cleanup.policy")],
        "What becomes of old records. delete: whole segments go by age and size (retention.ms, retention.bytes). compact: only the newest record of each key stays. Both may be given, separated by a comma; with neither, everything is kept."),
    idle(of("compression.gzip.level", Int, "-1", BetweenOr(1, 9, -1), &[same("compression.gzip.level")],
        "How hard gzip tries when the broker compresses (compression.type=gzip); -1 leaves it to the codec.")),
    idle(of("compression.lz4.level", Int, "9", Between(1, 17), &[same("compression.lz4.level")],
        "How hard lz4 tries when the broker compresses (compression.type=lz4).")),
    of("compression.type", String, "producer", OneOf(CODECS), &[same("compression.type")],
        "The codec in which batches are stored. producer keeps what the producer sent, byte for byte; any other makes the broker compress batches that come in another codec."),
    idle(of("compression.zstd.level", Int, "3", Between(-131_072, 22), &[same("compression.zstd.level")],
        "How hard zstd tries when the broker compresses (compression.type=zstd).")),
    of("delete.retention.ms", Long, "86400000", AtLeast(0), &[ms("log.cleaner.delete.retention.ms")],
        "How long a compacted topic keeps the markers of deleted keys. A reader that starts at the first offset must be through within this time to see every deletion."),
    of("file.delete.delay.ms", Long, "60000", AtLeast(0), &[ms("log.segment.delete.delay.ms")],
        "How long the files of a removed segment stay on disk."),
    idle(of("flush.messages", Long, NEVER, AtLeast(1), &[same("log.flush.interval.messages")],
        "Sync after so many records. Every acknowledged record is synced here, unless write.caching is on.")),
    of("flush.ms", Long, NEVER, AtLeast(0), &[ms("log.flush.interval.ms"), ms("log.flush.scheduler.interval.ms")],
        "With write.caching, the longest time after which an acknowledged record is durable. Without it records are durable before they are acknowledged."),
    idle(of("follower.replication.throttled.replicas", List, "", ThrottledReplicas, &[],
        "Replicas whose copying is slowed down on the follower's side: * or a list of partition:broker.")),
    of("index.interval.bytes", Int, "4096", AtLeast(0), &[same("log.index.interval.bytes")],
        "How many bytes of batches lie between two entries of the offset and time indexes."),
    idle(of("leader.replication.throttled.replicas", List, "", ThrottledReplicas, &[],
        "Replicas whose copying is slowed down on the leader's side: * or a list of partition:broker.")),
    idle(of("local.retention.bytes", Long, "-2", AtLeast(-2), &[same("log.local.retention.bytes")],
        "With tiered storage, the most bytes of a partition that stay on the local disk; -2 takes retention.bytes.")),
    idle(of("local.retention.ms", Long, "-2", AtLeast(-2), &[ms("log.local.retention.ms")],
        "With tiered storage, how long segments stay on the local disk; -2 takes retention.ms.")),
    of("max.compaction.lag.ms", Long, NEVER, AtLeast(1), &[ms("log.cleaner.max.compaction.lag.ms")],
        "The longest time that a record of a compacted topic may stay uncompacted."),
    of("max.message.bytes", Int, "1048588", AtLeast(0), &[same("message.max.bytes")],
        "The largest batch that is accepted, in bytes as sent, that is after compression."),
    of("message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), &[ms("log.message.timestamp.after.max.ms")],
        "How far a record's timestamp may lie ahead of the broker's clock. Not looked at with message.timestamp.type=LogAppendTime."),
    of("message.timestamp.before.max.ms", Long, NEVER, AtLeast(0), &[ms("log.message.timestamp.before.max.ms")],
        "How far a record's timestamp may lie behind the broker's clock. Not looked at with message.timestamp.type=LogAppendTime."),
    of("message.timestamp.type", String, "CreateTime", OneOf(TIMESTAMP_TYPES), &[same("log.message.timestamp.type")],
        "Whose clock dates the records: the producer's (CreateTime) or the broker's at append (LogAppendTime)."),
    of("min.cleanable.dirty.ratio", Double, "0.5", Ratio, &[same("log.cleaner.min.cleanable.ratio")],
        "A compacted topic is compacted once this part of it, by bytes, was written since the last time. Lower means less waste and more work."),
    of("min.compaction.lag.ms", Long, "0", AtLeast(0), &[ms("log.cleaner.min.compaction.lag.ms")],
        "The shortest time that a record of a compacted topic stays uncompacted."),
    of("min.insync.replicas", Int, "1", AtLeast(1), &[same("min.insync.replicas")],
        "How many replicas must have a record before acks=all is answered. There is one replica here, so more than 1 refuses such writes."),
    idle(of("preallocate", Boolean, "false", Any, &[same("log.preallocate")],
        "Reserve a new segment's whole size on disk at once.")),
    idle(of("remote.log.copy.disable", Boolean, "false", Any, &[],
        "With tiered storage, copy nothing more to it.")),
    idle(of("remote.log.delete.on.disable", Boolean, "false", Any, &[],
        "Remove what is in tiered storage when it is turned off for the topic.")),
    idle(of("remote.storage.enable", Boolean, "false", Any, &[],
        "Keep old segments in tiered storage.")),
    of("retention.bytes", Long, "-1", Any, &[same("log.retention.bytes")],
        "With cleanup.policy delete, the size beyond which a partition's oldest segments are removed; -1 is no limit. It counts per partition."),
    of("retention.ms", Long, "604800000", AtLeast(-1),
        &[
            ms("log.retention.ms"),
            Synonym { name: "log.retention.minutes", factor: MINUTE_MS },
            Synonym { name: "log.retention.hours", factor: HOUR_MS },
        ],
        "With cleanup.policy delete, the age beyond which segments are removed; -1 is no limit."),
    of("segment.bytes", Int, "1073741824", AtLeast(1_048_576), &[same("log.segment.bytes")],
        "The size at which a segment is closed and the next begun. Retention and compaction work on whole closed segments."),
    idle(of("segment.index.bytes", Int, "10485760", AtLeast(4), &[same("log.index.size.max.bytes")],
        "The largest size of an offset index. Indexes here take what they need.")),
    idle(of("segment.jitter.ms", Long, "0", AtLeast(0),
        &[ms("log.roll.jitter.ms"), Synonym { name: "log.roll.jitter.hours", factor: HOUR_MS }],
        "The most by which segment.ms is shortened at random, so that segments do not all close together.")),
    of("segment.ms", Long, "604800000", AtLeast(1),
        &[ms("log.roll.ms"), Synonym { name: "log.roll.hours", factor: HOUR_MS }],
        "The age at which a segment is closed even if it is not full, so that retention and compaction can have it."),
    of("stream.limits", String, "none", OneOf(STREAM_LIMITS), &[same("stream_limits_default")],
        "aws holds Kinesis clients to the throughput that AWS gives a shard, to test how they take it; none does not. Kafka clients are not held to it. Kafka has no such setting."),
    of("stream.mode", String, "provisioned", OneOf(STREAM_MODES), &[],
        "What Kinesis clients see as the stream's mode: provisioned or on_demand. The shards of an on_demand stream are split and merged as their load asks for, within the bounds of stream.scaling.*. Kafka has no such setting."),
    of("stream.scaling.cooldown.ms", Long, "60000", AtLeast(0), &[ms("stream_scaling_cooldown_ms_default")],
        "How long the shards of an on_demand stream stay as they are after a change by load. Kafka has no such setting."),
    of("stream.scaling.merge.after.ms", Long, "86400000", AtLeast(0), &[ms("stream_scaling_merge_after_ms_default")],
        "How long two neighbouring shards of an on_demand stream must take little until they are merged, and how long Kafka's producers must write nothing to the topic. Kafka has no such setting."),
    of("stream.scaling.merge.bytes.per.second", Long, "131072", AtLeast(0), &[same("stream_scaling_merge_bytes_per_second_default")],
        "Two neighbouring shards of an on_demand stream take little while they take fewer bytes than this together; at most half of stream.scaling.split.bytes.per.second. 0 merges none. Kafka has no such setting."),
    of("stream.scaling.merge.records.per.second", Long, "125", AtLeast(0), &[same("stream_scaling_merge_records_per_second_default")],
        "The same for records; both must be fewer. 0 merges none. Kafka has no such setting."),
    of("stream.scaling.shards.max", Int, "200", Between(1, 10_000), &[same("stream_scaling_shards_max_default")],
        "The shards of an on_demand stream are split by load until there are so many. Kafka has no such setting."),
    of("stream.scaling.shards.min", Int, "4", Between(1, 10_000), &[same("stream_scaling_shards_min_default")],
        "The shards of an on_demand stream are merged until there are so many. A stream with fewer is not split for this. Kafka has no such setting."),
    of("stream.scaling.split.bytes.per.second", Long, "524288", AtLeast(1), &[same("stream_scaling_split_bytes_per_second_default")],
        "A shard of an on_demand stream is split when it takes more bytes than this, on average over stream.scaling.window.ms. Bytes of batches count as they are stored. Kafka has no such setting."),
    of("stream.scaling.split.records.per.second", Long, "500", AtLeast(1), &[same("stream_scaling_split_records_per_second_default")],
        "The same for records; either is enough. Kafka has no such setting."),
    of("stream.scaling.window.ms", Long, "60000", AtLeast(100), &[ms("stream_scaling_window_ms_default")],
        "The time over which the load of an on_demand stream's shards is averaged. A new shard is judged once it is that old. Kafka has no such setting."),
    idle(of("unclean.leader.election.enable", Boolean, "false", Any, &[same("unclean.leader.election.enable")],
        "Let a replica lead that may lack records, as the last resort.")),
    of("write.caching", Boolean, "false", Any, &[same("write_caching_default")],
        "Acknowledge records from memory, before they are durable; they become so within flush.ms. A crash may lose what was acknowledged last. The name is Redpanda's; Kafka has no such setting."),
];
