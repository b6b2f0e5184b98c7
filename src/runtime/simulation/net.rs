//! The sockets of the facade, on the simulated network.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};

use super::executor::{try_world, world};
use super::network::{Connection, ListenerState, Pipe, PipeState, Segment};
use super::time::{sleep_ns, sleep_until_ns};

/// A core's listening socket.
pub struct Listener {
    state: Rc<ListenerState>,
}

impl Listener {
    /// Listens on an address, beside the other cores of the same process. Port 0 picks a free one.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let world = world();
        let owner = world.current().owner;
        let state = world.network.listen(address, owner).ok_or_else(|| {
            let what = format!("{address} is in use by another simulated process");
            io::Error::new(io::ErrorKind::AddrInUse, what)
        })?;
        Ok(Listener { state })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.state.address)
    }

    /// Waits for the next connection.
    pub async fn accept(&self) -> io::Result<Stream> {
        loop {
            let next = self.state.backlog.borrow_mut().pop_front();
            if let Some(connection) = next {
                let ends = Ends { connection, is_server: true };
                return Ok(Stream { ends: Rc::new(ends) });
            }
            self.state.arrived.notified().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(world) = try_world() {
            world.network.stop_listening(&self.state);
        }
    }
}

/// Connects to a listener.
pub async fn connect(address: SocketAddr) -> io::Result<Stream> {
    let world = world();
    sleep_ns(world.random.between(10_000, 500_000)).await;
    let owner = world.current().owner;
    let connection = world.network.connect(address, owner, &world.random).ok_or_else(|| {
        io::Error::new(io::ErrorKind::ConnectionRefused, format!("nobody listens on {address}"))
    })?;
    Ok(Stream { ends: Rc::new(Ends { connection, is_server: false }) })
}

/// One side of a connection; the socket is closed when its last part is dropped.
pub(super) struct Ends {
    connection: Rc<Connection>,
    is_server: bool,
}

impl Ends {
    fn incoming(&self) -> &Rc<Pipe> {
        if self.is_server { &self.connection.to_server } else { &self.connection.to_client }
    }

    fn outgoing(&self) -> &Rc<Pipe> {
        if self.is_server { &self.connection.to_client } else { &self.connection.to_server }
    }

    /// The seed may cut the connection at any operation.
    fn maybe_cut(&self) {
        let world = world();
        let cuts = world.network.cuts_per_million.get();
        if cuts > 0 && world.random.chance(cuts, 1_000_000) {
            self.connection.cut();
            world.network.forget(&self.connection);
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.outgoing().end(PipeState::Finished);
        // Whoever still writes to us gets an error.
        self.incoming().end(PipeState::Reset);
        if let Some(world) = try_world()
            && self.outgoing().state.get() != PipeState::Open
        {
            world.network.forget(&self.connection);
        }
    }
}

/// A connection.
pub struct Stream {
    ends: Rc<Ends>,
}

impl Stream {
    /// The other side's address.
    pub fn peer_address(&self) -> SocketAddr {
        if self.ends.is_server {
            self.ends.connection.client_address
        } else {
            self.ends.connection.server_address
        }
    }

    /// The two directions, to be used by two tasks.
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        (ReadHalf { ends: Rc::clone(&self.ends) }, WriteHalf { ends: self.ends })
    }
}

/// A connection between two cores: one has let go of it, the other has not yet taken it up. Dropped, it is closed.
///
/// It may be sent, so it only names what the world keeps meanwhile.
#[derive(Debug)]
pub struct MovingStream {
    number: u64,
}

impl MovingStream {
    /// Takes a connection off this core: both halves of one [`Stream`]. The seed may give it back, as if
    /// there were no descriptor left.
    pub fn depart(read: ReadHalf, write: WriteHalf) -> Result<MovingStream, Stream> {
        debug_assert!(Rc::ptr_eq(&read.ends, &write.ends), "halves of two connections");
        if world().random.chance(1, 50) {
            return Err(Stream { ends: read.ends });
        }
        Ok(MovingStream { number: world().network.keep_moving(read.ends) })
    }

    /// Takes the connection up on this core.
    #[expect(
        clippy::expect_used,
        reason = "only this and `drop` take away what `depart` has put there"
    )]
    pub fn arrive(self) -> Stream {
        let ends = world().network.take_moving(self.number);
        Stream { ends: ends.expect("a moving stream is kept until it arrives") }
    }
}

impl Drop for MovingStream {
    fn drop(&mut self) {
        // Dropped after the world has let go of it.
        let left = try_world().and_then(|world| world.network.take_moving(self.number));
        drop(left);
    }
}

/// The direction towards us.
pub struct ReadHalf {
    ends: Rc<Ends>,
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "simulated connection was cut")
}

impl ReadHalf {
    /// Adds at most `limit` bytes to `buffer` within its capacity; 0 at the end of the stream.
    pub async fn read_into(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        let mut bytes = vec![0; limit.min(buffer.capacity() - buffer.len())];
        let count = self.read(&mut bytes).await?;
        buffer.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    /// Reads some bytes, as many as the seed says; 0 at the end of the stream.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.ends.maybe_cut();
        let pipe = Rc::clone(self.ends.incoming());
        loop {
            if pipe.state.get() == PipeState::Reset {
                return Err(reset());
            }
            let world = world();
            let arrives_ns = pipe.segments.borrow().front().map(|segment| segment.arrives_ns);
            match arrives_ns {
                Some(at) if at <= world.timers.now_ns() => {
                    let count = take(&pipe, buffer, |most| {
                        if world.random.chance(3, 4) { most } else { world.random.between(1, most) }
                    });
                    pipe.changed.notify_waiters();
                    return Ok(count);
                }
                Some(at) => {
                    futures_lite::future::or(sleep_until_ns(at), pipe.changed.notified()).await;
                }
                None if pipe.state.get() == PipeState::Finished => return Ok(0),
                None => pipe.changed.notified().await,
            }
        }
    }

    /// Fills the buffer, or fails with `UnexpectedEof`.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let count = self.read(rest).await?;
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "stream ended early"));
            }
            rest = rest.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Moves bytes of the first segment into `buffer`; `choose` picks how many of those that fit.
fn take(pipe: &Pipe, buffer: &mut [u8], choose: impl Fn(u64) -> u64) -> usize {
    let mut segments = pipe.segments.borrow_mut();
    let Some(segment) = segments.front_mut() else { return 0 };
    let most = segment.bytes.remaining().min(buffer.len());
    let count = (choose(most as u64) as usize).clamp(1, most.max(1)).min(most);
    if let Some(place) = buffer.get_mut(..count) {
        place.copy_from_slice(&segment.bytes.split_to(count));
    }
    if segment.bytes.is_empty() {
        segments.pop_front();
    }
    count
}

/// The direction away from us.
pub struct WriteHalf {
    ends: Rc<Ends>,
}

impl WriteHalf {
    /// Writes all of it. `Ok` says that the bytes were taken, not that they arrive.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ends.maybe_cut();
        let pipe = Rc::clone(self.ends.outgoing());
        let mut rest = Bytes::copy_from_slice(bytes);
        while !rest.is_empty() {
            match pipe.state.get() {
                PipeState::Open => {}
                PipeState::Finished => {
                    return Err(io::Error::new(io::ErrorKind::BrokenPipe, "this side was closed"));
                }
                PipeState::Reset => return Err(reset()),
            }
            let room = pipe.capacity_bytes.saturating_sub(pipe.queued_bytes());
            if room == 0 {
                pipe.changed.notified().await;
                continue;
            }
            let world = world();
            let part = rest.split_to(rest.len().min(room));
            let (low_us, high_us) = pipe.delay_us;
            let soonest_ns = world.timers.now_ns() + world.random.between(low_us, high_us) * 1000;
            let mut segments = pipe.segments.borrow_mut();
            let arrives_ns = segments.back().map_or(0, |last| last.arrives_ns).max(soonest_ns);
            segments.push_back(Segment { arrives_ns, bytes: part });
            drop(segments);
            pipe.changed.notify_waiters();
        }
        Ok(())
    }

    /// Writes some of `pieces`, as much as the seed says but at most `limit_bytes`; says how many bytes.
    pub async fn write_vectored(
        &mut self,
        pieces: &[IoSlice<'_>],
        limit_bytes: usize,
    ) -> io::Result<usize> {
        let most = pieces.iter().map(|piece| piece.len()).sum::<usize>().min(limit_bytes);
        let random = &world().random;
        let count = match most {
            0 => 0,
            most if random.chance(3, 4) => most,
            most => random.between(1, most as u64) as usize,
        };
        let mut part = Vec::with_capacity(count);
        for piece in pieces {
            let left = count - part.len();
            part.extend_from_slice(piece.get(..piece.len().min(left)).unwrap_or_default());
        }
        self.write_all(&part).await?;
        Ok(count)
    }

    /// Says that nothing more will come. What was written still arrives.
    pub async fn close(&mut self) -> io::Result<()> {
        self.ends.outgoing().end(PipeState::Finished);
        Ok(())
    }
}
