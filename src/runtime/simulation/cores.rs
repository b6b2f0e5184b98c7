//! Simulated cores: mailboxes and tasks of one process, all run by the one executor.

use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::CoreId;
use tokio::sync::{Notify, oneshot, watch};

use super::executor::{Owner, World, world};
use super::machine::MachineId;
use crate::{Call, CoresConfig, StartError, StopError};

type Message<S> = Box<dyn FnOnce(&Rc<S>) + Send>;

struct Mailbox<S: 'static> {
    /// `None` once its core has stopped or died.
    messages: Mutex<Option<VecDeque<Message<S>>>>,
    arrived: Notify,
}

impl<S> Mailbox<S> {
    fn new() -> Self {
        Mailbox { messages: Mutex::new(Some(VecDeque::new())), arrived: Notify::new() }
    }

    fn messages(&self) -> MutexGuard<'_, Option<VecDeque<Message<S>>>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every core's mailbox. Cheap to clone.
pub struct Cores<S: 'static> {
    mailboxes: Arc<Vec<Mailbox<S>>>,
    stop: Arc<watch::Sender<bool>>,
}

impl<S> Clone for Cores<S> {
    fn clone(&self) -> Self {
        Cores { mailboxes: Arc::clone(&self.mailboxes), stop: Arc::clone(&self.stop) }
    }
}

impl<S> Cores<S> {
    fn new(count: usize) -> Self {
        Cores {
            mailboxes: Arc::new((0..count).map(|_| Mailbox::new()).collect()),
            stop: Arc::new(watch::Sender::new(false)),
        }
    }

    /// How many cores there are.
    pub fn count(&self) -> usize {
        self.mailboxes.len()
    }

    /// Runs `f` on a core. Posted before this returns; calls to one core begin in the order in which
    /// they were posted, each as its own task.
    pub fn call<T, F, Fut>(&self, core: CoreId, f: F) -> Call<T>
    where
        T: Send + 'static,
        F: FnOnce(Rc<S>) -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
    {
        let (answer, result) = oneshot::channel();
        self.post(core, move |state| {
            let future = f(Rc::clone(state));
            world().spawn_started("call", async move {
                let value = future.await;
                // The caller may have gone away; its call ran all the same.
                answer.send(value).ok();
            });
        });
        Call::new(result)
    }

    /// Runs `f` on a core and does not wait for it.
    pub fn post(&self, core: CoreId, f: impl FnOnce(&Rc<S>) + Send + 'static) {
        if *self.stop.borrow() {
            return;
        }
        let Some(mailbox) = self.mailboxes.get(core.index()) else { return };
        if let Some(messages) = mailbox.messages().as_mut() {
            messages.push_back(Box::new(f));
        }
        mailbox.arrived.notify_one();
    }
}

/// The cores of a running process.
pub struct RunningCores<S: 'static> {
    cores: Cores<S>,
}

impl<S> RunningCores<S> {
    /// The mailboxes of these cores.
    pub fn cores(&self) -> &Cores<S> {
        &self.cores
    }

    /// Takes no more calls. What has arrived still begins; then each core's tasks are dropped. Unlike
    /// in production this returns before that is done, because nothing can block in a simulation:
    /// await [`super::settle`] to let it happen.
    pub fn stop(self) -> Result<(), StopError> {
        self.cores.stop.send_replace(true);
        Ok(())
    }
}

/// Starts the cores of a process: of the caller's own, or of the default machine when the test calls.
pub fn start<S, M>(config: CoresConfig, make: M) -> Result<RunningCores<S>, StartError>
where
    M: Fn(CoreId, Cores<S>) -> S + Send + Clone + 'static,
{
    let world = world();
    let owner = match world.current().owner {
        Owner::Test => process_owner(&world, MachineId::DEFAULT),
        process => process,
    };
    Ok(start_as(&world, owner, config.cores, make))
}

pub(super) fn process_owner(world: &World, machine: MachineId) -> Owner {
    Owner::Process { machine, incarnation: world.machines.incarnation(machine) }
}

pub(super) fn start_as<S, M>(
    world: &Rc<World>,
    owner: Owner,
    count: usize,
    make: M,
) -> RunningCores<S>
where
    M: Fn(CoreId, Cores<S>) -> S,
{
    let cores = Cores::new(count.max(1));
    for index in 0..cores.count() {
        let core = CoreId(u16::try_from(index).unwrap_or(u16::MAX));
        world.in_context(owner, core, || {
            let state = Rc::new(make(core, cores.clone()));
            world.spawn("mailbox", serve(cores.clone(), core, state));
        });
    }
    RunningCores { cores }
}

/// Runs one future on one core and returns what it returns: a simulation of its own, always with the
/// same seed.
pub fn run_single<T, F, Fut>(make: F) -> Result<T, StartError>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    Ok(super::Simulation::new(1).run(async move { make().await }))
}

/// Closes a mailbox when its core stops or dies: calls that wait in it are answered `CoreStopped`.
struct CloseOnDrop<S: 'static> {
    cores: Cores<S>,
    core: CoreId,
}

impl<S> Drop for CloseOnDrop<S> {
    fn drop(&mut self) {
        if let Some(mailbox) = self.cores.mailboxes.get(self.core.index()) {
            // Dropped without the lock: a call may hold anything.
            let waiting = mailbox.messages().take();
            drop(waiting);
        }
    }
}

async fn serve<S>(cores: Cores<S>, core: CoreId, state: Rc<S>) {
    let open = CloseOnDrop { cores: cores.clone(), core };
    let Some(mailbox) = cores.mailboxes.get(core.index()) else { return };
    let mut stop = cores.stop.subscribe();
    loop {
        let next = mailbox.messages().as_mut().and_then(VecDeque::pop_front);
        if let Some(message) = next {
            message(&state);
            continue;
        }
        if *stop.borrow_and_update() {
            break;
        }
        futures_lite::future::or(mailbox.arrived.notified(), async {
            stop.changed().await.ok();
        })
        .await;
    }
    drop(open);
    let world = world();
    let context = world.current();
    world.drop_core_tasks(context.owner, core, context.task);
}
