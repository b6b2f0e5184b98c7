//! Leads a member from what it has to its target, one step per heartbeat.

use super::{Assignment, MemberState, Standing};

/// What a step depends on besides the member's standing.
pub(super) struct Goal<'a> {
    /// The epoch of the target.
    pub assignment_epoch: i32,
    /// What the member is to have.
    pub target: &'a Assignment,
    /// What the member says that it has; `None` if it did not say.
    pub owned: Option<&'a Assignment>,
}

impl Goal<'_> {
    /// The member's next standing; `is_free` tells whether no *other* member has a partition.
    pub fn step(
        &self,
        standing: &Standing,
        is_free: impl Fn(model::TopicId, model::PartitionIndex) -> bool,
    ) -> Standing {
        match standing.state {
            MemberState::Stable if standing.epoch == self.assignment_epoch => standing.clone(),
            MemberState::Stable | MemberState::UnreleasedPartitions => {
                self.lead(standing, standing.epoch, is_free)
            }
            MemberState::UnrevokedPartitions if self.still_has(&standing.pending_revocation) => {
                standing.clone()
            }
            // It gave up what it had to: that is worth an epoch, on the way to the newest target.
            MemberState::UnrevokedPartitions => self.lead(standing, standing.epoch + 1, is_free),
        }
    }

    /// Without word from the member it still has everything.
    fn still_has(&self, to_give_up: &Assignment) -> bool {
        self.owned.is_none_or(|owned| owned.overlaps(to_give_up))
    }

    fn lead(
        &self,
        standing: &Standing,
        epoch: i32,
        is_free: impl Fn(model::TopicId, model::PartitionIndex) -> bool,
    ) -> Standing {
        let mut assigned = standing.assigned.intersection(self.target);
        let to_give_up = standing.assigned.difference(self.target);
        if !to_give_up.is_empty() && self.still_has(&to_give_up) {
            return Standing {
                state: MemberState::UnrevokedPartitions,
                assigned,
                pending_revocation: to_give_up,
                ..standing.at_epoch(epoch)
            };
        }
        let wanted = self.target.difference(&assigned);
        let free: Assignment =
            wanted.iter().filter(|(topic, partition)| is_free(*topic, *partition)).collect();
        let state =
            if free == wanted { MemberState::Stable } else { MemberState::UnreleasedPartitions };
        assigned.extend(free.iter());
        Standing {
            state,
            assigned,
            pending_revocation: Assignment::default(),
            ..standing.at_epoch(self.assignment_epoch)
        }
    }
}
