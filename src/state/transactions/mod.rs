//! The transaction coordinator: what is known of each transactional id, and what follows from what
//! is asked of it. A state machine without I/O: requests and the time in, commands and answers out.
//!
//! Transactional ids are spread over the lanes; each lane has one [`Transactions`]. A request is
//! decided by a function that changes nothing ([`Transactions::begin`], [`Transactions::add`],
//! [`Transactions::end`], [`Transactions::complete`], [`Transactions::time_out`]). The command that
//! it gives is applied when it is journaled, so that the next request is judged by it, and answered
//! when it is durable. Commands are never taken back, so the state only runs ahead of the disk.
//!
//! A transaction ends in three steps, each durable before the next: *prepare* decides, once and for
//! all; markers are written to every partition and group (`broker`), which skip what is there
//! already; *complete* lets the next transaction begin. [`Transactions::unfinished`] tells a start
//! which were decided and not completed.
//!
//! Sources: KIP-98 (transactions), KIP-360 (epoch bumps by clients), KIP-447 (offsets), KIP-664
//! (listing), KIP-890 (verification, and the second protocol).

mod begin;
mod command;
mod deadlines;
mod end;
mod error;
mod join;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};

pub use begin::{Begin, Begun};
pub use command::TransactionsCommand;
pub use deadlines::TIMEOUT_MAX_MS;
pub use end::{End, Ended, Ending};
pub use error::TransactionError;
pub use transaction::{EPOCH_MAX, Identity, Protocol, Status, Transaction};

use crate::{DecodeError, versioned::Format};

const FORMAT: Format = Format { what: "transactions", version: 1, limit_bytes: 1 << 28 };

/// The transactional ids of one lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transactions {
    by_id: BTreeMap<String, Transaction>,
    /// Those with an open transaction, for the timeouts.
    open: BTreeSet<String>,
}

impl Transactions {
    /// What is known of a transactional id.
    pub fn get(&self, id: &str) -> Option<&Transaction> {
        self.by_id.get(id)
    }

    /// Every transactional id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Transaction)> {
        self.by_id.iter().map(|(id, transaction)| (id.as_str(), transaction))
    }

    /// All of it, encoded; nothing at all if there is none.
    pub fn snapshot(&self) -> Vec<u8> {
        if self.by_id.is_empty() { Vec::new() } else { FORMAT.encode(&self.by_id) }
    }

    /// Reads a snapshot back.
    pub fn restore(bytes: &[u8]) -> Result<Transactions, DecodeError> {
        if bytes.is_empty() {
            return Ok(Transactions::default());
        }
        let by_id: BTreeMap<String, Transaction> = FORMAT.decode(bytes)?;
        let is_open = |(_, it): &(&String, &Transaction)| it.status == Status::Ongoing;
        let open = by_id.iter().filter(is_open).map(|(id, _)| id.clone()).collect();
        Ok(Transactions { by_id, open })
    }
}

#[cfg(test)]
mod tests;
