//! What tools ask of groups: list, describe, delete; offsets that expire.

use std::time::Duration;

use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest, OffsetDeleteRequest,
    describe_groups_response::DescribedGroup,
    offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
};

use crate::{
    conversation::{Client, text, topic_name, with_broker, with_restarts},
    groups::{Member, commit, commit_code, committed, group, two_members},
};

async fn describe(client: &mut Client, version: i16, name: &str) -> DescribedGroup {
    let request = DescribeGroupsRequest::default()
        .with_groups(vec![group(name)])
        .with_include_authorized_operations(version >= 3);
    client.ask(version, request).await.groups.remove(0)
}

/// Every group with its state and type.
async fn list(client: &mut Client, request: ListGroupsRequest) -> Vec<(String, String, String)> {
    let response = client.ask(5, request).await;
    assert_eq!(response.error_code, 0);
    let shown = response.groups.iter().map(|listed| {
        let group = listed.group_id.to_string();
        (group, listed.group_state.to_string(), listed.group_type.to_string())
    });
    shown.collect()
}

async fn delete(client: &mut Client, name: &str) -> i16 {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![group(name)]);
    client.ask(2, request).await.results[0].error_code
}

async fn forget(client: &mut Client, name: &str, topic: &str) -> (i16, Vec<i16>) {
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    let request =
        OffsetDeleteRequest::default().with_group_id(group(name)).with_topics(vec![topic]);
    let response = client.ask(0, request).await;
    let codes = response.topics.iter().flat_map(|topic| &topic.partitions);
    (response.error_code, codes.map(|partition| partition.error_code).collect())
}

#[test]
fn groups_are_listed_by_state_and_type_and_described_with_their_members() {
    with_broker(&[], async |client| {
        let mut tool = client.another().await;
        tool.create_topic("t", 1, &[]).await;
        assert_eq!(commit_code(&mut tool, 9, commit("offsets", "t", 0, 5)).await, 0);
        let (a, _b) = two_members(client).await;
        let triple = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        let in_g = triple("g", "Stable", "classic");
        let offsets = triple("offsets", "Empty", "classic");
        let all = ListGroupsRequest::default();
        assert_eq!(list(&mut tool, all.clone()).await, [in_g.clone(), offsets.clone()]);
        let stable = all.clone().with_states_filter(vec![text("stable"), text("Dead")]);
        assert_eq!(list(&mut tool, stable).await, std::slice::from_ref(&in_g));
        let classic = all.clone().with_types_filter(vec![text("Classic")]);
        assert_eq!(list(&mut tool, classic).await, [in_g, offsets]);
        let newer = all.with_types_filter(vec![text("consumer")]);
        assert_eq!(list(&mut tool, newer).await, []);

        for version in 0..=6 {
            let described = describe(&mut tool, version, "g").await;
            assert_eq!((described.error_code, &*described.group_state), (0, "Stable"));
            assert_eq!(
                (&*described.protocol_type, &*described.protocol_data),
                ("consumer", "range")
            );
            assert_eq!(described.members.len(), 2);
            let member = described.members.iter().find(|m| *m.member_id == *a.id).unwrap();
            assert_eq!((&*member.client_id, &*member.client_host), ("test", "/127.0.0.1"));
            assert_eq!(member.member_metadata, "untouched");
            assert!(member.member_assignment.starts_with(b"place"));
            let operations = if version >= 3 { 3400 } else { i32::MIN };
            assert_eq!(described.authorized_operations, operations);
            let missing = describe(&mut tool, version, "missing").await;
            let code = if version >= 6 { 69 } else { 0 };
            assert_eq!((missing.error_code, &*missing.group_state), (code, "Dead"));
            let empty = describe(&mut tool, version, "offsets").await;
            assert_eq!((empty.error_code, &*empty.group_state), (0, "Empty"));
        }
    });
}

#[test]
fn a_group_is_deleted_with_its_offsets_once_it_is_empty() {
    with_broker(&[], async |client| {
        let mut tool = client.another().await;
        tool.create_topic("t", 1, &[]).await;
        let (mut a, mut b) = two_members(client).await;
        assert_eq!(a.commit("t", 3).await, 0);
        assert_eq!(delete(&mut tool, "g").await, 68);
        assert_eq!((a.leave().await, b.leave().await), (0, 0));
        assert_eq!(delete(&mut tool, "g").await, 0);
        assert_eq!(committed(&mut tool, "g", "t", 0).await.0, -1);
        assert_eq!(delete(&mut tool, "g").await, 69);
        assert_eq!(delete(&mut tool, "").await, 69);
        assert_eq!(list(&mut tool, ListGroupsRequest::default()).await, []);
    });
}

#[test]
fn offsets_are_deleted_unless_a_member_may_read_the_topic() {
    with_broker(&[], async |client| {
        let mut tool = client.another().await;
        tool.create_topic("t", 1, &[]).await;
        assert_eq!(forget(&mut tool, "g", "t").await, (69, vec![]));
        assert_eq!(forget(&mut tool, "", "t").await, (24, vec![]));
        assert_eq!(commit_code(&mut tool, 9, commit("g", "t", 0, 5)).await, 0);
        assert_eq!(forget(&mut tool, "g", "missing").await, (0, vec![3]));
        assert_eq!(forget(&mut tool, "g", "t").await, (0, vec![0]));
        assert_eq!(committed(&mut tool, "g", "t", 0).await.0, -1);
        let (mut a, _b) = two_members(client).await;
        assert_eq!(a.commit("t", 3).await, 0);
        // What the members told their assignor cannot be read, so it might be the topic.
        assert_eq!(forget(&mut tool, "g", "t").await, (0, vec![86]));
        assert_eq!(committed(&mut tool, "g", "t", 0).await.0, 3);
    });
}

const EXPIRING: &[(&str, &str)] =
    &[("offsets.retention.minutes", "1"), ("offsets.retention.check.interval.ms", "1000")];

#[test]
fn offsets_of_a_group_without_members_go_a_while_after_their_commit() {
    with_broker(EXPIRING, async |mut client| {
        client.create_topic("t", 1, &[]).await;
        assert_eq!(commit_code(&mut client, 9, commit("g", "t", 0, 5)).await, 0);
        // A retention of the client's own, as versions 2 to 4 have it.
        let own = commit("own", "t", 0, 5).with_retention_time_ms(300_000);
        assert_eq!(commit_code(&mut client, 4, own).await, 0);
        runtime::sleep(Duration::from_secs(58)).await;
        assert_eq!(committed(&mut client, "g", "t", 0).await.0, 5);
        runtime::sleep(Duration::from_secs(4)).await;
        assert_eq!(committed(&mut client, "g", "t", 0).await.0, -1);
        assert_eq!(committed(&mut client, "own", "t", 0).await.0, 5);
        runtime::sleep(Duration::from_secs(240)).await;
        assert_eq!(committed(&mut client, "own", "t", 0).await.0, -1);
        assert_eq!(list(&mut client, ListGroupsRequest::default()).await, []);
    });
}

#[test]
fn offsets_of_a_group_with_members_are_kept_until_a_while_after_the_last_one_has_gone() {
    with_restarts(EXPIRING, async |broker| {
        let mut client = broker.start().await;
        client.create_topic("t", 1, &[]).await;
        let mut a = Member::new(client);
        a.join().await;
        assert_eq!(a.sync().await.0, 0);
        assert_eq!(a.commit("t", 3).await, 0);
        for _ in 0..40 {
            assert_eq!(a.heartbeat().await, 0);
            runtime::sleep(Duration::from_secs(3)).await;
        }
        assert_eq!(committed(&mut a.client, "g", "t", 0).await.0, 3);
        assert_eq!(a.leave().await, 0);
        runtime::sleep(Duration::from_secs(30)).await;
        // The time when the group became empty outlasts the process.
        broker.kill();
        a.client = broker.start().await;
        runtime::sleep(Duration::from_secs(27)).await;
        assert_eq!(committed(&mut a.client, "g", "t", 0).await.0, 3);
        runtime::sleep(Duration::from_secs(6)).await;
        assert_eq!(committed(&mut a.client, "g", "t", 0).await.0, -1);
        assert_eq!(delete(&mut a.client, "g").await, 69, "the group went with its last offset");
    });
}

#[test]
fn a_thousand_groups_live_side_by_side_on_all_lanes() {
    with_restarts(&[], async |broker| {
        let mut client = broker.start().await;
        client.create_topic("t", 1, &[]).await;
        for n in 0..1000 {
            let request = commit(&format!("group-{n:03}"), "t", 0, n);
            assert_eq!(commit_code(&mut client, 9, request).await, 0);
        }
        broker.kill();
        let mut client = broker.start().await;
        let listed = list(&mut client, ListGroupsRequest::default()).await;
        assert_eq!(listed.len(), 1000);
        for (n, (group, ..)) in (0..).zip(&listed) {
            assert_eq!(committed(&mut client, group, "t", 0).await.0, n);
        }
    });
}
