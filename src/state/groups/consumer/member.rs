//! One member: what it asks for, how far it has come, and where it is to go.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Assignment, AssignorName, LEAVE_STATIC_EPOCH};

/// What a member has said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subscription {
    /// Its name across restarts, if it is a static member.
    pub instance_id: Option<String>,
    /// Where it runs; shown, not used for the assignment (as in Kafka 4).
    pub rack_id: Option<String>,
    /// How long it may take to give up partitions, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// What its client calls itself.
    pub client_id: String,
    /// Where its last heartbeat came from.
    pub client_host: String,
    /// The topics that it names; they need not exist.
    pub topic_names: BTreeSet<String>,
    /// A pattern (RE2) for further topics.
    pub topic_regex: Option<String>,
    /// The assignor that it would like.
    pub server_assignor: Option<AssignorName>,
    /// Set while the member speaks the classic protocol.
    pub classic: Option<ClassicMember>,
}

/// What a member that still speaks the classic protocol has sent with its JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClassicMember {
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// Its assignors and their metadata, in its order.
    pub protocols: Vec<(String, Vec<u8>)>,
}

/// Where a member stands on its way to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MemberState {
    /// It has all that can be had in its epoch.
    #[default]
    Stable,
    /// It was told to give up partitions and has not said that it did.
    UnrevokedPartitions,
    /// It waits for partitions that others still have.
    UnreleasedPartitions,
}

/// What a member has, and in which epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Where it is on its way.
    pub state: MemberState,
    /// Its epoch: the one of the assignment that it has reached; [`LEAVE_STATIC_EPOCH`] while a
    /// static member is away.
    pub epoch: i32,
    /// The epoch before, which it may still come with if an answer was lost.
    pub previous_epoch: i32,
    /// What it was given.
    pub assigned: Assignment,
    /// What it has to give up; still its own until it says that it did.
    pub pending_revocation: Assignment,
}

impl Standing {
    /// Whether nothing is left to do for an assignment of this epoch.
    pub fn is_reconciled_to(&self, assignment_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == assignment_epoch
    }

    /// Goes on to `epoch`.
    pub(super) fn at_epoch(&self, epoch: i32) -> Standing {
        Standing { epoch, previous_epoch: self.epoch, ..self.clone() }
    }
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Member {
    /// What it asks for.
    pub subscription: Subscription,
    /// What it has.
    pub standing: Standing,
    /// What it is to have, in the group's assignment epoch.
    pub target: Assignment,
}

impl Member {
    /// Whether it is a static member that is away for now.
    pub fn is_away(&self) -> bool {
        self.standing.epoch == LEAVE_STATIC_EPOCH
    }

    /// Whether it speaks the classic protocol.
    pub fn is_classic(&self) -> bool {
        self.subscription.classic.is_some()
    }
}
