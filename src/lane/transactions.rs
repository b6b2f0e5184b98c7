//! Transactions on a lane: what the coordinator decides, and the markers that end transactions in
//! partitions.

use std::{cell::Ref, rc::Rc};

use batch::{BatchHeader, ControlType};
use model::{ProducerEpoch, ProducerId, Timestamp};
use runtime::sync::oneshot;
use state::{
    producers::{MarkerNeed, ProducerView, SequenceError},
    transactions::{Transactions, TransactionsCommand},
};

use crate::{
    Lane, OwnedPartition, ProposeError, command,
    lane::{Effect, Proposal},
    reply::{AppendSlot, Appended},
};

/// The one term in which coordinators write, as long as there is one node.
const COORDINATOR_EPOCH: i32 = 0;

/// The end of a producer's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Whose transaction.
    pub producer: ProducerId,
    /// The epoch that may write from now on.
    pub epoch: ProducerEpoch,
    /// Committed or aborted.
    pub commit: bool,
}

impl Lane {
    /// The transactional ids that live here, as far as proposed. Do not hold the borrow across an
    /// await.
    pub fn transactions(&self) -> Ref<'_, Transactions> {
        self.transactions.borrow()
    }

    /// Takes in the transactional ids of a checkpoint.
    pub(crate) fn set_transactions(&self, transactions: Transactions) {
        self.transactions.replace(transactions);
    }

    /// Applies a command of the journal at recovery.
    pub(crate) fn replay_transactions(&self, command: &TransactionsCommand, at: Timestamp) {
        self.transactions.borrow_mut().apply(command, at);
    }

    /// Journals a change of a transactional id, which counts at once for whatever is decided next.
    /// Resolves once it is durable; a dropped sender means that the core stopped. What ends
    /// transactions must go on when the disk is full, so fullness does not refuse this.
    pub fn propose_transactions(
        &self,
        at: Timestamp,
        command: &TransactionsCommand,
    ) -> Result<oneshot::Receiver<()>, ProposeError> {
        let (done, receiver) = oneshot::channel();
        let head = command::transactions_head(at);
        self.journal_command(&[&head, &command.encode()], Effect::Transactions { done })?;
        self.transactions.borrow_mut().apply(command, at);
        Ok(receiver)
    }

    /// Writes the end of a transaction into a partition, unless there is nothing to end. Either way
    /// the slot is settled once that is durable.
    pub fn propose_marker(
        &self,
        partition: &Rc<OwnedPartition>,
        marker: Marker,
        now: Timestamp,
        slot: AppendSlot,
    ) {
        let Marker { producer, epoch, commit } = marker;
        let need = partition.producers.borrow().check_marker(producer, epoch);
        match need {
            MarkerNeed::Needed => {}
            MarkerNeed::Needless => {
                let base_offset = partition.proposed_end.get().plus(-1);
                let log_start = partition.log.log_start();
                let appended = Appended { base_offset, log_append_time: None, log_start };
                return self.answer_duplicate(partition, appended, slot);
            }
            MarkerNeed::Fenced => {
                let current = partition.producers.borrow().epoch_of(producer).unwrap_or(epoch);
                let error = SequenceError::InvalidEpoch { producer, found: epoch, current };
                return slot.settle(Err(error.into()));
            }
        }
        let control = if commit { ControlType::Commit } else { ControlType::Abort };
        let batch = batch::transaction_marker(producer, epoch, control, COORDINATOR_EPOCH, now);
        let parsed = batch.and_then(|batch| Ok((BatchHeader::parse(&batch)?, batch)));
        let Ok((header, batch)) = parsed else {
            runtime::abort(
                "a marker of one record could not be built, which is a defect of thalweg",
            );
        };
        let proposal = Proposal { batch, header, log_append_time: None };
        self.journal_append(partition, proposal, now, slot);
    }
}

impl OwnedPartition {
    /// Whether a transactional batch belongs to a transaction that is open here already.
    pub fn is_in_transaction(&self, batch: &BatchHeader) -> bool {
        let producers = self.producers.borrow();
        producers.is_in_transaction(batch.producer_id, batch.producer_epoch)
    }

    /// The producers that the partition remembers.
    pub fn producers(&self) -> Vec<ProducerView> {
        self.producers.borrow().producers().collect()
    }
}
