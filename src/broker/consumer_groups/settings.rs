//! The settings of these groups (`group.consumer.…`, and `consumer.…` of single ones), as they are at
//! this moment.

use model::LaneId;
use state::groups::consumer::{AssignorName, Limits, Member};

use crate::Broker;

impl Broker {
    pub(super) fn group_limits(&self) -> Limits {
        let catalog = self.catalog.borrow();
        let most = catalog.broker_number("group.consumer.max.size");
        let names = catalog.broker_value("group.consumer.assignors").unwrap_or_default();
        let assignors = names.split(',').filter_map(|name| AssignorName::parse(name.trim()));
        Limits {
            members_max: most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX),
            assignors: assignors.collect(),
        }
    }

    pub(super) fn group_heartbeat_interval_ms(&self, group_id: &str) -> i32 {
        let value = self.group_number(group_id, "consumer.heartbeat.interval.ms");
        value.and_then(|value| i32::try_from(value).ok()).unwrap_or(5_000)
    }

    /// How long the targets of a group stand at least before they are worked out anew.
    pub(super) fn assignment_interval_ms(&self, group_id: &str) -> u64 {
        let value = self.group_number(group_id, "consumer.assignment.interval.ms");
        value.and_then(|value| u64::try_from(value).ok()).unwrap_or(1_000)
    }

    /// How long a member may be silent: what the group's settings say, or, for a classic one, what
    /// it said.
    pub(super) fn session_timeout_of(&self, group_id: &str, member: &Member) -> u64 {
        let value = match &member.subscription.classic {
            Some(classic) => Some(i64::from(classic.session_timeout_ms)),
            None => self.group_number(group_id, "consumer.session.timeout.ms"),
        };
        value.and_then(|value| u64::try_from(value).ok()).unwrap_or(45_000)
    }

    /// A setting of a group that lives here: its own, else the broker's.
    fn group_number(&self, group_id: &str, name: &str) -> Option<i64> {
        let lanes = self.meta.get().map_or(1, |meta| meta.lanes);
        let lane = self.lanes.borrow().get(&LaneId::of_name(group_id, lanes)).cloned()?;
        let own = lane.groups().configs(group_id);
        self.catalog.borrow().group_number(&own, name)
    }

    /// Within which a classic member's session timeout must lie.
    pub(super) fn classic_session_bounds_ms(&self) -> (i32, i32) {
        let catalog = self.catalog.borrow();
        let number = |name, otherwise| {
            let value = catalog.broker_number(name);
            value.and_then(|value| i32::try_from(value).ok()).unwrap_or(otherwise)
        };
        let least_ms = number("group.min.session.timeout.ms", 6_000);
        (least_ms, number("group.max.session.timeout.ms", 1_800_000))
    }
}
