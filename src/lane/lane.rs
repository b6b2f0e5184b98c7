//! One lane: commands are proposed in order, journaled, and applied in the same order.

use std::{
    cell::{Cell, Ref, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use batch::BatchHeader;
use bytes::{Bytes, BytesMut};
use journal::{Journal, JournalPosition};
use metrics::{Traffic, TrafficCounts};
use model::{CommandIndex, LaneId, LeaderEpoch, Offset, Term, Timestamp, TopicPartition};
use runtime::sync::oneshot;
use state::{
    groups::{ChangeLease, Groups, GroupsCommand},
    leases::{Lease, LeaseError},
    producers::Sequenced,
    transactions::Transactions,
};

use crate::{
    OwnedPartition, ProposeError, command,
    reply::{AppendSlot, Appended},
};

/// A batch on its way into a partition.
pub struct Proposal {
    /// The whole batch, checked, with any log-append time already stamped.
    pub batch: BytesMut,
    /// Its header.
    pub header: BatchHeader,
    /// The stamped time, to be told to the producer.
    pub log_append_time: Option<Timestamp>,
}

/// A proposed command that is not yet applied.
struct Pending {
    index: CommandIndex,
    position: JournalPosition,
    effect: Effect,
}

/// What applying a command does.
pub(crate) enum Effect {
    Append {
        partition: Rc<OwnedPartition>,
        batch: Bytes,
        header: BatchHeader,
        log_append_time: Option<Timestamp>,
        slot: AppendSlot,
    },
    /// An append that was acknowledged from memory (`write.caching`) and has nothing left to do.
    Cached,
    /// A duplicate of a batch that is itself still on its way to the disk.
    Answer {
        slot: AppendSlot,
        appended: Appended,
    },
    LogStart {
        partition: Rc<OwnedPartition>,
        offset: Offset,
        done: oneshot::Sender<()>,
    },
    Catalog {
        done: oneshot::Sender<()>,
    },
    Groups {
        at: Timestamp,
        command: Box<GroupsCommand>,
        done: oneshot::Sender<()>,
    },
    /// A change of a lease, which may find when it is applied that it comes too late.
    Lease {
        command: Box<ChangeLease>,
        done: oneshot::Sender<LeaseOutcome>,
    },
    /// A change of a transactional id, which was applied when it was proposed; or nothing, for who
    /// waits until what was proposed before is durable.
    Transactions {
        done: oneshot::Sender<()>,
    },
}

/// A lease as it is after a change, or why it was not changed.
pub type LeaseOutcome = Result<Option<Lease>, LeaseError>;

/// One ordered command log and the partitions that live by it.
pub struct Lane {
    id: LaneId,
    term: Term,
    journal: Journal,
    next_index: Cell<CommandIndex>,
    applied: Cell<CommandIndex>,
    pending: RefCell<VecDeque<Pending>>,
    partitions: RefCell<BTreeMap<TopicPartition, Rc<OwnedPartition>>>,
    /// The consumer groups that live here, as far as applied.
    groups: RefCell<Groups>,
    /// The groups, encoded: kept until they change, because a checkpoint takes those of every lane.
    encoded_groups: RefCell<Option<Vec<u8>>>,
    /// The transactional ids that live here, as far as proposed.
    pub(crate) transactions: RefCell<Transactions>,
    changed: Cell<bool>,
    /// What partitions had taken that are no longer here.
    removed: Traffic,
}

impl Lane {
    /// A lane whose commands up to `applied` are in its partitions and groups.
    pub fn new(id: LaneId, term: Term, journal: Journal, applied: CommandIndex) -> Lane {
        Lane {
            id,
            term,
            journal,
            next_index: Cell::new(applied.next()),
            applied: Cell::new(applied),
            pending: RefCell::default(),
            partitions: RefCell::default(),
            groups: RefCell::default(),
            encoded_groups: RefCell::default(),
            transactions: RefCell::default(),
            changed: Cell::new(false),
            removed: Traffic::default(),
        }
    }

    /// Which lane it is.
    pub fn id(&self) -> LaneId {
        self.id
    }

    /// The term in which it leads.
    pub fn term(&self) -> Term {
        self.term
    }

    /// The epoch that its batches carry: the term.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32::try_from(self.term.0).unwrap_or(i32::MAX))
    }

    /// The last command that is applied.
    pub fn applied(&self) -> CommandIndex {
        self.applied.get()
    }

    /// The last command that is proposed.
    pub fn proposed(&self) -> CommandIndex {
        CommandIndex(self.next_index.get().0 - 1)
    }

    /// Whether anything was applied, added or removed since the last call.
    pub fn take_changed(&self) -> bool {
        self.changed.replace(false)
    }

    /// Whether a checkpoint would hold anything new of this lane.
    pub fn has_changed(&self) -> bool {
        self.changed.get()
    }

    /// Says that a checkpoint must include this lane again.
    pub fn mark_changed(&self) {
        self.changed.set(true);
    }

    /// The partition, if it lives here.
    pub fn partition(&self, id: TopicPartition) -> Option<Rc<OwnedPartition>> {
        self.partitions.borrow().get(&id).cloned()
    }

    /// All partitions, by topic id and number.
    pub fn partitions(&self) -> Vec<Rc<OwnedPartition>> {
        self.partitions.borrow().values().cloned().collect()
    }

    /// The consumer groups that live here. Do not hold the borrow across an await.
    pub fn groups(&self) -> Ref<'_, Groups> {
        self.groups.borrow()
    }

    /// The groups as a checkpoint holds them.
    pub(crate) fn encoded_groups(&self) -> Vec<u8> {
        let mut encoded = self.encoded_groups.borrow_mut();
        encoded.get_or_insert_with(|| self.groups.borrow().snapshot()).clone()
    }

    /// Takes in the groups of a checkpoint.
    pub(crate) fn set_groups(&self, groups: Groups) {
        self.groups.replace(groups);
    }

    /// Applies a durable group command.
    pub(crate) fn apply_groups(&self, command: &GroupsCommand, at: Timestamp) {
        self.groups.borrow_mut().apply(command, at);
        self.encoded_groups.take();
    }

    /// Takes in a partition.
    pub fn add_partition(&self, partition: Rc<OwnedPartition>) {
        self.partitions.borrow_mut().insert(partition.id, partition);
        self.changed.set(true);
    }

    /// Lets a partition go, for deletion. Appends still on their way answer "unknown partition".
    pub fn remove_partition(&self, id: TopicPartition) -> Option<Rc<OwnedPartition>> {
        self.changed.set(true);
        let removed = self.partitions.borrow_mut().remove(&id);
        if let Some(partition) = &removed {
            self.removed.absorb(partition.taken.counts());
        }
        removed
    }

    /// Shows what each partition has taken, if it has taken anything.
    pub fn for_each_taken(&self, mut show: impl FnMut(TopicPartition, TrafficCounts)) {
        for partition in self.partitions.borrow().values() {
            let taken = partition.taken.counts();
            if taken != TrafficCounts::default() {
                show(partition.id, taken);
            }
        }
    }

    /// Shows how many bytes each partition's log has, if it holds anything.
    pub fn for_each_log(&self, mut show: impl FnMut(TopicPartition, u64)) {
        for partition in self.partitions.borrow().values() {
            let size_bytes = partition.log.size_bytes();
            if size_bytes > 0 {
                show(partition.id, size_bytes);
            }
        }
    }

    /// What partitions had taken that were removed since.
    pub fn taken_of_removed(&self) -> TrafficCounts {
        self.removed.counts()
    }

    /// Checks a batch's producer sequence, gives it its offset, and journals it. The slot is
    /// settled once the batch is durable (with `write.caching`, at once).
    pub fn propose_append(
        &self,
        partition: &Rc<OwnedPartition>,
        proposal: Proposal,
        now: Timestamp,
        slot: AppendSlot,
    ) {
        if self.journal.is_full() {
            return slot.settle(Err(ProposeError::StorageFull));
        }
        match partition.producers.borrow_mut().check(&proposal.header) {
            Ok(Sequenced::New) => {}
            Ok(Sequenced::Duplicate { base_offset, timestamp }) => {
                let log_append_time = proposal.log_append_time.and(Some(timestamp));
                let log_start = partition.log.log_start();
                let appended = Appended { base_offset, log_append_time, log_start };
                return self.answer_duplicate(partition, appended, slot);
            }
            Err(refused) => return slot.settle(Err(refused.into())),
        }

        self.journal_append(partition, proposal, now, slot);
    }

    /// Gives a batch its offset and journals it.
    pub(crate) fn journal_append(
        &self,
        partition: &Rc<OwnedPartition>,
        mut proposal: Proposal,
        now: Timestamp,
        slot: AppendSlot,
    ) {
        let mut header = proposal.header;
        header.base_offset = partition.proposed_end.get();
        header.leader_epoch = self.leader_epoch();
        batch::set_base_offset(&mut proposal.batch, header.base_offset);
        batch::set_leader_epoch(&mut proposal.batch, header.leader_epoch);
        let batch = proposal.batch.freeze();

        let index = self.next_index.get();
        let head = command::append_head(partition.id);
        let Ok(position) = self.journal.append(self.id, self.term, index, &[&head, &batch]) else {
            let size_bytes = head.len() + batch.len();
            return slot.settle(Err(ProposeError::TooLarge { size_bytes }));
        };
        self.next_index.set(index.next());
        partition.producers.borrow_mut().record(&header, header.base_offset, now);
        partition.proposed_end.set(header.next_offset());

        let log_append_time = proposal.log_append_time;
        let partition = Rc::clone(partition);
        let cached =
            partition.config().write_caching && partition.log.log_end() == header.base_offset;
        let effect = Effect::Append { partition, batch, header, log_append_time, slot };
        let effect = if cached {
            self.apply(effect);
            self.changed.set(true);
            Effect::Cached
        } else {
            effect
        };
        self.pending.borrow_mut().push_back(Pending { index, position, effect });
    }

    /// A duplicate of an applied batch is answered at once, one of a batch that is still on its
    /// way only after it: an answer means "durable".
    pub(crate) fn answer_duplicate(
        &self,
        partition: &OwnedPartition,
        appended: Appended,
        slot: AppendSlot,
    ) {
        if appended.base_offset < partition.log.log_end() {
            return slot.settle(Ok(appended));
        }
        let mut pending = self.pending.borrow_mut();
        let Some((index, position)) = pending.back().map(|last| (last.index, last.position)) else {
            // Nothing is on its way, so the original is applied.
            drop(pending);
            return slot.settle(Ok(appended));
        };
        pending.push_back(Pending { index, position, effect: Effect::Answer { slot, appended } });
    }

    /// Journals a new first offset for a partition. Resolves once it is durable and applied;
    /// a dropped sender means that the core stopped.
    pub fn propose_log_start(
        &self,
        partition: &Rc<OwnedPartition>,
        offset: Offset,
    ) -> Result<oneshot::Receiver<()>, ProposeError> {
        // Freeing space must go on when the disk is full, so fullness does not refuse this.
        let (done, receiver) = oneshot::channel();
        let partition = Rc::clone(partition);
        let bytes = command::log_start(partition.id, offset);
        self.journal_command(&[&bytes], Effect::LogStart { partition, offset, done })?;
        Ok(receiver)
    }

    /// Journals a change of the catalog. Resolves once it is durable; the caller then applies it
    /// to every core's replica, in the order of the proposals.
    pub fn propose_catalog(
        &self,
        at: Timestamp,
        encoded: &[u8],
    ) -> Result<oneshot::Receiver<()>, ProposeError> {
        let (done, receiver) = oneshot::channel();
        let head = command::catalog_head(at);
        self.journal_command(&[&head, encoded], Effect::Catalog { done })?;
        Ok(receiver)
    }

    /// Journals a change of a consumer group. Resolves once it is durable and applied; a dropped
    /// sender means that the core stopped. The command must have been judged against what is
    /// proposed, not only against what is applied.
    pub fn propose_groups(
        &self,
        at: Timestamp,
        command: GroupsCommand,
    ) -> Result<oneshot::Receiver<()>, ProposeError> {
        let (done, receiver) = oneshot::channel();
        let head = command::groups_head(at);
        let encoded = command.encode();
        let effect = Effect::Groups { at, command: Box::new(command), done };
        self.journal_command(&[&head, &encoded], effect)?;
        Ok(receiver)
    }

    /// Journals a worker's change of a lease. Resolves once it is durable and applied, with what
    /// became of it; a dropped sender means that the core stopped.
    pub fn propose_lease(
        &self,
        at: Timestamp,
        command: ChangeLease,
    ) -> Result<oneshot::Receiver<LeaseOutcome>, ProposeError> {
        let (done, receiver) = oneshot::channel();
        let head = command::groups_head(at);
        let encoded = GroupsCommand::ChangeLease(command.clone()).encode();
        let effect = Effect::Lease { command: Box::new(command), done };
        self.journal_command(&[&head, &encoded], effect)?;
        Ok(receiver)
    }

    /// Resolves once everything that is proposed now is durable and applied.
    pub fn barrier(&self) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        let mut pending = self.pending.borrow_mut();
        match pending.back().map(|last| (last.index, last.position)) {
            Some((index, position)) => {
                let effect = Effect::Transactions { done };
                pending.push_back(Pending { index, position, effect });
            }
            None => drop(done.send(())),
        }
        receiver
    }

    /// Whether the journal has no room, so that what can wait is to be refused.
    pub fn is_full(&self) -> bool {
        self.journal.is_full()
    }

    pub(crate) fn journal_command(
        &self,
        parts: &[&[u8]],
        effect: Effect,
    ) -> Result<(), ProposeError> {
        let index = self.next_index.get();
        let position = self.journal.append(self.id, self.term, index, parts).map_err(|_| {
            let size_bytes = parts.iter().map(|part| part.len()).sum();
            ProposeError::TooLarge { size_bytes }
        })?;
        self.next_index.set(index.next());
        self.pending.borrow_mut().push_back(Pending { index, position, effect });
        Ok(())
    }

    /// Applies, in order, every command that the journal has made durable.
    pub fn apply_durable(&self, durable: JournalPosition) {
        loop {
            let next = {
                let mut pending = self.pending.borrow_mut();
                match pending.front() {
                    Some(front) if front.position <= durable => pending.pop_front(),
                    _ => None,
                }
            };
            let Some(Pending { index, effect, .. }) = next else { return };
            self.applied.set(index);
            self.changed.set(true);
            self.apply(effect);
        }
    }

    /// Resolves once everything that is proposed now is applied.
    pub async fn settled(&self) {
        let target = self.proposed();
        while self.applied.get() < target {
            let next = self.pending.borrow().front().map(|front| front.position);
            let Some(position) = next else { return };
            self.journal.wait_durable(position).await;
            // The listener applies what is durable before or after this task runs; give way.
            runtime::yield_now().await;
        }
    }

    fn apply(&self, effect: Effect) {
        match effect {
            Effect::Append { partition, batch, header, log_append_time, slot } => {
                let outcome = match partition.log.append(batch, &header) {
                    Ok(()) => {
                        if !header.attributes.is_control() {
                            let records = u64::try_from(header.record_count).unwrap_or(0);
                            partition.taken.note(records, header.size_bytes() as u64);
                        }
                        Ok(Appended {
                            base_offset: header.base_offset,
                            log_append_time,
                            log_start: partition.log.log_start(),
                        })
                    }
                    Err(partition::StorageError::Deleted { .. }) => {
                        Err(ProposeError::UnknownPartition)
                    }
                    Err(broken) => runtime::abort(&format!(
                        "a durable batch of {} cannot be applied: {broken}",
                        partition.id
                    )),
                };
                slot.settle(outcome);
            }
            Effect::Cached => {}
            Effect::Answer { slot, appended } => slot.settle(Ok(appended)),
            Effect::LogStart { partition, offset, done } => {
                partition.log.advance_log_start(offset);
                let _ = done.send(());
            }
            Effect::Catalog { done } | Effect::Transactions { done } => {
                let _ = done.send(());
            }
            Effect::Groups { at, command, done } => {
                self.apply_groups(&command, at);
                let _ = done.send(());
            }
            Effect::Lease { command, done } => {
                let outcome = self.groups.borrow_mut().change_lease(&command);
                self.encoded_groups.take();
                let _ = done.send(outcome);
            }
        }
    }
}
