//! A member, with what it waits for.

use super::{super::MemberRecord, CallId};

/// A call of JoinGroup that waits for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitingJoin {
    pub call: CallId,
}

/// A member and where it is in the rebalance.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub record: MemberRecord,
    /// Its place in the order of joining.
    pub ordinal: u64,
    /// It has never had an answer to JoinGroup, so it cannot send heartbeats.
    pub is_new: bool,
    /// When its silence ends its membership; `None` while a call of its waits.
    pub session_until_ms: Option<u64>,
    pub join: Option<WaitingJoin>,
    pub sync: Option<CallId>,
    /// It has asked for the assignment of this generation.
    pub synced: bool,
}

impl Member {
    pub fn new(record: MemberRecord, ordinal: u64) -> Member {
        Member {
            record,
            ordinal,
            is_new: true,
            session_until_ms: None,
            join: None,
            sync: None,
            synced: false,
        }
    }

    pub fn is_static(&self) -> bool {
        self.record.instance_id.is_some()
    }

    pub fn supports(&self, protocol: &str) -> bool {
        self.record.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// What the member tells an assignor.
    pub fn metadata(&self, protocol: &str) -> Option<&[u8]> {
        let mut protocols = self.record.protocols.iter();
        protocols.find(|(name, _)| name == protocol).map(|(_, metadata)| metadata.as_slice())
    }

    /// The first of its assignors that is among the candidates.
    pub fn vote<'a>(&self, candidates: &[&'a str]) -> Option<&'a str> {
        let mut preferred = self.record.protocols.iter();
        preferred.find_map(|(name, _)| candidates.iter().copied().find(|other| other == name))
    }

    /// How long it may take to rejoin.
    pub fn rebalance_timeout_ms(&self) -> u64 {
        u64::try_from(self.record.rebalance_timeout_ms).unwrap_or(0)
    }

    /// How long it may be silent.
    pub fn session_timeout_ms(&self) -> u64 {
        u64::try_from(self.record.session_timeout_ms).unwrap_or(0)
    }
}
