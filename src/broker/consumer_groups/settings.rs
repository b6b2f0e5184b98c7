//! The settings of these groups (`group.consumer.…`), as they are at this moment.

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

    pub(super) fn group_heartbeat_interval_ms(&self) -> i32 {
        let value = self.catalog.borrow().broker_number("group.consumer.heartbeat.interval.ms");
        value.and_then(|value| i32::try_from(value).ok()).unwrap_or(5_000)
    }

    /// How long a member may be silent: what the broker says, or, for a classic one, what it said.
    pub(super) fn session_timeout_of(&self, member: &Member) -> u64 {
        match &member.subscription.classic {
            Some(classic) => u64::try_from(classic.session_timeout_ms).unwrap_or(0),
            None => self.group_session_timeout_ms(),
        }
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

    fn group_session_timeout_ms(&self) -> u64 {
        let value = self.catalog.borrow().broker_number("group.consumer.session.timeout.ms");
        value.and_then(|value| u64::try_from(value).ok()).unwrap_or(45_000)
    }
}
