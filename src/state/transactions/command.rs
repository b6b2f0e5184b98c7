//! What is journaled: the whole of a transactional id, what joined its transaction, or its end.
//!
//! Every command is total and absolute, so that replaying commands that the state already contains
//! ends in the same state.

use model::{Timestamp, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{Protocol, Status, Transaction, Transactions};
use crate::{DecodeError, versioned::Format};

const FORMAT: Format = Format { what: "transaction command", version: 1, limit_bytes: 64 << 20 };

/// A change of one transactional id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactionsCommand {
    /// The transactional id is now this.
    Put {
        /// Which.
        id: String,
        /// What is known of it.
        transaction: Box<Transaction>,
    },
    /// Partitions and groups join its transaction, which begins with them if none is open.
    Add {
        /// Which.
        id: String,
        /// Partitions.
        partitions: Vec<TopicPartition>,
        /// Consumer groups.
        groups: Vec<String>,
        /// How the client speaks.
        protocol: Protocol,
    },
    /// The transactional id is forgotten.
    Remove {
        /// Which.
        id: String,
    },
}

impl TransactionsCommand {
    /// As it is journaled.
    pub fn encode(&self) -> Vec<u8> {
        FORMAT.encode(self)
    }

    /// Reads a journaled command.
    pub fn decode(bytes: &[u8]) -> Result<TransactionsCommand, DecodeError> {
        FORMAT.decode(bytes)
    }

    /// The transactional id that it is about.
    pub fn id(&self) -> &str {
        let (TransactionsCommand::Put { id, .. }
        | TransactionsCommand::Add { id, .. }
        | TransactionsCommand::Remove { id }) = self;
        id
    }
}

impl Transactions {
    /// Takes a command in that was decided at `at`.
    pub fn apply(&mut self, command: &TransactionsCommand, at: Timestamp) {
        let id = command.id();
        self.open.remove(id);
        match command {
            TransactionsCommand::Put { transaction, .. } => {
                self.by_id.insert(id.to_owned(), (**transaction).clone());
            }
            TransactionsCommand::Remove { .. } => {
                self.by_id.remove(id);
            }
            TransactionsCommand::Add { partitions, groups, protocol, .. } => {
                let Some(transaction) = self.by_id.get_mut(id) else { return };
                if transaction.status != Status::Ongoing {
                    transaction.partitions.clear();
                    transaction.groups.clear();
                    transaction.status = Status::Ongoing;
                    transaction.started = at;
                }
                transaction.partitions.extend(partitions);
                transaction.groups.extend(groups.iter().cloned());
                transaction.protocol = *protocol;
                transaction.updated = at;
            }
        }
        if self.by_id.get(id).is_some_and(|now| now.status == Status::Ongoing) {
            self.open.insert(id.to_owned());
        }
    }
}
