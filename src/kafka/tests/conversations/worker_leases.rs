//! Workers and their leases, beside groups of the same name.

use std::{rc::Rc, time::Duration};

use broker::{Broker, BrokerError, Outcome, Resharding};
use futures_util::future::join;
use kafka_protocol::messages::{DeleteGroupsRequest, JoinGroupRequest};
use model::{HashKey, HashKeyRange, LaneId, Offset, PartitionIndex, ShardId, TopicId};
use state::{
    leases::{Checkpoint, Lease, LeaseChange, LeaseError, LeaseKey, PreciseCheckpoint, Seen},
    shards::ReshardStep,
};

use crate::{
    commits_under_way::LANES,
    consumer_groups::{AT_ONCE, GROUP as APPLICATION, alone, beat, join as join_newer, send},
    conversation::{Client, text, with_broker, with_restarts},
    groups::{commit, commit_code, committed, group},
};

const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
const UNKNOWN_MEMBER_ID: i16 = 25;
const NON_EMPTY_GROUP: i16 = 68;
const GROUP_ID_NOT_FOUND: i16 = 69;

fn key(topic: TopicId, partition: u32, shard: u32) -> LeaseKey {
    LeaseKey { topic, partition: PartitionIndex(partition), shard: ShardId(shard) }
}

async fn topic(client: &mut Client, partitions: i32) -> TopicId {
    TopicId(client.create_topic("t", partitions, &[]).await.as_u128())
}

fn create() -> LeaseChange {
    LeaseChange::Create { checkpoint: Checkpoint::TrimHorizon }
}

fn take(owner: &str) -> LeaseChange {
    LeaseChange::Take { owner: owner.to_owned() }
}

fn reached(checkpoint: Checkpoint) -> LeaseChange {
    LeaseChange::Checkpoint { at: PreciseCheckpoint::whole(checkpoint) }
}

fn of_counter(counter: u64) -> Seen {
    Seen { counter: Some(counter), owner: None }
}

async fn change(
    client: &Client,
    key: LeaseKey,
    seen: Seen,
    change: LeaseChange,
) -> Outcome<Option<Lease>> {
    let ask = move |broker: Rc<Broker>| async move {
        broker.change_lease(APPLICATION, key, seen, change).await
    };
    client.shown.broker.ask(ask).await.unwrap()
}

async fn changed(client: &Client, key: LeaseKey, by: LeaseChange) -> Lease {
    change(client, key, Seen::default(), by).await.unwrap().expect("it is there")
}

async fn leases(client: &Client, owner: Option<&str>) -> Vec<(LeaseKey, Lease)> {
    let owner = owner.map(str::to_owned);
    let ask = move |broker: Rc<Broker>| async move { broker.leases(APPLICATION, owner).await };
    client.shown.broker.ask(ask).await.unwrap().unwrap()
}

async fn offered(client: &Client) -> Vec<LeaseKey> {
    let ask = |broker: Rc<Broker>| async move { broker.offered_leases(APPLICATION).await };
    let offered = client.shown.broker.ask(ask).await.unwrap().unwrap();
    offered.into_iter().map(|(key, _)| key).collect()
}

async fn reshard(client: &Client, topic: TopicId, steps: Vec<ReshardStep>) {
    let ask = move |broker: Rc<Broker>| async move {
        broker.reshard(topic, Resharding::Steps(steps)).await
    };
    client.shown.broker.ask(ask).await.unwrap().unwrap();
}

#[test]
fn of_two_workers_that_saw_the_same_lease_the_first_gets_it_though_neither_is_durable_yet() {
    with_broker(&[], |mut client| async move {
        let key = key(topic(&mut client, 1).await, 0, 0);
        changed(&client, key, create()).await;
        let broker = client.shown.broker.clone();
        let core = LaneId::of_name(APPLICATION, LANES).home(broker.core_count());
        let taking = |owner: &'static str| {
            let take = move |broker: Rc<Broker>| async move {
                broker.change_lease(APPLICATION, key, of_counter(0), take(owner)).await
            };
            broker.call(core, take)
        };
        let (a, b) = join(taking("a"), taking("b")).await;
        assert_eq!(a.unwrap().unwrap().unwrap().owner.as_deref(), Some("a"));
        let late = LeaseError::Changed { counter: 1, owner: Some("a".to_owned()) };
        assert_eq!(b.unwrap(), Err(BrokerError::Lease(late)));
        let of = async |owner| leases(&client, Some(owner)).await.len();
        assert_eq!((of("a").await, of("b").await, leases(&client, None).await.len()), (1, 0, 1));
    });
}

#[test]
fn a_child_is_offered_once_its_parents_are_read_to_their_ends() {
    with_broker(&[], |mut client| async move {
        let topic = topic(&mut client, 2).await;
        let (left, right, child) = (key(topic, 0, 0), key(topic, 1, 1), key(topic, 0, 2));
        for parent in [left, right] {
            changed(&client, parent, create()).await;
        }
        let open = change(&client, left, Seen::default(), reached(Checkpoint::ShardEnd)).await;
        assert_eq!(open, Err(BrokerError::Lease(LeaseError::StillOpen)));
        let merge = ReshardStep::Merge { into: ShardId(0), from: ShardId(1) };
        reshard(&client, topic, vec![merge]).await;
        let none = change(&client, key(topic, 0, 3), Seen::default(), create()).await;
        assert_eq!(none, Err(BrokerError::UnknownTopicOrPartition), "there is no such shard");
        let made = changed(&client, child, create()).await;
        assert_eq!((made.parents, made.range), (vec![left, right], Some(HashKeyRange::ALL)));
        assert_eq!(offered(&client).await, [left, right]);
        assert_eq!(changed(&client, left, LeaseChange::Refresh).await.children, [child]);
        changed(&client, left, reached(Checkpoint::ShardEnd)).await;
        let early = change(&client, child, Seen::default(), take("a")).await;
        assert_eq!(early, Err(BrokerError::Lease(LeaseError::ParentNotFinished)));
        changed(&client, right, reached(Checkpoint::ShardEnd)).await;
        assert_eq!(offered(&client).await, [child]);
        changed(&client, child, take("a")).await;

        let at = HashKey(HashKeyRange::ALL.width_less_one() / 2);
        reshard(&client, topic, vec![ReshardStep::Split { shard: ShardId(2), at }]).await;
        let halves = [key(topic, 0, 3), key(topic, 2, 4)];
        for half in halves {
            assert_eq!(changed(&client, half, create()).await.parents, [child]);
        }
        assert_eq!(offered(&client).await, []);
        changed(&client, child, reached(Checkpoint::ShardEnd)).await;
        assert_eq!(offered(&client).await, halves);
    });
}

#[test]
fn leases_outlast_a_kill_and_a_power_cut() {
    with_restarts(&[], async |broker| {
        let mut client = broker.start().await;
        let key = key(topic(&mut client, 1).await, 0, 0);
        changed(&client, key, create()).await;
        let mut known = changed(&client, key, take("a")).await;
        for round in 0..20 {
            assert_eq!(leases(&client, None).await, [(key, known.clone())], "in round {round}");
            // One that comes too late is journaled as well, and must change nothing when it is read.
            let late = change(&client, key, of_counter(known.counter - 1), take("b")).await;
            assert!(late.is_err());
            let at = Checkpoint::After(Offset(round));
            known = changed(&client, key, reached(at)).await;
            if round % 2 == 0 {
                broker.kill()
            } else {
                broker.cut_power()
            }
            client = broker.start().await;
        }
    });
}

#[test]
fn a_checkpoint_of_a_worker_is_a_committed_offset_and_the_other_way_round() {
    with_broker(&[], |mut client| async move {
        let key = key(topic(&mut client, 1).await, 0, 0);
        changed(&client, key, create()).await;
        assert_eq!(committed(&mut client, APPLICATION, "t", 0).await.0, -1);
        changed(&client, key, reached(Checkpoint::After(Offset(41)))).await;
        assert_eq!(committed(&mut client, APPLICATION, "t", 0).await, (42, String::new()));
        // Nobody owns the lease, so a tool may set the group back.
        let request = commit(APPLICATION, "t", 0, 7);
        assert_eq!(commit_code(&mut client, 9, request).await, 0);
        let [(_, lease)] = &leases(&client, None).await[..] else { panic!("one lease") };
        assert_eq!(lease.at.checkpoint, Checkpoint::After(Offset(6)));
    });
}

async fn join_code(client: &mut Client) -> i16 {
    let request = JoinGroupRequest::default()
        .with_group_id(group(APPLICATION))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("consumer"));
    client.ask(5, request).await.error_code
}

#[test]
fn while_workers_are_there_kafka_may_not_and_goes_on_when_they_are_not_heard_of() {
    with_broker(&AT_ONCE, |mut client| async move {
        let key = key(topic(&mut client, 1).await, 0, 0);
        changed(&client, key, create()).await;
        let mut lease = changed(&client, key, take("a")).await;
        for _ in 0..10 {
            runtime::sleep(Duration::from_secs(9)).await;
            lease = changed(&client, key, LeaseChange::Renew).await;
        }
        let request = commit(APPLICATION, "t", 0, 7);
        assert_eq!(commit_code(&mut client, 9, request.clone()).await, UNKNOWN_MEMBER_ID);
        assert_eq!(join_code(&mut client).await, INCONSISTENT_GROUP_PROTOCOL);
        let newer = client.ask(1, join_newer("m1", &["t"])).await;
        assert_eq!(newer.error_code, GROUP_ID_NOT_FOUND);
        let delete = DeleteGroupsRequest::default().with_groups_names(vec![group(APPLICATION)]);
        let deleted = client.ask(2, delete).await;
        assert_eq!(deleted.results[0].error_code, NON_EMPTY_GROUP);

        // The worker dies. Its lease stays as it was until somebody takes it.
        runtime::sleep(Duration::from_secs(11)).await;
        assert_eq!(leases(&client, Some("a")).await, [(key, lease)]);
        assert_eq!(send(&mut client, join_newer("m1", &["t"])).await, (1, Some(vec![0])));
        let refused = change(&client, key, Seen::default(), LeaseChange::Renew).await;
        let by_group = LeaseError::ReadByGroup(APPLICATION.to_owned());
        assert_eq!(refused, Err(BrokerError::Lease(by_group)));
        send(&mut client, beat("m1", 1)).await;
        assert_eq!(leases(&client, Some("m1")).await.len(), 1);

        // The members go, and a worker takes over.
        send(&mut client, beat("m1", -1)).await;
        assert_eq!(changed(&client, key, take("b")).await.owner.as_deref(), Some("b"));
    });
}

#[test]
fn members_of_the_classic_protocol_keep_workers_out() {
    with_broker(&[("group.initial.rebalance.delay.ms", "0")], |mut client| async move {
        let key = key(topic(&mut client, 2).await, 0, 0);
        alone(&mut client).await;
        let refused = change(&client, key, Seen::default(), create()).await;
        let by_group = LeaseError::ReadByGroup(APPLICATION.to_owned());
        assert_eq!(refused, Err(BrokerError::Lease(by_group)));
    });
}

#[test]
fn after_a_restart_workers_have_their_time_to_come_back() {
    with_restarts(&[], async |broker| {
        let mut client = broker.start().await;
        let key = key(topic(&mut client, 1).await, 0, 0);
        changed(&client, key, create()).await;
        changed(&client, key, take("a")).await;
        runtime::sleep(Duration::from_secs(60)).await;
        broker.kill();
        let mut client = broker.start().await;
        let request = commit(APPLICATION, "t", 0, 7);
        assert_eq!(commit_code(&mut client, 9, request.clone()).await, UNKNOWN_MEMBER_ID);
        runtime::sleep(Duration::from_secs(11)).await;
        assert_eq!(commit_code(&mut client, 9, request).await, 0);
    });
}

#[test]
fn leases_of_workers_stay_where_committed_offsets_expire() {
    let configs =
        [("offsets.retention.minutes", "1"), ("offsets.retention.check.interval.ms", "1000")];
    with_broker(&configs, |mut client| async move {
        let topic = topic(&mut client, 2).await;
        changed(&client, key(topic, 0, 0), create()).await;
        // A tool may set back what nobody owns: then it is a commit, but on a worker's lease.
        let reset = commit(APPLICATION, "t", 0, 7);
        assert_eq!(commit_code(&mut client, 9, reset).await, 0);
        let before = leases(&client, None).await;
        let request = commit("other", "t", 1, 7);
        assert_eq!(commit_code(&mut client, 9, request).await, 0);
        runtime::sleep(Duration::from_secs(300)).await;
        assert_eq!(committed(&mut client, "other", "t", 1).await.0, -1, "a commit has expired");
        assert_eq!(leases(&client, None).await, before);
    });
}
