//! A partition as its lane sees it: what is applied, and what is proposed on top of it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use metrics::Traffic;
use model::{Offset, Timestamp, TopicConfig, TopicPartition};
use partition::Partition;
use state::producers::ProducerTable;

/// Whether a partition takes records, as far as its shards decide that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gate {
    /// It does.
    #[default]
    Open,
    /// Its shard closes at this offset as soon as that is durable. Kafka's producers go on; what
    /// was routed to the shard has to be routed anew.
    Closing(Offset),
    /// It takes nothing any more: its shard was merged into one of another partition, or is about
    /// to be.
    Sealed,
}

/// A partition on the core that owns it.
pub struct OwnedPartition {
    /// Which one.
    pub id: TopicPartition,
    /// Its records, as far as they are applied.
    pub log: Partition,
    /// The offset of the next batch to be proposed; never below `log.log_end()`.
    pub(crate) proposed_end: Cell<Offset>,
    /// Producer sequences, as far as proposed.
    pub(crate) producers: RefCell<ProducerTable>,
    config: RefCell<Rc<TopicConfig>>,
    gate: Cell<Gate>,
    /// When Kafka's producers last wrote, since this process opened it.
    written_by_kafka: Cell<Timestamp>,
    /// What was applied since this process opened it.
    pub taken: Traffic,
}

impl OwnedPartition {
    /// Takes an opened log. `producers` must be as of the log's end.
    pub fn new(
        id: TopicPartition,
        log: Partition,
        producers: ProducerTable,
        config: Rc<TopicConfig>,
    ) -> OwnedPartition {
        OwnedPartition {
            id,
            proposed_end: Cell::new(log.log_end()),
            log,
            producers: RefCell::new(producers),
            config: RefCell::new(config),
            gate: Cell::default(),
            written_by_kafka: Cell::new(Timestamp::NONE),
            taken: Traffic::default(),
        }
    }

    /// The topic's effective settings.
    pub fn config(&self) -> Rc<TopicConfig> {
        Rc::clone(&self.config.borrow())
    }

    /// New settings act from the next append on.
    pub fn set_config(&self, config: Rc<TopicConfig>) {
        self.log.set_config(Rc::clone(&config));
        *self.config.borrow_mut() = config;
    }

    /// Whether it takes records.
    pub fn gate(&self) -> Gate {
        self.gate.get()
    }

    /// Opens or closes it for what is proposed from now on.
    pub fn set_gate(&self, gate: Gate) {
        self.gate.set(gate);
    }

    /// Notes that a producer of Kafka's, which chooses partitions itself, writes here.
    pub fn note_kafka(&self, now: Timestamp) {
        self.written_by_kafka.set(now);
    }

    /// When one last did; [`Timestamp::NONE`] if not since this process opened it.
    pub fn written_by_kafka(&self) -> Timestamp {
        self.written_by_kafka.get()
    }

    /// The offset that the next batch gets which is proposed.
    pub fn proposed_end(&self) -> Offset {
        self.proposed_end.get()
    }

    /// Forgets idempotent producers that have not written for `expiration_ms`.
    pub fn expire_producers(&self, now: Timestamp, expiration_ms: i64) {
        self.producers.borrow_mut().expire(now, expiration_ms);
    }

    /// Readers see offsets below this: everything that is applied.
    pub fn high_watermark(&self) -> Offset {
        self.log.log_end()
    }

    /// `read_committed` readers see offsets below this.
    pub fn last_stable(&self) -> Offset {
        self.log.last_stable()
    }
}
