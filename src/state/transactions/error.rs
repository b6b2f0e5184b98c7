//! Why the coordinator refuses.

use model::ProducerEpoch;
use thiserror::Error;

/// Why a request about a transaction was refused. Kafka's code stands with each.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransactionError {
    /// INVALID_PRODUCER_ID_MAPPING
    #[error(
        "The producer id is not the one that the transactional id has: it expired, or another producer took it over. Begin with InitProducerId."
    )]
    UnknownProducer,
    /// PRODUCER_FENCED
    #[error("Epoch {} is not the current epoch {} of the transactional id: a newer producer has taken it over, or its transaction timed out.", found.0, current.0)]
    Fenced {
        /// The epoch in the request.
        found: ProducerEpoch,
        /// The epoch in force.
        current: ProducerEpoch,
    },
    /// CONCURRENT_TRANSACTIONS: retry.
    #[error("The transactional id's last transaction is still being ended: try again.")]
    Concurrent,
    /// INVALID_TXN_STATE
    #[error("The transaction is in state {state}, in which it cannot be {wanted}.")]
    InvalidState {
        /// Kafka's name of the state.
        state: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// TRANSACTION_ABORTABLE
    #[error("The partition is not part of the transaction: abort the transaction.")]
    NotInTransaction,
    /// INVALID_TRANSACTION_TIMEOUT
    #[error(
        "A transaction timeout of {found_ms} ms is not between 1 and {max_ms} ms (transaction.max.timeout.ms)."
    )]
    InvalidTimeout {
        /// The timeout in the request.
        found_ms: i32,
        /// The broker's limit.
        max_ms: i32,
    },
    /// Not for clients: ask again with a producer id that was never given out.
    #[error("a new producer id is needed")]
    NeedsProducerId,
}
