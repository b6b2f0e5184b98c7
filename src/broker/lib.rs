//! Every operation of the broker, named once, free of any protocol.
//!
//! Owns: the catalog's replicas, the lanes of each core, the data directory, start and stop, and
//! the background work. Runs on every lane-owning core, one [`Broker`] each; an operation may be
//! called on any core and reaches the lane that owns the data by itself. Threads outside the
//! cores come in through [`BrokerHandle`].
//!
//! Must never: know a protocol's codes or encodings, decode a batch on the way to a consumer, or
//! share mutable state between cores.
//!
//! Start reading at [`operations`] (what can be asked), then [`broker::Broker`], [`append`] and
//! [`fetch`] (the way of the data), [`catalog_change`] (how topics change), [`start`].

pub mod append;
mod append_check;
pub mod broker;
pub mod catalog_change;
mod classic_groups;
mod configs;
pub mod consumer_groups;
mod core_counts;
pub mod data_directory;
pub mod error;
pub mod fetch;
pub mod following;
mod group_admin;
mod group_offsets;
mod group_retention;
mod groups;
pub mod handle;
mod maintenance;
pub mod offsets;
pub mod operations;
mod producer_ids;
pub mod reshard;
mod scaling;
pub mod settings;
mod standing_reads;
pub mod start;
mod streams;
mod topics;
mod transaction_ends;
pub mod transactional_append;
mod transactional_offsets;
pub mod transactions;
mod worker_leases;

pub use append::AppendTicket;
pub use broker::Broker;
pub use consumer_groups::{ConsumerGroupAnswer, ConsumerGroupHeartbeat};
pub use core_counts::{CoreCounts, TopicCounts};
pub use data_directory::DataDirectory;
pub use error::BrokerError;
pub use group_admin::{DescribedGroup, DescribedMember, GroupKind, ListedGroup};
pub use group_offsets::{
    CommitOffsets, CommittedOffset, FetchOffsets, FetchedOffset, OffsetToCommit,
};
pub use handle::BrokerHandle;
pub use operations::*;
pub use reshard::Resharding;
pub use scaling::ScalingCounts;
pub use settings::{BrokerSettings, StorageSettings};
pub use standing_reads::StandingReads;
pub use start::{RecoverySummary, RunningBroker, StartError};
pub use transaction_ends::marker;
pub use transactional_append::InTransaction;
pub use transactions::{Joining, ListedTransaction, NewTransactionalProducer, TransactionFilter};
