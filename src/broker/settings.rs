//! What the program decides before a broker starts.

use std::{collections::BTreeMap, path::PathBuf};

/// How a broker is to run. Fixed for the life of the process.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Where the data lives; made if missing.
    pub data_dir: PathBuf,
    /// Lane-owning cores, at least 1.
    pub cores: usize,
    /// Whether each core's thread stays on one CPU.
    pub pin_cores: bool,
    /// How long a core with nothing to do goes on looking before it sleeps, in microseconds.
    pub idle_spin_us: u64,
    /// Memory for tails, requests and replies on all cores together, in bytes.
    pub memory_bytes: u64,
    /// The address that Kafka clients are told to connect to.
    pub advertised_host: String,
    /// Its port.
    pub advertised_port: u16,
    /// Static broker configurations by Kafka's names (`--set key=value`), already checked by
    /// [`state::configs`].
    pub configs: BTreeMap<String, String>,
    /// How storage behaves; the defaults suit production.
    pub storage: StorageSettings,
}

/// Sizes and intervals of the storage engine. Tests make them small.
#[derive(Debug, Clone, Copy)]
pub struct StorageSettings {
    /// Size of one journal file, in bytes.
    pub journal_file_bytes: u64,
    /// A checkpoint is taken after so many journal bytes …
    pub checkpoint_bytes: u64,
    /// … or after this long, if anything changed.
    pub checkpoint_interval_ms: u64,
    /// Open segment and index files per core.
    pub open_files_max: usize,
    /// Lanes of a new data directory, the catalog's included.
    pub lanes: u16,
}

impl Default for StorageSettings {
    fn default() -> Self {
        StorageSettings {
            journal_file_bytes: 64 << 20,
            checkpoint_bytes: 64 << 20,
            checkpoint_interval_ms: 5_000,
            open_files_max: 2_000,
            lanes: 33,
        }
    }
}
