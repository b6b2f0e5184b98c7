//! EndTxn: the decision, and its completion once every marker is written.

use std::collections::BTreeSet;

use model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};

use super::{
    EPOCH_MAX, Identity, Protocol, Status, Transaction, TransactionError, Transactions,
    TransactionsCommand,
};

/// A request to end a transaction.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// The transactional id.
    pub id: &'a str,
    /// Who asks.
    pub identity: Identity,
    /// To commit or to abort.
    pub commit: bool,
    /// How the client speaks.
    pub protocol: Protocol,
    /// A producer id that was never given out, where one was asked for.
    pub new_id: Option<ProducerId>,
    /// Now.
    pub at: Timestamp,
}

/// What is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With this command the transaction is decided; its markers are to be written. The client goes
    /// on with the identity.
    Prepared(TransactionsCommand, Identity),
    /// It was ended before, or there is nothing to end.
    Already(Identity),
}

/// A decided transaction whose markers are to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The transactional id.
    pub id: String,
    /// Who the markers are of.
    pub identity: Identity,
    /// Committed or aborted.
    pub commit: bool,
    /// Where markers go.
    pub partitions: BTreeSet<TopicPartition>,
    /// The groups whose offsets are taken over or dropped.
    pub groups: BTreeSet<String>,
}

impl Transactions {
    /// Decides on a request to end a transaction.
    pub fn end(&self, request: &End<'_>) -> Result<Ended, TransactionError> {
        let End { id, identity, commit, protocol, .. } = *request;
        let known = self.by_id.get(id).ok_or(TransactionError::UnknownProducer)?;
        let is_v2 = protocol == Protocol::V2;
        let current = known.identity;
        // The epoch was bumped, or the producer id replaced, by an end whose answer was lost.
        let after_bump = current.id == identity.id
            && current.epoch.0.checked_sub(1) == Some(identity.epoch.0)
            && known.last_epoch == identity.epoch;
        let after_new_id = known.previous_id == identity.id
            && identity.epoch == EPOCH_MAX
            && current.epoch == ProducerEpoch(0);
        let is_retry = is_v2 && known.status != Status::Ongoing && (after_bump || after_new_id);
        if current.id != identity.id && !is_retry {
            return Err(TransactionError::UnknownProducer);
        }
        if current.epoch != identity.epoch && !is_retry {
            let (found, current) = (identity.epoch, current.epoch);
            return Err(TransactionError::Fenced { found, current });
        }
        let wanted = if commit { "committed" } else { "aborted" };
        let invalid = || TransactionError::InvalidState { state: known.status.name(), wanted };
        match known.status {
            Status::Ongoing => prepare(request, known),
            Status::PrepareCommit | Status::PrepareAbort => {
                let same = known.status.ending() == Some(commit);
                Err(if same { TransactionError::Concurrent } else { invalid() })
            }
            Status::CompleteCommit | Status::CompleteAbort if is_retry || !is_v2 => {
                let same = (known.status == Status::CompleteCommit) == commit;
                if same { Ok(Ended::Already(current)) } else { Err(invalid()) }
            }
            // A producer that recovers ends what it may have begun before it could begin.
            Status::Empty if !is_v2 => Ok(Ended::Already(current)),
            // Nothing was added, but batches may be on their way: the new epoch fences them.
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort if !commit => {
                prepare(request, &Transaction { started: request.at, ..known.clone() })
            }
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort => Err(invalid()),
        }
    }

    /// Every marker of a decided transaction is written. `None` if that is known, or if it is not
    /// about the transaction that is being ended now.
    pub fn complete(
        &self,
        id: &str,
        identity: Identity,
        at: Timestamp,
    ) -> Option<TransactionsCommand> {
        let known = self.by_id.get(id)?;
        (known.status.ending().is_some() && known.identity == identity).then(|| {
            let transaction = Box::new(known.completed(at));
            TransactionsCommand::Put { id: id.to_owned(), transaction }
        })
    }

    /// The decided transaction of this id, if its markers are not all written.
    pub fn ending(&self, id: &str) -> Option<Ending> {
        let known = self.by_id.get(id)?;
        Some(Ending {
            id: id.to_owned(),
            identity: known.identity,
            commit: known.status.ending()?,
            partitions: known.partitions.clone(),
            groups: known.groups.clone(),
        })
    }

    /// Every decided transaction whose markers are not all written: what a start has to finish.
    pub fn unfinished(&self) -> Vec<String> {
        let unfinished = self.by_id.iter().filter(|(_, it)| it.status.ending().is_some());
        unfinished.map(|(id, _)| id.clone()).collect()
    }
}

fn prepare(request: &End<'_>, known: &Transaction) -> Result<Ended, TransactionError> {
    let End { id, commit, protocol, at, .. } = *request;
    let mut prepared = Transaction { protocol, ..known.prepared(commit, at) };
    if protocol == Protocol::V2 {
        if known.is_exhausted() {
            prepared.next_id = request.new_id.ok_or(TransactionError::NeedsProducerId)?;
        }
        prepared.last_epoch = known.identity.epoch;
        prepared.identity.epoch = ProducerEpoch(known.identity.epoch.0.saturating_add(1));
    }
    let next = prepared.next_identity();
    let command = TransactionsCommand::Put { id: id.to_owned(), transaction: Box::new(prepared) };
    Ok(Ended::Prepared(command, next))
}
