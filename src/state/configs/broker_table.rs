//! The settings of a broker that have a meaning here: Kafka's names, types, defaults and bounds
//! (4.3), and which of them can be altered while it runs (Kafka's `DynamicBrokerConfig`).

use super::{
    definition::{
        Bounds::{self, Any, AtLeast, Between, BetweenOr, OneOf, Ratio},
        ConfigDefinition,
        ConfigType::{self, Boolean, Double, Int, List, Long, String},
        Dynamic::{self, ClusterWide, PerBroker, ReadOnly},
        Importance::{self, High, Low, Medium},
    },
    topic_table::{CODECS, NEVER, POLICIES, STREAM_LIMITS, TIMESTAMP_TYPES},
};

/// The broker setting of a name.
pub fn find(name: &str) -> Option<&'static ConfigDefinition> {
    let place = BROKER_CONFIGS.binary_search_by(|definition| definition.name.cmp(name)).ok()?;
    BROKER_CONFIGS.get(place)
}

const fn of(
    name: &'static str,
    kind: ConfigType,
    default: Option<&'static str>,
    bounds: Bounds,
    importance: Importance,
    dynamic: Dynamic,
    documentation: &'static str,
) -> ConfigDefinition {
    let (synonyms, acts): (&[_], _) = (&[], true);
    ConfigDefinition {
        name,
        kind,
        default,
        bounds,
        importance,
        synonyms,
        acts,
        dynamic,
        documentation,
    }
}

/// A setting that this broker knows and does not follow yet.
const fn idle(definition: ConfigDefinition) -> ConfigDefinition {
    ConfigDefinition { acts: false, ..definition }
}

/// The documentation of a broker setting that topics fall back to.
macro_rules! topic_default {
    ($topic_setting:literal) => {
        concat!("The value of ", $topic_setting, " for topics that do not set it themselves.")
    };
    ($topic_setting:literal, $more:literal) => {
        concat!(topic_default!($topic_setting), " ", $more)
    };
}

/// Kafka's assignors for the consumer protocol, by name and by class.
const ASSIGNORS: &[&str] = &[
    "uniform",
    "range",
    "org.apache.kafka.coordinator.group.assignor.UniformAssignor",
    "org.apache.kafka.coordinator.group.assignor.RangeAssignor",
];

/// Kafka's `ConsumerGroupMigrationPolicy`.
const MIGRATION_POLICIES: &[&str] = &["bidirectional", "disabled", "downgrade", "upgrade"];

/// All broker settings, by name.
#[rustfmt::skip] // One setting is two lines: it reads as a table.
pub static BROKER_CONFIGS: &[ConfigDefinition] = &[
    of("advertised.listeners", List, None, Any, High, ReadOnly,
        "The address that clients are told to connect to. Set it with --advertised-address."),
    of("auto.create.topics.enable", Boolean, Some("true"), Any, High, ReadOnly,
        "Whether a topic is made when a client first asks for it."),
    of("broker.id", Int, Some("-1"), Any, High, ReadOnly,
        "The same as node.id."),
    idle(of("compression.gzip.level", Int, Some("-1"), BetweenOr(1, 9, -1), Medium, ClusterWide,
        topic_default!("compression.gzip.level"))),
    idle(of("compression.lz4.level", Int, Some("9"), Between(1, 17), Medium, ClusterWide,
        topic_default!("compression.lz4.level"))),
    of("compression.type", String, Some("producer"), OneOf(CODECS), High, ClusterWide,
        topic_default!("compression.type")),
    idle(of("compression.zstd.level", Int, Some("3"), Between(-131_072, 22), Medium, ClusterWide,
        topic_default!("compression.zstd.level"))),
    of("connections.max.idle.ms", Long, Some("600000"), Any, Medium, ReadOnly,
        "A connection on which nothing happens for so long is closed."),
    of("default.replication.factor", Int, Some("1"), Between(1, 1), Medium, ReadOnly,
        "How many replicas a topic gets when none are asked for. There is one broker, so there is one."),
    of("delete.topic.enable", Boolean, Some("true"), Any, High, ReadOnly,
        "Whether topics can be deleted."),
    of("fetch.max.bytes", Int, Some("57671680"), AtLeast(1024), Medium, ReadOnly,
        "The most bytes of records in the answer to one fetch request, whatever the client asks for; a single larger batch is still sent."),
    of("group.consumer.assignment.interval.ms", Int, Some("1000"), AtLeast(0), Medium, ClusterWide,
        "How long the assignment of a group of the consumer protocol stands at least before it is worked out anew."),
    of("group.consumer.assignors", List, Some("uniform,range"), OneOf(ASSIGNORS), Medium, ReadOnly,
        "The assignors that members of the consumer protocol (KIP-848) may ask for; the first is used when none is asked for."),
    of("group.consumer.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium, ReadOnly,
        "How often members of the consumer protocol are told to send heartbeats."),
    of("group.consumer.max.assignment.interval.ms", Int, Some("15000"), AtLeast(0), Medium, ReadOnly,
        "The most that group.consumer.assignment.interval.ms may be."),
    of("group.consumer.max.heartbeat.interval.ms", Int, Some("15000"), AtLeast(1), Medium, ReadOnly,
        "The most that group.consumer.heartbeat.interval.ms may be."),
    of("group.consumer.max.session.timeout.ms", Int, Some("60000"), AtLeast(1), Medium, ReadOnly,
        "The most that group.consumer.session.timeout.ms may be."),
    of("group.consumer.max.size", Int, Some("2147483647"), AtLeast(1), Medium, ReadOnly,
        "The most members of one group of the consumer protocol."),
    of("group.consumer.migration.policy", String, Some("bidirectional"), OneOf(MIGRATION_POLICIES), Medium, ReadOnly,
        "Whether a group with members is converted between the classic and the consumer protocol: upgrade, downgrade, both, or neither. An empty one always is."),
    of("group.consumer.min.assignment.interval.ms", Int, Some("0"), AtLeast(0), Medium, ReadOnly,
        "The least that group.consumer.assignment.interval.ms may be."),
    of("group.consumer.min.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium, ReadOnly,
        "The least that group.consumer.heartbeat.interval.ms may be."),
    of("group.consumer.min.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium, ReadOnly,
        "The least that group.consumer.session.timeout.ms may be."),
    idle(of("group.consumer.regex.refresh.interval.ms", Int, Some("600000"), AtLeast(10_000), Medium, ReadOnly,
        "How often patterns are matched anew. Here they are whenever the topics change.")),
    of("group.consumer.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium, ReadOnly,
        "How long a member of the consumer protocol may be silent."),
    of("group.initial.rebalance.delay.ms", Int, Some("3000"), AtLeast(0), Medium, ReadOnly,
        "How long the first rebalance of an empty group waits for more members. Each that comes prolongs it, up to the rebalance timeout."),
    of("group.max.session.timeout.ms", Int, Some("1800000"), AtLeast(1), Medium, ReadOnly,
        "The longest session that a member may ask for."),
    of("group.max.size", Int, Some("2147483647"), AtLeast(1), Medium, ReadOnly,
        "The most members of one group."),
    of("group.min.session.timeout.ms", Int, Some("6000"), AtLeast(1), Medium, ReadOnly,
        "The shortest session that a member may ask for."),
    of("inter.broker.protocol.version", String, Some("4.3-IV0"), OneOf(&["4.3-IV0"]), Medium, ReadOnly,
        "The Kafka version whose features tools may expect here."),
    of("listeners", List, Some("PLAINTEXT://:9092"), Any, High, PerBroker,
        "The address on which Kafka clients are served. Set it with --kafka-listen."),
    of("log.cleaner.backoff.ms", Long, Some("15000"), AtLeast(0), Medium, ClusterWide,
        "How long compaction pauses between two rounds."),
    of("log.cleaner.delete.retention.ms", Long, Some("86400000"), AtLeast(0), Medium, ClusterWide,
        topic_default!("delete.retention.ms")),
    of("log.cleaner.max.compaction.lag.ms", Long, Some(NEVER), AtLeast(1), Medium, ClusterWide,
        topic_default!("max.compaction.lag.ms")),
    of("log.cleaner.min.cleanable.ratio", Double, Some("0.5"), Ratio, Medium, ClusterWide,
        topic_default!("min.cleanable.dirty.ratio")),
    of("log.cleaner.min.compaction.lag.ms", Long, Some("0"), AtLeast(0), Medium, ClusterWide,
        topic_default!("min.compaction.lag.ms")),
    of("log.cleanup.policy", List, Some("delete"), OneOf(POLICIES), Medium, ClusterWide,
        topic_default!("cleanup.policy")),
    of("log.dir", List, None, Any, High, ReadOnly,
        "The same as log.dirs."),
    of("log.dirs", List, None, Any, High, ReadOnly,
        "Where the data lives. Set it with --data-dir."),
    idle(of("log.flush.interval.messages", Long, Some(NEVER), AtLeast(1), High, ClusterWide,
        topic_default!("flush.messages"))),
    of("log.flush.interval.ms", Long, None, AtLeast(0), High, ClusterWide,
        topic_default!("flush.ms", "Unset, log.flush.scheduler.interval.ms counts.")),
    of("log.flush.scheduler.interval.ms", Long, Some(NEVER), AtLeast(0), High, ReadOnly,
        topic_default!("flush.ms", "log.flush.interval.ms, if set, is stronger.")),
    of("log.index.interval.bytes", Int, Some("4096"), AtLeast(0), Medium, ClusterWide,
        topic_default!("index.interval.bytes")),
    idle(of("log.index.size.max.bytes", Int, Some("10485760"), AtLeast(4), Medium, ClusterWide,
        topic_default!("segment.index.bytes"))),
    idle(of("log.local.retention.bytes", Long, Some("-2"), AtLeast(-2), Medium, ClusterWide,
        topic_default!("local.retention.bytes"))),
    idle(of("log.local.retention.ms", Long, Some("-2"), AtLeast(-2), Medium, ClusterWide,
        topic_default!("local.retention.ms"))),
    of("log.message.timestamp.after.max.ms", Long, Some("3600000"), AtLeast(0), Medium, ClusterWide,
        topic_default!("message.timestamp.after.max.ms")),
    of("log.message.timestamp.before.max.ms", Long, Some(NEVER), AtLeast(0), Medium, ClusterWide,
        topic_default!("message.timestamp.before.max.ms")),
    of("log.message.timestamp.type", String, Some("CreateTime"), OneOf(TIMESTAMP_TYPES), Medium, ClusterWide,
        topic_default!("message.timestamp.type")),
    idle(of("log.preallocate", Boolean, Some("false"), Any, Medium, ClusterWide,
        topic_default!("preallocate"))),
    of("log.retention.bytes", Long, Some("-1"), Any, High, ClusterWide,
        topic_default!("retention.bytes")),
    of("log.retention.check.interval.ms", Long, Some("300000"), AtLeast(1), Medium, ReadOnly,
        "How often segments are looked at for retention."),
    of("log.retention.hours", Int, Some("168"), Any, High, ReadOnly,
        topic_default!("retention.ms", "In hours; log.retention.minutes and log.retention.ms are stronger.")),
    of("log.retention.minutes", Int, None, Any, High, ReadOnly,
        topic_default!("retention.ms", "In minutes; log.retention.ms is stronger.")),
    of("log.retention.ms", Long, None, AtLeast(-1), High, ClusterWide,
        topic_default!("retention.ms", "Unset, log.retention.minutes or log.retention.hours counts.")),
    of("log.roll.hours", Int, Some("168"), AtLeast(1), High, ReadOnly,
        topic_default!("segment.ms", "In hours; log.roll.ms is stronger.")),
    idle(of("log.roll.jitter.hours", Int, Some("0"), AtLeast(0), High, ReadOnly,
        topic_default!("segment.jitter.ms", "In hours."))),
    idle(of("log.roll.jitter.ms", Long, None, AtLeast(0), High, ClusterWide,
        topic_default!("segment.jitter.ms"))),
    of("log.roll.ms", Long, None, AtLeast(1), High, ClusterWide,
        topic_default!("segment.ms", "Unset, log.roll.hours counts.")),
    of("log.segment.bytes", Int, Some("1073741824"), AtLeast(1_048_576), High, ClusterWide,
        topic_default!("segment.bytes")),
    of("log.segment.delete.delay.ms", Long, Some("60000"), AtLeast(0), High, ClusterWide,
        topic_default!("file.delete.delay.ms")),
    of("max.connections", Int, Some("2147483647"), AtLeast(0), Medium, ClusterWide,
        "The most connections at one time; further ones wait to be accepted."),
    of("message.max.bytes", Int, Some("1048588"), AtLeast(0), High, ClusterWide,
        topic_default!("max.message.bytes")),
    of("min.insync.replicas", Int, Some("1"), AtLeast(1), High, ClusterWide,
        topic_default!("min.insync.replicas")),
    of("node.id", Int, None, AtLeast(0), High, ReadOnly,
        "This broker's id, kept in its data directory."),
    of("num.partitions", Int, Some("1"), AtLeast(1), Medium, ReadOnly,
        "How many partitions a topic gets when none are asked for."),
    of("offset.metadata.max.bytes", Int, Some("4096"), AtLeast(0), High, ReadOnly,
        "The longest text that may be committed with an offset."),
    of("offsets.retention.check.interval.ms", Long, Some("600000"), AtLeast(1), High, ReadOnly,
        "How often committed offsets are looked at for retention."),
    of("offsets.retention.minutes", Int, Some("10080"), AtLeast(1), High, ReadOnly,
        "How long committed offsets are kept once their group is empty; of groups without members, since the commit."),
    of("process.roles", List, Some("broker,controller"), OneOf(&["broker", "controller"]), High, ReadOnly,
        "What this process does: one process is broker and controller."),
    of("producer.id.expiration.ms", Int, Some("86400000"), AtLeast(1), Low, ClusterWide,
        "How long a partition remembers the sequence of an idempotent producer that writes nothing."),
    of("socket.request.max.bytes", Int, Some("104857600"), AtLeast(1), High, ReadOnly,
        "The largest request that is read; a larger one closes its connection."),
    of("stream_limits_default", String, Some("none"), OneOf(STREAM_LIMITS), Medium, ClusterWide,
        topic_default!("stream.limits")),
    of("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, Some("10000"), AtLeast(1), Low, ReadOnly,
        "How often transactions are looked at for their timeouts."),
    of("transaction.max.timeout.ms", Int, Some("900000"), AtLeast(1), High, ReadOnly,
        "The longest timeout that a transactional producer may ask for."),
    of("transaction.remove.expired.transaction.cleanup.interval.ms", Int, Some("3600000"), AtLeast(1), Low, ReadOnly,
        "How often unused transactional ids are looked for."),
    of("transactional.id.expiration.ms", Int, Some("604800000"), AtLeast(1), High, ReadOnly,
        "How long a transactional id is remembered that begins no transaction."),
    idle(of("unclean.leader.election.enable", Boolean, Some("false"), Any, High, ClusterWide,
        topic_default!("unclean.leader.election.enable"))),
    of("write_caching_default", Boolean, Some("false"), Any, Medium, ClusterWide,
        topic_default!("write.caching", "The name is Redpanda's.")),
];
