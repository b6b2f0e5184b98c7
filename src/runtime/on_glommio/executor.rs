//! How cores start, run and stop: a thread and an executor each.

use std::{future::Future, rc::Rc, sync::mpsc, time::Duration};

use glommio::{ExecutorJoinHandle, Latency, LocalExecutorBuilder, Placement, Shares};
use model::CoreId;

use super::{
    blocking,
    cores::{self, Cores},
    disk_ring,
    mailbox::Received,
    pulse,
    tasks::{self, ContextGuard, CoreContext},
};
use crate::{
    cores::{CoresConfig, StartError, StopError},
    host,
};

/// How long a task queue may keep the executor from looking at its rings. Below 10 ms glommio 0.9.0 loses
/// wake-ups in ordinary work (see `pulse.rs`); its default of 100 ms lets one busy queue hold up every socket for that long.
const PREEMPT_AFTER: Duration = Duration::from_millis(20);

/// Shares of the background queue, against 1,000 of everything else.
const BACKGROUND_SHARES: usize = 100;

/// Memory that glommio sets aside for direct files, of which we use none: its own minimum.
const GLOMMIO_FILE_MEMORY_BYTES: usize = 64 << 10;

/// Messages taken from the mailbox before the core's sockets and files get a turn.
const MESSAGES_PER_TURN: usize = 512;

/// Cores that run. Dropped without [`RunningCores::stop`], they go on until the process ends.
pub struct RunningCores<S: 'static> {
    cores: Cores<S>,
    threads: Vec<CoreThread<Result<(), StopError>>>,
}

/// A core's thread: what its main task gave, or why it could not run.
type CoreThread<T> = ExecutorJoinHandle<Result<T, String>>;

/// Starts `config.cores` pinned executors. `make` runs on each core and makes its state; from then on its
/// mailbox is served. It may spawn tasks, and calls that it posts to other cores wait until those have started.
/// Returns when every core has made its state.
pub fn start<S, M>(config: CoresConfig, make: M) -> Result<RunningCores<S>, StartError>
where
    S: 'static,
    M: Fn(CoreId, Cores<S>) -> S + Send + Clone + 'static,
{
    let count = u16::try_from(config.cores)
        .ok()
        .filter(|count| *count > 0)
        .ok_or(StartError::CoreCount { cores: config.cores })?;
    start_threads()?;
    let mut running =
        RunningCores { cores: Cores::new(config.cores), threads: Vec::with_capacity(config.cores) };
    let (started, starting) = mpsc::channel();
    for core in (0..count).map(CoreId) {
        let (cores, make, started) = (running.cores.clone(), make.clone(), started.clone());
        let grace = config.stop_grace;
        let body = move || async move {
            let state = Rc::new(make(core, cores.clone()));
            // Fails only if `start` has given up meanwhile, which stops this core through its mailbox.
            let _ = started.send(core);
            drop(started);
            serve(core, &cores, state, grace).await
        };
        match spawn_executor(core, &config, body) {
            Ok(thread) => running.threads.push(thread),
            Err(reason) => return Err(running.give_up(StartError::Executor { core, reason })),
        }
    }
    drop(started);
    for _ in 0..count {
        // A core that fails drops its sender unused.
        if starting.recv().is_err() {
            let unknown = StartError::Executor {
                core: CoreId::default(),
                reason: "a core ended before it had started".to_owned(),
            };
            return Err(running.give_up(unknown));
        }
    }
    Ok(running)
}

/// Runs one future on one core and gives its result: for tests and for tools that need files but no broker.
/// `make` runs on the core. What it spawned and did not await is dropped at the end.
pub fn run_single<T, F, Fut>(make: F) -> Result<T, StartError>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    let core = CoreId::default();
    let failed = |reason| StartError::Executor { core, reason };
    start_threads()?;
    let thread = spawn_executor(core, &CoresConfig::new(1), move || async move {
        tasks::guarded("the main task", make()).await
    })
    .map_err(failed)?;
    join(thread).map_err(failed)
}

/// Starts the threads that all cores of the process share.
fn start_threads() -> Result<(), StartError> {
    blocking::start_threads().map_err(StartError::BlockingThread)?;
    pulse::start_thread().map_err(StartError::BlockingThread)
}

fn join<T: Send + 'static>(thread: CoreThread<T>) -> Result<T, String> {
    thread.join().unwrap_or_else(|error| Err(error.to_string()))
}

impl<S> RunningCores<S> {
    /// Every core's mailbox.
    pub fn cores(&self) -> &Cores<S> {
        &self.cores
    }

    /// Lets every core run what is in its mailbox and end the calls that are running (within
    /// [`CoresConfig::stop_grace`]), then joins the threads. Later calls get
    /// [`CoreStopped`](crate::CoreStopped). Tasks that are still running are dropped where they stand, so stop
    /// the listeners and flush first.
    ///
    /// The first core that did not end in good order is the error.
    pub fn stop(self) -> Result<(), StopError> {
        for mailbox in self.cores.mailboxes() {
            mailbox.stop();
        }
        let mut result = Ok(());
        for (number, thread) in self.threads.into_iter().enumerate() {
            let core = CoreId(u16::try_from(number).unwrap_or(u16::MAX));
            let ended =
                join(thread).unwrap_or_else(|reason| Err(StopError::Executor { core, reason }));
            result = result.and(ended);
        }
        // A core whose executor failed never closed its own.
        for mailbox in self.cores.mailboxes() {
            mailbox.close();
        }
        result
    }

    /// Stops what has started; prefers what a failed executor says of itself to `error`.
    fn give_up(self, error: StartError) -> StartError {
        match self.stop() {
            Err(StopError::Executor { core, reason }) => StartError::Executor { core, reason },
            Err(StopError::CallsRunning { .. }) | Ok(()) => error,
        }
    }
}

/// Makes the thread and executor of `core`, and runs `body` there.
fn spawn_executor<T, F, Fut>(
    core: CoreId,
    config: &CoresConfig,
    body: F,
) -> Result<CoreThread<T>, String>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    let cpus = host::allowed_cpus();
    let cpu = cpus.get(core.index() % cpus.len().max(1)).copied();
    let pinned_to = cpu.filter(|_| config.pinned);
    LocalExecutorBuilder::new(pinned_to.map_or(Placement::Unbound, Placement::Fixed))
        .name(&format!("core-{}", core.0))
        .preempt_timer(PREEMPT_AFTER)
        .spin_before_park(config.spin_before_park)
        .io_memory(GLOMMIO_FILE_MEMORY_BYTES)
        .spawn(move || async move {
            let background = glommio::executor().create_task_queue(
                Shares::Static(BACKGROUND_SHARES),
                Latency::NotImportant,
                "background",
            );
            let _context = ContextGuard::enter(CoreContext { core, background });
            let _pulse = pulse::begin();
            match disk_ring::open() {
                Ok(_ring) => Ok(tasks::guarded("the main task", async move { body().await }).await),
                Err(error) => Err(format!("the io_uring for files: {error}")),
            }
        })
        .map_err(|error| error.to_string())
}

/// A core's life: runs what comes into its mailbox until it is asked to stop.
async fn serve<S>(
    core: CoreId,
    cores: &Cores<S>,
    state: Rc<S>,
    grace: Duration,
) -> Result<(), StopError> {
    let Some(mailbox) = cores.mailbox(core) else {
        return Ok(());
    };
    while let Received::Messages(messages) = mailbox.receive().await {
        for (taken, message) in messages.into_iter().enumerate() {
            if taken % MESSAGES_PER_TURN == MESSAGES_PER_TURN - 1 {
                crate::yield_now().await;
            }
            message(&state);
        }
    }
    let deadline = crate::now() + grace;
    while cores::running_calls() > 0 && crate::now() < deadline {
        // Calls may be waiting for calls to this very core.
        if let Received::Messages(messages) = mailbox.receive().await {
            messages.into_iter().for_each(|message| message(&state));
        }
        crate::sleep(Duration::from_millis(1)).await;
    }
    mailbox.close();
    match cores::running_calls() {
        0 => Ok(()),
        calls => Err(StopError::CallsRunning { core, calls, grace }),
    }
}
