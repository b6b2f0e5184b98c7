//! A group's committed offsets: commit, fetch, delete.

use std::{collections::BTreeSet, rc::Rc};

use lane::Lane;
use model::{Offset, Timestamp, TopicPartition};
use state::{
    groups::{GroupError, GroupRecord, GroupsCommand, classic::Identity, consumer::CommitRights},
    leases::{self, CommitDetails, Committed, OffsetCommit},
};

use crate::{Broker, BrokerError, Outcome, groups::now_ms};

/// Kafka's default for `offset.metadata.max.bytes`.
const METADATA_BYTES_MAX: usize = 4096;
/// A commit of more is journaled in several commands.
const COMMAND_BYTES: usize = 1 << 20;
/// What an offset takes in a command besides its metadata and shards, at most.
const OFFSET_BYTES: usize = 96;

/// Offsets to be committed by a member of a group, or by nobody in particular.
#[derive(Debug, Clone)]
pub struct CommitOffsets {
    /// The group.
    pub group: String,
    /// Who commits.
    pub caller: Identity,
    /// The caller's version of OffsetCommit: the errors that it understands depend on it.
    pub version: i16,
    /// After how many milliseconds the offsets go, if the caller says so.
    pub retention_ms: Option<i64>,
    /// The offsets.
    pub offsets: Vec<OffsetToCommit>,
}

/// One offset to be committed.
#[derive(Debug, Clone)]
pub struct OffsetToCommit {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset to be read next.
    pub offset: Offset,
    /// The epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: String,
}

/// A question for committed offsets.
#[derive(Debug, Clone)]
pub struct FetchOffsets {
    /// The group.
    pub group: String,
    /// The member that asks, if it says so.
    pub member_id: Option<String>,
    /// Its epoch; negative for none.
    pub member_epoch: i32,
    /// Which partitions; `None` for all that have an offset.
    pub partitions: Option<Vec<TopicPartition>>,
    /// Offsets that a transaction may still change are not to be shown.
    pub stable: bool,
}

/// An offset as it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset to be read next.
    pub offset: Offset,
    /// The epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: String,
}

/// A partition's committed offset, if it has one.
pub type FetchedOffset = (TopicPartition, Outcome<Option<CommittedOffset>>);

impl Broker {
    /// Commits offsets. Answers in their order, once all that are taken are durable.
    pub async fn commit_offsets(
        self: &Rc<Self>,
        request: CommitOffsets,
    ) -> Outcome<Vec<Outcome<()>>> {
        let group = request.group.clone();
        self.at_group(&group, |owner, lane| async move {
            let rights = owner.check_commit(&lane, &request)?;
            owner.commit_here(&lane, request, &rights).await
        })
        .await
    }

    fn check_commit(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        request: &CommitOffsets,
    ) -> Outcome<CommitRights> {
        let CommitOffsets { group, caller, version, .. } = request;
        if self.is_read_by_workers(lane, group) {
            return Err(GroupError::UnknownMemberId.into());
        }
        if let Some(rights) = self.rights_in_consumer_group(lane, request, false) {
            return rights;
        }
        match self.slot(lane, group) {
            Some(slot) => {
                slot.machine().borrow_mut().check_commit(now_ms(), caller, false)?;
                Ok(CommitRights::All)
            }
            None if caller.generation < 0 => Ok(CommitRights::All),
            None if lane.groups().knows(group) => Err(GroupError::UnknownMemberId.into()),
            None if *version >= 9 => Err(GroupError::GroupIdNotFound.into()),
            None => Err(GroupError::IllegalGeneration.into()),
        }
    }

    /// What may be committed in a group, if that speaks the newer protocol. As everything about a
    /// group it is judged by what is proposed, as in Kafka: a commit behind a command that takes a
    /// partition away would come after it in the journal, too.
    pub(crate) fn rights_in_consumer_group(
        &self,
        lane: &Lane,
        request: &CommitOffsets,
        is_transactional: bool,
    ) -> Option<Outcome<CommitRights>> {
        let CommitOffsets { group, caller, version, .. } = request;
        let known = self.consumer_groups.speaking(lane, group)?;
        // An empty one that a classic member is about to take over.
        let slot = self.group_slots.get(group).filter(|_| known.member_count() == 0);
        if slot.is_some_and(|slot| !slot.machine().borrow().is_idle()) {
            return None;
        }
        let (id, epoch) = (&caller.member_id, caller.generation);
        let rights = known.validate_offset_commit(id, epoch, is_transactional, *version);
        Some(rights.map_err(BrokerError::from))
    }

    async fn commit_here(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        request: CommitOffsets,
        rights: &CommitRights,
    ) -> Outcome<Vec<Outcome<()>>> {
        if lane.is_full() || self.is_storage_full() {
            return Err(GroupError::Unavailable.into());
        }
        let now = runtime::wall_clock();
        let CommitOffsets { group, offsets, retention_ms, .. } = request;
        let (outcomes, commits) = self.plan_commits(offsets, rights, retention_ms, now);
        let mut durable = Vec::new();
        for offsets in in_commands(commits) {
            let command = GroupsCommand::CommitOffsets { group: group.clone(), offsets };
            let proposed = lane.propose_groups(now, command);
            durable.push(proposed.map_err(|error| BrokerError::Storage(error.to_string()))?);
        }
        for durable in durable {
            durable.await.map_err(|_| BrokerError::Stopping)?;
        }
        Ok(outcomes)
    }

    /// What is to be journaled for offsets that are taken, and the outcome of each.
    pub(crate) fn plan_commits(
        &self,
        offsets: Vec<OffsetToCommit>,
        rights: &CommitRights,
        retention_ms: Option<i64>,
        now: Timestamp,
    ) -> (Vec<Outcome<()>>, Vec<OffsetCommit>) {
        let catalog = self.catalog.borrow();
        let metadata_bytes_max = catalog
            .broker_number("offset.metadata.max.bytes")
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(METADATA_BYTES_MAX);
        let expires_at = retention_ms.map(|ms| Timestamp(now.0.saturating_add(ms)));
        let mut commits = Vec::with_capacity(offsets.len());
        let plan = |offset: OffsetToCommit| -> Outcome<()> {
            if offset.metadata.len() > metadata_bytes_max {
                return Err(GroupError::OffsetMetadataTooLarge.into());
            }
            let partition = offset.partition;
            rights.check(partition)?;
            let topic = catalog.topic_by_id(partition.topic).ok_or(BrokerError::UnknownTopicId)?;
            let spans = leases::spans(&topic.shards, partition.partition);
            if spans.is_empty() {
                return Err(BrokerError::UnknownTopicOrPartition);
            }
            let details = CommitDetails {
                leader_epoch: offset.leader_epoch,
                metadata: offset.metadata,
                committed_at: now,
                expires_at,
            };
            commits.push(OffsetCommit { partition, spans, offset: offset.offset, details });
            Ok(())
        };
        let outcomes = offsets.into_iter().map(plan).collect();
        (outcomes, commits)
    }

    /// Shows committed offsets; those of topics that are gone are gone with them.
    pub async fn fetch_offsets(
        self: &Rc<Self>,
        request: FetchOffsets,
    ) -> Outcome<Vec<FetchedOffset>> {
        let group = request.group.clone();
        self.at_group(&group, |owner, lane| async move { owner.offsets_here(&lane, request) }).await
    }

    fn offsets_here(&self, lane: &Lane, request: FetchOffsets) -> Outcome<Vec<FetchedOffset>> {
        let FetchOffsets { group, member_id, member_epoch, partitions, stable } = request;
        let groups = lane.groups();
        if let Some(GroupRecord::Consumer(group)) = groups.record(&group) {
            group.validate_offset_fetch(member_id.as_deref(), member_epoch)?;
        }
        let unstable = if stable { groups.unstable(&group) } else { BTreeSet::new() };
        let show = |partition, committed: Option<Committed<'_>>| {
            let outcome = if unstable.contains(&partition) {
                Err(GroupError::UnstableOffsetCommit.into())
            } else {
                Ok(committed.map(shown))
            };
            (partition, outcome)
        };
        Ok(match partitions {
            Some(partitions) => partitions
                .into_iter()
                .map(|partition| show(partition, groups.committed(&group, partition)))
                .collect(),
            None => {
                let catalog = self.catalog.borrow();
                groups
                    .all_committed(&group)
                    .filter(|(partition, _)| catalog.topic_by_id(partition.topic).is_some())
                    .map(|(partition, committed)| show(partition, Some(committed)))
                    .collect()
            }
        })
    }
}

fn shown(committed: Committed<'_>) -> CommittedOffset {
    let details = committed.details;
    CommittedOffset {
        offset: committed.offset,
        leader_epoch: details.map_or(-1, |details| details.leader_epoch),
        metadata: details.map_or_else(String::new, |details| details.metadata.clone()),
    }
}

/// Offsets in portions that the journal takes.
pub(crate) fn in_commands(commits: Vec<OffsetCommit>) -> Vec<Vec<OffsetCommit>> {
    let mut commands: Vec<Vec<OffsetCommit>> = Vec::new();
    let mut room_bytes = 0_usize;
    for commit in commits {
        let spans_bytes = commit.spans.len().saturating_mul(32);
        let size_bytes = OFFSET_BYTES + commit.details.metadata.len() + spans_bytes;
        match commands.last_mut() {
            Some(command) if size_bytes <= room_bytes => command.push(commit),
            _ => {
                commands.push(vec![commit]);
                room_bytes = COMMAND_BYTES;
            }
        }
        room_bytes = room_bytes.saturating_sub(size_bytes);
    }
    commands
}
