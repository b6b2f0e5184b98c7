//! Tables, layers, changes.

use model::{Compression, CompressionSetting, TopicConfig};

use super::{definition::Dynamic, value::Value, *};

fn given(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn broker(fixed: &[(&str, &str)]) -> BrokerLayers {
    let mut layers = BrokerLayers::default();
    layers.set_static(1, given(fixed));
    layers
}

fn create(name: &str, value: &str) -> Result<Overrides, ConfigError> {
    let given = [(name.to_owned(), Some(value.to_owned()))];
    validate_topic_overrides(&given, &BrokerLayers::default())
}

fn said<T: std::fmt::Debug>(result: Result<T, ConfigError>) -> String {
    result.map_or_else(|error| error.to_string(), |_| "yes".to_owned())
}

#[test]
fn nothing_set_gives_kafkas_defaults() {
    assert_eq!(resolve_topic(&Overrides::new(), &BrokerLayers::default()), TopicConfig::default());
}

/// What Apache Kafka 4.3.1 has in `GroupCoordinatorConfig`, `TransactionStateManagerConfig` and
/// `TransactionLogConfig`.
#[test]
fn groups_and_transactions_have_kafkas_defaults() {
    let kafka = [
        ("group.consumer.assignment.interval.ms", "1000"),
        ("group.consumer.assignors", "uniform,range"),
        ("group.consumer.heartbeat.interval.ms", "5000"),
        ("group.consumer.max.assignment.interval.ms", "15000"),
        ("group.consumer.max.heartbeat.interval.ms", "15000"),
        ("group.consumer.max.session.timeout.ms", "60000"),
        ("group.consumer.max.size", "2147483647"),
        ("group.consumer.migration.policy", "bidirectional"),
        ("group.consumer.min.assignment.interval.ms", "0"),
        ("group.consumer.min.heartbeat.interval.ms", "5000"),
        ("group.consumer.min.session.timeout.ms", "45000"),
        ("group.consumer.regex.refresh.interval.ms", "600000"),
        ("group.consumer.session.timeout.ms", "45000"),
        ("group.initial.rebalance.delay.ms", "3000"),
        ("group.max.session.timeout.ms", "1800000"),
        ("group.max.size", "2147483647"),
        ("group.min.session.timeout.ms", "6000"),
        ("offset.metadata.max.bytes", "4096"),
        ("offsets.retention.check.interval.ms", "600000"),
        ("offsets.retention.minutes", "10080"),
        ("producer.id.expiration.ms", "86400000"),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "10000"),
        ("transaction.max.timeout.ms", "900000"),
        ("transaction.remove.expired.transaction.cleanup.interval.ms", "3600000"),
        ("transactional.id.expiration.ms", "604800000"),
    ];
    let nothing_set = BrokerLayers::default();
    for (name, default) in kafka {
        assert_eq!(nothing_set.value(name).as_deref(), Some(default), "{name}");
    }
    let prefixes = ["group.", "offset.", "offsets.", "transaction.", "transactional."];
    for definition in broker_table::BROKER_CONFIGS {
        let name = definition.name;
        let is_of_groups = prefixes.iter().any(|prefix| name.starts_with(prefix));
        assert!(!is_of_groups || kafka.iter().any(|(known, _)| *known == name), "{name}");
    }
    // Of a single group: what the broker's setting says.
    let none = Overrides::new();
    for definition in group_table::GROUP_CONFIGS {
        let in_force = group_table::number(&none, &nothing_set, definition.name);
        let told = definition.default.and_then(|default| default.parse().ok());
        assert_eq!(in_force, told, "{}", definition.name);
    }
}

#[test]
fn the_tables_are_sorted_documented_and_true_to_themselves() {
    for table in [topic_table::TOPIC_CONFIGS, broker_table::BROKER_CONFIGS] {
        assert!(table.is_sorted_by(|a, b| a.name < b.name), "look-ups need the order");
        for definition in table {
            let name = definition.name;
            assert!(definition.documentation.ends_with('.'), "{name}");
            if let Some(default) = definition.default {
                assert!(definition.accept(default).is_ok(), "{name}={default}");
            }
        }
    }
}

#[test]
fn a_topic_setting_and_its_broker_synonyms_mean_the_same() {
    let nothing = BrokerLayers::default();
    for topic in topic_table::TOPIC_CONFIGS {
        let found = topic.topic_values(&Overrides::new(), &nothing);
        if let Some(default) = found.first() {
            let value = topic.in_own_unit(default);
            assert_eq!(value.as_deref(), topic.default, "default of {}", topic.name);
        }
        for synonym in topic.synonyms {
            let name = synonym.name;
            let broker = broker_table::find(name).unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(broker.acts, topic.acts, "{name}");
            if synonym.factor == 1 {
                assert_eq!((broker.kind, broker.bounds), (topic.kind, topic.bounds), "{name}");
            }
        }
    }
}

/// All of `LogConfig` in Kafka 4.3.1 that is not internal, as its `configDefCopy()` lists it, and
/// ours.
#[test]
fn every_setting_that_kafka_documents_is_listed_with_its_default() {
    let kafka = "cleanup.policy=delete compression.gzip.level=-1 compression.lz4.level=9 \
        compression.type=producer compression.zstd.level=3 delete.retention.ms=86400000 \
        file.delete.delay.ms=60000 flush.messages=9223372036854775807 \
        flush.ms=9223372036854775807 follower.replication.throttled.replicas= \
        index.interval.bytes=4096 leader.replication.throttled.replicas= \
        local.retention.bytes=-2 local.retention.ms=-2 \
        max.compaction.lag.ms=9223372036854775807 max.message.bytes=1048588 \
        message.timestamp.after.max.ms=3600000 \
        message.timestamp.before.max.ms=9223372036854775807 message.timestamp.type=CreateTime \
        min.cleanable.dirty.ratio=0.5 min.compaction.lag.ms=0 min.insync.replicas=1 \
        preallocate=false remote.log.copy.disable=false remote.log.delete.on.disable=false \
        remote.storage.enable=false retention.bytes=-1 retention.ms=604800000 \
        segment.bytes=1073741824 segment.index.bytes=10485760 segment.jitter.ms=0 \
        segment.ms=604800000 stream.limits=none stream.mode=provisioned \
        stream.scaling.cooldown.ms=60000 stream.scaling.merge.after.ms=86400000 \
        stream.scaling.merge.bytes.per.second=131072 stream.scaling.merge.records.per.second=125 \
        stream.scaling.shards.max=200 stream.scaling.shards.min=4 \
        stream.scaling.split.bytes.per.second=524288 stream.scaling.split.records.per.second=500 \
        stream.scaling.window.ms=60000 unclean.leader.election.enable=false write.caching=false";
    let listed: Vec<_> = topic_entries(&Overrides::new(), &BrokerLayers::default())
        .into_iter()
        .map(|entry| {
            assert_eq!(entry.source, ConfigSource::Default, "{}", entry.name);
            format!("{}={}", entry.name, entry.value.expect("none is null"))
        })
        .collect();
    assert_eq!(listed.join(" "), kafka);
}

#[test]
fn values_are_judged_in_kafkas_words() {
    for (name, value, expected) in [
        ("retention.ms", "-1", "yes"),
        ("retention.ms", " 5 ", "yes"),
        ("retention.ms", "+5", "yes"),
        (
            "retention.ms",
            "-5",
            "Invalid value -5 for configuration retention.ms: Value must be at least -1",
        ),
        (
            "retention.ms",
            "1.5",
            "Invalid value 1.5 for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "retention.ms",
            "",
            "Invalid value  for configuration retention.ms: Not a number of type LONG",
        ),
        ("retention.bytes", "-7", "yes"),
        (
            "segment.bytes",
            "14",
            "Invalid value 14 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            "segment.bytes",
            "99999999999",
            "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT",
        ),
        ("cleanup.policy", "", "yes"),
        ("cleanup.policy", " compact , delete ", "yes"),
        (
            "cleanup.policy",
            "foo",
            "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        ("cleanup.policy", "delete,", "Configuration 'cleanup.policy' values must not be empty."),
        ("compression.type", "zstd", "yes"),
        (
            "compression.type",
            "foo",
            "Invalid value foo for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        ("min.cleanable.dirty.ratio", "1", "yes"),
        (
            "min.cleanable.dirty.ratio",
            "1.5",
            "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        ),
        (
            "min.cleanable.dirty.ratio",
            "NaN",
            "Invalid value NaN for configuration min.cleanable.dirty.ratio: Value must be at least 0",
        ),
        ("write.caching", "TRUE", "yes"),
        (
            "write.caching",
            "yes",
            "Invalid value yes for configuration write.caching: Expected value to be either true or false",
        ),
        (
            "compression.gzip.level",
            "10",
            "Invalid value 10 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        (
            "compression.lz4.level",
            "18",
            "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17",
        ),
        (
            "leader.replication.throttled.replicas",
            "x",
            "Invalid value [x] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        ),
        ("foo", "1", "Unknown topic config name: foo"),
        ("message.format.version", "2.0", "Unknown topic config name: message.format.version"),
    ] {
        assert_eq!(said(create(name, value)), expected, "{name}={value}");
    }
}

#[test]
fn what_does_not_act_takes_its_default_only() {
    for definition in topic_table::TOPIC_CONFIGS.iter().filter(|definition| !definition.acts) {
        let default = definition.default.expect("none is null");
        assert_eq!(said(create(definition.name, default)), "yes");
    }
    for (name, value) in [
        ("preallocate", "true"),
        ("segment.jitter.ms", "1"),
        ("remote.storage.enable", "true"),
        ("leader.replication.throttled.replicas", "*"),
        ("compression.zstd.level", "4"),
    ] {
        assert!(matches!(create(name, value), Err(ConfigError::NotSupported { .. })), "{name}");
    }
    let idle = |entry: &&ConfigEntry| entry.name == "preallocate";
    let entries = topic_entries(&Overrides::new(), &BrokerLayers::default());
    assert!(entries.iter().find(idle).expect("listed").read_only);
}

#[test]
fn contradicting_lags_are_refused() {
    let lags = |least: &str, most: &str| {
        let pair = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        let given = [pair("min.compaction.lag.ms", least), pair("max.compaction.lag.ms", most)];
        validate_topic_overrides(&given, &BrokerLayers::default())
    };
    assert_eq!(said(lags("5", "5")), "yes");
    assert_eq!(
        said(lags("10", "5")),
        "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
    );
}

#[test]
fn contradicting_bounds_of_scaling_are_refused_as_they_are_in_force() {
    let bytes = "stream.scaling.split.bytes.per.second";
    let nothing = BrokerLayers::default();
    let lower = broker(&[("stream_scaling_merge_bytes_per_second_default", "10")]);
    let made = |value: &str, broker| {
        said(validate_topic_overrides(&[(bytes.to_owned(), Some(value.to_owned()))], broker))
    };
    assert_eq!(made("262144", &nothing), "yes");
    assert_eq!(
        made("262143", &nothing),
        "stream.scaling.merge.bytes.per.second (131072) must not be greater than half of \
         stream.scaling.split.bytes.per.second (262143): what was merged would be split again"
    );
    assert_eq!(made("262143", &lower), "yes", "the broker merges later");
    let judged = |pairs: &[(&str, &str)]| said(validate_static(&given(pairs)));
    assert!(judged(&[("stream_scaling_shards_max_default", "3")]).contains("shards.min (4)"));
    assert!(judged(&[("stream_scaling_merge_records_per_second_default", "251")]).contains("251"));
    let changes = [set("stream.scaling.shards.min", "201")];
    assert!(said(alter_topic(&Overrides::new(), &changes, &nothing)).contains("(201)"));
}

#[test]
fn settings_reach_the_data_path_typed() {
    let own = given(&[
        ("cleanup.policy", "compact,delete"),
        ("compression.type", "lz4"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("segment.bytes", "2097152"),
        ("write.caching", "true"),
    ]);
    let config = resolve_topic(&own, &BrokerLayers::default());
    assert!(config.cleanup_policy.compact && config.cleanup_policy.delete);
    assert_eq!(config.compression, CompressionSetting::Codec(Compression::Lz4));
    assert!((config.min_cleanable_dirty_ratio - 0.25).abs() < 1e-9);
    assert_eq!((config.segment_bytes, config.write_caching), (2_097_152, true));
    let nothing = resolve_topic(&given(&[("cleanup.policy", "")]), &BrokerLayers::default());
    assert!(!nothing.cleanup_policy.compact && !nothing.cleanup_policy.delete);
}

/// `(settings at start, retention.ms that results)`
#[test]
fn finer_units_are_stronger() {
    for (fixed, expected) in [
        (&[("log.retention.hours", "1")][..], 3_600_000),
        (&[("log.retention.hours", "1"), ("log.retention.minutes", "2")], 120_000),
        (&[("log.retention.minutes", "2"), ("log.retention.ms", "3")], 3),
        (&[("log.retention.hours", "-1")], -1),
    ] {
        let config = resolve_topic(&Overrides::new(), &broker(fixed));
        assert_eq!(config.retention_ms, expected, "{fixed:?}");
    }
}

#[test]
fn a_listing_shows_every_value_and_where_it_is_from() {
    let mut layers = broker(&[("log.retention.hours", "1")]);
    *layers.dynamic_mut(None) = given(&[("log.retention.ms", "5000")]);
    let entries = topic_entries(&given(&[("retention.ms", "7")]), &layers);
    let entry = entries.iter().find(|entry| entry.name == "retention.ms").expect("listed");
    assert_eq!((entry.value.as_deref(), entry.source), (Some("7"), ConfigSource::DynamicTopic));
    let synonyms: Vec<_> = entry
        .synonyms
        .iter()
        .map(|s| format!("{}={} {}", s.name, s.value.as_deref().unwrap_or(""), s.source.code()))
        .collect();
    assert_eq!(
        synonyms,
        [
            "retention.ms=7 1",
            "log.retention.ms=5000 3",
            "log.retention.hours=1 4",
            "log.retention.hours=168 5",
        ]
    );

    let entries = topic_entries(&Overrides::new(), &broker(&[("log.retention.hours", "1")]));
    let entry = entries.iter().find(|entry| entry.name == "retention.ms").expect("listed");
    let expected = (Some("3600000"), ConfigSource::StaticBroker);
    assert_eq!((entry.value.as_deref(), entry.source), expected, "in the topic's own unit");
}

#[test]
fn a_brokers_listing_has_what_tools_look_for() {
    let entries = broker_entries(&broker(&[("num.partitions", "4"), ("node.id", "1")]));
    let entry = |name: &str| entries.iter().find(|entry| entry.name == name).expect("listed");
    let partitions = entry("num.partitions");
    assert_eq!(
        (partitions.value.as_deref(), partitions.source, partitions.read_only),
        (Some("4"), ConfigSource::StaticBroker, true)
    );
    assert_eq!(partitions.synonyms.len(), 2, "static, then the default");
    assert_eq!(entry("auto.create.topics.enable").value.as_deref(), Some("true"));
    assert_eq!(entry("log.retention.ms").value, None);
    assert!(!entry("log.retention.ms").read_only);
    assert!(entry("inter.broker.protocol.version").value.is_some(), "kafka-ui looks for it");
    assert!(broker_default_entries(&BrokerLayers::default()).is_empty());
}

#[test]
fn settings_at_start_are_judged() {
    let check = |name: &str, value: &str| said(validate_static(&given(&[(name, value)])));
    assert_eq!(check("num.partitions", "4"), "yes");
    assert_eq!(check("write_caching_default", "true"), "yes");
    assert!(check("num.partitions", "0").contains("Value must be at least 1"));
    assert!(check("default.replication.factor", "3").contains("Value must be no more than 1"));
    assert!(check("no.such", "1").contains("Unknown broker config name: no.such"));
    assert!(check("retention.ms", "1").contains("Unknown broker config name: retention.ms"));
    assert!(check("listeners", "PLAINTEXT://:1").contains("it is set by --kafka-listen"));
    assert!(check("log.preallocate", "true").contains("not supported by this broker yet"));
    assert!(check("log.cleaner.max.compaction.lag.ms", "5") == "yes");
}

fn set(name: &str, value: &str) -> ConfigChange {
    ConfigChange::Set(name.to_owned(), Some(value.to_owned()))
}

#[test]
fn lists_are_added_to_and_taken_from() {
    let layers = BrokerLayers::default();
    let append = |v: &str| ConfigChange::Append("cleanup.policy".into(), Some(v.into()));
    let subtract = |v: &str| ConfigChange::Subtract("cleanup.policy".into(), Some(v.into()));
    for (before, change, after) in [
        // An unset list starts from its default.
        (None, append("compact"), "delete,compact"),
        (Some("delete"), append("compact"), "delete,compact"),
        (Some("delete,compact"), append("compact"), "delete,compact"),
        (Some("delete,compact"), subtract("delete"), "compact"),
        (Some("compact"), subtract("delete"), "compact"),
        (Some("compact"), subtract("compact"), ""),
    ] {
        let base = before.map(|v| given(&[("cleanup.policy", v)])).unwrap_or_default();
        let next = alter_topic(&base, std::slice::from_ref(&change), &layers).expect("a list");
        assert_eq!(next["cleanup.policy"], after, "{before:?} {change:?}");
    }
}

#[test]
fn changes_are_all_or_nothing_and_judged_in_kafkas_words() {
    let layers = BrokerLayers::default();
    let base = given(&[("retention.ms", "5")]);
    let check = |changes: &[ConfigChange], expected: &str| {
        let judged = said(alter_topic(&base, changes, &layers));
        assert!(judged.contains(expected), "{changes:?}: {judged}");
    };
    check(&[set("retention.ms", "6"), set("segment.ms", "0")], "Value must be at least 1");
    check(&[ConfigChange::Delete("retention.ms".into())], "yes");
    check(&[ConfigChange::Delete("no.such".into())], "yes");
    check(&[set("no.such", "1")], "Unknown topic config name: no.such");
    check(&[ConfigChange::Set("retention.ms".into(), None)], "Null value not supported for : ");
    check(&[set("retention.ms", "6"), set("retention.ms", "7")], "duplicate config keys");
    check(
        &[ConfigChange::Append("retention.ms".into(), Some("1".into()))],
        "Can't APPEND to key retention.ms because its type is not LIST.",
    );
    check(
        &[ConfigChange::Append("cleanup.policy".into(), Some("foo".into()))],
        "String must be one of: compact, delete",
    );
    check(&[set("preallocate", "true")], "not supported by this broker yet");
    check(
        &[set("max.compaction.lag.ms", "5"), set("min.compaction.lag.ms", "6")],
        "conflict topic config",
    );
}

#[test]
fn only_dynamic_broker_settings_can_be_altered() {
    let layers = broker(&[]);
    let check = |change: ConfigChange, cluster_wide, expected: &str| {
        let judged = said(alter_broker(&Overrides::new(), &[change], cluster_wide, &layers));
        assert!(judged.contains(expected), "{judged}");
    };
    check(set("log.retention.ms", "5"), true, "yes");
    check(set("log.retention.ms", "5"), false, "yes");
    check(set("log.retention.hours", "5"), true, "Cannot update these configs dynamically");
    check(set("num.partitions", "5"), false, "Cannot update these configs dynamically");
    check(set("listeners", "x"), true, "broker id must be specified");
    check(set("no.such", "5"), true, "Unknown broker config name");
    check(set("message.max.bytes", "-1"), true, "Value must be at least 0");
    let dynamic = |name: &str| broker_table::find(name).map(|definition| definition.dynamic);
    assert_eq!(dynamic("max.connections"), Some(Dynamic::ClusterWide));
}

#[test]
fn words_are_kept_as_written_and_blank_lists_are_empty() {
    let policy = topic_table::find("cleanup.policy").expect("listed");
    assert_eq!(policy.parse("  "), Ok(Value::List(vec![])));
    let own = create("cleanup.policy", " delete ").expect("valid");
    assert_eq!(own["cleanup.policy"], "delete", "blanks around a value do not count");
}

#[test]
fn the_times_of_the_consumer_protocol_must_fit_each_other() {
    let conflict = |pairs: &[(&str, &str)]| said(validate_static(&given(pairs)));
    let cases = [
        ("group.consumer.session.timeout.ms", "44999"),
        ("group.consumer.session.timeout.ms", "60001"),
        ("group.consumer.heartbeat.interval.ms", "4999"),
        ("group.consumer.heartbeat.interval.ms", "15001"),
        ("group.consumer.assignment.interval.ms", "15001"),
        ("group.consumer.min.assignment.interval.ms", "1001"),
    ];
    for (name, value) in cases {
        let text = conflict(&[(name, value)]);
        assert!(text.contains("must not be greater than") && text.contains(value), "{text}");
    }
    let short = [
        ("group.consumer.min.session.timeout.ms", "1000"),
        ("group.consumer.session.timeout.ms", "1000"),
    ];
    assert!(conflict(&short).contains("heartbeat"), "a heartbeat must come within a session");
    let fast = [
        ("group.consumer.min.heartbeat.interval.ms", "100"),
        ("group.consumer.heartbeat.interval.ms", "100"),
    ];
    assert_eq!(conflict(&[&short[..], &fast].concat()), "yes");
}

#[test]
fn a_groups_settings_lie_within_the_brokers_bounds_and_fit_each_other() {
    let mut broker = BrokerLayers::default();
    broker.set_static(0, given(&[("group.consumer.min.session.timeout.ms", "10000")]));
    let set =
        |name: &str, value: &str| vec![ConfigChange::Set(name.to_owned(), Some(value.to_owned()))];
    let alter = |base: &Overrides, changes: &[ConfigChange]| alter_group(base, changes, &broker);
    let refused = [
        ("consumer.session.timeout.ms", "9999", "greater than or equal to group.consumer.min"),
        ("consumer.session.timeout.ms", "60001", "less than or equal to group.consumer.max"),
        ("consumer.session.timeout.ms", "long", "Not a number"),
        ("consumer.heartbeat.interval.ms", "4999", "greater than or equal to group.consumer.min"),
        ("consumer.assignment.interval.ms", "15001", "less than or equal to group.consumer.max"),
        ("share.session.timeout.ms", "45000", "Unknown group config name"),
    ];
    for (name, value, why) in refused {
        let error = alter(&Overrides::new(), &set(name, value)).expect_err(name);
        assert!(error.to_string().contains(why), "{error}");
    }
    let short = alter(&Overrides::new(), &set("consumer.session.timeout.ms", "10000"));
    let short = short.expect("within the bounds");
    let slow = alter(&short, &set("consumer.heartbeat.interval.ms", "10000"));
    let text = slow.expect_err("a heartbeat must come within a session").to_string();
    assert!(text.contains("must be greater than"), "{text}");

    let shown = |overrides: &Overrides| -> Vec<_> {
        let entries = group_entries(overrides, &broker).into_iter();
        entries.map(|entry| (entry.value.unwrap_or_default(), entry.source)).collect()
    };
    let (own, default) = (ConfigSource::DynamicGroup, ConfigSource::Default);
    let entries = shown(&short);
    assert_eq!(entries[1], ("5000".to_owned(), default));
    assert_eq!(entries[2], ("10000".to_owned(), own));
    let number = |overrides: &Overrides| {
        group_table::number(overrides, &broker, "consumer.session.timeout.ms")
    };
    assert_eq!((number(&short), number(&Overrides::new())), (Some(10_000), Some(45_000)));
    let outside = given(&[("consumer.session.timeout.ms", "1")]);
    assert_eq!(number(&outside), Some(10_000), "the bounds were wider when it was set");
    let delete = vec![ConfigChange::Delete("consumer.session.timeout.ms".to_owned())];
    assert_eq!(alter(&short, &delete), Ok(Overrides::new()));
}
