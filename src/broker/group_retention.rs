//! Committed offsets that nobody needs go, as in Kafka since KIP-211: a while after their group
//! became empty; of groups without members, a while after the commit.

use std::{collections::BTreeSet, rc::Rc};

use lane::Lane;
use model::{Timestamp, TopicPartition};
use state::{
    groups::{GroupRecord, GroupsCommand, classic::ClassicState},
    leases::CommitDetails,
};

use crate::{Broker, group_admin::propose};

const MINUTE_MS: i64 = 60_000;
/// Kafka's default for `offsets.retention.minutes`: a week.
const RETENTION_MINUTES: i64 = 10_080;
/// Kafka's default for `offsets.retention.check.interval.ms`.
const CHECK_INTERVAL_MS: u64 = 600_000;

/// From when on the retention of a group's offsets counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// From their commit.
    Commit,
    /// From when the group became empty.
    Empty(Timestamp),
    /// It does not count while the group is as it is.
    Never,
}

impl Since {
    fn is_over(self, details: &CommitDetails, now: Timestamp, retention_ms: i64) -> bool {
        let from = match (self, details.expires_at) {
            (Since::Never, _) => return false,
            (_, Some(expires_at)) => return now >= expires_at,
            (Since::Commit, None) => details.committed_at,
            (Since::Empty(since), None) => since,
        };
        now.0.saturating_sub(from.0) >= retention_ms
    }
}

impl Broker {
    /// Looks at the offsets of this core's groups from time to time.
    pub(crate) async fn keep_offsets(self: &Rc<Self>) {
        while !self.stopping.get() {
            let name = "offsets.retention.check.interval.ms";
            runtime::sleep(self.interval(name, CHECK_INTERVAL_MS)).await;
            for lane in self.lanes() {
                let groups: Vec<String> =
                    lane.groups().names().into_iter().map(ToOwned::to_owned).collect();
                for group in groups {
                    if self.stopping.get() {
                        return;
                    }
                    if let Err(error) = self.expire_offsets(&lane, &group).await {
                        tracing::warn!(group, %error, "committed offsets were not expired");
                    }
                    runtime::yield_now().await;
                }
            }
        }
    }

    async fn expire_offsets(self: &Rc<Self>, lane: &Rc<Lane>, group: &str) -> crate::Outcome<()> {
        let since = self.retention_begins(lane, group);
        let (expired, left) = self.expired(lane, group, since);
        if since != Since::Never && left == 0 && self.has_no_members(lane, group) {
            self.consumer_groups.go(group);
            propose(lane, GroupsCommand::DeleteGroup { group: group.to_owned() }).await?;
            self.group_slots.forget_idle(group);
        } else if !expired.is_empty() {
            let (group, partitions) = (group.to_owned(), expired);
            propose(lane, GroupsCommand::DeleteOffsets { group, partitions }).await?;
        }
        Ok(())
    }

    fn retention_begins(&self, lane: &Lane, group: &str) -> Since {
        let groups = lane.groups();
        if let Some(GroupRecord::Consumer(_)) = groups.record(group) {
            return Since::Commit;
        }
        let state = self.group_slots.get(group).map(|slot| {
            let machine = slot.machine().borrow();
            (machine.state(), machine.is_of_others())
        });
        match (state, groups.record(group)) {
            (None | Some((ClassicState::Empty, _)), Some(GroupRecord::Classic(record))) => {
                Since::Empty(record.since)
            }
            // Offsets of topics that its members read are kept; who is subscribed is asked below.
            (Some((ClassicState::Stable, false)), _) | (None, _) => Since::Commit,
            _ => Since::Never,
        }
    }

    /// The partitions whose offsets go, and how many stay.
    fn expired(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group: &str,
        since: Since,
    ) -> (Vec<TopicPartition>, usize) {
        let now = runtime::wall_clock();
        let minutes = self.catalog.borrow().broker_number("offsets.retention.minutes");
        let retention_ms = minutes.unwrap_or(RETENTION_MINUTES).saturating_mul(MINUTE_MS);
        let groups = lane.groups();
        let unstable = groups.unstable(group);
        // What a worker has made or changed stays until a worker deletes it, even if a tool has
        // committed there since.
        let of_workers: BTreeSet<TopicPartition> = groups
            .leases()
            .of_application(group)
            .filter(|(_, lease)| lease.is_known_to_workers())
            .map(|(key, _)| key.topic_partition())
            .collect();
        let (mut expired, mut left) = (Vec::new(), unstable.len() + of_workers.len());
        for (partition, committed) in groups.all_committed(group) {
            let is_gone = self.catalog.borrow().topic_by_id(partition.topic).is_none();
            let is_over = !of_workers.contains(&partition)
                && committed
                    .details
                    .is_some_and(|details| since.is_over(details, now, retention_ms));
            let is_free = !unstable.contains(&partition);
            if is_free && (is_gone || is_over && !self.is_read_by(lane, group, partition)) {
                expired.push(partition);
            } else {
                left += 1;
            }
        }
        (expired, left)
    }

    fn has_no_members(&self, lane: &Lane, group: &str) -> bool {
        let is_empty = |record: Option<&GroupRecord>| match record {
            Some(GroupRecord::Consumer(_)) | None => true,
            Some(GroupRecord::Classic(record)) => record.members.is_empty(),
        };
        !self.consumer_groups.has_members(lane, group)
            && self.group_slots.get(group).is_none_or(|slot| slot.machine().borrow().is_idle())
            && is_empty(lane.groups().record(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_go_after_their_retention_which_begins_as_the_group_is() {
        let details = |expires_at: Option<i64>| CommitDetails {
            leader_epoch: -1,
            metadata: String::new(),
            committed_at: Timestamp(1_000),
            expires_at: expires_at.map(Timestamp),
        };
        let own = Some(3_000);
        for (since, expires_at, last_kept) in [
            (Since::Commit, None, 1_999),
            (Since::Empty(Timestamp(5_000)), None, 5_999),
            // What the client itself asked for is stronger (OffsetCommit 2 to 4).
            (Since::Commit, own, 2_999),
            (Since::Empty(Timestamp(5_000)), own, 2_999),
            (Since::Never, None, i64::MAX - 1),
            (Since::Never, own, i64::MAX - 1),
        ] {
            let details = details(expires_at);
            let over = |now| since.is_over(&details, Timestamp(now), 1_000);
            assert!(!over(last_kept), "{since:?} {expires_at:?}");
            assert_eq!(over(last_kept + 1), since != Since::Never, "{since:?} {expires_at:?}");
        }
    }
}
