//! From checkpoint and journal back to lanes.

use std::{collections::BTreeMap, rc::Rc};

use batch::BatchHeader;
use journal::{Journal, RecoveredCommand};
use model::{CommandIndex, LaneId, Term, TopicConfig, TopicPartition};
use partition::{CoreStorage, Partition};
use state::{
    CatalogCommand,
    catalog::Catalog,
    groups::{Groups, GroupsCommand},
    producers::ProducerTable,
    transactions::{Transactions, TransactionsCommand},
};

use crate::{
    Command, Lane, LaneError, LaneSnapshot, OwnedPartition, checkpoint::OwnedPartitionSnapshot,
};

/// What one core found: its lanes' snapshots and the commands after them, in journal order.
#[derive(Default)]
pub struct Found {
    snapshots: BTreeMap<LaneId, LaneSnapshot>,
    commands: BTreeMap<LaneId, Vec<(CommandIndex, bytes::Bytes)>>,
}

impl Found {
    /// Takes in the lanes of a checkpoint that `wanted` names.
    pub fn add_snapshots(&mut self, lanes: Vec<LaneSnapshot>, wanted: impl Fn(LaneId) -> bool) {
        for lane in lanes {
            if wanted(lane.lane) {
                self.snapshots.insert(lane.lane, lane);
            }
        }
    }

    /// Takes in one journaled command. Commands that the snapshot contains are passed over; a
    /// hole in a lane's indexes is an error.
    pub fn add_command(&mut self, command: RecoveredCommand) -> Result<(), LaneError> {
        let lane = command.lane;
        let applied =
            self.snapshots.get(&lane).map_or(CommandIndex::NONE, |snapshot| snapshot.applied);
        if command.index <= applied {
            return Ok(());
        }
        let commands = self.commands.entry(lane).or_default();
        let last = commands.last().map_or(applied, |(index, _)| *index);
        if command.index != last.next() {
            let (applied, found) = (last.0, command.index.0);
            return Err(LaneError::MissingCommands { lane, applied, found });
        }
        commands.push((command.index, command.command));
        Ok(())
    }

    /// How many commands are to be replayed.
    pub fn command_count(&self) -> usize {
        self.commands.values().map(Vec::len).sum()
    }

    /// Whether a checkpoint or the journal has anything of a lane.
    pub fn knows(&self, lane: LaneId) -> bool {
        self.snapshots.contains_key(&lane) || self.commands.contains_key(&lane)
    }

    /// Whether there was neither a checkpoint nor any command.
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.commands.is_empty()
    }

    /// Rebuilds the catalog from lane 0's part.
    pub fn recover_catalog(&mut self) -> Result<Catalog, LaneError> {
        let lane = LaneId::CATALOG;
        let snapshot = self.snapshots.get_mut(&lane).and_then(|lane| lane.catalog.take());
        let refused = |error: &dyn std::fmt::Display| LaneError::Catalog(error.to_string());
        let mut catalog = match snapshot {
            Some(bytes) => Catalog::restore(&bytes).map_err(|error| refused(&error))?,
            None => Catalog::default(),
        };
        for (_, bytes) in self.commands.get(&lane).into_iter().flatten() {
            if let Command::Catalog { at, command } = Command::decode(bytes.clone())? {
                let command = CatalogCommand::decode(&command).map_err(|error| refused(&error))?;
                catalog.apply(&command, at).map_err(|error| refused(&error))?;
            }
        }
        Ok(catalog)
    }

    /// Rebuilds one lane: opens its partitions as the snapshot left them, makes those that the
    /// catalog has and the snapshot does not, and replays the journal's commands.
    pub async fn recover_lane(
        &mut self,
        id: LaneId,
        journal: &Journal,
        storage: &Rc<CoreStorage>,
        partitions: Vec<CatalogPartition>,
    ) -> Result<Lane, LaneError> {
        let snapshot = self.snapshots.remove(&id);
        let commands = self.commands.remove(&id).unwrap_or_default();
        let applied = snapshot.as_ref().map_or(CommandIndex::NONE, |snapshot| snapshot.applied);
        let term = snapshot.as_ref().map_or(Term(0), |snapshot| Term(snapshot.term));
        let last = commands.last().map_or(applied, |(index, _)| *index);
        let lane = Lane::new(id, term, journal.clone(), last);
        if let Some(snapshot) = &snapshot {
            let groups = Groups::restore(&snapshot.groups);
            lane.set_groups(groups.map_err(|error| LaneError::State { lane: id, source: error })?);
            let transactions = Transactions::restore(&snapshot.transactions)
                .map_err(|error| LaneError::State { lane: id, source: error })?;
            lane.set_transactions(transactions);
        }

        let mut parts = snapshot.map_or_else(BTreeMap::new, partition_snapshots);
        for CatalogPartition { id, directory, config } in partitions {
            let (log, producers) = match parts.remove(&id) {
                Some(part) => {
                    let log =
                        Partition::open(storage, directory, id, Rc::clone(&config), &part.log)
                            .await?;
                    let producers = ProducerTable::restore(&part.producers, part.producers_through)
                        .map_err(|error| LaneError::Catalog(format!("{id}: {error}")))?;
                    (log, producers)
                }
                None => {
                    let log = Partition::create(storage, directory, id, Rc::clone(&config)).await?;
                    (log, ProducerTable::default())
                }
            };
            lane.add_partition(Rc::new(OwnedPartition::new(id, log, producers, config)));
        }
        for (_, bytes) in commands {
            replay(&lane, bytes)?;
        }
        lane.mark_changed();
        Ok(lane)
    }
}

/// The partitions of a snapshot, each with its transactions.
fn partition_snapshots(lane: LaneSnapshot) -> BTreeMap<TopicPartition, OwnedPartitionSnapshot> {
    let parts = lane.partitions.into_iter().map(|part| (part.id, part));
    let mut parts: BTreeMap<TopicPartition, OwnedPartitionSnapshot> = parts.collect();
    for (id, transactions) in lane.partition_transactions {
        if let Some(part) = parts.get_mut(&id) {
            part.log.transactions = transactions;
        }
    }
    parts
}

/// A partition that the catalog places on a lane.
pub struct CatalogPartition {
    /// Which one.
    pub id: TopicPartition,
    /// Where its files are.
    pub directory: std::path::PathBuf,
    /// The topic's effective settings.
    pub config: Rc<TopicConfig>,
}

fn replay(lane: &Lane, bytes: bytes::Bytes) -> Result<(), LaneError> {
    match Command::decode(bytes)? {
        Command::Catalog { .. } => Ok(()),
        Command::Groups { at, command } => {
            let command = GroupsCommand::decode(&command)
                .map_err(|source| LaneError::State { lane: lane.id(), source })?;
            lane.apply_groups(&command, at);
            Ok(())
        }
        Command::Transactions { at, command } => {
            let command = TransactionsCommand::decode(&command)
                .map_err(|source| LaneError::State { lane: lane.id(), source })?;
            lane.replay_transactions(&command, at);
            Ok(())
        }
        Command::LogStart { id, offset } => {
            if let Some(partition) = lane.partition(id) {
                partition.log.advance_log_start(offset);
            }
            Ok(())
        }
        Command::Append { id, batch } => {
            // A topic that the catalog no longer has was deleted after this append.
            let Some(partition) = lane.partition(id) else { return Ok(()) };
            replay_append(&partition, batch)
        }
    }
}

fn replay_append(partition: &OwnedPartition, batch: bytes::Bytes) -> Result<(), LaneError> {
    let id = partition.id;
    let header = BatchHeader::parse(&batch).map_err(|source| LaneError::Batch { id, source })?;
    let log_end = partition.log.log_end();
    if header.base_offset > log_end {
        return Err(LaneError::Gap { id, log_end, found: header.base_offset });
    }
    // The table passes over what it already holds (it may be ahead of the log).
    partition.producers.borrow_mut().replay(&header);
    if header.base_offset == log_end {
        partition.log.append(batch, &header)?;
        partition.proposed_end.set(partition.log.log_end());
    }
    Ok(())
}
