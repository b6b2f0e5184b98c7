//! One transactional id: who may write with it, and how far its transaction is.

use std::collections::BTreeSet;

use model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use serde::{Deserialize, Serialize};

/// The greatest epoch that a client is given. The one above it only ever stands in markers, so
/// that they fence the last client.
pub const EPOCH_MAX: ProducerEpoch = ProducerEpoch(i16::MAX - 1);

/// How a client speaks of its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Protocol {
    /// It names partitions before it writes to them, and keeps its epoch.
    #[default]
    V1,
    /// KIP-890: writing to a partition adds it, and each end gives a new epoch.
    V2,
}

/// How far a transaction is; Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Status {
    /// The producer has an identity and has begun nothing.
    #[default]
    Empty,
    /// Something was added to it.
    Ongoing,
    /// It will be committed, whatever happens: markers are being written.
    PrepareCommit,
    /// It will be aborted, whatever happens: markers are being written.
    PrepareAbort,
    /// Every marker of the commit is written.
    CompleteCommit,
    /// Every marker of the abort is written.
    CompleteAbort,
}

impl Status {
    /// Whether the markers are being written, and of which kind: `true` commits.
    pub fn ending(self) -> Option<bool> {
        match self {
            Status::PrepareCommit => Some(true),
            Status::PrepareAbort => Some(false),
            _ => None,
        }
    }

    /// Kafka's name for it, as ListTransactions shows it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Empty => "Empty",
            Status::Ongoing => "Ongoing",
            Status::PrepareCommit => "PrepareCommit",
            Status::PrepareAbort => "PrepareAbort",
            Status::CompleteCommit => "CompleteCommit",
            Status::CompleteAbort => "CompleteAbort",
        }
    }
}

/// A producer and its incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The producer.
    pub id: ProducerId,
    /// Its incarnation.
    pub epoch: ProducerEpoch,
}

/// What is known of a transactional id. While markers are being written, `identity` is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Who may write.
    pub identity: Identity,
    /// The epoch before the last bump that a client asked for, so that it may ask again;
    /// [`ProducerEpoch::NONE`] if there is none.
    pub last_epoch: ProducerEpoch,
    /// The producer id before this one; [`ProducerId::NONE`] if there was none.
    pub previous_id: ProducerId,
    /// The producer id after the markers, where the epochs of this one are used up.
    pub next_id: ProducerId,
    /// How long a transaction may stay open, milliseconds.
    pub timeout_ms: i32,
    /// How far the transaction is.
    pub status: Status,
    /// Partitions that it may have written to.
    pub partitions: BTreeSet<TopicPartition>,
    /// Consumer groups for which it may hold offsets.
    pub groups: BTreeSet<String>,
    /// When it began; [`Timestamp::NONE`] while there is none.
    pub started: Timestamp,
    /// When anything last changed.
    pub updated: Timestamp,
    /// How its client speaks.
    pub protocol: Protocol,
}

impl Transaction {
    pub(super) fn new(identity: Identity, timeout_ms: i32, at: Timestamp) -> Transaction {
        Transaction {
            identity,
            last_epoch: ProducerEpoch::NONE,
            previous_id: ProducerId::NONE,
            next_id: ProducerId::NONE,
            timeout_ms,
            status: Status::Empty,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            started: Timestamp::NONE,
            updated: at,
            protocol: Protocol::V1,
        }
    }

    /// The time after which the transaction is aborted; `None` while none is open.
    pub fn deadline(&self) -> Option<Timestamp> {
        let deadline = self.started.0.saturating_add(i64::from(self.timeout_ms));
        (self.status == Status::Ongoing).then_some(Timestamp(deadline))
    }

    /// Whether no epoch is left for another client.
    pub(super) fn is_exhausted(&self) -> bool {
        self.identity.epoch >= EPOCH_MAX
    }

    /// Who may write once the markers are written.
    pub fn next_identity(&self) -> Identity {
        if self.next_id == ProducerId::NONE {
            return self.identity;
        }
        Identity { id: self.next_id, epoch: ProducerEpoch(0) }
    }

    /// The same on its way to its end: nothing is added any more.
    pub(super) fn prepared(&self, commit: bool, at: Timestamp) -> Transaction {
        let status = if commit { Status::PrepareCommit } else { Status::PrepareAbort };
        Transaction { status, updated: at, ..self.clone() }
    }

    /// The same with all its markers written.
    pub(super) fn completed(&self, at: Timestamp) -> Transaction {
        let commit = self.status.ending().unwrap_or(false);
        let identity = self.next_identity();
        let previous_id =
            if identity.id == self.identity.id { self.previous_id } else { self.identity.id };
        Transaction {
            identity,
            previous_id,
            next_id: ProducerId::NONE,
            status: if commit { Status::CompleteCommit } else { Status::CompleteAbort },
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            started: Timestamp::NONE,
            updated: at,
            ..self.clone()
        }
    }
}
