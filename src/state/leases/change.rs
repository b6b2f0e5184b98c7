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

/// A change of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseChange {
    /// A lease for a shard that has none.
    Create(NewLease),
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
        /// The offset after the shard's last one, if it is closed by now. The lease may be older
        /// than that, and a shard that was read to its end says nothing to Kafka without it.
        end: Option<Offset>,
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
    /// The shards that continue this one are known.
    SetChildren(Vec<LeaseKey>),
    /// The lease goes.
    Delete,
}

/// A lease to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLease {
    /// Where reading is to begin.
    pub checkpoint: Checkpoint,
    /// The shards that this one continues.
    pub parents: Vec<LeaseKey>,
    /// Its hash keys.
    pub range: Option<HashKeyRange>,
    /// Its first offset.
    pub start: Offset,
    /// The offset after its last one, if it is closed.
    pub end: Option<Offset>,
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
}

impl LeaseTable {
    /// Makes a change, if the lease is as it was seen.
    pub fn change(
        &mut self,
        application: &str,
        key: LeaseKey,
        seen: &Seen,
        change: LeaseChange,
    ) -> Result<(), LeaseError> {
        if let LeaseChange::Create(new) = change {
            return self.create(application, key, new);
        }
        let lease = self.get(application, key).ok_or(LeaseError::Missing)?;
        let as_seen = seen.counter.is_none_or(|counter| counter == lease.counter)
            && seen.owner.as_ref().is_none_or(|owner| *owner == lease.owner);
        if !as_seen {
            let (counter, owner) = (lease.counter, lease.owner.clone());
            return Err(LeaseError::Changed { counter, owner });
        }
        let takes = matches!(change, LeaseChange::Take { .. } | LeaseChange::HandOver { .. });
        if takes && !self.parents_are_finished(application, lease) {
            return Err(LeaseError::ParentNotFinished);
        }
        if let LeaseChange::Checkpoint { at, end } = &change
            && at.checkpoint == Checkpoint::ShardEnd
            && end.or(lease.end).is_none()
        {
            return Err(LeaseError::StillOpen);
        }
        if change == LeaseChange::Delete {
            self.retain(application, |other, _| *other != key);
        } else if let Some(lease) = self.get_mut(application, key) {
            lease.apply(change);
        }
        Ok(())
    }

    fn create(
        &mut self,
        application: &str,
        key: LeaseKey,
        new: NewLease,
    ) -> Result<(), LeaseError> {
        if self.get(application, key).is_some() {
            return Err(LeaseError::Exists);
        }
        let NewLease { checkpoint, parents, range, start, end } = new;
        let at = PreciseCheckpoint::whole(checkpoint);
        let lease = Lease { at, parents, range, ..Lease::new(start, end) };
        self.insert(application, key, lease);
        Ok(())
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

impl Lease {
    fn apply(&mut self, change: LeaseChange) {
        match change {
            LeaseChange::Take { owner } => self.give(Some(owner)),
            LeaseChange::Renew => self.counter += 1,
            LeaseChange::Evict => {
                self.give(None);
                self.checkpoint_owner = None;
            }
            LeaseChange::Checkpoint { at, end } => {
                self.at = at;
                self.end = end.or(self.end);
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
            LeaseChange::SetChildren(children) => self.children = children,
            // Neither changes a lease that is there.
            LeaseChange::Create(_) | LeaseChange::Delete => {}
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
