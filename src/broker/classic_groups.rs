//! The classic protocol's calls: each goes to the group's core and into its state machine.

use std::rc::Rc;

use lane::Lane;
use state::groups::{
    GroupError,
    classic::{Departure, Identity, JoinRefused, JoinRequest, Joined, Reply, SyncRequest, Synced},
};

use crate::{Broker, BrokerError, Outcome, groups::now_ms};

impl Broker {
    /// JoinGroup. Resolves when the group's next generation begins, or with a refusal.
    pub async fn join_group(
        self: &Rc<Self>,
        group: &str,
        request: JoinRequest,
    ) -> Outcome<Result<Joined, JoinRefused>> {
        let name = group.to_owned();
        self.at_group(
            group,
            |owner, lane| async move { owner.join_here(&lane, &name, request).await },
        )
        .await
    }

    async fn join_here(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group: &str,
        request: JoinRequest,
    ) -> Outcome<Result<Joined, JoinRefused>> {
        let refuse = |error| {
            let member_id = request.member_id.clone();
            Ok(Err(JoinRefused { error, member_id }))
        };
        if group.is_empty() {
            return refuse(GroupError::InvalidGroupId);
        }
        if lane.is_full() || self.is_storage_full() {
            return refuse(GroupError::Unavailable);
        }
        // As a group of another kind: theirs is the shards' assignment.
        if self.is_read_by_workers(lane, group) {
            return refuse(GroupError::InconsistentGroupProtocol);
        }
        if self.consumer_groups.has_members(lane, group) {
            return self.join_as_classic(lane, group, request).await;
        }
        let slot = match self.slot(lane, group) {
            Some(slot) => slot,
            // A member that is known elsewhere, or was long ago.
            None if !request.member_id.is_empty() => return refuse(GroupError::UnknownMemberId),
            None => self.slot_or_new(lane, group),
        };
        let reply =
            self.call_slot(&slot, |machine, now_ms, call| machine.join(now_ms, call, request));
        match reply.await {
            Ok(Reply::Join(outcome)) => Ok(outcome),
            Ok(Reply::Sync(_)) | Err(_) => Err(BrokerError::Stopping),
        }
    }

    /// SyncGroup. Resolves when the leader has assigned, or with a refusal.
    pub async fn sync_group(self: &Rc<Self>, group: &str, request: SyncRequest) -> Outcome<Synced> {
        let name = group.to_owned();
        self.at_group(group, |owner, lane| async move {
            check_name(&name)?;
            if lane.is_full() || owner.is_storage_full() {
                return Err(GroupError::Unavailable.into());
            }
            if owner.consumer_groups.has_members(&lane, &name) {
                return owner.sync_as_classic(&lane, &name, &request);
            }
            let slot = owner.slot(&lane, &name).ok_or(GroupError::UnknownMemberId)?;
            let reply =
                owner.call_slot(&slot, |machine, now_ms, call| machine.sync(now_ms, call, request));
            match reply.await {
                Ok(Reply::Sync(outcome)) => Ok(outcome?),
                Ok(Reply::Join(_)) | Err(_) => Err(BrokerError::Stopping),
            }
        })
        .await
    }

    /// Heartbeat.
    pub async fn group_heartbeat(self: &Rc<Self>, group: &str, identity: Identity) -> Outcome<()> {
        let name = group.to_owned();
        self.at_group(group, |owner, lane| async move {
            check_name(&name)?;
            if owner.consumer_groups.has_members(&lane, &name) {
                return owner.beat_as_classic(&lane, &name, &identity);
            }
            let slot = owner.slot(&lane, &name).ok_or(GroupError::UnknownMemberId)?;
            let outcome = slot.machine().borrow_mut().heartbeat(now_ms(), &identity);
            Ok(outcome?)
        })
        .await
    }

    /// LeaveGroup. Each member gets its own answer.
    pub async fn leave_group(
        self: &Rc<Self>,
        group: &str,
        departures: Vec<Departure>,
    ) -> Outcome<Vec<Result<(), GroupError>>> {
        let name = group.to_owned();
        self.at_group(group, |owner, lane| async move {
            check_name(&name)?;
            if owner.consumer_groups.has_members(&lane, &name) {
                return owner.leave_as_classic(&lane, &name, &departures).await;
            }
            let Some(slot) = owner.slot(&lane, &name) else {
                return Ok(vec![Err(GroupError::UnknownMemberId); departures.len()]);
            };
            let (results, output) = slot.machine().borrow_mut().leave(now_ms(), &departures);
            owner.take_in(&slot, output);
            Ok(results)
        })
        .await
    }
}

fn check_name(group: &str) -> Result<(), GroupError> {
    if group.is_empty() { Err(GroupError::InvalidGroupId) } else { Ok(()) }
}
