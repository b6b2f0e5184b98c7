//! Consumer groups of the classic protocol: offsets, rebalances, what survives a restart.

use std::{cell::Cell, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::future::{join, join_all};
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
    join_group_request::JoinGroupRequestProtocol,
    leave_group_request::MemberIdentity,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_fetch_request::{
        OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    },
    sync_group_request::SyncGroupRequestAssignment,
};

use crate::conversation::{
    Client, text, topic_name, with_broker, with_restarts, with_restarts_of_seed,
};

pub fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

/// A commit of one partition by nobody in particular.
pub fn commit(name: &str, topic: &str, partition: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("note")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group(name))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

pub async fn commit_code(client: &mut Client, version: i16, request: OffsetCommitRequest) -> i16 {
    let response = client.ask(version, request).await;
    response.topics[0].partitions[0].error_code
}

/// What a group has committed for partitions of a topic: offset and metadata.
pub async fn committed(
    client: &mut Client,
    name: &str,
    topic: &str,
    partition: i32,
) -> (i64, String) {
    let topics = OffsetFetchRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partition_indexes(vec![partition]);
    let request =
        OffsetFetchRequest::default().with_group_id(group(name)).with_topics(Some(vec![topics]));
    let response = client.ask(7, request).await;
    assert_eq!(response.error_code, 0);
    let found = &response.topics[0].partitions[0];
    assert_eq!(found.error_code, 0);
    (found.committed_offset, found.metadata.as_ref().unwrap().to_string())
}

#[test]
fn every_group_and_transaction_is_coordinated_here() {
    with_broker(&[], async |mut client| {
        for version in 0..=3 {
            let request = FindCoordinatorRequest::default().with_key(text("g"));
            let found = client.ask(version, request).await;
            assert_eq!((found.error_code, &*found.host, found.port), (0, "broker.test", 9092));
        }
        for version in 4..=6 {
            for kind in [0, 1] {
                let request = FindCoordinatorRequest::default()
                    .with_key_type(kind)
                    .with_coordinator_keys(vec![text("a"), text("b")]);
                let found = client.ask(version, request).await.coordinators;
                let keys: Vec<_> = found.iter().map(|found| (&*found.key, found.port)).collect();
                assert_eq!(keys, [("a", 9092), ("b", 9092)]);
            }
            let shares = FindCoordinatorRequest::default()
                .with_key_type(2)
                .with_coordinator_keys(vec![text("g:t:0")]);
            assert_eq!(client.ask(version, shares).await.coordinators[0].error_code, 42);
        }
    });
}

#[test]
fn offsets_are_committed_and_read_back_in_every_version() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        for version in 2..=9 {
            let request = commit("g", "t", 1, i64::from(version));
            assert_eq!(commit_code(&mut client, version, request).await, 0, "{version}");
            let found = committed(&mut client, "g", "t", 1).await;
            assert_eq!(found, (i64::from(version), "note".to_owned()));
        }
        assert_eq!(committed(&mut client, "g", "t", 0).await.0, -1, "never committed");
        assert_eq!(committed(&mut client, "other", "t", 1).await.0, -1, "another group");
        for version in 1..=7 {
            let topic = OffsetFetchRequestTopic::default()
                .with_name(topic_name("t"))
                .with_partition_indexes(vec![1, 0, 9]);
            let request = OffsetFetchRequest::default()
                .with_group_id(group("g"))
                .with_topics(Some(vec![topic]));
            let topics = client.ask(version, request.clone()).await.topics;
            let offsets: Vec<_> = topics[0].partitions.iter().map(|p| p.committed_offset).collect();
            assert_eq!(offsets, [9, -1, -1], "{version}");
            if version >= 2 {
                let all = client.ask(version, request.with_topics(None)).await.topics;
                assert_eq!((all.len(), all[0].partitions.len()), (1, 1), "{version}");
            }
        }
        for version in 8..=9 {
            let topics = OffsetFetchRequestTopics::default()
                .with_name(topic_name("t"))
                .with_partition_indexes(vec![1, 0, 9]);
            let of = |topics| {
                OffsetFetchRequestGroup::default()
                    .with_group_id(group("g"))
                    .with_member_epoch(-1)
                    .with_topics(topics)
            };
            let groups = vec![of(Some(vec![topics])), of(None)];
            let request = OffsetFetchRequest::default().with_groups(groups);
            let groups = client.ask(version, request).await.groups;
            let offsets: Vec<_> =
                groups[0].topics[0].partitions.iter().map(|p| p.committed_offset).collect();
            assert_eq!(offsets, [9, -1, -1], "{version}");
            assert_eq!(groups[1].topics.len(), 1, "{version}");
            assert_eq!(groups[1].topics[0].partitions.len(), 1, "{version}");
        }
    });
}

#[test]
fn commits_that_cannot_be_are_refused_one_by_one() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let long = |length| {
            let mut request = commit("g", "t", 0, 5);
            let metadata = Some(text(&"m".repeat(length)));
            request.topics[0].partitions[0].committed_metadata = metadata;
            request
        };
        let member = |generation, id: &str| {
            commit("nobody", "t", 0, 5)
                .with_generation_id_or_member_epoch(generation)
                .with_member_id(text(id))
        };
        let cases = [
            ("an unknown topic", 9, commit("g", "missing", 0, 5), 3),
            ("an unknown partition", 9, commit("g", "t", 1, 5), 3),
            ("a negative partition", 9, commit("g", "t", -1, 5), 3),
            ("metadata of 4097 bytes", 9, long(4097), 12),
            ("metadata of 4096 bytes", 9, long(4096), 0),
            ("a generation of no group", 8, member(3, "m"), 22),
            ("a generation of no group, newer clients", 9, member(3, "m"), 69),
        ];
        for (what, version, request, code) in cases {
            assert_eq!(commit_code(&mut client, version, request).await, code, "{what}");
        }
    });
}

#[test]
fn a_topic_that_is_made_again_has_no_committed_offsets() {
    use kafka_protocol::messages::DeleteTopicsRequest;
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        assert_eq!(commit_code(&mut client, 8, commit("g", "t", 0, 5)).await, 0);
        let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
        client.ask(5, delete).await;
        client.create_topic("t", 1, &[]).await;
        assert_eq!(committed(&mut client, "g", "t", 0).await.0, -1);
    });
}

/// A member of a group in the version of today's clients.
pub struct Member {
    pub client: Client,
    pub id: String,
    instance: Option<&'static str>,
    joined: JoinGroupResponse,
}

impl Member {
    pub fn new(client: Client) -> Member {
        let joined = JoinGroupResponse::default();
        Member { client, id: String::new(), instance: None, joined }
    }

    fn named(client: Client, instance: &'static str) -> Member {
        Member { instance: Some(instance), ..Member::new(client) }
    }

    fn join_request(&self) -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(b"untouched"));
        JoinGroupRequest::default()
            .with_group_id(group("g"))
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.map(text))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol])
    }

    /// Joins, twice if it is told so.
    pub async fn join(&mut self) {
        loop {
            let request = self.join_request();
            self.joined = self.client.ask(9, request).await;
            if self.joined.error_code != 0 {
                assert_eq!(self.joined.error_code, 79, "MEMBER_ID_REQUIRED");
            }
            self.id = self.joined.member_id.to_string();
            if self.joined.error_code == 0 {
                return;
            }
        }
    }

    /// Fetches its assignment; the leader gives each member its place in the list.
    pub async fn sync(&mut self) -> (i16, Bytes) {
        let members = self.joined.members.iter().enumerate().map(|(place, member)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member.member_id.clone())
                .with_assignment(Bytes::from(format!("place {place}")))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(group("g"))
            .with_generation_id(self.joined.generation_id)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.map(text))
            .with_protocol_type(self.joined.protocol_type.clone())
            .with_protocol_name(self.joined.protocol_name.clone())
            .with_assignments(members.collect());
        let response = self.client.ask(5, request).await;
        (response.error_code, response.assignment)
    }

    pub async fn heartbeat(&mut self) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(group("g"))
            .with_generation_id(self.joined.generation_id)
            .with_group_instance_id(self.instance.map(text))
            .with_member_id(text(&self.id));
        self.client.ask(4, request).await.error_code
    }

    pub async fn commit(&mut self, topic: &str, offset: i64) -> i16 {
        let request = commit("g", topic, 0, offset)
            .with_generation_id_or_member_epoch(self.joined.generation_id)
            .with_group_instance_id(self.instance.map(text))
            .with_member_id(text(&self.id));
        commit_code(&mut self.client, 9, request).await
    }

    pub async fn leave(&mut self) -> i16 {
        let member = MemberIdentity::default().with_member_id(text(&self.id));
        let request =
            LeaveGroupRequest::default().with_group_id(group("g")).with_members(vec![member]);
        let response = self.client.ask(5, request).await;
        assert_eq!(response.error_code, 0);
        response.members[0].error_code
    }
}

/// Two members of one group, with their assignments.
pub async fn two_members(client: Client) -> (Member, Member) {
    let other = client.another().await;
    let (mut a, mut b) = (Member::new(client), Member::new(other));
    join(a.join(), b.join()).await;
    let ((code_a, has_a), (code_b, has_b)) = join(a.sync(), b.sync()).await;
    assert_eq!((code_a, code_b), (0, 0));
    assert_ne!(has_a, has_b);
    (a, b)
}

#[test]
fn two_members_share_a_group_and_one_takes_over_when_the_other_is_silent() {
    with_broker(&[], async |client| {
        client.another().await.create_topic("t", 2, &[]).await;
        let (mut a, mut b) = two_members(client).await;
        assert_eq!((a.joined.generation_id, b.joined.generation_id), (1, 1));
        let leader = if a.joined.members.is_empty() { &b } else { &a };
        assert_eq!(leader.joined.members.len(), 2);
        assert!(leader.joined.members.iter().all(|m| m.metadata == "untouched"));
        assert!(a.id.starts_with("test-"), "the client's own name is in it: {}", a.id);
        for _ in 0..3 {
            assert_eq!((a.heartbeat().await, b.commit("t", 1).await), (0, 0));
            runtime::sleep(Duration::from_secs(3)).await;
        }
        for _ in 0..4 {
            runtime::sleep(Duration::from_secs(3)).await;
            if a.heartbeat().await == 27 {
                break;
            }
        }
        assert_eq!(a.heartbeat().await, 27, "b has been silent for its session");
        a.join().await;
        assert_eq!((a.joined.generation_id, a.joined.members.len()), (2, 1));
        assert_eq!(a.sync().await, (0, Bytes::from_static(b"place 0")));
        // The one that was thought dead has lost everything.
        assert_eq!((b.heartbeat().await, b.commit("t", 9).await), (25, 25));
        assert_eq!(committed(&mut a.client, "g", "t", 0).await.0, 1);
    });
}

#[test]
fn a_member_that_leaves_is_not_waited_for() {
    with_broker(&[], async |client| {
        let (mut a, mut b) = two_members(client).await;
        let began = runtime::now();
        assert_eq!(b.leave().await, 0);
        assert_eq!(a.heartbeat().await, 27);
        a.join().await;
        assert_eq!(a.joined.generation_id, 2);
        assert!(runtime::now() - began < Duration::from_secs(1));
        assert_eq!(b.leave().await, 25);
    });
}

#[test]
fn a_killed_broker_goes_on_with_the_same_members_generation_and_offsets() {
    with_restarts(&[], async |broker| {
        let mut client = broker.start().await;
        client.create_topic("t", 1, &[]).await;
        let (mut a, mut b) = two_members(client).await;
        let assigned = a.sync().await;
        assert_eq!(a.commit("t", 77).await, 0);
        // Once from the journal, once from a checkpoint.
        for pause_ms in [0, 8_000] {
            runtime::sleep(Duration::from_millis(pause_ms)).await;
            broker.kill();
            let client = broker.start().await;
            (b.client, a.client) = (client.another().await, client);
            assert_eq!((a.heartbeat().await, b.heartbeat().await), (0, 0), "no rebalance");
            assert_eq!(a.sync().await, assigned);
            assert_eq!(committed(&mut a.client, "g", "t", 0).await, (77, "note".to_owned()));
            assert_eq!(b.commit("t", 77).await, 0);
        }
        // A member that does not come back is missed, also by a broker that never heard of it.
        broker.kill();
        let client = broker.start().await;
        a.client = client;
        for _ in 0..3 {
            assert_eq!(a.heartbeat().await, 0);
            runtime::sleep(Duration::from_millis(3_400)).await;
        }
        assert_eq!(a.heartbeat().await, 27);
    });
}

#[test]
fn a_static_member_restarts_without_a_rebalance_also_across_a_kill() {
    with_restarts(&[], async |broker| {
        let client = broker.start().await;
        let other = client.another().await;
        let mut a = Member::named(client, "one");
        let mut b = Member::named(other, "two");
        join(a.join(), b.join()).await;
        let ((code, _), (_, has)) = join(a.sync(), b.sync()).await;
        assert_eq!(code, 0);
        let old = b.id.clone();
        let mut restarted = Member::named(b.client.another().await, "two");
        restarted.join().await;
        assert_eq!(restarted.joined.generation_id, 1);
        assert_ne!(restarted.id, old);
        assert_eq!(restarted.sync().await, (0, has.clone()));
        assert_eq!((a.heartbeat().await, b.heartbeat().await), (0, 82), "the old one is fenced");
        broker.kill();
        a.client = broker.start().await;
        restarted.client = a.client.another().await;
        assert_eq!((a.heartbeat().await, restarted.heartbeat().await), (0, 0));
        assert_eq!(restarted.sync().await, (0, has));
    });
}

#[test]
fn a_hundred_members_are_rebalanced_within_a_second_after_the_delay() {
    with_broker(&[], async |client| {
        let mut members = Vec::new();
        for _ in 0..100 {
            members.push(Member::new(client.another().await));
        }
        let began = runtime::now();
        join_all(members.iter_mut().map(Member::join)).await;
        let synced = join_all(members.iter_mut().map(Member::sync)).await;
        assert!(synced.iter().all(|(code, _)| *code == 0));
        // Members that came within the first delay prolong it once.
        assert!(runtime::now() - began < Duration::from_secs(7));
        let mut late = Member::new(client.another().await);
        let began = runtime::now();
        let others = async {
            runtime::sleep(Duration::from_millis(10)).await;
            join_all(members.iter_mut().map(Member::join)).await
        };
        join(late.join(), others).await;
        assert!(runtime::now() - began < Duration::from_secs(1));
        assert_eq!(late.joined.generation_id, 2);
    });
}

#[test]
fn a_client_that_goes_while_it_waits_is_no_hindrance() {
    with_broker(&[], async |client| {
        let mut gone = client.another().await;
        gone.send(3, Member::new(client.another().await).join_request()).await;
        runtime::sleep(Duration::from_millis(10)).await;
        drop(gone);
        let mut a = Member::new(client);
        a.join().await;
        assert_ne!(*a.joined.leader, *a.id, "it came first and leads until its session ends");
        assert_eq!(a.sync().await.0, 27, "nobody assigned");
        a.join().await;
        assert_eq!((&*a.joined.leader, a.joined.members.len()), (&*a.id, 1));
    });
}

#[test]
fn an_empty_group_id_is_refused_where_there_are_members() {
    with_broker(&[], async |mut client| {
        let nameless = group("");
        let join = Member::new(client.another().await).join_request();
        let joined = client.ask(9, join.with_group_id(nameless.clone())).await;
        assert_eq!(joined.error_code, 24);
        let beat = HeartbeatRequest::default().with_group_id(nameless.clone());
        assert_eq!(client.ask(4, beat).await.error_code, 24);
        let leave = LeaveGroupRequest::default().with_group_id(nameless.clone());
        assert_eq!(client.ask(5, leave).await.error_code, 24);
        let sync = SyncGroupRequest::default()
            .with_group_id(nameless)
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")));
        assert_eq!(client.ask(5, sync.clone()).await.error_code, 24);
        // From version 5 on the protocol must be named.
        let unnamed = sync.with_protocol_name(None);
        assert_eq!(client.ask(5, unnamed).await.error_code, 23);
    });
}

/// Given a client that commits one offset after another, when the broker is killed or loses its power
/// at any moment, then the committed offset is at least the last one that was acknowledged, at most the
/// last one that was sent, and has its own metadata.
#[test]
fn acknowledged_commits_outlast_a_crash_at_any_moment() {
    for seed in 0..5 {
        with_restarts_of_seed(seed, &[], async move |broker| {
            let mut client = broker.start().await;
            client.create_topic("t", 1, &[]).await;
            let acknowledged = Rc::new(Cell::new(-1));
            let mut sent = 0;
            for round in 0..6 {
                let task = {
                    let (mut client, acknowledged) = (client, Rc::clone(&acknowledged));
                    runtime::spawn_joinable("committer", async move {
                        for offset in sent.. {
                            let mut request = commit("g", "t", 0, offset);
                            let metadata = Some(text(&offset.to_string()));
                            request.topics[0].partitions[0].committed_metadata = metadata;
                            let Some(response) = client.try_ask(9, request).await else {
                                return offset;
                            };
                            assert_eq!(response.topics[0].partitions[0].error_code, 0);
                            acknowledged.set(offset);
                        }
                        unreachable!("offsets do not end")
                    })
                };
                let moment_us = 1 + runtime::random_u64() % 300_000;
                runtime::sleep(Duration::from_micros(moment_us)).await;
                if round % 2 == 0 {
                    broker.kill()
                } else {
                    broker.cut_power()
                }
                sent = task.await;
                client = broker.start().await;
                let (found, metadata) = committed(&mut client, "g", "t", 0).await;
                let allowed = acknowledged.get()..=sent;
                assert!(allowed.contains(&found), "seed {seed}: {found} not in {allowed:?}");
                assert!(found < 0 || metadata == found.to_string());
                acknowledged.set(found);
                sent += 1;
            }
            assert!(acknowledged.get() > 0, "something was committed");
        });
    }
}
