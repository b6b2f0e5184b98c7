//! The classic protocol: members join, one of them assigns, all fetch their assignment.
//!
//! [`ClassicGroup`] is the coordinator of one group as a state machine without I/O, after Kafka's
//! `GroupMetadataManager` and `ClassicGroup` (4.3). Calls come in with the time; out come replies
//! to calls, now or later, and records to be stored. What follows from a record, replies
//! included, counts once that is durable: whoever drives the machine sees to it.
//!
//! ```text
//!            join                        all have rejoined, or time is up
//!   Empty ─────────▶ PreparingRebalance ───────────────────────────────▶ CompletingRebalance
//!     ▲                 │        ▲                                              │
//!     └─────────────────┘        │ a member joins anew, leaves or is silent     │ leader's
//!        nobody is left          └──────────────────── Stable ◀─────────────────┘ assignment
//! ```
//!
//! Start reading at [`ClassicGroup`], then `join.rs`, `rebalance.rs`, `sync.rs`, `session.rs`.

pub mod consumer_protocol;
mod join;
mod member;
mod rebalance;
mod session;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::{ClassicRecord, GroupError};
pub use join::{JoinRefused, JoinRequest, Joined, JoinedMember};
use member::Member;
use rebalance::Initial;
pub use session::{Departure, Identity};
pub use sync::{SyncRequest, Synced};

/// A call that waits for its reply, numbered by whoever drives the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// The answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To JoinGroup.
    Join(Result<Joined, JoinRefused>),
    /// To SyncGroup.
    Sync(Result<Synced, GroupError>),
}

/// What an event led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Replies that are due, once `store` (and every record before it) is durable.
    pub replies: Vec<(CallId, Reply)>,
    /// The group as it is to be stored.
    pub store: Option<ClassicRecord>,
}

/// The broker's settings that groups follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassicSettings {
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: u64,
    /// `group.min.session.timeout.ms`
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max_ms: i32,
    /// `group.max.size`
    pub members_max: usize,
}

impl Default for ClassicSettings {
    fn default() -> Self {
        ClassicSettings {
            initial_rebalance_delay_ms: 3_000,
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            members_max: usize::MAX,
        }
    }
}

/// Where a group stands between two rebalances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There are no members.
    Empty,
    /// Members are to rejoin until a time.
    Preparing {
        until_ms: u64,
        /// Set while a group that was empty waits for more members.
        initial: Option<Initial>,
    },
    /// Members know the generation; the leader's assignment is awaited.
    Completing,
    /// Every member can have its assignment.
    Stable,
}

/// A state as Kafka's tools name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClassicState {
    /// No members.
    Empty,
    /// Members are to rejoin.
    PreparingRebalance,
    /// The leader's assignment is awaited.
    CompletingRebalance,
    /// Everybody works.
    Stable,
}

impl ClassicState {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            ClassicState::Empty => "Empty",
            ClassicState::PreparingRebalance => "PreparingRebalance",
            ClassicState::CompletingRebalance => "CompletingRebalance",
            ClassicState::Stable => "Stable",
        }
    }
}

/// The coordinator of one group. Times are milliseconds of a clock that only goes forward.
#[derive(Debug, Clone)]
pub struct ClassicGroup {
    settings: ClassicSettings,
    protocol_type: Option<String>,
    generation: i32,
    protocol: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Member ids that were given out and not yet used (KIP-394), and when they lapse.
    pending: BTreeMap<String, u64>,
    /// Static members' ids by instance.
    instances: BTreeMap<String, String>,
    phase: Phase,
    /// Members of this generation that have not asked for their assignment go at this time.
    sync_until_ms: u64,
    /// No deadline lies before it.
    earliest_ms: u64,
    members_seen: u64,
    /// A member of this generation has gone since it began.
    has_lost: bool,
    output: Output,
}

impl ClassicGroup {
    /// A group without members.
    pub fn new(settings: ClassicSettings) -> ClassicGroup {
        ClassicGroup {
            settings,
            protocol_type: None,
            generation: 0,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            instances: BTreeMap::new(),
            phase: Phase::Empty,
            sync_until_ms: u64::MAX,
            earliest_ms: u64::MAX,
            members_seen: 0,
            has_lost: false,
            output: Output::default(),
        }
    }

    /// A stored group. Its members have a whole session from now on to be heard of.
    pub fn restore(settings: ClassicSettings, record: &ClassicRecord, now_ms: u64) -> ClassicGroup {
        let mut group = ClassicGroup::new(settings);
        group.protocol_type.clone_from(&record.protocol_type);
        group.generation = record.generation;
        group.protocol.clone_from(&record.protocol);
        group.leader.clone_from(&record.leader);
        for stored in &record.members {
            if let Some(instance) = &stored.instance_id {
                group.instances.insert(instance.clone(), stored.id.clone());
            }
            let mut member = Member::new(stored.clone(), group.members_seen);
            (member.is_new, member.synced) = (false, true);
            group.members_seen += 1;
            group.members.insert(stored.id.clone(), member);
            group.start_session(&stored.id, now_ms);
        }
        if !group.members.is_empty() {
            group.phase = Phase::Stable;
        }
        group
    }

    /// The group as it is stored.
    pub fn record(&self) -> ClassicRecord {
        let mut members: Vec<&Member> = self.members.values().collect();
        members.sort_by_key(|member| member.ordinal);
        ClassicRecord {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since: model::Timestamp::NONE,
            members: members.into_iter().map(|member| member.record.clone()).collect(),
        }
    }

    /// New settings count from the next event on.
    pub fn set_settings(&mut self, settings: ClassicSettings) {
        self.settings = settings;
    }

    /// When [`ClassicGroup::tick`] is to be called at the latest; `u64::MAX` for never.
    pub fn next_deadline_ms(&self) -> u64 {
        self.earliest_ms
    }

    /// Where the group stands.
    pub fn state(&self) -> ClassicState {
        match self.phase {
            Phase::Empty => ClassicState::Empty,
            Phase::Preparing { .. } => ClassicState::PreparingRebalance,
            Phase::Completing => ClassicState::CompletingRebalance,
            Phase::Stable => ClassicState::Stable,
        }
    }

    /// The number of the last rebalance.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// What the members use the group for.
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// The assignor of this generation.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// The member that assigns.
    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// Whether nothing is lost if the machine is forgotten: no members, none on their way.
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty() && self.phase == Phase::Empty
    }

    /// Whether it has members that are not Kafka consumers, so that nobody but they can tell which
    /// offsets they use.
    pub fn is_of_others(&self) -> bool {
        self.phase != Phase::Empty && self.protocol_type() != Some(consumer_protocol::TYPE)
    }

    /// Whether a topic's offsets are in use by a member: for consumers that say what they read, if
    /// one of them reads the topic.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        if self.protocol_type() != Some(consumer_protocol::TYPE) || self.members.is_empty() {
            return false;
        }
        let Some(protocol) = &self.protocol else { return true };
        let subscribed: Option<Vec<_>> = self
            .members
            .values()
            .map(|member| consumer_protocol::subscribed_topics(member.metadata(protocol)?))
            .collect();
        match subscribed {
            Some(topics) => topics.iter().any(|topics| topics.contains(topic)),
            // What cannot be read might name it.
            None => true,
        }
    }

    fn deadline(&mut self, at_ms: u64) {
        self.earliest_ms = self.earliest_ms.min(at_ms);
    }

    fn reply(&mut self, call: CallId, reply: Reply) {
        self.output.replies.push((call, reply));
    }

    fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.output)
    }
}
