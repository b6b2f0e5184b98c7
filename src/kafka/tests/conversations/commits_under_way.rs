//! Commits that meet a change of their group between its proposal and its application. Both are
//! posted to the group's core in one moment: the first is proposed when the second is judged, and
//! durable only later.

use std::{rc::Rc, time::Duration};

use broker::{
    Broker, BrokerError, CommitOffsets, ConsumerGroupHeartbeat, InTransaction,
    NewTransactionalProducer, OffsetToCommit, partition_of,
};
use futures_util::future::join;
use model::{CoreId, LaneId, Offset, PartitionIndex, TopicId};
use state::{
    groups::{
        GroupError,
        classic::{Departure, Identity},
        consumer::{Assignment, ConsumerGroupError, Heartbeat},
    },
    transactions::Protocol,
};

use crate::{
    consumer_groups::{AT_ONCE, GROUP, alone, beat, join as join_newer, owning, send},
    conversation::{Client, with_broker},
};

/// How many lanes a data directory has.
pub const LANES: u16 = 33;

/// Runs both where the group lives, the first one first.
async fn together<A, B, FutA, FutB>(
    client: &Client,
    first: impl FnOnce(Rc<Broker>) -> FutA + Send + 'static,
    second: impl FnOnce(Rc<Broker>) -> FutB + Send + 'static,
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
    FutA: Future<Output = A> + 'static,
    FutB: Future<Output = B> + 'static,
{
    let broker = &client.shown.broker;
    let core: CoreId = LaneId::of_name(GROUP, LANES).home(broker.core_count());
    let (first, second) = join(broker.call(core, first), broker.call(core, second)).await;
    (first.unwrap(), second.unwrap())
}

fn heartbeat(member: &str, epoch: i32, owned: Option<Assignment>) -> ConsumerGroupHeartbeat {
    let heartbeat = Heartbeat {
        member_id: member.to_owned(),
        member_epoch: epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: None,
        client_id: "test".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        topic_names: None,
        topic_regex: None,
        server_assignor: None,
        owned,
        classic: None,
    };
    ConsumerGroupHeartbeat {
        group_id: GROUP.to_owned(),
        heartbeat,
        server_assignor: None,
        version: 1,
    }
}

fn joining(member: &str) -> ConsumerGroupHeartbeat {
    let mut request = heartbeat(member, 0, Some(Assignment::default()));
    request.heartbeat.rebalance_timeout_ms = Some(60_000);
    request.heartbeat.topic_names = Some(["t".to_owned()].into());
    request
}

fn commit(topic: TopicId, member: &str, generation: i32, partitions: &[u32]) -> CommitOffsets {
    let offset = |partition: &u32| OffsetToCommit {
        partition: partition_of(topic, *partition),
        offset: Offset(7),
        leader_epoch: -1,
        metadata: String::new(),
    };
    CommitOffsets {
        group: GROUP.to_owned(),
        caller: Identity { member_id: member.to_owned(), instance_id: None, generation },
        version: 9,
        retention_ms: None,
        offsets: partitions.iter().map(offset).collect(),
    }
}

fn topic_id(id: uuid::Uuid) -> TopicId {
    TopicId(id.as_u128())
}

#[test]
fn a_member_that_is_leaving_commits_no_more() {
    with_broker(&AT_ONCE, |mut client| async move {
        let topic = topic_id(client.create_topic("t", 2, &[]).await);
        assert_eq!(send(&mut client, join_newer("m1", &["t"])).await, (1, Some(vec![0, 1])));
        let (left, committed) = together(
            &client,
            |broker| async move { broker.consumer_group_heartbeat(heartbeat("m1", -1, None)).await },
            move |broker| async move { broker.commit_offsets(commit(topic, "m1", 1, &[0])).await },
        )
        .await;
        left.unwrap();
        let unknown = Err(BrokerError::ConsumerGroup(ConsumerGroupError::UnknownMemberId {
            member_id: "m1".to_owned(),
            group_id: GROUP.to_owned(),
        }));
        assert_eq!(committed, unknown);
    });
}

#[test]
fn a_partition_that_is_being_given_up_is_committed_no_more() {
    with_broker(&AT_ONCE, |mut client| async move {
        let id = client.create_topic("t", 2, &[]).await;
        let topic = topic_id(id);
        send(&mut client, join_newer("m1", &["t"])).await;
        send(&mut client, join_newer("m2", &["t"])).await;
        assert_eq!(send(&mut client, beat("m1", 1)).await, (1, Some(vec![0])));
        let kept: Assignment = [(topic, PartitionIndex(0))].into_iter().collect();
        let (beaten, committed) =
            together(
                &client,
                move |broker| async move {
                    broker.consumer_group_heartbeat(heartbeat("m1", 1, Some(kept))).await
                },
                move |broker| async move {
                    broker.commit_offsets(commit(topic, "m1", 1, &[0, 1])).await
                },
            )
            .await;
        assert_eq!(beaten.unwrap().answer.member_epoch, 2);
        // What it keeps it may still commit: the new epoch is on its way to it (KIP-1251).
        let stale = ConsumerGroupError::StaleMemberEpoch { found: 1, known: 2 };
        assert_eq!(committed, Ok(vec![Ok(()), Err(BrokerError::ConsumerGroup(stale))]));
        // The same, once all is applied.
        assert_eq!(send(&mut client, owning("m1", 2, id, &[0])).await.0, 2);
    });
}

/// A producer with a transaction's offsets for the group, by the second protocol: its coordinator
/// is asked and writes before it says yes.
async fn stage(
    broker: Rc<Broker>,
    offsets: CommitOffsets,
    producer: state::transactions::Identity,
) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
    let transaction = InTransaction { id: "tx".into(), protocol: Protocol::V2 };
    broker.commit_offsets_in_transaction(offsets, transaction, producer).await
}

async fn producer(client: &Client) -> state::transactions::Identity {
    let wanted =
        NewTransactionalProducer { id: "tx".to_owned(), expected: None, timeout_ms: 60_000 };
    let ask = |broker: Rc<Broker>| async move { broker.begin_transactional(wanted).await };
    client.shown.broker.ask(ask).await.unwrap().unwrap()
}

#[test]
fn offsets_of_a_transaction_are_judged_after_its_coordinator_was_asked() {
    with_broker(&[("group.initial.rebalance.delay.ms", "0")], |mut client| async move {
        let topic = topic_id(client.create_topic("t", 2, &[]).await);
        let member = alone(&mut client).await;
        let producer = producer(&client).await;
        let leaver = Departure { member_id: member.clone(), instance_id: None };
        let offsets = commit(topic, &member, 1, &[0]);
        let (staged, left) = together(
            &client,
            move |broker| stage(broker, offsets, producer),
            |broker| async move { broker.leave_group(GROUP, vec![leaver]).await },
        )
        .await;
        assert_eq!(left.unwrap(), [Ok(())]);
        assert_eq!(staged, Err(BrokerError::Group(GroupError::UnknownMemberId)));
    });
}

#[test]
fn so_are_those_for_a_group_of_the_newer_protocol() {
    with_broker(&AT_ONCE, |mut client| async move {
        let topic = topic_id(client.create_topic("t", 2, &[]).await);
        send(&mut client, join_newer("m1", &["t"])).await;
        let producer = producer(&client).await;
        let (staged, left) = together(
            &client,
            move |broker| stage(broker, commit(topic, "m1", 1, &[0]), producer),
            |broker| async move { broker.consumer_group_heartbeat(heartbeat("m1", -1, None)).await },
        )
        .await;
        left.unwrap();
        let unknown = ConsumerGroupError::UnknownMemberId {
            member_id: "m1".to_owned(),
            group_id: GROUP.to_owned(),
        };
        assert_eq!(staged, Err(BrokerError::ConsumerGroup(unknown)));
    });
}

#[test]
fn a_group_is_not_deleted_under_a_member_that_is_coming() {
    with_broker(&AT_ONCE, |mut client| async move {
        let topic = topic_id(client.create_topic("t", 2, &[]).await);
        // It has an offset, so that there is something to delete.
        let nobody = commit(topic, "", -1, &[0]);
        let ask = move |broker: Rc<Broker>| async move { broker.commit_offsets(nobody).await };
        assert_eq!(client.shown.broker.ask(ask).await.unwrap(), Ok(vec![Ok(())]));
        let (joined, deleted) = together(
            &client,
            |broker| async move { broker.consumer_group_heartbeat(joining("m1")).await },
            |broker| async move { broker.delete_group(GROUP).await },
        )
        .await;
        assert_eq!(joined.unwrap().answer.member_epoch, 1);
        assert_eq!(deleted, Err(BrokerError::Group(GroupError::NonEmptyGroup)));
        assert_eq!(send(&mut client, beat("m1", 1)).await, (1, None));
    });
}

#[test]
fn a_member_that_comes_while_its_group_is_deleted_begins_a_new_one() {
    with_broker(&AT_ONCE, |mut client| async move {
        client.create_topic("t", 2, &[]).await;
        send(&mut client, join_newer("m1", &["t"])).await;
        send(&mut client, beat("m1", -1)).await;
        let (deleted, joined) = together(
            &client,
            |broker| async move { broker.delete_group(GROUP).await },
            |broker| async move { broker.consumer_group_heartbeat(joining("m2")).await },
        )
        .await;
        assert_eq!(deleted, Ok(()));
        assert_eq!(joined.unwrap().answer.member_epoch, 1);
        let ask = |broker: Rc<Broker>| async move {
            broker.describe_consumer_group(GROUP.to_owned()).await
        };
        let group = client.shown.broker.ask(ask).await.unwrap().unwrap();
        assert_eq!((group.epoch(), group.member_count()), (1, 1));
    });
}

/// Runs a group whose offsets expire, and gives the moment of its deletion, in nanoseconds; a member
/// comes at `join_at`.
async fn expire(mut client: Client, join_at: Option<u64>) -> u64 {
    let topic = topic_id(client.create_topic("t", 2, &[]).await);
    let nobody = commit(topic, "", -1, &[0]);
    let ask = move |broker: Rc<Broker>| async move { broker.commit_offsets(nobody).await };
    assert_eq!(client.shown.broker.ask(ask).await.unwrap(), Ok(vec![Ok(())]));
    if let Some(join_at) = join_at {
        // It does not read the topic that the offset is of.
        client.create_topic("u", 1, &[]).await;
        runtime::sleep(Duration::from_nanos(join_at - now_ns())).await;
        assert_eq!(send(&mut client, join_newer("m1", &["u"])).await.0, 1);
        runtime::sleep(Duration::from_millis(100)).await;
        // Its group is still the one that it joined.
        assert_eq!(send(&mut client, beat("m1", 1)).await, (1, None));
        return now_ns();
    }
    runtime::sleep(Duration::from_millis(89_900)).await;
    let groups = |broker: Rc<Broker>| async move { broker.list_groups().await };
    while !client.shown.broker.ask(groups).await.unwrap().unwrap().is_empty() {
        runtime::sleep(Duration::from_micros(50)).await;
    }
    now_ns()
}

fn now_ns() -> u64 {
    runtime::now().as_nanoseconds()
}

#[test]
fn offsets_do_not_expire_under_a_member_that_is_coming() {
    let configs =
        [("offsets.retention.minutes", "1"), ("offsets.retention.check.interval.ms", "90000")];
    let (tell, told) = std::sync::mpsc::channel();
    with_broker(&configs, move |client| async move {
        tell.send(expire(client, None).await).unwrap();
    });
    let expired = told.recv().unwrap();
    // The check lies somewhere before; a member comes at every moment around it.
    for step in 0..60 {
        let join_at = expired - 50_000 * step;
        with_broker(&configs, move |client| async move {
            expire(client, Some(join_at)).await;
        });
    }
}
