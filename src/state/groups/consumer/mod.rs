//! Consumer groups in Kafka's newer protocol (KIP-848): the coordinator works out who reads what,
//! and hands it out step by step through heartbeats.
//!
//! A [`ConsumerGroup`] is the fold of its [`Change`]s. [`ConsumerGroup::heartbeat`],
//! [`ConsumerGroup::leave`] and [`ConsumerGroup::fence`] judge a request against it and *plan* a
//! change and an answer; neither happens before the change is durable and applied. Time is not
//! known here: sessions and revocations that run out are kept in [`MemberTimers`], which somebody
//! with a clock asks, and who then fences the member.
//!
//! **How a rebalance goes.** Whatever changes what the members ask for (or the topics) moves the
//! group's epoch up. The first heartbeat that sees an epoch without an assignment works out the
//! *targets* of all members. From then on each member is led from what it has to its target by
//! its own heartbeats ([`reconcile`]): it gives up first, then takes the new epoch, and gets a
//! partition only when nobody else has it.
//!
//! **Invariant: no partition belongs to two members.** What a member was given counts as its own
//! until it says that it gave it up, leaves, or is fenced.

pub mod assignment;
pub mod assignor;
pub mod change;
pub mod embedded;
pub mod error;
pub mod group;
pub mod heartbeat;
pub mod leave;
pub mod member;
mod offsets;
mod owners;
pub mod pattern;
pub mod reconcile;
pub mod timers;
pub mod topics;

#[cfg(test)]
mod tests;

pub use assignment::Assignment;
pub use assignor::AssignorName;
pub use change::{Change, Record};
pub use embedded::MigrationPolicy;
pub use error::ConsumerGroupError;
pub(super) use group::GroupV1;
pub use group::{ConsumerGroup, GroupState};
pub use heartbeat::{Heartbeat, HeartbeatAnswer, Limits, Planned, Surroundings};
pub use member::{ClassicMember, Member, MemberState, Standing, Subscription};
pub use offsets::CommitRights;
pub use pattern::{Pattern, PatternCache};
pub use timers::{Expired, MemberTimers};
pub use topics::{TopicDirectory, TopicShape};

/// The epoch with which a member joins, or joins again with nothing in hand.
pub const JOIN_EPOCH: i32 = 0;
/// The epoch with which a member leaves for good.
pub const LEAVE_EPOCH: i32 = -1;
/// The epoch with which a static member leaves and keeps its place until its session ends.
pub const LEAVE_STATIC_EPOCH: i32 = -2;
