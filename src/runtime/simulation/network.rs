//! The simulated network: listeners, and connections that are pairs of one-way pipes. What is sent
//! arrives later, in order, in pieces of any size, or not at all when the connection is cut.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Buf, Bytes};
use tokio::sync::Notify;

use super::executor::Owner;
use super::machine::CrashKind;
use super::net::Ends;
use super::random::Random;

/// How a pipe ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PipeState {
    Open,
    /// The writer said that it is done: readers get what is under way, then the end.
    Finished,
    /// Cut: what was under way is lost, both sides get an error.
    Reset,
}

/// One direction of a connection.
pub(super) struct Pipe {
    pub state: Cell<PipeState>,
    pub segments: RefCell<VecDeque<Segment>>,
    pub changed: Notify,
    pub capacity_bytes: usize,
    pub delay_us: (u64, u64),
}

pub(super) struct Segment {
    pub arrives_ns: u64,
    pub bytes: Bytes,
}

impl Pipe {
    pub fn queued_bytes(&self) -> usize {
        self.segments.borrow().iter().map(|segment| segment.bytes.remaining()).sum()
    }

    pub fn end(&self, state: PipeState) {
        if self.state.get() == PipeState::Open {
            self.state.set(state);
        }
        if state == PipeState::Reset {
            self.state.set(state);
            self.segments.borrow_mut().clear();
        }
        self.changed.notify_waiters();
        self.changed.notify_one();
    }
}

/// Both directions, and whose the ends are.
pub(super) struct Connection {
    pub id: u64,
    pub client: Owner,
    pub server: Owner,
    pub client_address: SocketAddr,
    pub server_address: SocketAddr,
    pub to_server: Rc<Pipe>,
    pub to_client: Rc<Pipe>,
}

impl Connection {
    pub fn cut(&self) {
        self.to_server.end(PipeState::Reset);
        self.to_client.end(PipeState::Reset);
    }
}

/// One core's listening socket. Several may listen on one address.
pub(super) struct ListenerState {
    pub owner: Owner,
    pub address: SocketAddr,
    pub backlog: RefCell<VecDeque<Rc<Connection>>>,
    pub arrived: Notify,
}

pub(super) struct Network {
    listeners: RefCell<BTreeMap<SocketAddr, Vec<Rc<ListenerState>>>>,
    connections: RefCell<BTreeMap<u64, Rc<Connection>>>,
    /// Sides of connections that go from one core to another.
    moving: RefCell<BTreeMap<u64, Rc<Ends>>>,
    next_connection: Cell<u64>,
    next_port: Cell<u16>,
    delay_factor: u64,
    /// Connections cut per million of socket operations.
    pub cuts_per_million: Cell<u64>,
}

impl Network {
    pub fn new(random: &Random) -> Self {
        Network {
            listeners: RefCell::default(),
            connections: RefCell::default(),
            moving: RefCell::default(),
            next_connection: Cell::new(1),
            next_port: Cell::new(40_000),
            delay_factor: if random.chance(1, 4) { 20 } else { 1 },
            cuts_per_million: Cell::new(0),
        }
    }

    fn free_port(&self) -> u16 {
        self.next_port.replace(self.next_port.get().wrapping_add(1).max(1024))
    }

    /// Adds a listener. Port 0 is replaced by a free one. An address in use by another process is refused.
    pub fn listen(&self, address: SocketAddr, owner: Owner) -> Option<Rc<ListenerState>> {
        let mut address = address;
        if address.port() == 0 {
            address.set_port(self.free_port());
        }
        let mut listeners = self.listeners.borrow_mut();
        let group = listeners.entry(address).or_default();
        if group.iter().any(|other| other.owner != owner) {
            return None;
        }
        let listener = Rc::new(ListenerState {
            owner,
            address,
            backlog: RefCell::default(),
            arrived: Notify::new(),
        });
        group.push(Rc::clone(&listener));
        Some(listener)
    }

    pub fn stop_listening(&self, listener: &Rc<ListenerState>) {
        let mut listeners = self.listeners.borrow_mut();
        if let Some(group) = listeners.get_mut(&listener.address) {
            group.retain(|other| !Rc::ptr_eq(other, listener));
            if group.is_empty() {
                listeners.remove(&listener.address);
            }
        }
        for connection in listener.backlog.borrow_mut().drain(..) {
            connection.cut();
        }
    }

    /// Connects to one of the listeners on an address, or `None` when nobody listens there.
    pub fn connect(
        &self,
        address: SocketAddr,
        client: Owner,
        random: &Random,
    ) -> Option<Rc<Connection>> {
        let listener = {
            let listeners = self.listeners.borrow();
            let group = listeners.get(&address)?;
            Rc::clone(group.get(random.index(group.len()))?)
        };
        let id = self.next_connection.replace(self.next_connection.get() + 1);
        let connection = Rc::new(Connection {
            id,
            client,
            server: listener.owner,
            client_address: SocketAddr::new(address.ip(), self.free_port()),
            server_address: address,
            to_server: Rc::new(self.pipe(random)),
            to_client: Rc::new(self.pipe(random)),
        });
        self.connections.borrow_mut().insert(id, Rc::clone(&connection));
        listener.backlog.borrow_mut().push_back(Rc::clone(&connection));
        listener.arrived.notify_one();
        Some(connection)
    }

    fn pipe(&self, random: &Random) -> Pipe {
        let slowest_us = random.choose([20, 200, 2_000]) * self.delay_factor;
        Pipe {
            state: Cell::new(PipeState::Open),
            segments: RefCell::default(),
            changed: Notify::new(),
            capacity_bytes: random.choose([4 << 10, 64 << 10, 1 << 20]),
            delay_us: (5, slowest_us),
        }
    }

    /// Keeps one side of a connection until it is taken again by the number that this gives.
    pub fn keep_moving(&self, ends: Rc<Ends>) -> u64 {
        let number = self.next_connection.replace(self.next_connection.get() + 1);
        self.moving.borrow_mut().insert(number, ends);
        number
    }

    pub fn take_moving(&self, number: u64) -> Option<Rc<Ends>> {
        self.moving.borrow_mut().remove(&number)
    }

    pub fn forget(&self, connection: &Connection) {
        self.connections.borrow_mut().remove(&connection.id);
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Cuts each open connection with a chance of `per_hundred` in 100. Says how many.
    pub fn cut_some(&self, per_hundred: u64, random: &Random) -> usize {
        let connections: Vec<_> = self.connections.borrow().values().cloned().collect();
        let cut: Vec<_> = connections.iter().filter(|_| random.chance(per_hundred, 100)).collect();
        for connection in &cut {
            connection.cut();
            self.forget(connection);
        }
        cut.len()
    }

    /// A process died. Its kernel tells the other side, unless that lost its power too: then the
    /// connection is as good as reset when the other side next writes; we reset it at once.
    pub fn close_owner(&self, owner: Owner, kind: CrashKind) {
        let listeners: Vec<_> = self.listeners.borrow().values().flatten().cloned().collect();
        for listener in listeners.iter().filter(|listener| listener.owner == owner) {
            self.stop_listening(listener);
        }
        let connections: Vec<_> = self.connections.borrow().values().cloned().collect();
        for connection in connections {
            let (ours, theirs) = if connection.server == owner {
                (&connection.to_client, &connection.to_server)
            } else if connection.client == owner {
                (&connection.to_server, &connection.to_client)
            } else {
                continue;
            };
            // After a kill the kernel still delivers what it had taken from the process.
            ours.end(if kind == CrashKind::Kill { PipeState::Finished } else { PipeState::Reset });
            theirs.end(PipeState::Reset);
            self.forget(&connection);
        }
    }
}
