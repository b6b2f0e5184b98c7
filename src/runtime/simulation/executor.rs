//! The executor: one thread, one set of tasks from every simulated core and client, the next one
//! to run picked by the seed, and a clock that jumps to the next timer when nothing can run.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::CoreId;

use super::disk::DiskTable;
use super::machine::{CrashKind, MachineId, Machines};
use super::network::Network;
use super::random::Random;
use super::time::Timers;

/// Who a task belongs to. Tasks of the test itself outlive every crash; tasks of a machine die
/// with the process (the incarnation) that spawned them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Owner {
    Test,
    Process { machine: MachineId, incarnation: u64 },
}

/// What travels with a task: whose it is, on which core it runs, what it is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskContext {
    pub owner: Owner,
    pub core: CoreId,
    pub name: &'static str,
    pub task: TaskId,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TaskId(pub u64);

type Runnable = async_task::Runnable<TaskContext>;

/// Tasks that can run now. Shared with wakers, which must be `Send`; only one thread ever uses it.
#[derive(Default)]
struct ReadyTasks {
    runnables: Mutex<Vec<Runnable>>,
}

impl ReadyTasks {
    fn list(&self) -> MutexGuard<'_, Vec<Runnable>> {
        self.runnables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, random: &Random) -> Option<Runnable> {
        let mut list = self.list();
        if list.is_empty() {
            return None;
        }
        let index = random.index(list.len());
        Some(list.swap_remove(index))
    }

    /// Takes out, in a fixed order, the tasks that `matches` selects.
    fn take_matching(&self, matches: impl Fn(&TaskContext) -> bool) -> Vec<Runnable> {
        let mut list = self.list();
        let (taken, kept) = std::mem::take(&mut *list)
            .into_iter()
            .partition(|runnable| matches(runnable.metadata()));
        *list = kept;
        taken
    }
}

/// Unwinds a task of a process that dies by its own hand (`runtime::abort`), without the panic hook.
pub(super) struct ProcessEnds {
    pub machine: MachineId,
    pub kind: CrashKind,
}

/// Everything of one simulated run.
pub(super) struct World {
    pub random: Random,
    pub timers: Timers,
    pub machines: Machines,
    pub disks: DiskTable,
    pub network: Network,
    ready: Arc<ReadyTasks>,
    tasks: RefCell<BTreeMap<TaskId, RegisteredTask>>,
    next_task: Cell<u64>,
    current: Cell<TaskContext>,
    steps: Cell<u64>,
    schedule_hash: Cell<u64>,
}

struct RegisteredTask {
    context: TaskContext,
    task: async_task::Task<(), TaskContext>,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// The run that this thread is in.
#[expect(clippy::panic, reason = "a runtime call outside a simulation is a mistake in a test")]
pub(super) fn world() -> Rc<World> {
    match try_world() {
        Some(world) => world,
        None => panic!("the simulated runtime was called outside `Simulation::run`"),
    }
}

/// The run that this thread is in, or `None` while its last values are being dropped.
pub(super) fn try_world() -> Option<Rc<World>> {
    WORLD.try_with(|world| world.borrow().clone()).ok().flatten()
}

/// Why a run ended without a value.
pub(super) enum RunFailure {
    Panicked { context: TaskContext, payload: Box<dyn Any + Send> },
    Deadlocked { waiting: Vec<TaskContext> },
    TooManySteps,
}

pub(super) struct Limits {
    pub steps: u64,
    pub virtual_time_ns: u64,
}

const OUTSIDE_ANY_TASK: TaskContext =
    TaskContext { owner: Owner::Test, core: CoreId(0), name: "outside any task", task: TaskId(0) };

impl World {
    pub fn new(seed: u64) -> Rc<World> {
        let random = Random::new(seed);
        let network = Network::new(&random);
        let disks = DiskTable::new(&random);
        Rc::new(World {
            random,
            timers: Timers::default(),
            machines: Machines::default(),
            disks,
            network,
            ready: Arc::default(),
            tasks: RefCell::default(),
            next_task: Cell::new(1),
            current: Cell::new(OUTSIDE_ANY_TASK),
            steps: Cell::new(0),
            schedule_hash: Cell::new(0xcbf2_9ce4_8422_2325),
        })
    }

    pub fn current(&self) -> TaskContext {
        self.current.get()
    }

    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    pub fn schedule_hash(&self) -> u64 {
        self.schedule_hash.get()
    }

    pub fn is_alive(&self, owner: Owner) -> bool {
        match owner {
            Owner::Test => true,
            Owner::Process { machine, incarnation } => {
                self.machines.incarnation(machine) == incarnation
            }
        }
    }

    /// Runs `f` as if on another core or process, then returns to the caller's.
    pub fn in_context<T>(&self, owner: Owner, core: CoreId, f: impl FnOnce() -> T) -> T {
        let before = self.current.get();
        self.current.set(TaskContext { owner, core, ..before });
        let value = f();
        self.current.set(before);
        value
    }

    /// Makes a task on the current core of the current process. It first runs when the seed picks it.
    pub fn spawn(
        self: &Rc<Self>,
        name: &'static str,
        future: impl Future<Output = ()> + 'static,
    ) -> TaskId {
        let (runnable, id) = self.prepare(name, future);
        runnable.schedule();
        id
    }

    /// Makes a task and polls it once, now, before returning: calls to a core begin in the order
    /// in which they arrived.
    pub fn spawn_started(
        self: &Rc<Self>,
        name: &'static str,
        future: impl Future<Output = ()> + 'static,
    ) {
        let (runnable, _) = self.prepare(name, future);
        self.poll(runnable);
    }

    fn prepare(
        self: &Rc<Self>,
        name: &'static str,
        future: impl Future<Output = ()> + 'static,
    ) -> (Runnable, TaskId) {
        let id = TaskId(self.next_task.replace(self.next_task.get() + 1));
        let context = TaskContext { name, task: id, ..self.current.get() };
        let world = Rc::downgrade(self);
        let forgets_itself = async move {
            future.await;
            if let Some(done) = world.upgrade().and_then(|w| w.tasks.borrow_mut().remove(&id)) {
                done.task.detach();
            }
        };
        let ready = Arc::clone(&self.ready);
        let (runnable, task) = async_task::Builder::new()
            .metadata(context)
            .spawn_local(move |_| forgets_itself, move |runnable| ready.list().push(runnable));
        self.tasks.borrow_mut().insert(id, RegisteredTask { context, task });
        (runnable, id)
    }

    /// Drops a task's future at the next step.
    pub fn cancel(&self, id: TaskId) {
        let removed = self.tasks.borrow_mut().remove(&id);
        drop(removed);
    }

    fn poll(&self, runnable: Runnable) {
        let before = self.current.get();
        let context = *runnable.metadata();
        self.current.set(context);
        self.record(context.task.0);
        if self.is_alive(context.owner) {
            runnable.run();
        } else {
            drop(runnable);
        }
        // Not restored when the poll unwinds: the loop reads there who it was.
        self.current.set(before);
    }

    fn record(&self, value: u64) {
        let mut hash = self.schedule_hash.get();
        for part in [value, self.timers.now_ns()] {
            hash = (hash ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        self.schedule_hash.set(hash);
        self.steps.set(self.steps.get() + 1);
    }

    /// Runs until `done` says so.
    fn run_until(&self, done: impl Fn() -> bool, limits: &Limits) -> Result<(), RunFailure> {
        while !done() {
            self.timers.fire_due();
            if self.steps.get() > limits.steps || self.timers.now_ns() > limits.virtual_time_ns {
                return Err(RunFailure::TooManySteps);
            }
            let Some(runnable) = self.ready.pick(&self.random) else {
                if !self.timers.jump_to_next() {
                    return Err(RunFailure::Deadlocked { waiting: self.waiting() });
                }
                continue;
            };
            // Running takes time too, else two tasks that only yield would stop the clock.
            self.timers.advance_ns(self.random.between(200, 2_000));
            let polled = catch_unwind(AssertUnwindSafe(|| self.poll(runnable)));
            let context = self.current.replace(OUTSIDE_ANY_TASK);
            if let Err(payload) = polled {
                match payload.downcast::<ProcessEnds>() {
                    Ok(ends) => self.crash(ends.machine, ends.kind),
                    Err(payload) => return Err(RunFailure::Panicked { context, payload }),
                }
            }
        }
        Ok(())
    }

    fn waiting(&self) -> Vec<TaskContext> {
        self.tasks.borrow().values().map(|task| task.context).collect()
    }

    /// Ends the machine's process now: its tasks are dropped, its sockets closed, and its disk
    /// forgets what `kind` makes it forget. From inside that process this does not return.
    pub fn crash(&self, machine: MachineId, kind: CrashKind) {
        let incarnation = self.machines.incarnation(machine);
        let owner = Owner::Process { machine, incarnation };
        if self.current.get().owner == owner {
            resume_unwind(Box::new(ProcessEnds { machine, kind }));
        }
        self.machines.end_incarnation(machine);
        self.disks.of(machine).borrow_mut().crash(kind, &self.random);
        self.network.close_owner(owner, kind);
        self.drop_tasks(|context| context.owner == owner);
    }

    /// Drops the tasks of one core of a process that has stopped in good order.
    pub fn drop_core_tasks(&self, owner: Owner, core: CoreId, except: TaskId) {
        self.drop_tasks(|context| {
            context.owner == owner && context.core == core && context.task != except
        });
    }

    fn drop_tasks(&self, matches: impl Fn(&TaskContext) -> bool + Copy) {
        loop {
            let removed: Vec<RegisteredTask> = {
                let mut tasks = self.tasks.borrow_mut();
                let ids: Vec<TaskId> = tasks
                    .values()
                    .filter(|task| matches(&task.context))
                    .map(|task| task.context.task)
                    .collect();
                ids.iter().filter_map(|id| tasks.remove(id)).collect()
            };
            let none_left = removed.is_empty();
            for registered in removed {
                let context = registered.context;
                self.in_context(context.owner, context.core, || drop(registered.task));
            }
            // A cancelled task comes to the ready list once more, for its future to be dropped.
            let cancelled = self.ready.take_matching(matches);
            if none_left && cancelled.is_empty() {
                return;
            }
            for runnable in cancelled {
                let context = *runnable.metadata();
                self.in_context(context.owner, context.core, || drop(runnable));
            }
        }
    }
}

/// Runs `future` in a new world to its end, then drops every task that is left.
pub(super) fn run_in<T: 'static>(
    world: &Rc<World>,
    limits: &Limits,
    future: impl Future<Output = T> + 'static,
) -> Result<T, RunFailure> {
    let outer = WORLD.with(|slot| slot.borrow_mut().replace(Rc::clone(world)));
    let value: Rc<RefCell<Option<T>>> = Rc::default();
    let slot = Rc::clone(&value);
    world.spawn("test", async move {
        let value = future.await;
        *slot.borrow_mut() = Some(value);
    });
    let ended = world.run_until(|| value.borrow().is_some(), limits);
    // What a failed run leaves behind may be in no state to be dropped; its panics say nothing new.
    let dropped = catch_unwind(AssertUnwindSafe(|| world.drop_tasks(|_| true)));
    WORLD.with(|slot| *slot.borrow_mut() = outer);
    ended?;
    if let Err(payload) = dropped {
        return Err(RunFailure::Panicked { context: world.current(), payload });
    }
    let value = value.borrow_mut().take();
    value.ok_or(RunFailure::TooManySteps)
}
