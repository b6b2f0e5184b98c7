//! The listener of one core, and its end.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use broker::Broker;
use futures_util::future::{Either, select};
use runtime::{
    net::{Listener, SocketAddr, Stream},
    sync::{Notify, watch},
};

use state::configs::MAX_CONNECTIONS;

use crate::{
    budget::MemoryBudget,
    connection::{self, Door},
    door_metrics::{DoorCounts, DoorMetrics},
    limits::Limits,
};

/// How the door is set up. The rest is among the broker's own settings.
#[derive(Debug, Clone, Copy)]
pub struct KafkaConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
}

/// How long [`Server::stop`] waits for replies under way.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Connections are accepted and served.
    Serving,
    /// What is under way is answered; nothing new is taken.
    Draining,
    /// What is left is dropped.
    Ended,
}

/// The Kafka door of one core.
pub struct Server {
    local_address: SocketAddr,
    phase: watch::Sender<Phase>,
    open: Rc<OpenConnections>,
    door: Rc<Door>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    count: Cell<usize>,
    closed: Notify,
}

impl OpenConnections {
    /// Waits until this core has less than its share of `max.connections`.
    async fn wait_for_room(&self, broker: &Broker) {
        loop {
            let closed = self.closed.notified();
            let max = broker.catalog().broker_number(MAX_CONNECTIONS);
            let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
            if self.count.get() < max.div_ceil(broker.cores().count().max(1)) {
                return;
            }
            closed.await;
        }
    }
}

/// Counts a connection while it lives.
struct Counted(Rc<OpenConnections>);

impl Counted {
    fn new(open: &Rc<OpenConnections>) -> Counted {
        open.count.set(open.count.get() + 1);
        Counted(Rc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.closed.notify_waiters();
    }
}

/// Listens and serves on this core. Every core calls it, with the same address: the kernel spreads
/// the connections.
pub fn serve(broker: Rc<Broker>, config: KafkaConfig) -> io::Result<Server> {
    let listener = Listener::bind(config.listen)?;
    let local_address = listener.local_addr()?;
    let budget = MemoryBudget::new(broker.request_memory_bytes());
    let limits = Rc::new(Limits::of(&broker.catalog()));
    let metrics = Rc::new(DoorMetrics::new());
    let door = Rc::new(Door { broker, limits, budget, metrics });
    let (phase, phases) = watch::channel(Phase::Serving);
    let open = Rc::new(OpenConnections::default());
    let accepting = accept_all(listener, Rc::clone(&door), phases, Rc::clone(&open));
    runtime::spawn("kafka accept", accepting);
    Ok(Server { local_address, phase, open, door })
}

impl Server {
    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Connections that are open on this core.
    pub fn open_connections(&self) -> usize {
        self.open.count.get()
    }

    /// What says at any time, on this core, what the door has counted.
    pub(crate) fn counts(&self) -> impl Fn() -> DoorCounts + 'static {
        let (door, open) = (Rc::downgrade(&self.door), Rc::clone(&self.open));
        move || {
            let Some(door) = door.upgrade() else { return DoorCounts::default() };
            DoorCounts {
                apis: door.metrics.api_counts(),
                received_bytes: door.metrics.received_bytes.get(),
                sent_bytes: door.metrics.sent_bytes.get(),
                connections_open: open.count.get(),
                connections_accepted: door.metrics.accepted.get(),
                connections_closed_for_cause: door.metrics.closed_for_cause.get(),
                memory_used_bytes: door.budget.max_bytes() - door.budget.free_bytes(),
                memory_max_bytes: door.budget.max_bytes(),
            }
        }
    }

    /// Stops accepting and reading, lets replies under way go out for a bounded time, and closes.
    pub async fn stop(self) {
        self.phase.send_replace(Phase::Draining);
        if runtime::timeout(STOP_GRACE, self.all_closed()).await.is_ok() {
            return;
        }
        tracing::warn!(connections = self.open_connections(), "connections dropped at the end");
        self.phase.send_replace(Phase::Ended);
        self.all_closed().await;
    }

    async fn all_closed(&self) {
        loop {
            let closed = self.open.closed.notified();
            if self.open.count.get() == 0 {
                return;
            }
            closed.await;
        }
    }
}

async fn accept_all(
    listener: Listener,
    door: Rc<Door>,
    phases: watch::Receiver<Phase>,
    open: Rc<OpenConnections>,
) {
    let mut draining = Box::pin(reached(phases.clone(), Phase::Draining));
    loop {
        let accept = async {
            open.wait_for_room(&door.broker).await;
            listener.accept().await
        };
        match select(Box::pin(accept), draining.as_mut()).await {
            Either::Left((Ok(stream), _)) => {
                door.metrics.accepted.increment();
                let counted = Counted::new(&open);
                let serving = serve_one(Rc::clone(&door), stream, phases.clone(), counted);
                runtime::spawn("kafka connection", serving);
            }
            Either::Left((Err(error), _)) => {
                tracing::warn!(%error, "a connection was not accepted");
            }
            Either::Right(_) => return,
        }
    }
}

async fn serve_one(
    door: Rc<Door>,
    stream: Stream,
    phases: watch::Receiver<Phase>,
    _counted: Counted,
) {
    let draining = reached(phases.clone(), Phase::Draining);
    let serving = Box::pin(connection::serve(door, stream, draining));
    select(serving, Box::pin(reached(phases, Phase::Ended))).await;
}

/// Resolves when the phase is reached, or when the server was dropped without being stopped.
async fn reached(mut phases: watch::Receiver<Phase>, phase: Phase) {
    let _ = phases.wait_for(|now| *now >= phase).await;
}
