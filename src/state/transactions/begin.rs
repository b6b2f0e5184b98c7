//! InitProducerId: an identity for the producer of a transactional id, which fences whoever had it
//! before and ends what that one left open.

use model::{ProducerEpoch, ProducerId, Timestamp};

use super::{Identity, Status, Transaction, TransactionError, Transactions, TransactionsCommand};

/// A request for an identity.
#[derive(Debug, Clone)]
pub struct Begin<'a> {
    /// The transactional id.
    pub id: &'a str,
    /// Who the client was before, if it goes on after an error (KIP-360).
    pub expected: Option<Identity>,
    /// How long its transactions may stay open, milliseconds.
    pub timeout_ms: i32,
    /// `transaction.max.timeout.ms`
    pub timeout_max_ms: i32,
    /// A producer id that was never given out, where one was asked for.
    pub new_id: Option<ProducerId>,
    /// Now.
    pub at: Timestamp,
}

/// What is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// The client gets this identity once the command, if any, is durable.
    Identity(Identity, Option<TransactionsCommand>),
    /// A transaction is open: it is aborted and its producer fenced. The client asks again.
    AbortFirst(TransactionsCommand),
}

impl Transactions {
    /// Decides on a request for an identity.
    pub fn begin(&self, request: &Begin<'_>) -> Result<Begun, TransactionError> {
        let Begin { id, timeout_ms, timeout_max_ms, at, .. } = *request;
        if timeout_ms <= 0 || timeout_ms > timeout_max_ms {
            let (found_ms, max_ms) = (timeout_ms, timeout_max_ms);
            return Err(TransactionError::InvalidTimeout { found_ms, max_ms });
        }
        let Some(known) = self.by_id.get(id) else {
            let new_id = request.new_id.ok_or(TransactionError::NeedsProducerId)?;
            let identity = Identity { id: new_id, epoch: ProducerEpoch(0) };
            return Ok(put(id, Transaction::new(identity, timeout_ms, at)));
        };
        let current = known.identity.epoch;
        if let Some(expected) = request.expected {
            let fenced = TransactionError::Fenced { found: expected.epoch, current };
            // Its identity, or the one before, whose epochs were used up: it did not hear of the new.
            let before = expected.id == known.previous_id && expected.epoch >= super::EPOCH_MAX;
            if expected.id != known.identity.id && !before {
                return Err(fenced);
            }
        }
        match known.status {
            Status::PrepareCommit | Status::PrepareAbort => Err(TransactionError::Concurrent),
            Status::Ongoing => {
                if let Some(Identity { epoch: found, .. }) = request.expected
                    && found != current
                    && found != known.last_epoch
                {
                    // A producer that was fenced must not end its successor's transaction.
                    return Err(TransactionError::Fenced { found, current });
                }
                let (id, transaction) = (id.to_owned(), Box::new(known.fenced(at)));
                Ok(Begun::AbortFirst(TransactionsCommand::Put { id, transaction }))
            }
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort => {
                next_identity(request, known)
            }
        }
    }
}

fn next_identity(request: &Begin<'_>, known: &Transaction) -> Result<Begun, TransactionError> {
    let Begin { id, expected, timeout_ms, at, .. } = *request;
    let Identity { id: producer, epoch } = known.identity;
    let claimed = expected.map(|expected| expected.epoch);
    if known.is_exhausted() && claimed.is_none_or(|claimed| claimed == epoch) {
        let new_id = request.new_id.ok_or(TransactionError::NeedsProducerId)?;
        return Ok(put(
            id,
            Transaction {
                identity: Identity { id: new_id, epoch: ProducerEpoch(0) },
                previous_id: producer,
                last_epoch: claimed.map_or(ProducerEpoch::NONE, |_| epoch),
                ..Transaction::new(known.identity, timeout_ms, at)
            },
        ));
    }
    let last_epoch = match claimed {
        None => ProducerEpoch::NONE,
        Some(claimed) if claimed == epoch => epoch,
        // It asks again, because the answer was lost.
        Some(claimed) if claimed == known.last_epoch => {
            return Ok(Begun::Identity(known.identity, None));
        }
        Some(found) => return Err(TransactionError::Fenced { found, current: epoch }),
    };
    let identity = Identity { id: producer, epoch: ProducerEpoch(epoch.0.saturating_add(1)) };
    Ok(put(
        id,
        Transaction {
            previous_id: known.previous_id,
            last_epoch,
            ..Transaction::new(identity, timeout_ms, at)
        },
    ))
}

fn put(id: &str, transaction: Transaction) -> Begun {
    let identity = transaction.identity;
    let (id, transaction) = (id.to_owned(), Box::new(transaction));
    Begun::Identity(identity, Some(TransactionsCommand::Put { id, transaction }))
}

impl Transaction {
    /// The same, to be aborted with an epoch that fences its producer.
    pub(super) fn fenced(&self, at: Timestamp) -> Transaction {
        let epoch = ProducerEpoch(self.identity.epoch.0.saturating_add(1));
        Transaction {
            identity: Identity { epoch, ..self.identity },
            last_epoch: ProducerEpoch::NONE,
            ..self.prepared(false, at)
        }
    }
}
