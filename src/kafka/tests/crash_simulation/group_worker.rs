//! What a member of a group does with the partitions it owns: it processes them from where the group
//! has come to, and commits how far it is. By itself, or in one transaction with what it writes.

use std::{cell::Cell, collections::BTreeMap, rc::Rc, time::Duration};

use runtime::simulation::{Machine, Random};

use crate::{
    client::Client,
    group_member::{GroupMember, REJOIN, leave},
    transaction_journal::{Attempt, Outcome, Processed},
    transactional_producer::{Done, Identity, Offset, PARTITIONS, Producer, RETRIABLE, Trouble},
};

pub struct GroupWorker {
    pub member: GroupMember,
    /// What writes its transactions; without it, offsets are committed by themselves.
    pub producer: Option<Producer>,
    pub random: Random,
    pub stop: Rc<Cell<bool>>,
    /// Transactions begun, so that each has a key of its own.
    pub round: u64,
}

/// Where it goes on in each partition that it owns.
type Positions = BTreeMap<usize, i64>;

fn crashes() -> u64 {
    Machine::default().crash_count()
}

impl GroupWorker {
    pub async fn run(mut self) {
        while !self.stop.get() {
            let crashes_before = crashes();
            let mut client = Client::connect_patiently().await;
            // A refusal ends what it did as a broken connection does: it begins anew.
            let _ = self.session(&mut client).await;
            // What was sent on this connection may still arrive, unless the broker has died since: it
            // must not be taken for what the member does next.
            if crashes() == crashes_before || self.random.chance(1, 2) {
                self.member.forget();
            }
            runtime::sleep(Duration::from_millis(self.random.between(1, 100))).await;
        }
    }

    /// One connection's life.
    async fn session(&mut self, client: &mut Client) -> Done<()> {
        let mut identity = self.new_identity(client).await?;
        // After a crash of the broker a member goes on as if nothing had been, if it is still in.
        let mut is_in =
            self.member.membership.generation >= 0 && self.member.heartbeat(client).await.is_ok();
        while !self.stop.get() {
            if !is_in {
                self.member.join(client).await?;
                if self.random.chance(1, 4) {
                    self.member.commit_late(client).await?;
                }
            }
            let mut positions = Positions::new();
            for partition in &self.member.owned {
                positions.insert(*partition, self.member.committed(client, *partition).await?);
            }
            is_in = match self.work(client, &mut identity, &mut positions).await {
                Err(Trouble::Code(code)) if REJOIN.contains(&code) => {
                    // Which ends the transaction, if one is open.
                    identity = self.new_identity(client).await?;
                    false
                }
                Err(Trouble::Code(code)) if RETRIABLE.contains(&code) => {
                    runtime::sleep(Duration::from_millis(20)).await;
                    true
                }
                ended => return ended,
            };
        }
        Ok(())
    }

    async fn new_identity(&self, client: &mut Client) -> Done<Identity> {
        match &self.producer {
            Some(producer) => producer.init(client).await,
            None => Ok(Identity::default()),
        }
    }

    /// Processes what it owns, until the group says otherwise.
    async fn work(
        &mut self,
        client: &mut Client,
        identity: &mut Identity,
        positions: &mut Positions,
    ) -> Done<()> {
        while !self.stop.get() {
            self.member.heartbeat(client).await?;
            let owned: Vec<usize> = positions.keys().copied().collect();
            if let Some(partition) = owned.get(self.random.index(owned.len())).copied() {
                let from = positions[&partition];
                let to = from + self.random.between(1, 5) as i64;
                let reached = if self.producer.is_some() {
                    self.process_exactly_once(client, identity, partition, (from, to)).await?
                } else {
                    self.member.commit(client, partition, to).await?;
                    to
                };
                positions.insert(partition, reached);
                if self.random.chance(1, 4) {
                    self.check_position(client, partition, reached).await?;
                }
            }
            runtime::sleep(Duration::from_micros(self.random.between(0, 50_000))).await;
        }
        if self.random.chance(1, 2) {
            self.member.leave(client).await?;
        }
        Ok(())
    }

    /// While nobody else was told to own its partitions, nobody else commits for them.
    async fn check_position(
        &self,
        client: &mut Client,
        partition: usize,
        reached: i64,
    ) -> Done<()> {
        let committed = self.member.committed(client, partition).await?;
        if self.member.newest() == self.member.membership.generation {
            let who = &self.member.membership;
            assert_eq!(committed, reached, "partition {partition} of {who:?}");
        }
        Ok(())
    }

    /// Writes what it has made of some offsets and commits them, all in one transaction. Says how
    /// far it has come.
    async fn process_exactly_once(
        &mut self,
        client: &mut Client,
        identity: &mut Identity,
        partition: usize,
        (from, to): (i64, i64),
    ) -> Done<i64> {
        let Some(producer) = &mut self.producer else { return Ok(from) };
        self.round += 1;
        let key = format!("{}/{}", producer.id, self.round);
        let mut partitions = producer.some_partitions();
        partitions.insert(self.random.index(PARTITIONS));
        let GroupMember { group, membership, model, .. } = &self.member;
        let attempt = Attempt {
            processed: Some(Processed { partition, from, to }),
            ..Attempt::new(&producer.id, key, partitions)
        };
        let offset = Offset {
            group: group.clone(),
            partition,
            offset: to,
            member: Some((membership.member.clone(), membership.generation)),
        };
        let newest = model.borrow().newest();
        model.borrow_mut().ask(partition, to);
        let commit = self.random.chance(3, 4);
        match producer.attempt(client, identity, attempt, Some(offset), commit).await {
            Ok(outcome) => {
                model.borrow().accepted(newest, membership, "TxnOffsetCommit");
                if outcome == Outcome::Committed {
                    model.borrow_mut().confirmed(partition, to);
                    return Ok(to);
                }
                model.borrow_mut().refused(partition, to);
                Ok(from)
            }
            Err(trouble) => {
                if matches!(trouble, Trouble::Code(code) if REJOIN.contains(&code)) {
                    model.borrow_mut().refused(partition, to);
                }
                Err(trouble)
            }
        }
    }
}

/// An administrator who takes members out of a group that know nothing of it.
pub async fn remove_members(
    group: String,
    members: impl Fn() -> Vec<String>,
    random: Random,
    stop: Rc<Cell<bool>>,
) {
    while !stop.get() {
        runtime::sleep(Duration::from_millis(random.between(50, 1_500))).await;
        let members = members();
        if let Some(member) = members.get(random.index(members.len())) {
            let mut client = Client::connect_patiently().await;
            // Whether it was still in, or the answer comes, does not matter.
            let _ = leave(&mut client, &group, member).await;
        }
    }
}
