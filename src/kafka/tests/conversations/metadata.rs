//! Metadata and DescribeTopicPartitions.

use kafka_protocol::messages::{
    DescribeTopicPartitionsRequest, MetadataRequest,
    describe_topic_partitions_request::{Cursor, TopicRequest},
    metadata_request::MetadataRequestTopic,
    metadata_response::MetadataResponseTopic,
};
use uuid::Uuid;

use crate::conversation::{Client, topic_name, with_broker};

fn named(names: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    MetadataRequest::default().with_topics(Some(names.iter().map(topic).collect()))
}

async fn one(client: &mut Client, version: i16, request: MetadataRequest) -> MetadataResponseTopic {
    let mut response = client.ask(version, request).await;
    assert_eq!(response.topics.len(), 1, "{response:?}");
    response.topics.remove(0)
}

#[test]
fn version_0_means_all_by_an_empty_list_and_later_ones_by_null() {
    with_broker(&[], async |mut client| {
        client.create_topic("a", 1, &[]).await;
        client.create_topic("b", 2, &[]).await;
        let empty = MetadataRequest::default().with_topics(Some(Vec::new()));
        let all = MetadataRequest::default().with_topics(None);
        assert_eq!(client.ask(0, empty.clone()).await.topics.len(), 2);
        for version in 1..=13 {
            assert_eq!(client.ask(version, all.clone()).await.topics.len(), 2, "{version}");
            assert_eq!(client.ask(version, empty.clone()).await.topics.len(), 0, "{version}");
        }
    });
}

#[test]
fn every_version_shows_the_broker_and_the_partitions() {
    with_broker(&[], async |mut client| {
        let id = client.create_topic("t", 3, &[]).await;
        for version in 0..=13 {
            let response = client.ask(version, named(&["t"])).await;
            let node = &response.brokers[0];
            assert_eq!((&*node.host, node.port), ("broker.test", 9092));
            let topic = &response.topics[0];
            assert_eq!(topic.partitions.len(), 3);
            assert!(topic.partitions.iter().all(|p| p.leader_id == node.node_id));
            assert_eq!(topic.topic_authorized_operations, i32::MIN);
            if version >= 1 {
                assert_eq!(response.controller_id, node.node_id);
            }
            if version >= 2 {
                assert!(response.cluster_id.is_some_and(|id| !id.is_empty()));
            }
            if version >= 10 {
                assert_eq!(topic.topic_id, id);
            }
        }
    });
}

#[test]
fn a_missing_topic_is_made_with_the_configured_partitions_if_both_sides_allow() {
    with_broker(&[("num.partitions", "4")], async |mut client| {
        let asked = |allow| named(&["new"]).with_allow_auto_topic_creation(allow);
        let refused = one(&mut client, 13, asked(false)).await;
        assert_eq!(refused.error_code, 3);
        let made = one(&mut client, 13, asked(true)).await;
        assert_eq!((made.error_code, made.partitions.len()), (0, 4));
        // Before version 4 a client cannot say no.
        assert_eq!(one(&mut client, 3, named(&["newer"])).await.error_code, 0);
    });
    with_broker(&[("auto.create.topics.enable", "false")], async |mut client| {
        let topic = one(&mut client, 13, named(&["new"])).await;
        assert_eq!((topic.error_code, topic.topic_id), (3, Uuid::nil()));
    });
}

#[test]
fn an_illegal_name_gets_invalid_topic_whether_or_not_topics_are_made() {
    with_broker(&[], async |mut client| {
        for allow in [false, true] {
            let asked = named(&["a/b"]).with_allow_auto_topic_creation(allow);
            assert_eq!(one(&mut client, 9, asked).await.error_code, 17);
        }
    });
}

#[test]
fn ids_are_looked_up_from_version_12_on_and_refused_in_10_and_11() {
    with_broker(&[], async |mut client| {
        let id = client.create_topic("t", 1, &[]).await;
        let by_id = |id, name: Option<&str>| {
            let topic =
                MetadataRequestTopic::default().with_topic_id(id).with_name(name.map(topic_name));
            MetadataRequest::default().with_topics(Some(vec![topic]))
        };
        for version in [10, 11] {
            let with_name = one(&mut client, version, by_id(id, Some("t"))).await;
            assert_eq!(with_name.error_code, 42, "{version}");
            assert_eq!(one(&mut client, version, by_id(id, None)).await.error_code, 42);
        }
        for version in [12, 13] {
            let found = one(&mut client, version, by_id(id, None)).await;
            assert_eq!((found.error_code, found.name), (0, Some(topic_name("t"))));
            let unknown = Uuid::from_u128(77);
            let missing = one(&mut client, version, by_id(unknown, None)).await;
            assert_eq!((missing.error_code, missing.topic_id), (100, unknown));
            assert_eq!(missing.name, None);
        }
    });
}

#[test]
fn authorized_operations_are_shown_when_asked_for() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let asked = named(&["t"])
            .with_include_cluster_authorized_operations(true)
            .with_include_topic_authorized_operations(true);
        let response = client.ask(8, asked).await;
        assert_eq!(response.cluster_authorized_operations, 8096);
        assert_eq!(response.topics[0].topic_authorized_operations, 3576);
    });
}

#[test]
fn topics_are_described_in_pages_that_go_on_at_the_cursor() {
    with_broker(&[], async |mut client| {
        client.create_topic("a", 2, &[]).await;
        client.create_topic("b", 3, &[]).await;
        let mut request =
            DescribeTopicPartitionsRequest::default().with_response_partition_limit(3);
        let first = client.ask(0, request.clone()).await;
        let shown: Vec<_> = first.topics.iter().map(|topic| topic.partitions.len()).collect();
        assert_eq!(shown, [2, 1]);
        let next = first.next_cursor.unwrap();
        assert_eq!((&*next.topic_name.0, next.partition_index), ("b", 1));
        request.cursor = Some(
            Cursor::default()
                .with_topic_name(next.topic_name)
                .with_partition_index(next.partition_index),
        );
        let second = client.ask(0, request).await;
        let indexes: Vec<_> =
            second.topics[0].partitions.iter().map(|p| p.partition_index).collect();
        assert_eq!((second.topics.len(), indexes), (1, vec![1, 2]));
        assert_eq!(second.next_cursor, None);
        // A name that is not there is said so.
        let missing = TopicRequest::default().with_name(topic_name("zzz"));
        let request = DescribeTopicPartitionsRequest::default()
            .with_response_partition_limit(10)
            .with_topics(vec![missing]);
        assert_eq!(client.ask(0, request).await.topics[0].error_code, 3);
    });
}
