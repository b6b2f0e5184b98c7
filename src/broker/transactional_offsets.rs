//! Offsets that a producer commits for a group as part of its transaction: they are staged on the
//! group's lane, and count once the transaction commits.

use std::rc::Rc;

use lane::Lane;
use state::{
    groups::{GroupError, GroupsCommand, consumer::CommitRights},
    transactions::{Identity, Protocol, TransactionError},
};

use crate::{
    Broker, BrokerError, CommitOffsets, InTransaction, Joining, Outcome,
    group_offsets::in_commands, groups::now_ms,
};

impl Broker {
    /// Stages offsets. Answers in their order, once all that are taken are durable.
    pub async fn commit_offsets_in_transaction(
        self: &Rc<Self>,
        request: CommitOffsets,
        transaction: InTransaction,
        producer: Identity,
    ) -> Outcome<Vec<Outcome<()>>> {
        let group = request.group.clone();
        self.at_group(&group, move |owner, lane| async move {
            owner.verifying.begin_group(producer.id);
            let answer = owner.is_group_in(&transaction, producer, &request.group).await;
            let ended = owner.verifying.leave_group(producer.id);
            if !answer? || ended {
                return Err(TransactionError::NotInTransaction.into());
            }
            // Not before: the group may have gone on while the coordinator was asked.
            let rights = owner.check_staging(&lane, &request)?;
            owner.stage(&lane, request, producer, &rights).await
        })
        .await
    }

    fn check_staging(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        request: &CommitOffsets,
    ) -> Outcome<CommitRights> {
        let CommitOffsets { group, caller, .. } = request;
        if group.is_empty() {
            return Err(GroupError::InvalidGroupId.into());
        }
        if self.is_read_by_workers(lane, group) {
            return Err(GroupError::UnknownMemberId.into());
        }
        if let Some(rights) = self.rights_in_consumer_group(lane, request, true) {
            return rights;
        }
        match self.slot(lane, group) {
            Some(slot) => {
                slot.machine().borrow_mut().check_commit(now_ms(), caller, true)?;
                Ok(CommitRights::All)
            }
            None if caller.generation < 0 => Ok(CommitRights::All),
            None => Err(GroupError::IllegalGeneration.into()),
        }
    }

    /// The coordinator's word on a group; in the second protocol it takes the group in.
    async fn is_group_in(
        self: &Rc<Self>,
        transaction: &InTransaction,
        producer: Identity,
        group: &str,
    ) -> Outcome<bool> {
        let InTransaction { id, protocol } = transaction;
        match protocol {
            Protocol::V1 => self.verify_group_in_transaction(id, producer, group.to_owned()).await,
            Protocol::V2 => {
                let joining = Joining { groups: vec![group.to_owned()], ..Joining::default() };
                self.add_to_transaction(id, producer, joining, *protocol).await?;
                Ok(true)
            }
        }
    }

    async fn stage(
        &self,
        lane: &Rc<Lane>,
        request: CommitOffsets,
        producer: Identity,
        rights: &CommitRights,
    ) -> Outcome<Vec<Outcome<()>>> {
        if lane.is_full() || self.is_storage_full() {
            return Err(GroupError::Unavailable.into());
        }
        let now = runtime::wall_clock();
        let CommitOffsets { group, offsets, .. } = request;
        let (outcomes, commits) = self.plan_commits(offsets, rights, None, now);
        let mut durable = Vec::new();
        for offsets in in_commands(commits) {
            let (group, producer) = (group.clone(), producer.id);
            let command = GroupsCommand::StageOffsets { group, producer, offsets };
            let proposed = lane.propose_groups(now, command);
            durable.push(proposed.map_err(|error| BrokerError::Storage(error.to_string()))?);
        }
        for durable in durable {
            durable.await.map_err(|_| BrokerError::Stopping)?;
        }
        Ok(outcomes)
    }
}
