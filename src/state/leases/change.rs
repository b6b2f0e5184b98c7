//! Changes of single leases, each only if the lease still is as the caller saw it.
//!
//! Nobody tells the table that an owner is gone: a reader that sees a counter stand still for long
//! enough takes the lease, and the condition on the counter lets one of several takers win.

use model::{HashKeyRange, Offset};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Checkpoint, Lease, LeaseKey, LeaseTable, PreciseCheckpoint};

/// What the caller saw of a lease. What it does not name may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The counter.
    pub counter: Option<u64>,
    /// The owner, or that there was none.
    pub owner: Option<Option<String>>,
}

/// What the catalog knows of a shard, as of when a change of its lease was decided. A lease takes it
/// in with every change: it may be older than the shard's end, or made by a commit, which knows
/// neither parents nor hash keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardFacts {
    /// The shards that this one continues.
    pub parents: Vec<LeaseKey>,
    /// The shards that continue this one.
    pub children: Vec<LeaseKey>,
    /// Its hash keys.
    pub range: HashKeyRange,
    /// Its first offset.
    pub start: Offset,
    /// The offset after its last one, if it is closed.
    pub end: Option<Offset>,
}

/// What a worker wants to become of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseChange {
    /// A lease for a shard that has none.
    Create {
        /// Where reading is to begin.
        checkpoint: Checkpoint,
    },
    /// A worker becomes the owner, whoever was it.
    Take {
        /// The worker.
        owner: String,
    },
    /// The owner is alive.
    Renew,
    /// Nobody owns it any more.
    Evict,
    /// The owner has come so far.
    Checkpoint {
        /// How far.
        at: PreciseCheckpoint,
    },
    /// The owner is about to come so far; whoever takes the lease over learns of it.
    PrepareCheckpoint {
        /// How far.
        pending: PreciseCheckpoint,
    },
    /// Another worker becomes the owner; the one before it may still make its last checkpoint.
    HandOver {
        /// The worker.
        to: String,
    },
    /// The former owner has made its last checkpoint.
    EndHandOver,
    /// Nothing but that the lease takes in what the catalog knows, such as the shard's children.
    Refresh,
    /// The lease goes.
    Delete,
}

/// Why a change was not made. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// The shard has a lease already.
    #[error("the lease is there already")]
    Exists,
    /// The shard has no lease.
    #[error("there is no such lease")]
    Missing,
    /// The lease is not as the caller saw it.
    #[error("the lease has changed: its counter is {counter}, its owner {owner:?}")]
    Changed {
        /// Its counter now.
        counter: u64,
        /// Its owner now.
        owner: Option<String>,
    },
    /// A shard that this one continues is not read to its end.
    #[error("a parent of the shard is not read to its end")]
    ParentNotFinished,
    /// The shard has no end yet that it could be read to.
    #[error("the shard is open: nothing can be read to its end")]
    StillOpen,
    /// The record is not one of the shard's.
    #[error("the checkpoint is at offset {offset}, which does not lie in the shard")]
    Outside {
        /// The record's offset.
        offset: Offset,
    },
    /// Members of a Kafka group of the application's name read its shards.
    #[error("members of the consumer group {0} read its shards")]
    ReadByGroup(String),
}

impl LeaseTable {
    /// Makes a change, if the lease is as it was seen. Answers with the lease as it is then;
    /// `None` once it is deleted.
    pub fn change(
        &mut self,
        application: &str,
        key: LeaseKey,
        seen: &Seen,
        change: LeaseChange,
        shard: Option<&ShardFacts>,
    ) -> Result<Option<Lease>, LeaseError> {
        let mut lease = match (self.get(application, key), &change) {
            (Some(_), LeaseChange::Create { .. }) => return Err(LeaseError::Exists),
            (Some(lease), _) if !seen.fits(lease) => {
                let (counter, owner) = (lease.counter, lease.owner.clone());
                return Err(LeaseError::Changed { counter, owner });
            }
            (Some(lease), _) => lease.clone(),
            (None, LeaseChange::Create { .. }) => {
                let (start, end) = shard.map_or((Offset::ZERO, None), |it| (it.start, it.end));
                Lease::new(start, end)
            }
            (None, _) => return Err(LeaseError::Missing),
        };
        if change == LeaseChange::Delete {
            self.retain(application, |other, _| *other != key);
            return Ok(None);
        }
        if let Some(facts) = shard {
            lease.take_in(facts);
        }
        self.check(application, &lease, &change)?;
        lease.apply(change);
        self.insert(application, key, lease.clone());
        Ok(Some(lease))
    }

    fn check(
        &self,
        application: &str,
        lease: &Lease,
        change: &LeaseChange,
    ) -> Result<(), LeaseError> {
        let reached = match change {
            LeaseChange::Take { .. } | LeaseChange::HandOver { .. } => {
                let is_readable = self.parents_are_finished(application, lease);
                return if is_readable { Ok(()) } else { Err(LeaseError::ParentNotFinished) };
            }
            LeaseChange::Create { checkpoint } => *checkpoint,
            LeaseChange::Checkpoint { at } => at.checkpoint,
            LeaseChange::PrepareCheckpoint { pending } => pending.checkpoint,
            _ => return Ok(()),
        };
        match reached {
            Checkpoint::ShardEnd if lease.end.is_none() => Err(LeaseError::StillOpen),
            Checkpoint::After(offset)
                if offset < lease.start || lease.end.is_some_and(|end| offset >= end) =>
            {
                Err(LeaseError::Outside { offset })
            }
            _ => Ok(()),
        }
    }

    /// Leases that a worker may take: nobody owns them, there is something to read, and the shards
    /// that they continue are read to their ends.
    pub fn offered(&self, application: &str) -> impl Iterator<Item = (LeaseKey, &Lease)> {
        self.of_application(application).filter(|(_, lease)| {
            lease.owner.is_none()
                && !lease.is_finished()
                && self.parents_are_finished(application, lease)
        })
    }

    /// A parent without a lease was read to its end long ago, or lies before the beginning.
    fn parents_are_finished(&self, application: &str, lease: &Lease) -> bool {
        let mut parents = lease.parents.iter();
        parents.all(|parent| self.get(application, *parent).is_none_or(Lease::is_finished))
    }
}

impl Seen {
    fn fits(&self, lease: &Lease) -> bool {
        self.counter.is_none_or(|counter| counter == lease.counter)
            && self.owner.as_ref().is_none_or(|owner| *owner == lease.owner)
    }
}

impl Lease {
    /// Whether a worker has made or changed it. It is not Kafka's alone then, and does not go when a
    /// group's offsets go.
    pub fn is_known_to_workers(&self) -> bool {
        self.range.is_some()
    }

    fn take_in(&mut self, facts: &ShardFacts) {
        let ShardFacts { parents, children, range, start, end } = facts.clone();
        (self.parents, self.children, self.range) = (parents, children, Some(range));
        (self.start, self.end) = (start, end.or(self.end));
    }

    fn apply(&mut self, change: LeaseChange) {
        match change {
            LeaseChange::Create { checkpoint } => self.at = PreciseCheckpoint::whole(checkpoint),
            LeaseChange::Take { owner } => self.give(Some(owner)),
            LeaseChange::Renew => self.counter += 1,
            LeaseChange::Evict => {
                self.give(None);
                self.checkpoint_owner = None;
            }
            LeaseChange::Checkpoint { at } => {
                self.at = at;
                (self.pending, self.commit) = (None, None);
                self.owner_switches = 0;
                self.counter += 1;
            }
            LeaseChange::PrepareCheckpoint { pending } => {
                self.pending = Some(pending);
                self.counter += 1;
            }
            LeaseChange::HandOver { to } => {
                self.checkpoint_owner = self.owner.clone();
                self.give(Some(to));
            }
            LeaseChange::EndHandOver => {
                self.checkpoint_owner = None;
                self.counter += 1;
            }
            // The one has been done, the other has no lease left to change.
            LeaseChange::Refresh | LeaseChange::Delete => {}
        }
    }

    /// Changes the owner.
    pub(super) fn give(&mut self, owner: Option<String>) {
        if owner.is_some() && owner != self.owner {
            self.owner_switches += 1;
        }
        self.owner = owner;
        self.counter += 1;
    }
}
