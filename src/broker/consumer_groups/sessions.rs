//! Members that are silent for too long, or too slow to give up what they must, are taken out.

use std::{rc::Rc, time::Duration};

use model::LaneId;
use state::groups::{GroupRecord, consumer::Expired};

use crate::{Broker, groups::now_ms};

impl Broker {
    /// Watches over the members of this core's groups until the broker stops.
    pub(crate) async fn keep_consumer_sessions(self: Rc<Self>) {
        self.begin_sessions();
        while !self.stopping.get() {
            let next_ms = self.consumer_groups.timers.borrow().next_ms();
            let changed = self.consumer_groups.deadline_set.notified();
            match next_ms {
                None => changed.await,
                Some(at_ms) => {
                    let wait = Duration::from_millis(at_ms.saturating_sub(now_ms()));
                    let _ = runtime::timeout(wait, changed).await;
                }
            }
            self.take_out_expired();
        }
    }

    /// After a start every member gets the whole time of a session: it could not reach the broker.
    fn begin_sessions(&self) {
        for lane in self.lanes() {
            let groups = lane.groups();
            let mut timers = self.consumer_groups.timers.borrow_mut();
            for (group_id, record) in groups.records() {
                let GroupRecord::Consumer(group) = record else { continue };
                for (member_id, member) in group.members() {
                    let at_ms = now_ms() + self.session_timeout_of(group_id, member);
                    timers.set_session(group_id, member_id, at_ms);
                    if !member.standing.pending_revocation.is_empty() {
                        let timeout_ms = member.subscription.rebalance_timeout_ms;
                        let at_ms = now_ms() + u64::try_from(timeout_ms).unwrap_or(0);
                        let epoch = member.standing.epoch;
                        timers.set_revocation(group_id, member_id, epoch, at_ms);
                    }
                }
            }
        }
    }

    fn take_out_expired(self: &Rc<Self>) {
        loop {
            let expired = self.consumer_groups.timers.borrow_mut().pop(now_ms());
            let Some(expired) = expired else { return };
            self.take_out(&expired);
        }
    }

    fn take_out(self: &Rc<Self>, expired: &Expired) {
        let Expired { group_id, member_id, stuck_in_epoch } = expired;
        let lanes = self.meta.get().map_or(1, |meta| meta.lanes);
        let lane = self.lanes.borrow().get(&LaneId::of_name(group_id, lanes)).cloned();
        let Some(lane) = lane else { return };
        let is_due = self
            .consumer_groups
            .current(&lane, group_id)
            .is_some_and(|group| group.fence(member_id, *stuck_in_epoch).is_some());
        if !is_due {
            return;
        }
        tracing::info!(
            group = group_id.as_str(),
            member = member_id.as_str(),
            ?stuck_in_epoch,
            "a member of a consumer group was too slow and is taken out"
        );
        if let Err(error) = self.remove_member(&lane, group_id, member_id, *stuck_in_epoch) {
            // The next round tries again: a full disk must not keep a dead member's partitions.
            tracing::warn!(%error, group = group_id.as_str(), "a member could not be taken out");
            let mut timers = self.consumer_groups.timers.borrow_mut();
            timers.set_session(group_id, member_id, now_ms() + 1_000);
        }
    }
}
