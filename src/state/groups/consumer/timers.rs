//! When members run out of time. Soft state: after a start every member gets its whole time anew.

use std::collections::{BTreeMap, BTreeSet};

/// What a member has too little time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Session,
    Revocation,
}

/// A member whose time is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Its group.
    pub group_id: String,
    /// The member.
    pub member_id: String,
    /// For a revocation that took too long: the epoch that the member had to leave. It is to be
    /// fenced only if it still is in it. `None` for a session.
    pub stuck_in_epoch: Option<i32>,
}

type Key = (String, String, Kind);

/// The deadlines of all members of a lane, in milliseconds of any clock that only moves forward.
#[derive(Debug, Default)]
pub struct MemberTimers {
    deadlines: BTreeMap<Key, (u64, Option<i32>)>,
    order: BTreeSet<(u64, Key)>,
}

impl MemberTimers {
    /// A member showed itself: its session ends at `at_ms` if it does not again.
    pub fn set_session(&mut self, group_id: &str, member_id: &str, at_ms: u64) {
        self.set(key(group_id, member_id, Kind::Session), at_ms, None);
    }

    /// A member was told to give up partitions, and has to have left this epoch by `at_ms`.
    pub fn set_revocation(&mut self, group_id: &str, member_id: &str, epoch: i32, at_ms: u64) {
        let key = key(group_id, member_id, Kind::Revocation);
        // Within one epoch a member gets the time once, however often it is told.
        if self.deadlines.get(&key).is_some_and(|(_, known)| *known == Some(epoch)) {
            return;
        }
        self.set(key, at_ms, Some(epoch));
    }

    /// A member has given up what it had to.
    pub fn clear_revocation(&mut self, group_id: &str, member_id: &str) {
        self.clear(&key(group_id, member_id, Kind::Revocation));
    }

    /// A member is gone.
    pub fn forget(&mut self, group_id: &str, member_id: &str) {
        self.clear(&key(group_id, member_id, Kind::Session));
        self.clear(&key(group_id, member_id, Kind::Revocation));
    }

    /// When the next deadline is.
    pub fn next_ms(&self) -> Option<u64> {
        self.order.first().map(|(at_ms, _)| *at_ms)
    }

    /// Takes out a deadline that has passed.
    pub fn pop(&mut self, now_ms: u64) -> Option<Expired> {
        if self.next_ms()? > now_ms {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        let stuck_in_epoch = self.deadlines.remove(&key).and_then(|(_, epoch)| epoch);
        let (group_id, member_id, _) = key;
        Some(Expired { group_id, member_id, stuck_in_epoch })
    }

    fn set(&mut self, key: Key, at_ms: u64, epoch: Option<i32>) {
        self.clear(&key);
        self.deadlines.insert(key.clone(), (at_ms, epoch));
        self.order.insert((at_ms, key));
    }

    fn clear(&mut self, key: &Key) {
        if let Some((at_ms, _)) = self.deadlines.remove(key) {
            self.order.remove(&(at_ms, key.clone()));
        }
    }
}

fn key(group_id: &str, member_id: &str, kind: Kind) -> Key {
    (group_id.to_owned(), member_id.to_owned(), kind)
}
