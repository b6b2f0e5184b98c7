//! Consumer groups of the newer protocol (KIP-848): heartbeats, takeovers, offsets, restarts.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    DescribeConfigsRequest, GroupId, HeartbeatRequest, IncrementalAlterConfigsRequest,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest,
    OffsetFetchRequest, SyncGroupRequest,
    consumer_group_describe_response::DescribedGroup,
    consumer_group_heartbeat_request::TopicPartitions,
    describe_configs_request::DescribeConfigsResource,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    join_group_request::JoinGroupRequestProtocol,
    leave_group_request::MemberIdentity,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    sync_group_request::SyncGroupRequestAssignment,
};

use crate::conversation::{Client, text, topic_name, with_broker, with_restarts};

pub const GROUP: &str = "g";
/// Targets are worked out with every change, not once in a second as by default.
pub const AT_ONCE: [(&str, &str); 1] = [("group.consumer.assignment.interval.ms", "0")];

pub fn join(member: &str, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
    beat(member, 0)
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(topics.iter().map(|name| topic_name(name)).collect()))
        .with_topic_partitions(Some(Vec::new()))
}

pub fn beat(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None)
}

/// A heartbeat that says which partitions of a topic the member has.
pub fn owning(
    member: &str,
    epoch: i32,
    topic: uuid::Uuid,
    partitions: &[i32],
) -> ConsumerGroupHeartbeatRequest {
    let owned =
        TopicPartitions::default().with_topic_id(topic).with_partitions(partitions.to_vec());
    beat(member, epoch).with_topic_partitions(Some(vec![owned]))
}

/// The epoch that a member is told, and its partitions if it is told those too.
fn told(response: &ConsumerGroupHeartbeatResponse) -> (i32, Option<Vec<i32>>) {
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let partitions = response.assignment.as_ref().map(|assignment| {
        let topics = assignment.topic_partitions.iter();
        topics.flat_map(|topic| topic.partitions.iter().copied()).collect()
    });
    (response.member_epoch, partitions)
}

pub async fn send(
    client: &mut Client,
    request: ConsumerGroupHeartbeatRequest,
) -> (i32, Option<Vec<i32>>) {
    told(&client.ask(1, request).await)
}

async fn describe(client: &mut Client, group: &str) -> DescribedGroup {
    let request =
        ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(group))]);
    client.ask(1, request).await.groups.remove(0)
}

#[test]
fn a_second_member_gets_its_share_when_the_first_has_given_it_up() {
    with_broker(&AT_ONCE, |mut client| async move {
        let topic = client.create_topic("t", 4, &[]).await;
        let first = client.ask(1, join("m1", &["t"])).await;
        assert_eq!(told(&first), (1, Some(vec![0, 1, 2, 3])));
        assert_eq!(first.member_id, Some(text("m1")));
        assert_eq!(first.heartbeat_interval_ms, 5_000);
        assert_eq!(send(&mut client, join("m2", &["t"])).await, (2, Some(vec![])));
        assert_eq!(send(&mut client, beat("m1", 1)).await, (1, Some(vec![0, 1])));
        assert_eq!(send(&mut client, beat("m2", 2)).await, (2, None));
        assert_eq!(send(&mut client, owning("m1", 1, topic, &[0, 1])).await, (2, None));
        assert_eq!(send(&mut client, beat("m2", 2)).await, (2, Some(vec![2, 3])));

        let described = describe(&mut client, GROUP).await;
        assert_eq!((described.error_code, described.group_state.as_str()), (0, "Stable"));
        assert_eq!((described.group_epoch, described.assignment_epoch), (2, 2));
        assert_eq!(described.assignor_name.as_str(), "uniform");
        let member = &described.members[1];
        assert_eq!((member.member_id.as_str(), member.member_epoch), ("m2", 2));
        assert_eq!(
            (member.client_id.as_str(), member.client_host.as_str()),
            ("test", "/127.0.0.1")
        );
        assert_eq!(member.member_type, 1);
        let assigned = &member.assignment.topic_partitions[0];
        assert_eq!((assigned.topic_id, assigned.topic_name.as_str()), (topic, "t"));
        assert_eq!(assigned.partitions, [2, 3]);
        assert_eq!(member.target_assignment, member.assignment);
    });
}

#[test]
fn in_version_0_the_coordinator_makes_the_id() {
    with_broker(&AT_ONCE, |mut client| async move {
        client.create_topic("t", 1, &[]).await;
        let response = client.ask(0, join("", &["t"])).await;
        assert_eq!(told(&response), (1, Some(vec![0])));
        let id = response.member_id.unwrap();
        assert_eq!(id.len(), 22);
        assert_eq!(send(&mut client, beat(&id, 1)).await, (1, None));
    });
}

#[test]
fn a_silent_member_loses_its_partitions_when_its_session_ends() {
    with_broker(&AT_ONCE, |mut client| async move {
        client.create_topic("t", 2, &[]).await;
        send(&mut client, join("m1", &["t"])).await;
        send(&mut client, join("m2", &["t"])).await;
        for _ in 0..8 {
            runtime::sleep(Duration::from_secs(5)).await;
            assert_eq!(send(&mut client, beat("m2", 2)).await, (2, None));
        }
        // 45 seconds are over: the first is gone, and what it had is free.
        runtime::sleep(Duration::from_millis(5_001)).await;
        assert_eq!(send(&mut client, beat("m2", 2)).await, (3, Some(vec![0, 1])));
        let response = client.ask(1, beat("m1", 1)).await;
        assert_eq!(response.error_code, 25, "UNKNOWN_MEMBER_ID");
    });
}

#[test]
fn a_member_that_gives_nothing_up_in_time_is_taken_out() {
    with_broker(&AT_ONCE, |mut client| async move {
        client.create_topic("t", 2, &[]).await;
        send(&mut client, join("m1", &["t"]).with_rebalance_timeout_ms(10_000)).await;
        send(&mut client, join("m2", &["t"])).await;
        assert_eq!(send(&mut client, beat("m1", 1)).await, (1, Some(vec![0])));
        runtime::sleep(Duration::from_secs(6)).await;
        assert_eq!(send(&mut client, beat("m1", 1)).await, (1, None));
        runtime::sleep(Duration::from_millis(4_001)).await;
        let response = client.ask(1, beat("m1", 1)).await;
        assert_eq!(response.error_code, 25, "UNKNOWN_MEMBER_ID");
        assert_eq!(send(&mut client, beat("m2", 2)).await, (3, Some(vec![0, 1])));
    });
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    with_broker(&AT_ONCE, |mut client| async move {
        client.create_topic("t", 2, &[]).await;
        let as_instance =
            |request: ConsumerGroupHeartbeatRequest| request.with_instance_id(Some(text("i")));
        send(&mut client, as_instance(join("m1", &["t"]))).await;
        let response = client.ask(1, as_instance(join("m2", &["t"]))).await;
        assert_eq!(response.error_code, 111, "UNRELEASED_INSTANCE_ID");
        assert_eq!(send(&mut client, as_instance(beat("m1", -2))).await, (-2, None));
        let back = send(&mut client, as_instance(join("m2", &["t"]))).await;
        assert_eq!(back, (1, Some(vec![0, 1])));
        let response = client.ask(1, as_instance(beat("m1", 1))).await;
        assert_eq!(response.error_code, 82, "FENCED_INSTANCE_ID");
        // The old member's session does not end the new one's.
        for _ in 0..10 {
            runtime::sleep(Duration::from_secs(5)).await;
            assert_eq!(send(&mut client, as_instance(beat("m2", 1))).await, (1, None));
        }
    });
}

#[test]
fn refusals_have_kafkas_codes() {
    let settings = [("group.consumer.max.size", "1"), ("group.consumer.assignors", "range")];
    with_broker(&settings, |mut client| async move {
        client.create_topic("t", 1, &[]).await;
        let code = async |client: &mut Client, request: ConsumerGroupHeartbeatRequest| {
            client.ask(1, request).await.error_code
        };
        assert_eq!(code(&mut client, beat("m1", 1)).await, 69, "GROUP_ID_NOT_FOUND");
        assert_eq!(code(&mut client, beat("m1", -1)).await, 69, "GROUP_ID_NOT_FOUND");
        assert_eq!(code(&mut client, join("", &["t"])).await, 42, "INVALID_REQUEST");
        let uniform = join("m1", &["t"]).with_server_assignor(Some(text("uniform")));
        assert_eq!(code(&mut client, uniform).await, 112, "UNSUPPORTED_ASSIGNOR");
        let pattern = join("m1", &[]).with_subscribed_topic_regex(Some(text("(")));
        assert_eq!(code(&mut client, pattern).await, 128, "INVALID_REGULAR_EXPRESSION");
        // Whatever was refused has left nothing behind.
        assert_eq!(describe(&mut client, GROUP).await.error_code, 69);
        assert_eq!(describe(&mut client, GROUP).await.group_state.as_str(), "");
        let range = join("m1", &["t"]).with_server_assignor(Some(text("range")));
        assert_eq!(code(&mut client, range).await, 0);
        assert_eq!(code(&mut client, join("m2", &["t"])).await, 81, "GROUP_MAX_SIZE_REACHED");
        assert_eq!(code(&mut client, beat("m2", 1)).await, 25, "UNKNOWN_MEMBER_ID");
        assert_eq!(code(&mut client, beat("m1", 2)).await, 110, "FENCED_MEMBER_EPOCH");
        assert_eq!(describe(&mut client, GROUP).await.assignor_name.as_str(), "range");
    });
}

#[test]
fn a_pattern_takes_in_topics_that_are_made_later() {
    with_broker(&AT_ONCE, |mut client| async move {
        client.create_topic("logs-1", 1, &[]).await;
        client.create_topic("other", 1, &[]).await;
        let pattern = join("m1", &[]).with_subscribed_topic_regex(Some(text("logs-.*")));
        assert_eq!(send(&mut client, pattern).await, (1, Some(vec![0])));
        client.create_topic("logs-2", 2, &[]).await;
        let response = client.ask(1, beat("m1", 1)).await;
        let (epoch, partitions) = told(&response);
        assert_eq!((epoch, partitions.map(|all| all.len())), (2, Some(3)));
        let described = describe(&mut client, GROUP).await;
        assert_eq!(described.members[0].subscribed_topic_regex, Some(text("logs-.*")));
    });
}

async fn commit(client: &mut Client, member: &str, epoch: i32, offset: i64) -> i16 {
    commit_all(client, member, epoch, offset, &[0]).await[0]
}

/// The outcome of each partition.
async fn commit_all(
    client: &mut Client,
    member: &str,
    epoch: i32,
    offset: i64,
    partitions: &[i32],
) -> Vec<i16> {
    let partitions = partitions.iter().map(|partition| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("")))
    });
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(partitions.collect());
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(epoch)
        .with_topics(vec![topic]);
    let response = client.ask(9, request).await;
    response.topics[0].partitions.iter().map(|partition| partition.error_code).collect()
}

/// The group's error code and the offset, as a member is shown them.
async fn fetch(client: &mut Client, member: Option<&str>, epoch: i32) -> (i16, Option<i64>) {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_member_id(member.map(text))
        .with_member_epoch(epoch)
        .with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    let response = client.ask(9, request).await;
    let group = &response.groups[0];
    let partition = group.topics.first().and_then(|topic| topic.partitions.first());
    (group.error_code, partition.map(|partition| partition.committed_offset))
}

#[test]
fn offsets_are_committed_and_fetched_by_members_in_their_epoch() {
    with_broker(&AT_ONCE, |mut client| async move {
        client.create_topic("t", 1, &[]).await;
        send(&mut client, join("m1", &["t"])).await;
        assert_eq!(commit(&mut client, "m1", 1, 7).await, 0);
        assert_eq!(commit(&mut client, "m1", 0, 8).await, 113, "STALE_MEMBER_EPOCH");
        assert_eq!(commit(&mut client, "m2", 1, 8).await, 25, "UNKNOWN_MEMBER_ID");
        assert_eq!(commit(&mut client, "", -1, 8).await, 25, "UNKNOWN_MEMBER_ID");
        assert_eq!(fetch(&mut client, Some("m1"), 1).await, (0, Some(7)));
        assert_eq!(fetch(&mut client, None, -1).await, (0, Some(7)));
        assert_eq!(fetch(&mut client, Some("m1"), 2).await.0, 113, "STALE_MEMBER_EPOCH");
        assert_eq!(fetch(&mut client, Some("m2"), 1).await.0, 25, "UNKNOWN_MEMBER_ID");
        // Once nobody is a member, tools may set offsets.
        send(&mut client, beat("m1", -1)).await;
        assert_eq!(commit(&mut client, "", -1, 3).await, 0);
        assert_eq!(fetch(&mut client, None, -1).await, (0, Some(3)));
    });
}

/// KIP-1251: also across a kill, from the journal and from a checkpoint.
#[test]
fn with_an_older_epoch_a_member_commits_what_it_had_already_then() {
    with_restarts(&AT_ONCE, |restartable| async move {
        let mut client = restartable.start().await;
        let topic = client.create_topic("t", 2, &[]).await;
        send(&mut client, join("m1", &["t"])).await;
        send(&mut client, join("m2", &["t"])).await;
        send(&mut client, beat("m1", 1)).await;
        assert_eq!(send(&mut client, owning("m1", 1, topic, &[0])).await, (2, None));
        send(&mut client, beat("m2", -1)).await;
        assert_eq!(send(&mut client, beat("m1", 2)).await, (3, Some(vec![0, 1])));
        for pause_ms in [0, 8_000] {
            runtime::sleep(Duration::from_millis(pause_ms)).await;
            for (epoch, codes) in [(3, [0, 0]), (2, [0, 113]), (1, [0, 113]), (4, [113, 113])] {
                let found = commit_all(&mut client, "m1", epoch, 7, &[0, 1]).await;
                assert_eq!(found, codes, "in epoch {epoch}");
            }
            restartable.kill();
            client = restartable.start().await;
        }
    });
}

#[test]
fn an_assignment_stands_for_the_time_that_is_set() {
    let settings = [("group.consumer.assignment.interval.ms", "2000")];
    with_broker(&settings, |mut client| async move {
        client.create_topic("t", 2, &[]).await;
        send(&mut client, join("m1", &["t"])).await;
        assert_eq!(send(&mut client, join("m2", &["t"])).await, (1, Some(vec![])));
        assert_eq!(describe(&mut client, GROUP).await.group_state.as_str(), "Assigning");
        runtime::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(send(&mut client, beat("m1", 1)).await, (1, None));
        runtime::sleep(Duration::from_millis(501)).await;
        assert_eq!(send(&mut client, beat("m1", 1)).await, (1, Some(vec![0])));
    });
}

const GROUP_RESOURCE: i8 = 32;

/// Sets a setting of a group; the error code.
async fn set(client: &mut Client, group: &str, name: &str, value: &str) -> i16 {
    let config = AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(GROUP_RESOURCE)
        .with_resource_name(text(group))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.ask(1, request).await.responses[0].error_code
}

/// The settings of a group: name, value and source.
async fn settings_of(client: &mut Client, group: &str) -> Vec<(String, String, i8)> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(GROUP_RESOURCE)
        .with_resource_name(text(group))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let result = client.ask(4, request).await.results.remove(0);
    assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    let shown = result.configs.iter().map(|config| {
        let value = config.value.as_ref().map(ToString::to_string).unwrap_or_default();
        (config.name.to_string(), value, config.config_source)
    });
    shown.collect()
}

#[test]
fn a_group_has_settings_of_its_own_also_across_a_kill() {
    with_restarts(&[], |restartable| async move {
        let mut client = restartable.start().await;
        client.create_topic("t", 1, &[]).await;
        let (session, interval) = ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms");
        assert_eq!(set(&mut client, GROUP, session, "50000").await, 0);
        assert_eq!(set(&mut client, GROUP, interval, "10000").await, 0);
        for (group, name, value, code) in [
            (GROUP, session, "44999", 40),
            (GROUP, interval, "often", 40),
            (GROUP, "consumer.patience.ms", "1", 40),
            ("", session, "50000", 42),
        ] {
            assert_eq!(set(&mut client, group, name, value).await, code, "{name} = {value}");
        }
        restartable.kill();
        let mut client = restartable.start().await;
        let of = |name: &str, value: &str, source| (name.to_owned(), value.to_owned(), source);
        let (own, default) = (8, 5);
        let expected = [
            of("consumer.assignment.interval.ms", "1000", default),
            of(interval, "10000", own),
            of(session, "50000", own),
        ];
        assert_eq!(settings_of(&mut client, GROUP).await, expected);
        assert_eq!(settings_of(&mut client, "other").await[2], of(session, "45000", default));
        let joined = client.ask(1, join("m1", &["t"])).await;
        assert_eq!((joined.error_code, joined.heartbeat_interval_ms), (0, 10_000));
        runtime::sleep(Duration::from_millis(49_000)).await;
        assert_eq!(send(&mut client, beat("m1", 1)).await, (1, None));
        runtime::sleep(Duration::from_millis(50_001)).await;
        assert_eq!(client.ask(1, beat("m1", 1)).await.error_code, 25, "UNKNOWN_MEMBER_ID");
    });
}

#[test]
fn members_go_on_after_a_kill_as_if_nothing_had_been() {
    with_restarts(&AT_ONCE, |restartable| async move {
        let mut client = restartable.start().await;
        let topic = client.create_topic("t", 2, &[]).await;
        send(&mut client, join("m1", &["t"])).await;
        send(&mut client, join("m2", &["t"])).await;
        assert_eq!(send(&mut client, beat("m1", 1)).await, (1, Some(vec![0])));
        restartable.kill();
        let mut client = restartable.start().await;
        assert_eq!(send(&mut client, beat("m2", 2)).await, (2, None));
        assert_eq!(send(&mut client, owning("m1", 1, topic, &[0])).await, (2, None));
        assert_eq!(send(&mut client, beat("m2", 2)).await, (2, Some(vec![1])));
        // One that did not survive it is missed when a session is over.
        for _ in 0..9 {
            runtime::sleep(Duration::from_millis(5_001)).await;
            send(&mut client, beat("m2", 2)).await;
        }
        assert_eq!(describe(&mut client, GROUP).await.members.len(), 1);
    });
}

/// A subscription to topic `t` and an assignment of its partitions, as consumers write them.
fn subscription() -> Bytes {
    Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff])
}

fn assignment(partitions: &[i32]) -> Bytes {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 1, b't'];
    bytes.extend((partitions.len() as i32).to_be_bytes());
    partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
    bytes.extend([0xff; 4]);
    bytes.into()
}

fn classic_join(member: &str) -> JoinGroupRequest {
    let protocol =
        JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription());
    JoinGroupRequest::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(60_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

async fn join_classic(client: &mut Client, member: &str) -> JoinGroupResponse {
    client.ask(7, classic_join(member)).await
}

async fn sync(
    client: &mut Client,
    member: &str,
    generation: i32,
    given: Option<&[i32]>,
) -> (i16, Bytes) {
    let assignments = given.into_iter().map(|partitions| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(assignment(partitions))
    });
    let request = SyncGroupRequest::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(assignments.collect());
    let response = client.ask(5, request).await;
    (response.error_code, response.assignment)
}

async fn beat_classic(client: &mut Client, member: &str, generation: i32) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_generation_id(generation)
        .with_member_id(text(member));
    client.ask(4, request).await.error_code
}

/// A classic member alone in its group, with all partitions; its id.
pub async fn alone(client: &mut Client) -> String {
    let id = join_classic(client, "").await.member_id.to_string();
    let joined = join_classic(client, &id).await;
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!(sync(client, &id, 1, Some(&[0, 1])).await, (0, assignment(&[0, 1])));
    id
}

const REBALANCE: i16 = 27;

#[test]
fn a_group_with_members_goes_from_the_classic_protocol_to_the_newer_one_and_back() {
    let settings = [("group.initial.rebalance.delay.ms", "0"), AT_ONCE[0]];
    with_broker(&settings, |mut client| async move {
        client.create_topic("t", 2, &[]).await;
        let id = alone(&mut client).await;
        assert_eq!(send(&mut client, join("m1", &["t"])).await, (2, Some(vec![])));
        assert_eq!(describe(&mut client, GROUP).await.members.len(), 2);
        // The classic member is told to join again. It has given everything up before it does.
        assert_eq!(beat_classic(&mut client, &id, 1).await, REBALANCE);
        let joined = join_classic(&mut client, &id).await;
        assert_eq!((joined.error_code, joined.generation_id), (0, 2));
        assert_eq!((joined.leader.as_str(), joined.members.len()), ("", 0), "nobody leads");
        assert_eq!(sync(&mut client, &id, 2, None).await, (0, assignment(&[0])));
        assert_eq!(beat_classic(&mut client, &id, 2).await, 0);
        assert_eq!(send(&mut client, beat("m1", 2)).await, (2, Some(vec![1])));
        let described = describe(&mut client, GROUP).await;
        let mut types: Vec<_> = described.members.iter().map(|member| member.member_type).collect();
        types.sort_unstable();
        assert_eq!((described.group_state.as_str(), types), ("Stable", vec![0, 1]));
        // The last one of the newer protocol leaves: the group is a classic one again.
        assert_eq!(send(&mut client, beat("m1", -1)).await, (-1, None));
        assert_eq!(describe(&mut client, GROUP).await.error_code, 69, "GROUP_ID_NOT_FOUND");
        let joined = join_classic(&mut client, &id).await;
        assert_eq!((joined.error_code, joined.leader.as_str()), (0, id.as_str()));
        let generation = joined.generation_id;
        assert!(generation > 2);
        let synced = sync(&mut client, &id, generation, Some(&[0, 1])).await;
        assert_eq!(synced, (0, assignment(&[0, 1])));
        assert_eq!(beat_classic(&mut client, &id, generation).await, 0);
    });
}

#[test]
fn a_static_member_that_restarts_with_the_classic_protocol_takes_the_group_along() {
    let settings = [("group.initial.rebalance.delay.ms", "0"), AT_ONCE[0]];
    with_broker(&settings, |mut client| async move {
        client.create_topic("t", 2, &[]).await;
        let newer = join("m1", &["t"]).with_instance_id(Some(text("i")));
        assert_eq!(send(&mut client, newer).await, (1, Some(vec![0, 1])));
        let again = classic_join("").with_group_instance_id(Some(text("i")));
        let joined = client.ask(7, again).await;
        assert_eq!((joined.error_code, joined.generation_id), (0, 1));
        assert_eq!(describe(&mut client, GROUP).await.error_code, 69, "GROUP_ID_NOT_FOUND");
        let id = joined.member_id.to_string();
        assert_eq!(sync(&mut client, &id, 1, None).await, (0, assignment(&[0, 1])));
        assert_eq!(beat_classic(&mut client, &id, 1).await, 0, "no rebalance");
        let old = beat("m1", 1).with_instance_id(Some(text("i")));
        assert_eq!(client.ask(1, old).await.error_code, 69, "GROUP_ID_NOT_FOUND");
    });
}

#[test]
fn a_policy_keeps_groups_with_members_as_they_are_and_empty_ones_change() {
    let settings = [
        AT_ONCE[0],
        ("group.initial.rebalance.delay.ms", "0"),
        ("group.consumer.migration.policy", "disabled"),
    ];
    with_broker(&settings, |mut client| async move {
        client.create_topic("t", 2, &[]).await;
        let id = alone(&mut client).await;
        assert_eq!(client.ask(1, join("m1", &["t"])).await.error_code, 69, "GROUP_ID_NOT_FOUND");
        assert_eq!(beat_classic(&mut client, &id, 1).await, 0);
        let leave = LeaveGroupRequest::default()
            .with_group_id(GroupId(text(GROUP)))
            .with_members(vec![MemberIdentity::default().with_member_id(text(&id))]);
        assert_eq!(client.ask(4, leave).await.error_code, 0);
        assert_eq!(send(&mut client, join("m1", &["t"])).await.1, Some(vec![0, 1]));
        send(&mut client, beat("m1", -1)).await;
        let new = join_classic(&mut client, "").await.member_id.to_string();
        let joined = join_classic(&mut client, &new).await;
        assert_eq!((joined.error_code, joined.leader.as_str()), (0, new.as_str()));
        assert_eq!(client.ask(1, join("m1", &["t"])).await.error_code, 69, "GROUP_ID_NOT_FOUND");
    });
}
