//! The data directory: who it belongs to, in which format, and where things lie in it.
//!
//! ```text
//! meta.json                                identity, format, core count
//! lock                                     held by the running broker
//! journal/<generation>/core-<n>/           journals
//! state/<generation>/core-<n>.checkpoint   checkpoints
//! topics/<name>/<topic id>-<partition>/    segments and indexes
//! ```
//! The generation rises when the core count changes: lanes are recovered from the old
//! generation's files, checkpointed into the new one's, and `meta.json` then names the new one,
//! which is the moment of the change.

use std::{
    io,
    path::{Path, PathBuf},
};

use model::{CoreId, PartitionIndex, TopicId, TopicName};
use serde::{Deserialize, Serialize};

use crate::StartError;

/// The format that this version reads and writes.
pub const FORMAT_VERSION: u32 = 1;
const META_BYTES_MAX: usize = 1 << 20;

/// What `meta.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The directory's format.
    pub format_version: u32,
    /// Kafka's cluster id: 22 characters of base64.
    pub cluster_id: String,
    /// Kafka's broker id.
    pub node_id: i32,
    /// How many cores the current generation's journals are for.
    pub cores: usize,
    /// How many lanes there are; fixed when the directory is made.
    pub lanes: u16,
    /// Which journals and checkpoints are in force.
    pub generation: u64,
    /// Signs what the broker hands out and takes back (shard iterators), as hexadecimal digits.
    pub secret: String,
}

impl Meta {
    fn new(cores: usize, lanes: u16) -> Meta {
        Meta {
            format_version: FORMAT_VERSION,
            cluster_id: TopicId::from_random(runtime::random_u128()).to_string(),
            node_id: 1,
            cores,
            lanes,
            generation: 1,
            secret: format!("{:032x}{:032x}", runtime::random_u128(), runtime::random_u128()),
        }
    }
}

/// Paths under the data directory.
#[derive(Debug, Clone)]
pub struct DataDirectory {
    root: PathBuf,
}

impl DataDirectory {
    /// The directory at `root`.
    pub fn new(root: &Path) -> DataDirectory {
        DataDirectory { root: root.to_owned() }
    }

    /// Its path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Held while a broker runs.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    fn meta(&self) -> PathBuf {
        self.root.join("meta.json")
    }

    /// All journals of a generation.
    pub fn journals(&self, generation: u64) -> PathBuf {
        self.root.join("journal").join(generation.to_string())
    }

    /// One core's journal.
    pub fn journal(&self, generation: u64, core: CoreId) -> PathBuf {
        self.journals(generation).join(format!("core-{}", core.0))
    }

    /// All checkpoints of a generation.
    pub fn checkpoints(&self, generation: u64) -> PathBuf {
        self.root.join("state").join(generation.to_string())
    }

    /// One core's checkpoint.
    pub fn checkpoint(&self, generation: u64, core: CoreId) -> PathBuf {
        self.checkpoints(generation).join(format!("core-{}.checkpoint", core.0))
    }

    /// All topics.
    pub fn topics(&self) -> PathBuf {
        self.root.join("topics")
    }

    /// One partition's files. The id keeps a topic made again apart from its predecessor, whose
    /// files may still be on their way out.
    pub fn partition(&self, name: &TopicName, id: TopicId, partition: PartitionIndex) -> PathBuf {
        self.topics().join(name.as_str()).join(format!("{id}-{partition}"))
    }

    /// Reads `meta.json`, or makes a new directory for `cores` cores.
    pub(crate) async fn open(&self, cores: usize, lanes: u16) -> Result<Meta, StartError> {
        let path = self.meta();
        let io = |source| StartError::Io { path: path.clone(), source };
        if runtime::fs::exists(&path).await.map_err(io)? {
            // A process that was killed may have given it its name and not made that durable, and
            // all that follows relies on the generation it names.
            runtime::fs::sync_directory(&self.root).await.map_err(io)?;
            let bytes = runtime::fs::read_file(&path, META_BYTES_MAX).await.map_err(io)?;
            return Self::check(&path, &bytes);
        }
        self.refuse_foreign_files().await?;
        let meta = Meta::new(cores, lanes);
        self.make_generation(&meta).await.map_err(io)?;
        runtime::fs::create_directory_all(&self.topics()).await.map_err(io)?;
        runtime::fs::sync_directory(&self.root).await.map_err(io)?;
        self.write_meta(&meta).await?;
        Ok(meta)
    }

    fn check(path: &Path, bytes: &[u8]) -> Result<Meta, StartError> {
        let refuse = |why: String| StartError::UnknownFormat { path: path.to_owned(), why };
        let value: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|error| refuse(format!("it is no JSON: {error}")))?;
        let version = value.get("format_version").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(FORMAT_VERSION)) {
            let found = version.map_or("none".to_owned(), |version| version.to_string());
            return Err(refuse(format!(
                "its format version is {found}, this thalweg reads {FORMAT_VERSION}"
            )));
        }
        let meta: Meta =
            serde_json::from_value(value).map_err(|error| refuse(error.to_string()))?;
        if meta.cores == 0 || meta.lanes < 2 {
            return Err(refuse("it names no cores or no lanes".to_owned()));
        }
        Ok(meta)
    }

    /// A directory that has our files but no `meta.json` lost it: never start over on top.
    async fn refuse_foreign_files(&self) -> Result<(), StartError> {
        for part in ["journal", "topics", "state"] {
            let path = self.root.join(part);
            let io = |source| StartError::Io { path: path.clone(), source };
            if !runtime::fs::exists(&path).await.map_err(io)? {
                continue;
            }
            // A first start that ended before `meta.json` leaves empty folders only.
            let entries = runtime::fs::read_directory(&path).await.map_err(io)?;
            if part == "topics" && !entries.is_empty() {
                return Err(StartError::UnknownFormat {
                    path: self.meta(),
                    why: format!("it is missing, but {} is not empty", path.display()),
                });
            }
        }
        Ok(())
    }

    /// Makes the folders of a generation, empty, and their names durable.
    pub(crate) async fn make_generation(&self, meta: &Meta) -> io::Result<()> {
        for core in (0..meta.cores).filter_map(|core| u16::try_from(core).ok()) {
            let journal = self.journal(meta.generation, CoreId(core));
            if runtime::fs::exists(&journal).await? {
                // Left by a change of the core count that did not come to its end.
                runtime::fs::remove_directory_all(&journal).await?;
            }
            runtime::fs::create_directory_all(&journal).await?;
        }
        let (journals, checkpoints) =
            (self.journals(meta.generation), self.checkpoints(meta.generation));
        if runtime::fs::exists(&checkpoints).await? {
            runtime::fs::remove_directory_all(&checkpoints).await?;
        }
        runtime::fs::create_directory_all(&checkpoints).await?;
        for path in [
            journals.as_path(),
            self.root.join("journal").as_path(),
            self.root.join("state").as_path(),
            &self.root,
        ] {
            runtime::fs::sync_directory(path).await?;
        }
        Ok(())
    }

    /// Replaces `meta.json`, durably.
    pub(crate) async fn write_meta(&self, meta: &Meta) -> Result<(), StartError> {
        let path = self.meta();
        let json = serde_json::to_vec_pretty(meta)
            .map_err(|error| StartError::Io { path: path.clone(), source: error.into() })?;
        runtime::fs::write_file_durably(&path, &json)
            .await
            .map_err(|source| StartError::Io { path, source })
    }

    /// Removes every generation but the one in force.
    pub(crate) async fn remove_old_generations(&self, current: u64) -> io::Result<()> {
        for folder in ["journal", "state"] {
            let folder = self.root.join(folder);
            for entry in runtime::fs::read_directory(&folder).await? {
                if entry.name.parse::<u64>().is_ok_and(|generation| generation != current) {
                    runtime::fs::remove_directory_all(&folder.join(&entry.name)).await?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "simulation"))]
mod tests {
    use runtime::simulation::{self, CrashKind, DiskOperation, Simulation};

    use super::*;

    /// Given a process that was killed between naming a generation and making that durable, when the
    /// next process has read it and the power fails, then it is still the one in force.
    #[test]
    fn a_generation_that_was_read_outlasts_a_power_cut() {
        for seed in 0..20 {
            Simulation::new(seed).run(async {
                runtime::fs::create_directory_all("/data").await.expect("an empty disk");
                runtime::fs::sync_directory("/").await.expect("just made");
                let directory = DataDirectory::new(Path::new("/data"));
                let mut meta = directory.open(1, 3).await.expect("new");
                meta.generation += 1;
                let kind = std::io::ErrorKind::Other;
                simulation::fail_next(DiskOperation::DirectorySync, "data", kind, 1);
                directory.write_meta(&meta).await.expect_err("not synced");
                simulation::crash(CrashKind::Kill);
                let found = directory.open(1, 3).await.expect("readable");
                simulation::crash(CrashKind::PowerCut);
                let again = directory.open(1, 3).await.expect("readable");
                assert_eq!(again.generation, found.generation);
            });
        }
    }
}
