//! What workers ask of the lease table: KCL's, and the broker's own tasks.
//!
//! Nobody but the workers knows whether a worker is alive: it renews its leases, and who sees a
//! counter stand still for long enough takes the lease. So a change is judged when it is applied
//! ([`state::groups::ChangeLease`]), and nothing else need be in step with anything.
//!
//! Workers and members of a Kafka group of the same name read the same shards by the same leases.
//! While the ones are there the others are refused (DESIGN 6). Members are there as long as their
//! group says so; workers for [`WORKER_LIFE_MS`] from their last change on.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use lane::Lane;
use state::{
    groups::{ChangeLease, GroupError, GroupRecord, classic::ClassicState},
    leases::{Lease, LeaseChange, LeaseError, LeaseKey, Seen, ShardFacts},
    shards::Shard,
};

use crate::{Broker, BrokerError, Outcome, groups::now_ms};

/// Without a change for this long, an application's workers are taken to be gone. KCL's own default
/// for this is `failoverTimeMillis` = 10,000.
const WORKER_LIFE_MS: u64 = 10_000;

/// Which applications' workers were heard of, and when.
#[derive(Default)]
pub(crate) struct Workers {
    heard_at_ms: RefCell<BTreeMap<String, u64>>,
}

impl Workers {
    fn hear(&self, application: &str) {
        let now = now_ms();
        let mut heard = self.heard_at_ms.borrow_mut();
        if let Some(at_ms) = heard.get_mut(application) {
            *at_ms = now;
            return;
        }
        heard.retain(|_, at_ms| now < at_ms.saturating_add(WORKER_LIFE_MS));
        heard.insert(application.to_owned(), now);
    }

    fn were_heard(&self, application: &str) -> bool {
        let heard = self.heard_at_ms.borrow();
        heard.get(application).is_some_and(|at_ms| now_ms() < at_ms.saturating_add(WORKER_LIFE_MS))
    }
}

impl Broker {
    /// Makes a worker's change of a lease, if the lease is as the worker saw it. Answers with the
    /// lease as it is then, once that is durable; `None` if it is deleted.
    pub async fn change_lease(
        self: &Rc<Self>,
        application: &str,
        key: LeaseKey,
        seen: Seen,
        change: LeaseChange,
    ) -> Outcome<Option<Lease>> {
        let name = application.to_owned();
        self.at_group(application, move |owner, lane| async move {
            if lane.is_full() || owner.is_storage_full() {
                return Err(GroupError::Unavailable.into());
            }
            if owner.has_kafka_members(&lane, &name) {
                return Err(LeaseError::ReadByGroup(name).into());
            }
            let shard = owner.shard_facts(key);
            if shard.is_none() && matches!(change, LeaseChange::Create { .. }) {
                return Err(BrokerError::UnknownTopicOrPartition);
            }
            owner.workers.hear(&name);
            let command = ChangeLease { application: name, key, seen, change, shard };
            let proposed = lane.propose_lease(runtime::wall_clock(), command);
            let applied = proposed.map_err(|error| BrokerError::Storage(error.to_string()))?;
            Ok(applied.await.map_err(|_| BrokerError::Stopping)??)
        })
        .await
    }

    /// An application's leases by topic, partition and shard; all, or those of one owner.
    pub async fn leases(
        self: &Rc<Self>,
        application: &str,
        owner: Option<String>,
    ) -> Outcome<Vec<(LeaseKey, Lease)>> {
        let name = application.to_owned();
        self.at_group(application, |_, lane| async move {
            let groups = lane.groups();
            let leases = groups.leases();
            let owned = |(key, lease): (LeaseKey, &Lease)| (key, lease.clone());
            Ok(match owner {
                Some(owner) => leases.of_owner(&name, &owner).map(owned).collect(),
                None => leases.of_application(&name).map(owned).collect(),
            })
        })
        .await
    }

    /// An application's leases that a worker may take: nobody owns them, and the shards that they
    /// continue are read to their ends.
    pub async fn offered_leases(
        self: &Rc<Self>,
        application: &str,
    ) -> Outcome<Vec<(LeaseKey, Lease)>> {
        let name = application.to_owned();
        self.at_group(application, |_, lane| async move {
            let groups = lane.groups();
            let offered = groups.leases().offered(&name);
            Ok(offered.map(|(key, lease)| (key, lease.clone())).collect())
        })
        .await
    }

    /// What the catalog knows of a lease's shard.
    fn shard_facts(&self, key: LeaseKey) -> Option<ShardFacts> {
        let catalog = self.catalog.borrow();
        let shards = &catalog.topic_by_id(key.topic)?.shards;
        let shard = shards.get(key.shard).filter(|shard| shard.partition == key.partition)?;
        let key_of = |shard: &Shard| LeaseKey {
            topic: key.topic,
            partition: shard.partition,
            shard: shard.id,
        };
        let parents = shard.parents.iter().filter_map(|parent| shards.get(*parent));
        Some(ShardFacts {
            parents: parents.map(key_of).collect(),
            children: shards.children(shard.id).map(key_of).collect(),
            range: shard.range,
            start: shard.start_offset,
            end: shard.end_offset,
        })
    }

    /// Whether a group has members, as of what is proposed.
    fn has_kafka_members(self: &Rc<Self>, lane: &Rc<Lane>, group: &str) -> bool {
        self.consumer_groups.has_members(lane, group)
            || self
                .slot(lane, group)
                .is_some_and(|slot| slot.machine().borrow().state() != ClassicState::Empty)
    }

    /// Whether workers read an application's shards, so that Kafka's consumers may not.
    pub(crate) fn is_read_by_workers(self: &Rc<Self>, lane: &Rc<Lane>, application: &str) -> bool {
        self.workers.were_heard(application)
            && !self.has_kafka_members(lane, application)
            && has_workers(lane, application)
    }

    /// After recovery: workers have their time to be heard of again.
    pub(crate) fn expect_workers(&self) {
        for lane in self.lanes() {
            let applications: Vec<String> = {
                let groups = lane.groups();
                let all = groups.leases().applications();
                all.map(ToOwned::to_owned).collect()
            };
            for application in applications {
                let has_members = match lane.groups().record(&application) {
                    Some(GroupRecord::Classic(record)) => !record.members.is_empty(),
                    Some(GroupRecord::Consumer(group)) => group.member_count() > 0,
                    None => false,
                };
                if !has_members && has_workers(&lane, &application) {
                    self.workers.hear(&application);
                }
            }
        }
    }
}

/// Whether somebody owns a lease of an application that workers have made or changed.
fn has_workers(lane: &Lane, application: &str) -> bool {
    let groups = lane.groups();
    let mut leases = groups.leases().of_application(application);
    leases.any(|(_, lease)| lease.owner.is_some() && lease.is_known_to_workers())
}
