//! A member of a consumer group in the newer protocol (KIP-848): it learns in heartbeats what it
//! owns, lets go of what it is to give up, and commits how far it is.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, GroupId, consumer_group_heartbeat_request::TopicPartitions,
};
use kafka_protocol::protocol::StrBytes;
use runtime::simulation::Machine;
use uuid::Uuid;

use crate::{
    client::Client,
    group_member::{GroupMember, REJOIN},
    transactional_producer::{Done, RETRIABLE, Trouble, good, topic_name},
};

const LEAVE_EPOCH: i32 = -1;
const UNKNOWN_MEMBER_ID: i16 = 25;
const FENCED_MEMBER_EPOCH: i16 = 110;

/// Who holds which partition, as far as members were told and have let go. A partition goes to
/// another member only once its holder has let it go, left, or was taken out; and whoever was taken
/// out is not heard any more.
#[derive(Debug, Default)]
pub struct Holders {
    /// The holder, and its epoch when it was last told so.
    of: BTreeMap<usize, (String, i32)>,
    taken_out: BTreeSet<String>,
    /// How often a member learnt what it owns, for the run's summary.
    pub assignments: u64,
}

impl Holders {
    pub fn names(&self) -> Vec<String> {
        self.of.values().map(|(member, _)| member.clone()).collect()
    }

    fn is_taken_out(&self, member: &str) -> bool {
        self.taken_out.contains(member)
    }

    /// A member holds these partitions at most from now on.
    fn keep_only(&mut self, member: &str, owned: &BTreeSet<usize>) {
        self.of.retain(|partition, (holder, _)| holder != member || owned.contains(partition));
    }

    /// A member was told what it owns in an epoch.
    fn told(&mut self, member: &str, epoch: i32, owned: &BTreeSet<usize>) {
        for partition in owned {
            if let Some((holder, theirs)) = self.of.get(partition).filter(|it| it.0 != member) {
                let holder = holder.clone();
                assert_ne!(
                    *theirs, epoch,
                    "partition {partition} is {holder}'s and {member}'s in epoch {epoch}"
                );
                if *theirs > epoch {
                    // What this one was told was overtaken on its way.
                    self.taken_out.insert(member.to_owned());
                    continue;
                }
                self.taken_out.insert(holder);
            }
            self.of.insert(*partition, (member.to_owned(), epoch));
        }
    }
}

pub struct NewerMember {
    /// Who it is, with its epoch for a generation, and what it owns; and how it commits.
    pub member: GroupMember,
    pub number: u64,
    /// How many ids it has had.
    pub incarnation: u64,
    pub holders: Rc<RefCell<Holders>>,
    pub topic: Uuid,
    pub stop: Rc<Cell<bool>>,
}

fn crashes() -> u64 {
    Machine::default().crash_count()
}

impl NewerMember {
    pub async fn run(mut self) {
        while !self.stop.get() {
            let crashes_before = crashes();
            let mut client = Client::connect_patiently().await;
            // Whatever ended it, it begins anew.
            let _ = self.session(&mut client).await;
            // What was sent on this connection may still arrive, unless the broker has died since.
            if crashes() == crashes_before || self.member.random.chance(1, 2) {
                self.forget();
            }
            let pause = self.member.random.between(1, 100);
            runtime::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// The next time it joins as somebody new. Under the old name it is never heard again.
    fn forget(&mut self) {
        let Self { member, holders, .. } = self;
        holders.borrow_mut().keep_only(&member.membership.member, &BTreeSet::new());
        member.forget();
    }

    /// One connection's life.
    async fn session(&mut self, client: &mut Client) -> Done<()> {
        let mut positions: BTreeMap<usize, i64> = BTreeMap::new();
        while !self.stop.get() {
            self.beat(client).await?;
            positions.retain(|partition, _| self.member.owned.contains(partition));
            for partition in &self.member.owned {
                if !positions.contains_key(partition) {
                    let committed = self.member.committed(client, *partition).await?;
                    positions.insert(*partition, committed);
                }
            }
            self.work(client, &mut positions).await?;
            let pause = self.member.random.between(0, 60_000);
            runtime::sleep(Duration::from_micros(pause)).await;
        }
        if self.member.random.chance(1, 2) {
            let request = self.heartbeat(LEAVE_EPOCH);
            self.forget();
            good(client.ask(&request, 1).await?.error_code)?;
        }
        Ok(())
    }

    /// Commits a few times for what it owns.
    async fn work(
        &mut self,
        client: &mut Client,
        positions: &mut BTreeMap<usize, i64>,
    ) -> Done<()> {
        for _ in 0..self.member.random.between(0, 3) {
            let owned: Vec<usize> = positions.keys().copied().collect();
            let Some(partition) = owned.get(self.member.random.index(owned.len())).copied() else {
                return Ok(());
            };
            let next = positions[&partition] + self.member.random.between(1, 5) as i64;
            let name = self.member.membership.member.clone();
            let was_taken_out = self.holders.borrow().is_taken_out(&name);
            match self.member.commit(client, partition, next).await {
                Ok(()) => {
                    assert!(!was_taken_out, "{name} was taken out, and its commit is accepted");
                    positions.insert(partition, next);
                }
                // The next heartbeat tells how it stands.
                Err(Trouble::Code(code)) if REJOIN.contains(&code) => return Ok(()),
                Err(Trouble::Code(code)) if RETRIABLE.contains(&code) => {
                    positions.remove(&partition);
                }
                failed => return failed,
            }
        }
        Ok(())
    }

    /// A heartbeat, with which it joins if it is not in.
    async fn beat(&mut self, client: &mut Client) -> Done<()> {
        if self.member.membership.member.is_empty() {
            self.incarnation += 1;
            let name = format!("newer-{}-{}", self.number, self.incarnation);
            self.member.membership.member = name;
            self.member.membership.generation = 0;
        }
        let request = self.heartbeat(self.member.membership.generation);
        let name = self.member.membership.member.clone();
        let was_taken_out = self.holders.borrow().is_taken_out(&name);
        self.holders.borrow_mut().keep_only(&name, &self.member.owned);
        let response = client.ask(&request, 1).await?;
        match response.error_code {
            UNKNOWN_MEMBER_ID | FENCED_MEMBER_EPOCH => {
                self.forget();
                return Ok(());
            }
            code if RETRIABLE.contains(&code) => {
                runtime::sleep(Duration::from_millis(20)).await;
                return Ok(());
            }
            code => assert_eq!(code, 0, "ConsumerGroupHeartbeat answers {code}"),
        }
        assert!(!was_taken_out, "{name} was taken out, and its heartbeat is accepted");
        let epoch = response.member_epoch;
        self.member.membership.generation = epoch;
        if let Some(assignment) = response.assignment {
            self.holders.borrow_mut().assignments += 1;
            let topics = assignment.topic_partitions.into_iter();
            self.member.owned =
                topics.flat_map(|topic| topic.partitions).map(|index| index as usize).collect();
        }
        self.holders.borrow_mut().told(&name, epoch, &self.member.owned);
        Ok(())
    }

    fn heartbeat(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        let mut owned = TopicPartitions::default();
        owned.topic_id = self.topic;
        owned.partitions = self.member.owned.iter().map(|index| *index as i32).collect();
        let mut request = ConsumerGroupHeartbeatRequest::default();
        request.group_id = GroupId(StrBytes::from_string(self.member.group.clone()));
        request.member_id = StrBytes::from_string(self.member.membership.member.clone());
        request.member_epoch = epoch;
        request.rebalance_timeout_ms = -1;
        request.subscribed_topic_names = None;
        request.topic_partitions = None;
        if epoch == 0 {
            request.rebalance_timeout_ms = self.member.rebalance_timeout_ms;
            request.subscribed_topic_names = Some(vec![topic_name()]);
            request.topic_partitions = Some(Vec::new());
        } else if epoch > 0 {
            request.topic_partitions = Some(vec![owned]);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(holders: &mut Holders, member: &str, epoch: i32, owned: &[usize]) {
        holders.told(member, epoch, &owned.iter().copied().collect());
    }

    #[test]
    fn a_member_that_was_overtaken_is_known_as_taken_out() {
        let mut holders = Holders::default();
        told(&mut holders, "a", 1, &[0, 1]);
        holders.keep_only("a", &BTreeSet::from([0]));
        told(&mut holders, "b", 2, &[1]);
        assert!(!holders.is_taken_out("a") && !holders.is_taken_out("b"));
        told(&mut holders, "b", 3, &[0, 1]);
        assert!(holders.is_taken_out("a") && !holders.is_taken_out("b"));
    }

    #[test]
    #[should_panic(expected = "partition 0 is a's and b's in epoch 1")]
    fn two_holders_in_one_epoch_are_noticed() {
        let mut holders = Holders::default();
        told(&mut holders, "a", 1, &[0]);
        told(&mut holders, "b", 1, &[0]);
    }
}
