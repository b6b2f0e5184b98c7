//! What is kept of a consumer group besides its offsets, so that a restarted broker goes on with
//! the same members in the same generation.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::consumer::ConsumerGroup;

/// A group, by the protocol that its members speak. A group that only commits offsets has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupRecord {
    /// The classic protocol: members agree among themselves.
    Classic(ClassicRecord),
    /// The newer protocol: the coordinator assigns.
    Consumer(ConsumerGroup),
}

/// A group of the classic protocol as of its last completed rebalance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClassicRecord {
    /// What the members use the group for: `consumer`, `connect`, …
    pub protocol_type: Option<String>,
    /// The number of the rebalance.
    pub generation: i32,
    /// The assignor that the members agreed on.
    pub protocol: Option<String>,
    /// The member that assigns.
    pub leader: Option<String>,
    /// Since when the group has been in this state.
    pub since: Timestamp,
    /// Its members, in the order in which they joined; none if it is empty.
    pub members: Vec<MemberRecord>,
}

/// A member of a classic group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// The id that the broker gave it.
    pub id: String,
    /// The name by which a static member is known across restarts.
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it connected from.
    pub client_host: String,
    /// How long it may take to rejoin, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// The assignors it can use, best first, with what it tells each of them.
    pub protocols: Vec<(String, Vec<u8>)>,
    /// What the leader assigned to it.
    pub assignment: Vec<u8>,
}
