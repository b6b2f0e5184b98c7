//! The listener of one core, and its end.

use std::{io, rc::Rc, time::Duration};

use broker::Broker;
use futures_util::future::{Either, select};
use runtime::{
    net::{Listener, SocketAddr},
    sync::watch,
};

use crate::{
    budget::MemoryBudget,
    connection::{self, Door, Ending},
    door_metrics::{DoorCounts, DoorMetrics},
    limits::Limits,
    moves::{Arrival, Arrivals, Neighbours},
    open_connections::{Counted, OpenConnections},
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
    /// Served on this core, whoever accepted them.
    served: OpenConnections,
    door: Rc<Door>,
}

/// Listens and serves on this core. Every core calls it, with the same address: the kernel spreads
/// the connections. Those that belong on another core go there by way of `neighbours`.
pub fn serve(
    broker: Rc<Broker>,
    config: KafkaConfig,
    neighbours: Neighbours,
) -> io::Result<Server> {
    let listener = Listener::bind(config.listen)?;
    let local_address = listener.local_addr()?;
    let budget = MemoryBudget::new(broker.request_memory_bytes());
    let limits = Rc::new(Limits::of(&broker.catalog()));
    let metrics = Rc::new(DoorMetrics::new());
    let door = Rc::new(Door { broker, limits, budget, metrics });
    let (phase, phases) = watch::channel(Phase::Serving);
    let arrivals = neighbours.join(door.broker.core());
    let served = OpenConnections::default();
    let serving = Serving { door: Rc::clone(&door), phases, neighbours, served: served.clone() };
    runtime::spawn("kafka accept", serving.clone().accept_all(listener));
    runtime::spawn("kafka arrivals", serving.take_up_all(arrivals));
    Ok(Server { local_address, phase, served, door })
}

impl Server {
    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Connections that are served on this core.
    pub fn open_connections(&self) -> usize {
        self.served.count()
    }

    /// What says at any time, on this core, what the door has counted.
    pub(crate) fn counts(&self) -> impl Fn() -> DoorCounts + 'static {
        let (door, served) = (Rc::downgrade(&self.door), self.served.clone());
        move || {
            let Some(door) = door.upgrade() else { return DoorCounts::default() };
            DoorCounts {
                apis: door.metrics.api_counts(),
                received_bytes: door.metrics.received_bytes.get(),
                sent_bytes: door.metrics.sent_bytes.get(),
                connections_open: served.count(),
                connections_accepted: door.metrics.accepted.get(),
                connections_taken_up: door.metrics.taken_up.get(),
                connections_closed_for_cause: door.metrics.closed_for_cause.get(),
                memory_used_bytes: door.budget.max_bytes() - door.budget.free_bytes(),
                memory_max_bytes: door.budget.max_bytes(),
            }
        }
    }

    /// Stops accepting and reading, lets replies under way go out for a bounded time, and closes.
    pub async fn stop(self) {
        self.phase.send_replace(Phase::Draining);
        if runtime::timeout(STOP_GRACE, self.served.wait_until_closed()).await.is_ok() {
            return;
        }
        tracing::warn!(connections = self.open_connections(), "connections dropped at the end");
        self.phase.send_replace(Phase::Ended);
        self.served.wait_until_closed().await;
    }
}

/// What the connections of a core are served with.
#[derive(Clone)]
struct Serving {
    door: Rc<Door>,
    phases: watch::Receiver<Phase>,
    neighbours: Neighbours,
    served: OpenConnections,
}

impl Serving {
    async fn accept_all(self, listener: Listener) {
        let open = OpenConnections::default();
        let mut draining = Box::pin(reached(self.phases.clone(), Phase::Draining));
        loop {
            let accept = async {
                open.wait_for_room(&self.door.broker).await;
                listener.accept().await
            };
            match select(Box::pin(accept), draining.as_mut()).await {
                Either::Left((Ok(stream), _)) => {
                    self.door.metrics.accepted.increment();
                    let arrival = Arrival { stream, first: None, moves: 0 };
                    runtime::spawn("kafka connection", self.clone().serve(arrival, open.add()));
                }
                Either::Left((Err(error), _)) => {
                    tracing::warn!(%error, "a connection was not accepted");
                }
                Either::Right(_) => return,
            }
        }
    }

    /// Takes up what other cores send. What still comes while the door drains is served like the rest: until
    /// it is answered.
    async fn take_up_all(self, mut arrivals: Arrivals) {
        let mut ended = Box::pin(reached(self.phases.clone(), Phase::Ended));
        while let Either::Left((Some((departure, counted)), _)) =
            select(Box::pin(arrivals.recv()), ended.as_mut()).await
        {
            self.door.metrics.taken_up.increment();
            let serving = self.clone().serve(departure.arrive(), counted);
            runtime::spawn("kafka connection", serving);
        }
    }

    /// Serves a connection until it ends or goes to another core.
    async fn serve(self, mut arrival: Arrival, mut counted: Counted) {
        let _served = self.served.add();
        let mut ended = Box::pin(reached(self.phases.clone(), Phase::Ended));
        loop {
            let draining = reached(self.phases.clone(), Phase::Draining);
            let serving = Box::pin(connection::serve(Rc::clone(&self.door), arrival, draining));
            arrival = match select(serving, ended.as_mut()).await {
                Either::Left((Ending::Moves(core, departure), _)) => {
                    match self.neighbours.send(core, departure, counted) {
                        Ok(()) => return,
                        // That core's door is closed.
                        Err((departure, still_counted)) => {
                            counted = still_counted;
                            departure.arrive()
                        }
                    }
                }
                Either::Left((Ending::Stays(arrival), _)) => arrival,
                Either::Left((Ending::Closed, _)) | Either::Right(_) => return,
            };
        }
    }
}

/// Resolves when the phase is reached, or when the server was dropped without being stopped.
async fn reached(mut phases: watch::Receiver<Phase>, phase: Phase) {
    let _ = phases.wait_for(|now| *now >= phase).await;
}
