//! Topics, partitions, settings, the cluster and its disks.

use kafka_protocol::messages::{
    AlterConfigsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeLogDirsRequest,
    IncrementalAlterConfigsRequest, alter_configs_request,
    create_partitions_request::CreatePartitionsTopic, create_topics_request::CreatableTopic,
    delete_topics_request::DeleteTopicState, describe_configs_request::DescribeConfigsResource,
    describe_configs_response::DescribeConfigsResourceResult,
    incremental_alter_configs_request as incremental,
};

use crate::{
    conversation::{Client, text, topic_name, with_broker},
    producing::{batch, produce},
};

fn new_topic(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
}

async fn create(client: &mut Client, version: i16, topics: Vec<CreatableTopic>) -> Vec<i16> {
    let response = client.ask(version, CreateTopicsRequest::default().with_topics(topics)).await;
    response.topics.iter().map(|topic| topic.error_code).collect()
}

#[test]
fn topics_are_made_or_refused_in_kafkas_codes() {
    with_broker(&[], async |mut client| {
        for version in 2..=7 {
            let name = format!("v{version}");
            assert_eq!(create(&mut client, version, vec![new_topic(&name, 1, 1)]).await, [0]);
            assert_eq!(create(&mut client, version, vec![new_topic(&name, 1, 1)]).await, [36]);
        }
        let cases = [
            (new_topic("a/b", 1, 1), 17),
            (new_topic("a", 0, 1), 37),
            (new_topic("a", -2, 1), 37),
            (new_topic("a", 1, 3), 38),
        ];
        for (topic, code) in cases {
            assert_eq!(create(&mut client, 7, vec![topic.clone()]).await, [code], "{topic:?}");
        }
        // A name given twice is answered once, with an error.
        let twice = vec![new_topic("x", 1, 1), new_topic("x", 2, 1), new_topic("y", 1, 1)];
        assert_eq!(create(&mut client, 7, twice).await, [42, 0]);
    });
}

#[test]
fn from_version_5_on_a_made_topic_is_shown_with_all_its_settings() {
    with_broker(&[("num.partitions", "3")], async |mut client| {
        for version in 5..=7 {
            let topic = new_topic(&format!("t{version}"), -1, -1);
            let request = CreateTopicsRequest::default().with_topics(vec![topic]);
            let response = client.ask(version, request).await;
            let made = &response.topics[0];
            assert_eq!((made.num_partitions, made.replication_factor), (3, 1));
            let configs = made.configs.as_ref().unwrap();
            assert!(configs.iter().any(|config| &*config.name == "retention.ms"));
            assert_eq!(made.topic_id.is_nil(), version < 7);
        }
    });
}

#[test]
fn validate_only_makes_nothing() {
    with_broker(&[], async |mut client| {
        let request = CreateTopicsRequest::default()
            .with_topics(vec![new_topic("t", 1, 1)])
            .with_validate_only(true);
        assert_eq!(client.ask(7, request).await.topics[0].error_code, 0);
        assert_eq!(create(&mut client, 7, vec![new_topic("t", 1, 1)]).await, [0]);
    });
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    with_broker(&[], async |mut client| {
        for version in 1..=6 {
            let id = client.create_topic("t", 1, &[]).await;
            let (by_name, by_id) = if version < 6 {
                let request =
                    DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
                (request.clone(), request)
            } else {
                let state = DeleteTopicState::default();
                let named = state.clone().with_name(Some(topic_name("t")));
                let identified = state.with_name(None).with_topic_id(id);
                let request = |state| DeleteTopicsRequest::default().with_topics(vec![state]);
                (request(named), request(identified))
            };
            let gone = client.ask(version, by_id).await;
            assert_eq!(gone.responses[0].error_code, 0, "{version}");
            assert_eq!(gone.responses[0].name, Some(topic_name("t")));
            assert_eq!(client.ask(version, by_name).await.responses[0].error_code, 3);
        }
        // Both or neither of name and id is no question.
        let both = DeleteTopicState::default()
            .with_name(Some(topic_name("t")))
            .with_topic_id(uuid::Uuid::from_u128(1));
        let neither = DeleteTopicState::default().with_name(None);
        let request = DeleteTopicsRequest::default().with_topics(vec![both, neither]);
        let response = client.ask(6, request).await;
        assert!(response.responses.iter().all(|result| result.error_code == 42));
    });
}

#[test]
fn partitions_are_added_up_to_a_count() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        for (name, count, code) in [("t", 5, 0), ("t", 5, 37), ("t", 3, 37), ("none", 9, 3)] {
            let topic = CreatePartitionsTopic::default()
                .with_name(topic_name(name))
                .with_count(count)
                .with_assignments(None);
            let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
            let response = client.ask(3, request).await;
            assert_eq!(response.results[0].error_code, code, "{name} {count}");
        }
    });
}

async fn describe(
    client: &mut Client,
    kind: i8,
    name: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, i16> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let mut response = client.ask(4, request).await;
    let result = response.results.remove(0);
    if result.error_code == 0 { Ok(result.configs) } else { Err(result.error_code) }
}

fn value(configs: &[DescribeConfigsResourceResult], name: &str) -> (String, i8) {
    let config = configs.iter().find(|config| &*config.name == name).expect(name);
    (config.value.as_ref().map(ToString::to_string).unwrap_or_default(), config.config_source)
}

#[test]
fn all_settings_are_listed_with_values_and_sources() {
    with_broker(&[("num.partitions", "7")], async |mut client| {
        client.create_topic("t", 1, &[("retention.ms", "5000")]).await;
        let topic = describe(&mut client, 2, "t").await.unwrap();
        assert_eq!(value(&topic, "retention.ms"), ("5000".into(), 1));
        assert_eq!(value(&topic, "cleanup.policy"), ("delete".into(), 5));
        let node_id = node_id(&mut client).await;
        let broker = describe(&mut client, 4, &node_id).await.unwrap();
        assert_eq!(value(&broker, "num.partitions"), ("7".into(), 4));
        assert_eq!(value(&broker, "auto.create.topics.enable").0, "true");
        assert_eq!(describe(&mut client, 2, "none").await, Err(3));
        assert_eq!(describe(&mut client, 4, "99").await, Err(42));
        assert_eq!(describe(&mut client, 99, "t").await, Err(42));
    });
}

async fn node_id(client: &mut Client) -> String {
    client.ask(0, DescribeClusterRequest::default()).await.brokers[0].broker_id.0.to_string()
}

async fn change(client: &mut Client, operation: i8, name: &str, value: Option<&str>) -> i16 {
    let config = incremental::AlterableConfig::default()
        .with_name(text(name))
        .with_config_operation(operation)
        .with_value(value.map(text));
    let resource = incremental::AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.ask(1, request).await.responses[0].error_code
}

#[test]
fn single_settings_are_set_deleted_appended_and_subtracted() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let cases: &[(i8, &str, Option<&str>, i16, &str)] = &[
            (0, "retention.ms", Some("7000"), 0, "7000"),
            (1, "retention.ms", None, 0, "604800000"),
            (2, "cleanup.policy", Some("compact"), 0, "delete,compact"),
            (3, "cleanup.policy", Some("delete"), 0, "compact"),
            (0, "retention.ms", None, 42, "604800000"),
            (9, "retention.ms", Some("1"), 42, "604800000"),
            (0, "retention.ms", Some("word"), 40, "604800000"),
        ];
        for (operation, name, to, code, then) in cases {
            let case = format!("{operation} {name} {to:?}");
            assert_eq!(change(&mut client, *operation, name, *to).await, *code, "{case}");
            let configs = describe(&mut client, 2, "t").await.unwrap();
            assert_eq!(value(&configs, name).0, *then, "{case}");
        }
    });
}

#[test]
fn the_old_alter_configs_replaces_everything() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[("retention.ms", "5000")]).await;
        let config = alter_configs_request::AlterableConfig::default()
            .with_name(text("max.message.bytes"))
            .with_value(Some(text("1000")));
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configs(vec![config]);
        for version in 0..=2 {
            let request = AlterConfigsRequest::default().with_resources(vec![resource.clone()]);
            assert_eq!(client.ask(version, request).await.responses[0].error_code, 0);
        }
        let configs = describe(&mut client, 2, "t").await.unwrap();
        assert_eq!(value(&configs, "max.message.bytes"), ("1000".into(), 1));
        assert_eq!(value(&configs, "retention.ms"), ("604800000".into(), 5));
    });
}

#[test]
fn the_cluster_is_one_broker_and_has_no_controller_endpoint() {
    with_broker(&[], async |mut client| {
        for version in 0..=2 {
            let mut request = DescribeClusterRequest::default();
            request.include_cluster_authorized_operations = true;
            let response = client.ask(version, request).await;
            assert_eq!(response.error_code, 0);
            assert_eq!(response.controller_id, response.brokers[0].broker_id);
            assert_eq!(&*response.brokers[0].host, "broker.test");
            assert_eq!(response.cluster_authorized_operations, 8096);
        }
        for (endpoint, code) in [(2, 114), (7, 115)] {
            let request = DescribeClusterRequest::default().with_endpoint_type(endpoint);
            assert_eq!(client.ask(1, request).await.error_code, code);
        }
    });
}

#[test]
fn the_data_directory_shows_what_partitions_take_up() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        client.ask(9, produce(-1, batch(3))).await;
        for version in 1..=4 {
            let request = DescribeLogDirsRequest::default().with_topics(None);
            let response = client.ask(version, request).await;
            let topic = &response.results[0].topics[0];
            assert_eq!(&*topic.name.0, "t");
            assert_eq!(topic.partitions.len(), 2);
            let written: i64 = topic.partitions.iter().map(|p| p.partition_size).sum();
            // A segment's own header may come on top.
            let batch_bytes = batch(3).len() as i64;
            assert!((batch_bytes..batch_bytes + 1024).contains(&written), "{written}");
        }
    });
}
