//! A core's checkpoint: what its lanes have applied, so that recovery replays seconds of journal.
//!
//! One file per core, `core-N.checkpoint`: magic 8, format version u16, zero u16, length u32 and
//! CRC32C u32 of the body (little-endian), then the body in postcard. It is replaced whole
//! (written beside, synced, renamed), so there is always one good file.

use std::{path::Path, rc::Rc};

use futures_util::stream::{self, StreamExt};
use journal::{Journal, JournalPosition};
use model::{CommandIndex, LaneId, Offset, TopicPartition};
use partition::{PartitionSnapshot, PartitionTransactions};
use serde::{Deserialize, Serialize};

use crate::{Lane, LaneError};

const MAGIC: &[u8; 8] = b"THWLCKPT";
/// Version 1 knew neither groups nor transactions.
const FORMAT_VERSION: u16 = 2;
const HEAD_BYTES: usize = 20;
/// A checkpoint of 100,000 partitions is some 30 MB; a larger file is not one of ours.
const FILE_BYTES_MAX: usize = 1 << 30;
/// Partitions that are flushed at the same time: the file system makes the syncs of many durable
/// with one commit of its own.
const FLUSHES_AT_ONCE: usize = 16;

/// All lanes of one core as of one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CoreSnapshot {
    /// The first journal frame that may hold a command not in here.
    pub replay_from: u64,
    /// The lanes that live on this core.
    pub lanes: Vec<LaneSnapshot>,
}

/// One lane.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LaneSnapshot {
    /// Which one.
    pub lane: LaneId,
    /// Its term.
    pub term: u64,
    /// Every command up to this one is contained.
    pub applied: CommandIndex,
    /// The catalog, for lane 0.
    pub catalog: Option<Vec<u8>>,
    /// Its partitions.
    pub partitions: Vec<OwnedPartitionSnapshot>,
    /// Its consumer groups, encoded.
    pub groups: Vec<u8>,
    /// Its transactional ids, encoded.
    pub transactions: Vec<u8>,
    /// The transactions of its partitions, of those that have any.
    pub partition_transactions: Vec<(TopicPartition, PartitionTransactions)>,
}

/// A checkpoint of format version 1.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct CoreSnapshotV1 {
    replay_from: u64,
    lanes: Vec<LaneSnapshotV1>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct LaneSnapshotV1 {
    lane: LaneId,
    term: u64,
    applied: CommandIndex,
    catalog: Option<Vec<u8>>,
    partitions: Vec<OwnedPartitionSnapshot>,
}

impl From<CoreSnapshotV1> for CoreSnapshot {
    fn from(old: CoreSnapshotV1) -> CoreSnapshot {
        let lanes = old.lanes.into_iter().map(|old| LaneSnapshot {
            lane: old.lane,
            term: old.term,
            applied: old.applied,
            catalog: old.catalog,
            partitions: old.partitions,
            groups: Vec::new(),
            transactions: Vec::new(),
            partition_transactions: Vec::new(),
        });
        CoreSnapshot { replay_from: old.replay_from, lanes: lanes.collect() }
    }
}

/// One partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OwnedPartitionSnapshot {
    /// Which one.
    pub id: TopicPartition,
    /// Its segments and ends.
    pub log: PartitionSnapshot,
    /// The producer table, encoded.
    pub producers: Vec<u8>,
    /// The table holds every batch below this offset. At least the log's end.
    pub producers_through: Offset,
}

impl Lane {
    /// The lane as it stands. The producer tables and the transactional ids are as of what is
    /// *proposed*, so the snapshot must not be written before [`Lane::settled`].
    fn snapshot(&self, catalog: Option<Vec<u8>>) -> LaneSnapshot {
        let partitions: Vec<_> = self
            .partitions()
            .iter()
            .map(|partition| OwnedPartitionSnapshot {
                id: partition.id,
                log: partition.log.snapshot(),
                producers: partition.producers.borrow().snapshot(),
                producers_through: partition.proposed_end.get(),
            })
            .collect();
        LaneSnapshot {
            lane: self.id(),
            term: self.term().0,
            applied: self.applied(),
            catalog,
            groups: self.encoded_groups(),
            transactions: self.transactions().snapshot(),
            partition_transactions: partition_transactions(&partitions),
            partitions,
        }
    }
}

fn partition_transactions(
    partitions: &[OwnedPartitionSnapshot],
) -> Vec<(TopicPartition, PartitionTransactions)> {
    let with_any = partitions.iter().filter(|partition| !partition.log.transactions.is_empty());
    with_any.map(|partition| (partition.id, partition.log.transactions.clone())).collect()
}

/// A checkpoint in the making: the state is captured, nothing is written yet.
pub struct Checkpoint {
    lanes: Vec<Rc<Lane>>,
    journal: Journal,
    replay_from: JournalPosition,
    snapshot: CoreSnapshot,
}

impl Checkpoint {
    /// Captures what a core's lanes have applied.
    ///
    /// `catalog` is the encoded catalog if lane 0 is among the lanes; it must hold exactly the
    /// catalog commands that lane 0 has applied, so no change of the catalog may be under way.
    pub fn begin(lanes: Vec<Rc<Lane>>, journal: &Journal, catalog: Option<Vec<u8>>) -> Checkpoint {
        // Everything durable is applied (the listener runs in step with the journal), so the
        // first frame after the durable ones is the first that a recovery may need.
        let replay_from = JournalPosition(journal.durable().0 + 1);
        let mut catalog = catalog;
        let snapshots = lanes
            .iter()
            .map(|lane| {
                lane.take_changed();
                let catalog = if lane.id() == LaneId::CATALOG { catalog.take() } else { None };
                lane.snapshot(catalog)
            })
            .collect();
        let snapshot = CoreSnapshot { replay_from: replay_from.0, lanes: snapshots };
        Checkpoint { lanes, journal: journal.clone(), replay_from, snapshot }
    }

    /// Flushes the partitions, replaces the file, and gives back the journal and segment files
    /// that are no longer needed. Answers with the first journal frame that recovery now needs. An
    /// error leaves the previous checkpoint in force.
    pub async fn complete(self, path: &Path) -> Result<JournalPosition, LaneError> {
        for lane in &self.lanes {
            lane.settled().await;
        }
        if let Err(error) = write(&self.lanes, &self.snapshot, path).await {
            self.lanes.iter().for_each(|lane| lane.mark_changed());
            return Err(error);
        }
        for (partition, part) in partitions_of(&self.lanes, &self.snapshot) {
            partition.log.checkpoint_done(&part.log).await;
        }
        self.journal.free_before(self.replay_from).await;
        Ok(self.replay_from)
    }
}

async fn write(lanes: &[Rc<Lane>], snapshot: &CoreSnapshot, path: &Path) -> Result<(), LaneError> {
    let flushes = partitions_of(lanes, snapshot)
        .map(|(partition, part)| async move { partition.log.flush_to(&part.log).await });
    let mut flushes = stream::iter(flushes).buffer_unordered(FLUSHES_AT_ONCE);
    let mut flushed = Ok(());
    // Each comes to its end, also behind an error: one that is dropped would forget what it has
    // not synced yet.
    while let Some(outcome) = flushes.next().await {
        match outcome {
            // Deleted while we flushed: recovery drops what the catalog no longer has.
            Ok(()) | Err(partition::StorageError::Deleted { .. }) => {}
            Err(error) => flushed = flushed.and(Err(error)),
        }
    }
    flushed?;
    let bytes = encode(snapshot);
    runtime::fs::write_file_durably(path, &bytes)
        .await
        .map_err(|source| LaneError::Io { path: path.to_owned(), source })
}

fn partitions_of<'a>(
    lanes: &'a [Rc<Lane>],
    snapshot: &'a CoreSnapshot,
) -> impl Iterator<Item = (Rc<crate::OwnedPartition>, &'a OwnedPartitionSnapshot)> {
    lanes.iter().zip(&snapshot.lanes).flat_map(|(lane, part)| {
        part.partitions.iter().filter_map(|part| Some((lane.partition(part.id)?, part)))
    })
}

fn encode(snapshot: &CoreSnapshot) -> Vec<u8> {
    encode_as(FORMAT_VERSION, snapshot)
}

fn encode_as(version: u16, snapshot: &impl Serialize) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "plain structs into memory: nothing to fail on")]
    let body = postcard::to_stdvec(snapshot).expect("plain structs always encode");
    #[expect(clippy::expect_used, reason = "100,000 partitions are some 30 MB")]
    let length = u32::try_from(body.len()).expect("a checkpoint stays far below 4 GiB");
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Reads a core's checkpoint; `None` if there is no such file.
pub async fn read(path: &Path) -> Result<Option<CoreSnapshot>, LaneError> {
    let io = |source| LaneError::Io { path: path.to_owned(), source };
    if !runtime::fs::exists(path).await.map_err(io)? {
        return Ok(None);
    }
    // A process that was killed may have renamed it and not made that durable. The journal files
    // that it makes needless are about to be used again.
    if let Some(directory) = path.parent() {
        runtime::fs::sync_directory(directory).await.map_err(io)?;
    }
    let bytes = runtime::fs::read_file(path, FILE_BYTES_MAX).await.map_err(io)?;
    decode(&bytes).map(Some).map_err(|why| LaneError::Checkpoint { path: path.to_owned(), why })
}

fn decode(bytes: &[u8]) -> Result<CoreSnapshot, String> {
    let (head, body) =
        bytes.split_at_checked(HEAD_BYTES).ok_or("it is shorter than its head of 20 bytes")?;
    let field = |range: std::ops::Range<usize>| head.get(range).unwrap_or_default();
    if field(0..8) != MAGIC {
        return Err("it does not begin with THWLCKPT".to_owned());
    }
    let number = |range| {
        field(range).iter().rev().fold(0_u32, |value, byte| (value << 8) | u32::from(*byte))
    };
    let version = number(8..10);
    if !(1..=u32::from(FORMAT_VERSION)).contains(&version) {
        return Err(format!(
            "its format version is {version}, this thalweg reads 1 to {FORMAT_VERSION}"
        ));
    }
    if body.len() as u64 != u64::from(number(12..16)) {
        return Err(format!("its body has {} bytes instead of {}", body.len(), number(12..16)));
    }
    let computed = crc32c::crc32c(body);
    if computed != number(16..20) {
        return Err(format!("its CRC is {computed:#x} instead of {:#x}", number(16..20)));
    }
    let decoded = match version {
        1 => postcard::from_bytes::<CoreSnapshotV1>(body).map(CoreSnapshot::from),
        _ => postcard::from_bytes(body),
    };
    decoded.map_err(|error| format!("its body does not decode: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> CoreSnapshot {
        let lane = LaneSnapshot {
            lane: LaneId(3),
            term: 0,
            applied: CommandIndex(9),
            catalog: Some(vec![1, 2]),
            partitions: vec![],
            groups: vec![3],
            transactions: vec![4],
            partition_transactions: vec![],
        };
        CoreSnapshot { replay_from: 17, lanes: vec![lane] }
    }

    #[test]
    fn a_checkpoint_of_the_first_format_is_still_read() {
        let lane = LaneSnapshotV1 {
            lane: LaneId(3),
            term: 1,
            applied: CommandIndex(9),
            catalog: Some(vec![1, 2]),
            partitions: vec![],
        };
        let old = encode_as(1, &CoreSnapshotV1 { replay_from: 17, lanes: vec![lane] });
        let read = decode(&old).expect("known");
        assert_eq!((read.replay_from, read.lanes.len()), (17, 1));
        let lane = &read.lanes[0];
        assert_eq!((lane.lane, lane.term, lane.applied), (LaneId(3), 1, CommandIndex(9)));
        assert_eq!((&lane.catalog, &lane.groups), (&Some(vec![1, 2]), &vec![]));
    }

    #[test]
    fn a_checkpoint_is_read_back_as_written() {
        let read = decode(&encode(&snapshot())).expect("whole");
        assert_eq!(read.replay_from, 17);
        assert_eq!(read.lanes.len(), 1);
        assert_eq!(read.lanes[0].applied, CommandIndex(9));
        assert_eq!((&read.lanes[0].groups, &read.lanes[0].transactions), (&vec![3], &vec![4]));
    }

    #[test]
    fn any_damage_is_noticed_and_named() {
        let good = encode(&snapshot());
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x40;
            // Bytes 10 and 11 are reserved and mean nothing yet.
            assert_eq!(decode(&bad).is_err(), !(10..12).contains(&place), "byte {place}");
        }
        for length in 0..good.len() {
            assert!(decode(&good[..length]).is_err(), "cut at {length}");
        }
        let mut newer = good;
        newer[8] = 3;
        assert!(decode(&newer).expect_err("newer").contains("format version is 3"));
    }

    /// Given a process that was killed between giving a checkpoint its name and making that durable,
    /// when the next process has read it and the power fails, then it is still there.
    #[cfg(feature = "simulation")]
    #[test]
    fn a_checkpoint_that_was_read_outlasts_a_power_cut() {
        use runtime::simulation::{self, CrashKind, DiskOperation, Simulation};
        for seed in 0..20 {
            Simulation::new(seed).run(async {
                runtime::fs::create_directory_all("/state").await.expect("an empty disk");
                runtime::fs::sync_directory("/").await.expect("just made");
                let path = Path::new("/state/core-0.checkpoint");
                let older = encode(&snapshot());
                runtime::fs::write_file_durably(path, &older).await.expect("the first");
                let kind = std::io::ErrorKind::Other;
                simulation::fail_next(DiskOperation::DirectorySync, "state", kind, 1);
                let newer = encode(&CoreSnapshot { replay_from: 99, ..snapshot() });
                runtime::fs::write_file_durably(path, &newer).await.expect_err("not synced");
                simulation::crash(CrashKind::Kill);
                let found = read(path).await.expect("readable").expect("there");
                simulation::crash(CrashKind::PowerCut);
                let again = read(path).await.expect("readable").expect("there");
                assert_eq!(again.replay_from, found.replay_from);
            });
        }
    }
}
