//! What a partition remembers of its idempotent producers: the rules of Kafka's
//! `ProducerStateManager` and `ProducerAppendInfo` (4.3).
//!
//! **How a lane uses it.** One table per partition, as of what is *proposed*: [`ProducerTable::check`]
//! and then [`ProducerTable::record`] when the batch is journaled, both before it is durable, so
//! that the next batch of a pipelining producer is judged against the one before it. A proposed
//! batch is never taken back (a failing journal ends the process), so proposed state only ever
//! runs ahead of durable state. A snapshot holds every batch below some offset, the log's proposed
//! end at that moment; it may be stored only once all of those are durable. That offset goes back
//! into [`ProducerTable::restore`], and [`ProducerTable::replay`] passes over what lies below it.

use std::collections::BTreeMap;

use batch::BatchHeader;
use model::{BatchSequence, Offset, ProducerEpoch, ProducerId, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{DecodeError, versioned::Format};

/// Batches remembered per producer: `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`. It is what lets
/// clients have five requests in flight.
pub const BATCHES_REMEMBERED: usize = 5;

/// Kafka's default for `producer.id.expiration.ms`: one day.
pub const EXPIRATION_MS: i64 = 86_400_000;

const FORMAT: Format = Format { what: "producer table", version: 2, limit_bytes: 1 << 28 };
const FORMAT_1: Format = Format { version: 1, ..FORMAT };

/// A batch that may be appended, or one that already was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequenced {
    /// Append it.
    New,
    /// It is in the log: answer success with what it got then.
    Duplicate {
        /// The offset of its first record.
        base_offset: Offset,
        /// Its greatest timestamp, which is the broker's time where the topic uses that.
        timestamp: Timestamp,
    },
}

/// Why a batch does not fit its producer's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SequenceError {
    /// A gap, or a batch from before the remembered window. Kafka: OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error(
        "Out of order sequence number for producer {}: {} (incoming seq. number), {} (current end sequence number)",
        producer.0, found.0, last.0
    )]
    OutOfOrder {
        /// The producer.
        producer: ProducerId,
        /// The batch's first sequence.
        found: BatchSequence,
        /// The last sequence in the log.
        last: BatchSequence,
    },
    /// A new epoch must start at 0. Kafka: OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error(
        "Invalid sequence number for new epoch of producer {}: {} (request epoch), {} (seq. number), {} (current producer epoch)",
        producer.0, epoch.0, found.0, current.0
    )]
    NewEpochNotAtZero {
        /// The producer.
        producer: ProducerId,
        /// The batch's epoch.
        epoch: ProducerEpoch,
        /// The batch's first sequence.
        found: BatchSequence,
        /// The epoch in the log.
        current: ProducerEpoch,
    },
    /// The producer was fenced by a newer one. Kafka: INVALID_PRODUCER_EPOCH.
    #[error(
        "Epoch of producer {} is {}, which is smaller than the last seen epoch {}",
        producer.0, found.0, current.0
    )]
    InvalidEpoch {
        /// The producer.
        producer: ProducerId,
        /// The batch's epoch.
        found: ProducerEpoch,
        /// The epoch in the log.
        current: ProducerEpoch,
    },
    /// The producer has a transaction open here. Kafka: INVALID_TXN_STATE.
    #[error("Expected transactional write from producer with producerId {}", producer.0)]
    NotTransactional {
        /// The producer.
        producer: ProducerId,
    },
}

/// Whether the end of a transaction is to be written into a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerNeed {
    /// The producer has a transaction open here.
    Needed,
    /// Nothing of the transaction is here, or its end is already.
    Needless,
    /// A newer epoch of the producer has written here. Kafka: INVALID_PRODUCER_EPOCH.
    Fenced,
}

/// A producer as DescribeProducers shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerView {
    /// Who.
    pub id: ProducerId,
    /// Its newest epoch here.
    pub epoch: ProducerEpoch,
    /// The last sequence in the log; [`BatchSequence::NONE`] if the epoch has written nothing.
    pub last_sequence: BatchSequence,
    /// When it last wrote; [`Timestamp::NONE`] if that was before the last start.
    pub last_seen: Timestamp,
    /// Where its open transaction begins here.
    pub transaction_start: Option<Offset>,
    /// Whether a transaction of it was ended here since the table knows it.
    pub has_marker: bool,
}

/// One remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    base_sequence: BatchSequence,
    last_sequence: BatchSequence,
    base_offset: Offset,
    timestamp: Timestamp,
}

/// One producer; `written` is oldest first, and empty only after a marker with a new epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Producer {
    epoch: ProducerEpoch,
    /// When it last wrote, by the broker's clock; [`Timestamp::NONE`] until the first
    /// [`ProducerTable::expire`] after a replay, which has no clock.
    last_seen: Timestamp,
    written: Vec<Written>,
    /// Where its open transaction begins.
    transaction_start: Option<Offset>,
    has_marker: bool,
}

/// A producer as the table's format 1 has it, which knew no transactions.
#[derive(Deserialize)]
struct ProducerV1 {
    epoch: ProducerEpoch,
    last_seen: Timestamp,
    written: Vec<Written>,
}

impl From<ProducerV1> for Producer {
    fn from(old: ProducerV1) -> Producer {
        let ProducerV1 { epoch, last_seen, written } = old;
        Producer { epoch, last_seen, written, transaction_start: None, has_marker: false }
    }
}

/// The producers of one partition. An empty table takes no heap memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProducerTable {
    producers: BTreeMap<ProducerId, Producer>,
    /// Every batch below it is in `producers`, as far as remembered at all.
    through: Offset,
}

impl ProducerTable {
    /// Whether a batch may be appended. Reads `base_sequence`, the producer's fields and
    /// `last_offset_delta`; the batch must have passed `batch::check_produced`.
    ///
    /// Batches without a producer id are always new, and so is anything of a producer that is
    /// unknown here (never seen, or expired): it may start at any sequence.
    pub fn check(&self, header: &BatchHeader) -> Result<Sequenced, SequenceError> {
        let producer = header.producer_id;
        if !header.has_producer() {
            return Ok(Sequenced::New);
        }
        let Some(known) = self.producers.get(&producer) else { return Ok(Sequenced::New) };
        let (epoch, found) = (header.producer_epoch, header.base_sequence);
        if epoch < known.epoch {
            return Err(SequenceError::InvalidEpoch {
                producer,
                found: epoch,
                current: known.epoch,
            });
        }
        if epoch > known.epoch {
            if found == BatchSequence(0) {
                return Ok(Sequenced::New);
            }
            let current = known.epoch;
            return Err(SequenceError::NewEpochNotAtZero { producer, epoch, found, current });
        }
        if known.transaction_start.is_some() && !header.attributes.is_transactional() {
            return Err(SequenceError::NotTransactional { producer });
        }
        let last_sequence = header.last_sequence();
        let same = |w: &&Written| w.base_sequence == found && w.last_sequence == last_sequence;
        if let Some(Written { base_offset, timestamp, .. }) = known.written.iter().find(same) {
            let (base_offset, timestamp) = (*base_offset, *timestamp);
            return Ok(Sequenced::Duplicate { base_offset, timestamp });
        }
        // A marker with a new epoch has reset the sequence: it begins at 0.
        let last = known.written.last().map_or(BatchSequence::NONE, |last| last.last_sequence);
        if found != last.plus(1) {
            return Err(SequenceError::OutOfOrder { producer, found, last });
        }
        Ok(Sequenced::New)
    }

    /// Whether a transactional batch belongs to a transaction that is open here already. If not,
    /// who coordinates the transaction must be asked first.
    pub fn is_in_transaction(&self, producer: ProducerId, epoch: ProducerEpoch) -> bool {
        let known = self.producers.get(&producer);
        known.is_some_and(|known| known.epoch == epoch && known.transaction_start.is_some())
    }

    /// Whether a marker of this producer and epoch is to be appended.
    pub fn check_marker(&self, producer: ProducerId, epoch: ProducerEpoch) -> MarkerNeed {
        match self.producers.get(&producer) {
            None => MarkerNeed::Needless,
            Some(known) if epoch < known.epoch => MarkerNeed::Fenced,
            Some(known) if known.transaction_start.is_some() => MarkerNeed::Needed,
            Some(_) => MarkerNeed::Needless,
        }
    }

    /// A producer's newest epoch here.
    pub fn epoch_of(&self, producer: ProducerId) -> Option<ProducerEpoch> {
        self.producers.get(&producer).map(|known| known.epoch)
    }

    /// Every producer, by its id.
    pub fn producers(&self) -> impl Iterator<Item = ProducerView> {
        self.producers.iter().map(|(id, producer)| ProducerView {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer
                .written
                .last()
                .map_or(BatchSequence::NONE, |last| last.last_sequence),
            last_seen: producer.last_seen,
            transaction_start: producer.transaction_start,
            has_marker: producer.has_marker,
        })
    }

    /// Remembers a batch that [`ProducerTable::check`] found new and that got `base_offset`, or a
    /// marker that ends the producer's transaction.
    pub fn record(&mut self, header: &BatchHeader, base_offset: Offset, now: Timestamp) {
        self.through = self.through.max(base_offset.plus(i64::from(header.last_offset_delta) + 1));
        if !header.has_producer() {
            return;
        }
        let epoch = header.producer_epoch;
        let producer = self.producers.entry(header.producer_id).or_insert_with(|| Producer {
            epoch,
            last_seen: now,
            written: Vec::new(),
            transaction_start: None,
            has_marker: false,
        });
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.written.clear();
        }
        producer.last_seen = now;
        if header.attributes.is_control() {
            producer.transaction_start = None;
            producer.has_marker = true;
            return;
        }
        if header.attributes.is_transactional() {
            producer.transaction_start.get_or_insert(base_offset);
        }
        if producer.written.len() >= BATCHES_REMEMBERED {
            producer.written.remove(0);
        }
        producer.written.push(Written {
            base_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset,
            timestamp: header.max_timestamp,
        });
    }

    /// Takes in a journaled batch at recovery; passes over what the table already holds.
    pub fn replay(&mut self, header: &BatchHeader) {
        if header.base_offset >= self.through {
            self.record(header, header.base_offset, Timestamp::NONE);
        }
    }

    /// Forgets producers that have not written for `expiration_ms` (`producer.id.expiration.ms`)
    /// and have no transaction open.
    /// Call it every few minutes, as Kafka does; forgetting late is harmless, early is not.
    pub fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            if producer.last_seen == Timestamp::NONE {
                producer.last_seen = now;
            }
            producer.transaction_start.is_some()
                || now.0.saturating_sub(producer.last_seen.0) < expiration_ms
        });
    }

    /// How many producers are remembered.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether no producer is remembered.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// The producers, encoded; nothing at all if there are none.
    pub fn snapshot(&self) -> Vec<u8> {
        if self.producers.is_empty() { Vec::new() } else { FORMAT.encode(&self.producers) }
    }

    /// Reads a snapshot back. It holds every batch below `through`.
    pub fn restore(bytes: &[u8], through: Offset) -> Result<ProducerTable, DecodeError> {
        if bytes.is_empty() {
            return Ok(ProducerTable { producers: BTreeMap::new(), through });
        }
        let producers: BTreeMap<ProducerId, Producer> = if bytes.first() == Some(&FORMAT_1.version)
        {
            let old: BTreeMap<ProducerId, ProducerV1> = FORMAT_1.decode(bytes)?;
            old.into_iter().map(|(id, producer)| (id, producer.into())).collect()
        } else {
            FORMAT.decode(bytes)?
        };
        let whole = |p: &Producer| p.written.len() <= BATCHES_REMEMBERED;
        if producers.values().all(whole) {
            return Ok(ProducerTable { producers, through });
        }
        let why = format!("a producer has more than {BATCHES_REMEMBERED} batches");
        Err(DecodeError::Malformed { what: FORMAT.what, why })
    }
}

#[cfg(test)]
mod tests;
