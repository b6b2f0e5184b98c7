//! Simulated machines: each has one disk and runs at most one process at a time.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tokio::sync::watch;

/// How a process ends without being asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashKind {
    /// The process dies (`kill -9`); what it wrote lies in the page cache and survives.
    Kill,
    /// The machine loses power; only what was synced is sure to survive.
    PowerCut,
}

/// The number of a machine; [`MachineId::DEFAULT`] is the one that the free functions mean.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct MachineId(pub u16);

impl MachineId {
    /// The machine whose disk the test itself sees, and on which `start` starts cores.
    pub const DEFAULT: MachineId = MachineId(0);
}

/// The processes of all machines.
#[derive(Default)]
pub(super) struct Machines {
    states: RefCell<BTreeMap<MachineId, watch::Sender<u64>>>,
}

impl Machines {
    /// The number of the process that may run on a machine now. Every crash raises it.
    pub fn incarnation(&self, machine: MachineId) -> u64 {
        self.states.borrow().get(&machine).map_or(0, |state| *state.borrow())
    }

    pub fn end_incarnation(&self, machine: MachineId) {
        let mut states = self.states.borrow_mut();
        let state = states.entry(machine).or_insert_with(|| watch::Sender::new(0));
        state.send_modify(|incarnation| *incarnation += 1);
    }

    /// Tells of every crash of a machine from now on.
    pub fn watch(&self, machine: MachineId) -> watch::Receiver<u64> {
        let mut states = self.states.borrow_mut();
        states.entry(machine).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }
}
