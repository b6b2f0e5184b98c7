//! Topics come and go; snapshots and commands read back.

use model::{HashKeyRange, Offset, PartitionIndex, ShardId};
use proptest::prelude::*;

use super::*;
use crate::{DecodeError, configs::ConfigChange, shards::ReshardStep};

const NODE: i32 = 1;
const NOW: Timestamp = Timestamp(1_795_000_000_000);

fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("legal")
}

fn create(text: &str, id: u128, partitions: usize) -> CatalogCommand {
    CatalogCommand::CreateTopic {
        name: name(text),
        id: TopicId(id),
        partitions: (0..partitions).map(|p| LaneId(p as u16 + 1)).collect(),
        configs: Overrides::new(),
    }
}

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn catalog(commands: &[CatalogCommand]) -> Catalog {
    let mut catalog = Catalog::default();
    catalog.set_static_configs(NODE, Overrides::new());
    for command in commands {
        catalog.apply(command, NOW).expect("valid");
    }
    catalog
}

fn request(name: &str) -> TopicRequest<'_> {
    TopicRequest {
        name,
        partitions: Some(1),
        replication_factor: None,
        assignments: None,
        configs: &[],
        node_id: NODE,
    }
}

#[test]
fn a_topic_is_made_found_and_deleted() {
    let mut catalog = catalog(&[create("b", 7, 3), create("a", 8, 1)]);
    let names: Vec<_> = catalog.topics().map(|topic| topic.name.to_string()).collect();
    assert_eq!(names, ["a", "b"], "in the order of names");
    assert_eq!(catalog.partition_count(), 4);

    let topic = catalog.topic(&name("b")).expect("made");
    assert_eq!((topic.id, topic.created), (TopicId(7), NOW));
    let lanes: Vec<_> = topic.partitions.iter().map(|partition| partition.lane.0).collect();
    assert_eq!(lanes, [1, 2, 3]);
    assert_eq!(topic.shards.open_count(), 3);

    let event = catalog.apply(&CatalogCommand::DeleteTopic { id: TopicId(7) }, NOW);
    assert!(matches!(event, Ok(CatalogEvent::TopicDeleted { topic }) if topic.id == TopicId(7)));
    assert!(catalog.topic(&name("b")).is_none() && catalog.topic_by_id(TopicId(7)).is_none());
    assert_eq!(catalog.partition_count(), 1);
    // The name is free again, for another topic.
    catalog.apply(&create("b", 9, 1), NOW).expect("free");
}

fn assigned(assignments: &[(i32, Vec<i32>)]) -> TopicRequest<'_> {
    TopicRequest { partitions: None, assignments: Some(assignments), ..request("t") }
}

#[test]
fn requests_for_topics_are_judged_in_kafkas_words() {
    let catalog = catalog(&[create("there.is", 7, 1)]);
    let one = [(0, vec![NODE])];
    let check = |request: TopicRequest, said: &str| {
        let error = catalog.validate_create(&request).expect_err(said);
        assert!(format!("{error:?} {error}").contains(said), "{error:?} for {said}");
    };

    check(request(""), "InvalidTopic(");
    check(request("there.is"), "Topic 'there.is' already exists.");
    check(request("there_is"), "Topic 'there_is' collides with existing topic: there.is");
    check(TopicRequest { partitions: Some(0), ..request("t") }, "InvalidPartitions(");
    check(TopicRequest { partitions: Some(u32::MAX), ..request("t") }, "InvalidPartitions(");
    check(
        TopicRequest { replication_factor: Some(3), ..request("t") },
        "Replication factor: 3 larger than available brokers: 1.",
    );
    check(
        TopicRequest { replication_factor: Some(0), ..request("t") },
        "Replication factor was set to an invalid non-positive value.",
    );
    check(TopicRequest { replication_factor: Some(1), ..assigned(&one) }, "InvalidRequest(");
    check(TopicRequest { partitions: Some(1), ..assigned(&one) }, "InvalidRequest(");
    check(assigned(&[(0, vec![NODE]), (0, vec![NODE])]), "Found multiple manual partition");
    check(assigned(&[(0, vec![NODE]), (2, vec![NODE])]), "consecutive 0-based integer");
    check(assigned(&[(0, vec![])]), "empty replica list");
    check(assigned(&[(0, vec![5])]), "includes broker 5, but no such broker");
    check(assigned(&[(0, vec![NODE, NODE])]), "broker 1 more than once");
    check(assigned(&[]), "Number of partitions was set to an invalid non-positive value.");
    let configs = [("retention.ms".to_owned(), None)];
    check(
        TopicRequest { configs: &configs, ..request("t") },
        "Null value not supported for topic configs: retention.ms",
    );
}

#[test]
fn a_topic_takes_the_brokers_counts_where_it_names_none() {
    let mut catalog = catalog(&[]);
    let unsaid = TopicRequest { partitions: None, replication_factor: Some(-1), ..request("t") };
    assert_eq!(catalog.validate_create(&unsaid).map(|topic| topic.partitions), Ok(1));
    catalog.set_static_configs(NODE, overrides(&[("num.partitions", "4")]));
    assert_eq!(catalog.validate_create(&unsaid).map(|topic| topic.partitions), Ok(4));
    let assignments = [(1, vec![NODE]), (0, vec![NODE])];
    assert_eq!(
        catalog.validate_create(&assigned(&assignments)).map(|topic| topic.partitions),
        Ok(2)
    );
}

#[test]
fn partitions_are_bounded_over_all_topics() {
    let mut catalog = catalog(&[create("a", 7, 3)]);
    catalog.set_partitions_max(5);
    let ask = |partitions| TopicRequest { partitions: Some(partitions), ..request("b") };
    assert!(catalog.validate_create(&ask(2)).is_ok());
    assert!(catalog.validate_create(&ask(3)).is_err());
    let topic = catalog.topic(&name("a")).expect("made");
    assert!(catalog.validate_partitions(topic, 5, None, NODE).is_ok());
    assert!(catalog.validate_partitions(topic, 6, None, NODE).is_err());
}

#[test]
fn more_partitions_are_judged_in_kafkas_words() {
    let catalog = catalog(&[create("t", 7, 3)]);
    let topic = catalog.topic(&name("t")).expect("made");
    let check = |count, assignments: Option<&[Vec<i32>]>, said: &str| {
        let judged = catalog.validate_partitions(topic, count, assignments, NODE);
        let said_by_us = judged.map_or_else(|error| error.to_string(), |()| "yes".to_owned());
        assert!(said_by_us.contains(said), "{said_by_us}");
    };
    check(4, None, "yes");
    check(4, Some(&[vec![NODE]]), "yes");
    check(3, None, "Topic already has 3 partition(s).");
    check(2, None, "The topic t currently has 3 partition(s); 2 would not be an increase.");
    check(-1, None, "-1 would not be an increase");
    check(5, Some(&[vec![NODE]]), "Attempted to add 2 additional partition(s), but only 1");
    check(4, Some(&[vec![2]]), "includes broker 2, but no such broker is registered");
}

#[test]
fn added_partitions_split_shards_where_the_log_ends() {
    let mut catalog = catalog(&[create("t", 7, 1)]);
    let command = CatalogCommand::AddPartitions {
        id: TopicId(7),
        lanes: vec![LaneId(5)],
        closing_offsets: vec![model::Offset(40)],
    };
    let event = catalog.apply(&command, NOW);
    assert!(matches!(event, Ok(CatalogEvent::PartitionsAdded { from: 1, to: 2, .. })));
    let topic = catalog.topic_by_id(TopicId(7)).expect("made");
    let parent = topic.shards.get(ShardId(0)).expect("kept");
    assert_eq!((parent.end_offset, parent.range), (Some(Offset(40)), HashKeyRange::ALL));
    assert_eq!(topic.partitions[1].lane, LaneId(5));
    assert_eq!(catalog.partition_count(), 2);
}

#[test]
fn impossible_commands_change_nothing() {
    let mut catalog = catalog(&[create("t", 7, 1)]);
    let before = catalog.snapshot();
    let id = TopicId(99);
    let change = OverrideChange::default();
    for command in [
        create("t", 8, 1),
        create("other", 7, 1),
        create("other", 0, 1),
        create("other", 8, 0),
        CatalogCommand::DeleteTopic { id },
        CatalogCommand::AddPartitions { id, lanes: vec![], closing_offsets: vec![] },
        CatalogCommand::AddPartitions {
            id: TopicId(7),
            lanes: vec![LaneId(1)],
            closing_offsets: vec![],
        },
        CatalogCommand::AlterTopicConfigs { id, change },
    ] {
        assert!(catalog.apply(&command, NOW).is_err(), "{command:?}");
        assert_eq!(catalog.snapshot(), before, "{command:?}");
    }
}

#[test]
fn producer_ids_are_never_given_out_twice() {
    let mut catalog = catalog(&[]);
    for expected in [0, 1000, 2000] {
        let event = catalog.apply(&CatalogCommand::ReserveProducerIds { count: 1000 }, NOW);
        let Ok(CatalogEvent::ProducerIdsReserved { first, count: 1000 }) = event else {
            panic!("{event:?}");
        };
        assert_eq!(first, ProducerId(expected));
        catalog = Catalog::restore(&catalog.snapshot()).expect("our own bytes");
    }
}

#[test]
fn settings_act_from_the_strongest_layer_that_has_them() {
    let mut catalog = catalog(&[create("t", 7, 1)]);
    let retention = |catalog: &Catalog| {
        let topic = catalog.topic_by_id(TopicId(7)).expect("made");
        topic.effective.retention_ms
    };
    assert_eq!(retention(&catalog), 7 * 24 * 3_600_000, "Kafka's default");

    catalog.set_static_configs(NODE, overrides(&[("log.retention.hours", "2")]));
    assert_eq!(retention(&catalog), 7_200_000, "static");

    let set = |value: &str| vec![ConfigChange::Set("log.retention.ms".into(), Some(value.into()))];
    let command = catalog.plan_broker_configs(None, &set("300"), false).expect("dynamic");
    catalog.apply(&command, NOW).expect("valid");
    assert_eq!(retention(&catalog), 300, "dynamic default");
    let command = catalog.plan_broker_configs(Some(NODE), &set("200"), false).expect("dynamic");
    catalog.apply(&command, NOW).expect("valid");
    assert_eq!(retention(&catalog), 200, "dynamic, this broker");

    let set = [ConfigChange::Set("retention.ms".into(), Some("100".into()))];
    let topic = catalog.topic_by_id(TopicId(7)).expect("made");
    let command = catalog.plan_topic_configs(topic, &set, false).expect("valid");
    catalog.apply(&command, NOW).expect("valid");
    assert_eq!(retention(&catalog), 100, "the topic's own");

    // A restart keeps all of it but the static settings, which are given anew.
    let mut restored = Catalog::restore(&catalog.snapshot()).expect("our own bytes");
    assert_eq!(retention(&restored), 100);
    restored.set_static_configs(NODE, Overrides::new());
    let command = CatalogCommand::AlterTopicConfigs {
        id: TopicId(7),
        change: OverrideChange { unset: ["retention.ms".to_owned()].into(), ..Default::default() },
    };
    restored.apply(&command, NOW).expect("valid");
    assert_eq!(retention(&restored), 200, "what was dynamic is still there");

    // AlterConfigs without a setting takes it back.
    let topic = catalog.topic_by_id(TopicId(7)).expect("made");
    let command = catalog.plan_topic_configs(topic, &[], true).expect("valid");
    catalog.apply(&command, NOW).expect("valid");
    assert_eq!(retention(&catalog), 200);

    assert!(catalog.plan_broker_configs(Some(NODE + 1), &set, false).is_err(), "another broker");
}

#[test]
fn topics_without_settings_of_their_own_share_theirs() {
    let mut catalog = catalog(&[create("a", 7, 1), create("b", 8, 1)]);
    catalog.set_static_configs(NODE, overrides(&[("log.segment.bytes", "2097152")]));
    catalog.apply(&create("c", 9, 1), NOW).expect("free");
    let restored = Catalog::restore(&catalog.snapshot()).expect("our own bytes");
    for (catalog, segment_bytes) in [(catalog, 2_097_152), (restored, 1 << 30)] {
        let effective: Vec<_> = catalog.topics().map(|topic| &topic.effective).collect();
        assert_eq!(effective[0].segment_bytes, segment_bytes);
        assert!(effective.iter().all(|other| Rc::ptr_eq(other, effective[0])));
    }
}

#[test]
fn foreign_bytes_are_refused() {
    let good = create("t", 7, 2).encode();
    assert_eq!(CatalogCommand::decode(&good), Ok(create("t", 7, 2)));
    let mut newer = good.clone();
    newer[0] = 9;
    assert!(matches!(
        CatalogCommand::decode(&newer),
        Err(DecodeError::UnknownVersion { found: 9, known: 2, .. })
    ));
    for length in 0..good.len() {
        assert!(CatalogCommand::decode(&good[..length]).is_err(), "cut at {length}");
    }
    let longer = [good, vec![0]].concat();
    assert!(matches!(CatalogCommand::decode(&longer), Err(DecodeError::Malformed { .. })));
    let huge = vec![1; (4 << 20) + 1];
    assert!(matches!(CatalogCommand::decode(&huge), Err(DecodeError::TooLarge { .. })));
    assert!(matches!(Catalog::restore(&[]), Err(DecodeError::Empty { .. })));
}

/// A catalog as thalweg wrote it before streams had properties: a topic of two partitions.
const CATALOG_1: &str = concat!(
    "010107036f6c6480f8b2e5bd6802010200020000000000ffffffffffffffffffffffffffffffffff",
    "ff010080f8b2e5bd68000101000080808080808080808080808080808080808002ffffffffffffff",
    "ffffffffffffffffffffff030080f8b2e5bd6800020001000000",
);

#[test]
fn what_kinesis_keeps_is_in_the_snapshot_and_format_1_is_still_read() {
    let mut catalog = catalog(&[create("t", 7, 2)]);
    let tags = Tags::from([("team".to_owned(), "a".to_owned())]);
    let changes = [
        StreamChange::SetTags { consumer: None, tags },
        StreamChange::RegisterConsumer { name: "c".to_owned(), tags: Tags::new() },
    ];
    for change in changes {
        let command = CatalogCommand::ChangeStream { id: TopicId(7), change };
        assert_eq!(
            command.encode().first(),
            Some(&2),
            "an older thalweg refuses it by its version"
        );
        catalog.apply(&command, NOW).expect("valid");
    }
    catalog.apply(&CatalogCommand::SetThroughputCommitment { is_enabled: true }, NOW).expect("ok");
    let merge = CatalogCommand::Reshard {
        id: TopicId(7),
        steps: vec![ReshardStep::Merge { into: ShardId(0), from: ShardId(1) }],
        lanes: Vec::new(),
        closing_offsets: [(PartitionIndex(0), Offset(3)), (PartitionIndex(1), Offset(4))].into(),
    };
    catalog.apply(&merge, NOW).expect("neighbours");

    let restored = Catalog::restore(&catalog.snapshot()).expect("our own bytes");
    let topic = restored.topic_by_id(TopicId(7)).expect("made");
    assert_eq!(topic.stream, catalog.topic_by_id(TopicId(7)).expect("made").stream);
    assert_eq!(topic.stream.consumers.len(), 1);
    assert!(restored.account().throughput_commitment.is_enabled);
    let sealed_by: Vec<_> = topic.partitions.iter().map(|p| p.sealed_by).collect();
    assert_eq!(sealed_by, [None, Some(ShardId(2))]);

    // And a catalog of format 1 is one whose streams were told nothing.
    let old: Vec<u8> = (0..CATALOG_1.len() / 2)
        .map(|at| u8::from_str_radix(&CATALOG_1[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    let old = Catalog::restore(&old).expect("format 1");
    let topic = old.topic(&name("old")).expect("it was there");
    assert_eq!((topic.id, topic.partitions.len()), (TopicId(7), 2));
    assert_eq!(topic.stream, StreamProperties::default());
    assert_eq!(old.account(), AccountSettings::default());
}

fn commands() -> impl Strategy<Value = Vec<CatalogCommand>> {
    let names = prop::sample::select(vec!["a", "b", "a.b", "a_b", "c"]);
    let id = || (1..6_u128).prop_map(TopicId);
    let lanes = || prop::collection::vec((1..5_u16).prop_map(LaneId), 0..4);
    let values = prop::sample::select(vec!["100", "200", "nonsense"]);
    let change = (values, any::<bool>()).prop_map(|(value, set)| {
        let name = "retention.ms".to_owned();
        if set {
            OverrideChange {
                set: Overrides::from([(name, value.to_owned())]),
                ..Default::default()
            }
        } else {
            OverrideChange { unset: [name].into(), ..Default::default() }
        }
    });
    let alter =
        (id(), change).prop_map(|(id, change)| CatalogCommand::AlterTopicConfigs { id, change });
    let command = prop_oneof![
        (names, id(), lanes()).prop_map(|(text, id, partitions)| CatalogCommand::CreateTopic {
            name: name(text),
            id,
            partitions,
            configs: Overrides::new(),
        }),
        id().prop_map(|id| CatalogCommand::DeleteTopic { id }),
        (id(), lanes(), prop::collection::vec((0..9_i64).prop_map(Offset), 0..9)).prop_map(
            |(id, lanes, closing_offsets)| {
                CatalogCommand::AddPartitions { id, lanes, closing_offsets }
            }
        ),
        alter,
        (1..9_u32).prop_map(|count| CatalogCommand::ReserveProducerIds { count }),
        (id(), stream_change())
            .prop_map(|(id, change)| CatalogCommand::ChangeStream { id, change }),
        any::<bool>().prop_map(|is_enabled| CatalogCommand::SetThroughputCommitment { is_enabled }),
        (id(), step(), lanes(), prop::collection::btree_map(0..4_u32, 0..9_i64, 0..4)).prop_map(
            |(id, step, lanes, ends)| CatalogCommand::Reshard {
                id,
                steps: vec![step],
                lanes: lanes.into_iter().take(1).collect(),
                closing_offsets: ends
                    .into_iter()
                    .map(|(partition, end)| (PartitionIndex(partition), Offset(end)))
                    .collect(),
            }
        ),
    ];
    prop::collection::vec(command, 0..40)
}

fn stream_change() -> impl Strategy<Value = StreamChange> {
    let consumer = || prop::option::of(Just("c".to_owned()));
    let tags = || prop::collection::btree_map("[a-c]", "[a-c]", 0..3);
    prop_oneof![
        (consumer(), tags()).prop_map(|(consumer, tags)| StreamChange::SetTags { consumer, tags }),
        tags().prop_map(|tags| StreamChange::RegisterConsumer { name: "c".to_owned(), tags }),
        Just(StreamChange::DeregisterConsumer { name: "c".to_owned() }),
        consumer().prop_map(|consumer| StreamChange::RemovePolicy { consumer }),
        consumer().prop_map(|consumer| StreamChange::SetPolicy { consumer, policy: "{}".into() }),
    ]
}

fn step() -> impl Strategy<Value = ReshardStep> {
    let shard = || (0..6_u32).prop_map(ShardId);
    prop_oneof![
        (shard(), any::<u128>())
            .prop_map(|(shard, at)| ReshardStep::Split { shard, at: model::HashKey(at) }),
        (shard(), shard()).prop_map(|(into, from)| ReshardStep::Merge { into, from }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any commands, valid or not, restart anywhere: replicas agree, and no name or partition is
    /// lost or counted twice.
    #[test]
    fn replicas_agree_whatever_is_applied(commands in commands(), restart_at in 0..40_usize) {
        let (mut one, mut other) = (catalog(&[]), catalog(&[]));
        for (place, command) in commands.iter().enumerate() {
            if place == restart_at {
                other = Catalog::restore(&other.snapshot()).expect("our own bytes");
            }
            let read = CatalogCommand::decode(&command.encode());
            prop_assert_eq!(read.as_ref(), Ok(command));
            let at = Timestamp(NOW.0 + place as i64);
            let before = one.snapshot();
            let judged = one.validate(command, at);
            let applied = one.apply(command, at);
            prop_assert_eq!(judged.as_ref().err(), applied.as_ref().err());
            prop_assert_eq!(applied.is_ok(), other.apply(command, at).is_ok());
            prop_assert!(applied.is_ok() || one.snapshot() == before, "refused, yet changed");
        }
        prop_assert_eq!(one.snapshot(), other.snapshot());
        let counted: usize = one.topics().map(|topic| topic.partitions.len()).sum();
        prop_assert_eq!(one.partition_count(), counted);
        let forms: std::collections::BTreeSet<_> =
            one.topics().map(|topic| topic.name.collision_form()).collect();
        prop_assert_eq!(forms.len(), one.topics().count(), "two names collide");
        for topic in one.topics() {
            let takes_records = |p: &&PartitionState| p.sealed_by.is_none();
            let open = topic.partitions.iter().filter(takes_records).count();
            prop_assert_eq!(open, topic.shards.open_count(), "one open shard per open partition");
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [vec![1], bytes].concat();
        let _ = CatalogCommand::decode(&bytes);
        if let Ok(catalog) = Catalog::restore(&bytes) {
            let _ = catalog.snapshot();
        }
    }
}
