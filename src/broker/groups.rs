//! Consumer groups: where each lives, and what is under way in it.
//!
//! A group lives on the lane that its name hashes to. The lane holds what is durable
//! ([`state::groups::Groups`]); beside it, on the same core, stands a [`GroupSlot`] for each group
//! of the classic protocol in which something happens: the state machine, the calls that wait, and
//! one task that wakes at the machine's deadlines.
//!
//! **A reply that depends on a record goes out once the record is applied**, and so does every
//! reply behind it: whoever reads it may act on it, and a restart must not take it back.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::{Rc, Weak},
    time::Duration,
};

use lane::Lane;
use model::{LaneId, PartitionIndex, TopicName};
use runtime::sync::{Notify, oneshot};
use state::{
    groups::{
        ClassicRecord, GroupError, GroupRecord, GroupsCommand,
        classic::{
            CallId, ClassicGroup, ClassicSettings, JoinRefused, Output, Reply, consumer_protocol,
        },
    },
    leases::{self, Holding},
};

use crate::{Broker, BrokerError, Outcome};

/// The groups of one core in which something happens.
#[derive(Default)]
pub(crate) struct GroupSlots {
    slots: RefCell<BTreeMap<String, Rc<GroupSlot>>>,
    calls: Cell<u64>,
}

impl GroupSlots {
    /// The slot of a group, if something happens in it.
    pub(crate) fn get(&self, group: &str) -> Option<Rc<GroupSlot>> {
        self.slots.borrow().get(group).cloned()
    }

    /// The groups of a lane in which something happens.
    pub(crate) fn names_on(&self, lane: LaneId) -> Vec<String> {
        let slots = self.slots.borrow();
        let of_lane = slots.values().filter(|slot| slot.lane.id() == lane);
        of_lane.map(|slot| slot.id.clone()).collect()
    }

    /// The broker stops: who waits for others to join, or for an assignment, is told so.
    pub(crate) fn release_waiting(&self) {
        for slot in self.slots.borrow().values() {
            slot.waiting.borrow_mut().clear();
        }
    }

    /// Lets go of a group that was deleted, unless a member came meanwhile.
    pub(crate) fn forget_idle(&self, group: &str) {
        let is_idle = |slot: &Rc<GroupSlot>| slot.machine.borrow().is_idle();
        if self.get(group).is_some_and(|slot| is_idle(&slot)) {
            self.slots.borrow_mut().remove(group);
        }
    }
}

type Replies = Vec<(CallId, Reply)>;

/// One group of the classic protocol on its core.
pub(crate) struct GroupSlot {
    id: String,
    lane: Rc<Lane>,
    machine: RefCell<ClassicGroup>,
    waiting: RefCell<BTreeMap<CallId, oneshot::Sender<Reply>>>,
    /// Replies behind the last record that is not yet durable.
    held: RefCell<Option<Rc<RefCell<Replies>>>>,
    /// What the timer sleeps until; 0 while there is none.
    sleeps_until_ms: Cell<u64>,
    wake: Notify,
}

/// Milliseconds of the clock by which deadlines are kept.
pub(crate) fn now_ms() -> u64 {
    runtime::now().as_nanoseconds() / 1_000_000
}

impl Broker {
    /// Runs `ask` where a group lives.
    pub(crate) async fn at_group<T, F, Fut>(self: &Rc<Self>, group: &str, ask: F) -> Outcome<T>
    where
        T: Send + 'static,
        F: FnOnce(Rc<Broker>, Rc<Lane>) -> Fut + Send + 'static,
        Fut: Future<Output = Outcome<T>> + 'static,
    {
        if self.stopping.get() {
            return Err(BrokerError::Stopping);
        }
        let lanes = self.meta.get().map_or(1, |meta| meta.lanes);
        let lane = LaneId::of_name(group, lanes);
        let call = self.cores.call(lane.home(self.cores.count()), move |owner: Rc<Broker>| {
            let here = owner.lanes.borrow().get(&lane).cloned();
            let here = here.filter(|_| !owner.stopping.get());
            async move { ask(owner, here.ok_or(BrokerError::Stopping)?).await }
        });
        call.await?
    }

    /// The group's slot, if something happens in it or it has members that are stored.
    pub(crate) fn slot(self: &Rc<Self>, lane: &Rc<Lane>, group: &str) -> Option<Rc<GroupSlot>> {
        if let Some(slot) = self.group_slots.slots.borrow().get(group) {
            slot.machine.borrow_mut().set_settings(self.classic_settings());
            return Some(Rc::clone(slot));
        }
        let machine = match lane.groups().record(group) {
            Some(GroupRecord::Classic(record)) => {
                ClassicGroup::restore(self.classic_settings(), record, now_ms())
            }
            _ => return None,
        };
        Some(self.open_slot(lane, group, machine))
    }

    /// The group's slot; a new one if there is none.
    pub(crate) fn slot_or_new(self: &Rc<Self>, lane: &Rc<Lane>, group: &str) -> Rc<GroupSlot> {
        self.slot(lane, group).unwrap_or_else(|| {
            self.open_slot(lane, group, ClassicGroup::new(self.classic_settings()))
        })
    }

    /// A slot for a group whose record is on its way: it comes from the newer protocol.
    pub(crate) fn slot_of_record(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group: &str,
        record: &ClassicRecord,
    ) -> Rc<GroupSlot> {
        let machine = ClassicGroup::restore(self.classic_settings(), record, now_ms());
        self.open_slot(lane, group, machine)
    }

    /// Gives up a group that goes on with the newer protocol. Who waits is not answered, and joins
    /// again.
    pub(crate) fn abandon_slot(&self, slot: &Rc<GroupSlot>) {
        slot.machine.replace(ClassicGroup::new(self.classic_settings()));
        slot.waiting.borrow_mut().clear();
        self.group_slots.slots.borrow_mut().remove(&slot.id);
    }

    fn open_slot(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        group: &str,
        machine: ClassicGroup,
    ) -> Rc<GroupSlot> {
        let slot = Rc::new(GroupSlot {
            id: group.to_owned(),
            lane: Rc::clone(lane),
            machine: RefCell::new(machine),
            waiting: RefCell::default(),
            held: RefCell::default(),
            sleeps_until_ms: Cell::new(0),
            wake: Notify::new(),
        });
        self.group_slots.slots.borrow_mut().insert(group.to_owned(), Rc::clone(&slot));
        self.keep_time(&slot);
        slot
    }

    /// After recovery: members that are stored have a session again, and are missed if they do not
    /// come back within it.
    pub(crate) fn open_stored_groups(self: &Rc<Self>) {
        for lane in self.lanes() {
            let stored: Vec<String> = {
                let groups = lane.groups();
                let has_members = |record: &GroupRecord| matches!(record, GroupRecord::Classic(record) if !record.members.is_empty());
                let stored = groups.records().filter(|(_, record)| has_members(record));
                stored.map(|(group, _)| group.to_owned()).collect()
            };
            for group in stored {
                self.slot(&lane, &group);
            }
        }
    }

    fn classic_settings(&self) -> ClassicSettings {
        let catalog = self.catalog.borrow();
        let number = |name| catalog.broker_number(name);
        let default = ClassicSettings::default();
        let session = |name, otherwise| {
            number(name).and_then(|ms| i32::try_from(ms).ok()).unwrap_or(otherwise)
        };
        ClassicSettings {
            initial_rebalance_delay_ms: number("group.initial.rebalance.delay.ms")
                .and_then(|ms| u64::try_from(ms).ok())
                .unwrap_or(default.initial_rebalance_delay_ms),
            session_timeout_min_ms: session(
                "group.min.session.timeout.ms",
                default.session_timeout_min_ms,
            ),
            session_timeout_max_ms: session(
                "group.max.session.timeout.ms",
                default.session_timeout_max_ms,
            ),
            members_max: number("group.max.size")
                .and_then(|count| usize::try_from(count).ok())
                .unwrap_or(default.members_max),
        }
    }

    /// Lets a call into the machine and gives its reply, which may take until a rebalance ends.
    pub(crate) fn call_slot(
        self: &Rc<Self>,
        slot: &Rc<GroupSlot>,
        event: impl FnOnce(&mut ClassicGroup, u64, CallId) -> Output,
    ) -> oneshot::Receiver<Reply> {
        let call = CallId(self.group_slots.calls.get());
        self.group_slots.calls.set(call.0 + 1);
        let (sender, receiver) = oneshot::channel();
        slot.waiting.borrow_mut().insert(call, sender);
        let output = event(&mut slot.machine.borrow_mut(), now_ms(), call);
        self.take_in(slot, output);
        receiver
    }

    /// Stores what is to be stored and sends the replies, in this order.
    pub(crate) fn take_in(self: &Rc<Self>, slot: &Rc<GroupSlot>, output: Output) {
        let Output { replies, store } = output;
        if let Some(record) = store {
            let holdings = self.holdings(&record);
            let command = GroupsCommand::StoreClassic { group: slot.id.clone(), record, holdings };
            match slot.lane.propose_groups(runtime::wall_clock(), command) {
                Ok(durable) => self.hold(slot, replies, durable),
                Err(error) => {
                    tracing::error!(group = slot.id, %error, "a group could not be stored");
                    let failed = replies.into_iter().map(|(call, reply)| (call, failed(reply)));
                    slot.answer(failed.collect());
                }
            }
        } else if let Some(held) = &*slot.held.borrow() {
            held.borrow_mut().extend(replies);
        } else {
            slot.answer(replies);
        }
        self.keep_time(slot);
        self.close_if_idle(slot);
    }

    /// Who reads what, as the leader of a group of Kafka's consumers assigned it.
    pub(crate) fn holdings(&self, record: &ClassicRecord) -> Vec<Holding> {
        let is_readable = record.protocol_type.as_deref() == Some(consumer_protocol::TYPE);
        let members: &[_] = if is_readable { &record.members } else { &[] };
        let catalog = self.catalog.borrow();
        let mut holdings = Vec::new();
        for member in members {
            let assigned = consumer_protocol::assigned_partitions(&member.assignment);
            for (topic, partitions) in assigned.unwrap_or_default() {
                let name = TopicName::new(topic.as_str()).ok();
                let Some(topic) = name.and_then(|name| catalog.topic(&name)) else { continue };
                let held = partitions.into_iter().filter_map(|index| {
                    let newest = *leases::spans(&topic.shards, PartitionIndex(index)).last()?;
                    let partition = crate::partition_of(topic.id, index);
                    Some(Holding { partition, newest, owner: member.id.clone() })
                });
                holdings.extend(held);
            }
        }
        holdings
    }

    fn hold(
        self: &Rc<Self>,
        slot: &Rc<GroupSlot>,
        replies: Replies,
        durable: oneshot::Receiver<()>,
    ) {
        let held = Rc::new(RefCell::new(replies));
        slot.held.replace(Some(Rc::clone(&held)));
        let (broker, slot) = (Rc::clone(self), Rc::clone(slot));
        runtime::spawn("group record", async move {
            // A dropped sender means that the core stops: nobody gets an answer.
            if durable.await.is_err() {
                return;
            }
            slot.answer(held.take());
            let is_last = slot.held.borrow().as_ref().is_some_and(|last| Rc::ptr_eq(last, &held));
            if is_last {
                slot.held.take();
                broker.close_if_idle(&slot);
            }
        });
    }

    /// A group in which nothing happens needs no slot: its record says all.
    fn close_if_idle(&self, slot: &Rc<GroupSlot>) {
        if slot.held.borrow().is_none() && slot.machine.borrow().is_idle() {
            let mut slots = self.group_slots.slots.borrow_mut();
            if slots.get(&slot.id).is_some_and(|current| Rc::ptr_eq(current, slot)) {
                slots.remove(&slot.id);
            }
        }
    }

    /// Sees to it that the machine's next deadline is kept.
    fn keep_time(self: &Rc<Self>, slot: &Rc<GroupSlot>) {
        let deadline_ms = slot.machine.borrow().next_deadline_ms();
        let sleeps_until_ms = slot.sleeps_until_ms.get();
        if deadline_ms == u64::MAX || (sleeps_until_ms != 0 && sleeps_until_ms <= deadline_ms) {
            return;
        }
        slot.sleeps_until_ms.set(deadline_ms);
        if sleeps_until_ms != 0 {
            slot.wake.notify_one();
            return;
        }
        let (broker, slot) = (Rc::downgrade(self), Rc::clone(slot));
        runtime::spawn("group timer", run_timer(broker, slot));
    }
}

/// Ticks the machine at its deadlines, until there are none.
async fn run_timer(broker: Weak<Broker>, slot: Rc<GroupSlot>) {
    loop {
        let until_ms = slot.sleeps_until_ms.get();
        let wait = Duration::from_millis(until_ms.saturating_sub(now_ms()));
        if !wait.is_zero() {
            // Woken early: the deadline has moved.
            let _ = runtime::timeout(wait, slot.wake.notified()).await;
        }
        let Some(broker) = broker.upgrade() else { return };
        if broker.stopping.get() {
            return;
        }
        let output = slot.machine.borrow_mut().tick(now_ms());
        // Nothing new is begun by `take_in` while this says that the timer is awake.
        slot.sleeps_until_ms.set(1);
        broker.take_in(&slot, output);
        let next_ms = slot.machine.borrow().next_deadline_ms();
        if next_ms == u64::MAX {
            slot.sleeps_until_ms.set(0);
            return;
        }
        slot.sleeps_until_ms.set(next_ms.max(2));
    }
}

impl GroupSlot {
    /// The machine. Do not hold the borrow across an await.
    pub(crate) fn machine(&self) -> &RefCell<ClassicGroup> {
        &self.machine
    }

    fn answer(&self, replies: Replies) {
        let mut waiting = self.waiting.borrow_mut();
        for (call, reply) in replies {
            if let Some(sender) = waiting.remove(&call) {
                // Nobody waits any more when the client has gone.
                let _ = sender.send(reply);
            }
        }
    }
}

/// The same reply where what it builds on could not be stored.
fn failed(reply: Reply) -> Reply {
    let error = GroupError::TooLarge;
    match reply {
        Reply::Join(Ok(joined)) => {
            Reply::Join(Err(JoinRefused { error, member_id: joined.member_id }))
        }
        Reply::Sync(Ok(_)) => Reply::Sync(Err(error)),
        refused => refused,
    }
}
