//! Sockets on glommio.
#![expect(
    unsafe_code,
    reason = "glommio takes sockets that were made elsewhere only as raw descriptors"
)]

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd},
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use bytes::BytesMut;
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that may wait to be accepted, per core. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Reads that were ready at once before the rest of the core gets a turn: a peer that sends faster than we
/// work must not starve the others.
const READY_READS_PER_TURN: u32 = 64;

/// How long to wait when the process has no descriptor or memory left for one more connection.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(20);

/// How much of what was waited for is read by way of the stack.
const FIRST_BYTES: usize = 4096;

/// Pieces handed to the kernel with one call.
const PIECES_MAX: usize = 64;

type PendingAccept = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

/// Accepts the connections that the kernel hands to this core.
pub struct Listener {
    inner: Rc<TcpListener>,
    address: SocketAddr,
    /// The accept in the ring. It outlives a dropped [`Listener::accept`], so that a connection which the
    /// kernel has already handed out is not lost together with its descriptor.
    pending: RefCell<Option<PendingAccept>>,
}

impl Listener {
    /// Listens on `address`, together with every other listener of this user on it (SO_REUSEPORT). Port 0
    /// takes any free port.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let domain = Domain::for_address(address);
        // socket2 sets CLOEXEC.
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_port(true)?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let address = socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::other("the listening socket has no internet address"))?;
        // SAFETY: the descriptor is a listening socket, and given up by `into_raw_fd`.
        let inner = unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) };
        Ok(Listener { inner: Rc::new(inner), address, pending: RefCell::new(None) })
    }

    /// Where it listens; with the port that was taken if 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    /// Waits for a connection. To be awaited by one task at a time.
    ///
    /// An error is of this attempt, not of the listener: log it and call again. When descriptors or memory
    /// have run out it comes after a pause, so that calling again does not spin.
    pub async fn accept(&self) -> io::Result<Stream> {
        loop {
            let stream = match self.accept_any().await {
                Ok(stream) => stream,
                Err(error) if is_of_the_peer(&error) => continue,
                Err(error) => {
                    crate::sleep(PAUSE_WHEN_EXHAUSTED).await;
                    return Err(error);
                }
            };
            match Stream::accepted(stream) {
                Ok(stream) => return Ok(stream),
                // The peer has gone already; dropping the stream closed it.
                Err(error) => tracing::debug!(%error, "a connection ended before it began"),
            }
        }
    }

    async fn accept_any(&self) -> io::Result<TcpStream> {
        poll_fn(|context| {
            let mut pending = self.pending.borrow_mut();
            let accept = pending.get_or_insert_with(|| {
                let listener = Rc::clone(&self.inner);
                Box::pin(async move { listener.accept().await.map_err(io::Error::from) })
            });
            let result = accept.as_mut().poll(context);
            if result.is_ready() {
                *pending = None;
            }
            result
        })
        .await
    }
}

/// Errors of accept(2) that only say that this one connection has already failed.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    ) || error.raw_os_error() == Some(libc::EPROTO)
}

/// Opens a connection from this core.
pub async fn connect(address: SocketAddr) -> io::Result<Stream> {
    Stream::accepted(TcpStream::connect(address).await.map_err(io::Error::from)?)
}

/// A TCP connection. Dropped, together with its halves, it is closed.
pub struct Stream {
    inner: Rc<RefCell<TcpStream>>,
    peer_address: SocketAddr,
}

impl Stream {
    fn accepted(inner: TcpStream) -> io::Result<Stream> {
        let peer_address = inner.peer_addr().map_err(io::Error::from)?;
        // SAFETY: `inner` owns the descriptor and outlives the borrow.
        let descriptor = unsafe { BorrowedFd::borrow_raw(inner.as_raw_fd()) };
        // glommio leaves the descriptor open across exec.
        SockRef::from(&descriptor.as_fd()).set_cloexec(true)?;
        SockRef::from(&descriptor.as_fd()).set_keepalive(true)?;
        inner.set_nodelay(true).map_err(io::Error::from)?;
        Ok(Stream { inner: Rc::new(RefCell::new(inner)), peer_address })
    }

    /// Who is at the other end.
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// The two directions, each for a task of its own.
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        let (inner, peer_address) = (Rc::clone(&self.inner), self.peer_address);
        let read = ReadHalf { inner, peer_address, ready_reads: 0 };
        (read, WriteHalf { inner: self.inner })
    }
}

/// A connection between two cores: one has let go of it, the other has not yet taken it up. Dropped, it is closed.
#[derive(Debug)]
pub struct MovingStream {
    descriptor: OwnedFd,
    peer_address: SocketAddr,
}

impl MovingStream {
    /// Takes a connection off this core: both halves of one [`Stream`]. What has been read of it must be handed
    /// on by the caller; what the kernel still holds of it goes along. Gives the connection back if there is no
    /// descriptor left.
    pub fn depart(read: ReadHalf, write: WriteHalf) -> Result<MovingStream, Stream> {
        let ReadHalf { inner, peer_address, .. } = read;
        debug_assert!(Rc::ptr_eq(&inner, &write.inner), "halves of two connections");
        // SAFETY: `inner` owns the descriptor and outlives the borrow.
        let descriptor = unsafe { BorrowedFd::borrow_raw(inner.borrow().as_raw_fd()) };
        // glommio does not give its own away. It only polls it, so dropping the halves loses no bytes.
        match descriptor.try_clone_to_owned() {
            Ok(descriptor) => Ok(MovingStream { descriptor, peer_address }),
            Err(error) => {
                tracing::debug!(%error, "a connection stays on its core");
                Err(Stream { inner, peer_address })
            }
        }
    }

    /// Takes the connection up on this core.
    pub fn arrive(self) -> Stream {
        // SAFETY: the descriptor is a connected socket, and given up by `into_raw_fd`.
        let inner = unsafe { TcpStream::from_raw_fd(self.descriptor.into_raw_fd()) };
        Stream { inner: Rc::new(RefCell::new(inner)), peer_address: self.peer_address }
    }
}

/// What the peer sends.
pub struct ReadHalf {
    inner: Rc<RefCell<TcpStream>>,
    peer_address: SocketAddr,
    ready_reads: u32,
}

impl ReadHalf {
    /// Waits until there is something, and takes at most `buffer.len()` bytes of it. 0: the peer has finished
    /// (or `buffer` is empty). Nothing is lost when the future is dropped before it is done.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.ready_reads >= READY_READS_PER_TURN {
            self.ready_reads = 0;
            crate::yield_now().await;
        }
        let mut waited = false;
        let result = poll_fn(|context| {
            let mut stream = self.inner.borrow_mut();
            let poll = Pin::new(&mut *stream).poll_read(context, buffer);
            waited |= poll.is_pending();
            poll
        })
        .await;
        self.ready_reads = if waited { 0 } else { self.ready_reads + 1 };
        result
    }

    /// As [`ReadHalf::read`], but adds at most `limit` bytes to `buffer` within its capacity, so that memory
    /// need not be zeroed first. 0: the peer has finished (or there is no room).
    pub async fn read_into(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        let spare = buffer.spare_capacity_mut();
        let room = spare.len().min(limit);
        let Some(spare) = spare.get_mut(..room).filter(|spare| !spare.is_empty()) else {
            return Ok(0);
        };
        if self.ready_reads < READY_READS_PER_TURN {
            let stream = self.inner.borrow();
            // SAFETY: `stream` owns the descriptor and outlives the borrow.
            let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
            // glommio keeps no bytes of its own for this socket, so none are overtaken.
            match SockRef::from(&descriptor).recv_with_flags(spare, libc::MSG_DONTWAIT) {
                Ok(count) => {
                    drop(stream);
                    self.ready_reads += 1;
                    // SAFETY: the kernel has filled `count` bytes of the spare capacity.
                    unsafe { buffer.set_len(buffer.len() + count) };
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        // Nothing there yet: what comes first is small, or at least its first part is.
        let mut first = [0; FIRST_BYTES];
        let count = self.read(first.get_mut(..room.min(FIRST_BYTES)).unwrap_or_default()).await?;
        buffer.extend_from_slice(first.get(..count).unwrap_or_default());
        Ok(count)
    }

    /// Fills `buffer`. [`io::ErrorKind::UnexpectedEof`] if the peer finishes before. If the future is dropped
    /// before it is done, what it has read is lost.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest).await {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What is sent to the peer.
pub struct WriteHalf {
    inner: Rc<RefCell<TcpStream>>,
}

impl WriteHalf {
    /// Hands all of `bytes` to the kernel, waiting while its buffer is full. If the future is dropped before it
    /// is done, an unknown part has been sent.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let result = poll_fn(|context| {
                Pin::new(&mut *self.inner.borrow_mut()).poll_write(context, rest)
            })
            .await;
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hands some of `pieces` to the kernel, at most `limit_bytes`, and says how many bytes that were; waits while its
    /// buffer is full. 0 only if there is nothing to hand over. If the future is dropped before it is done, an
    /// unknown part of the first piece has been sent.
    pub async fn write_vectored(
        &mut self,
        pieces: &[IoSlice<'_>],
        limit_bytes: usize,
    ) -> io::Result<usize> {
        let mut window = [IoSlice::new(&[]); PIECES_MAX];
        let mut left_bytes = limit_bytes;
        let mut count = 0;
        for (place, piece) in window.iter_mut().zip(pieces) {
            let part = piece.get(..piece.len().min(left_bytes)).unwrap_or_default();
            if part.is_empty() && !piece.is_empty() {
                break;
            }
            left_bytes -= part.len();
            *place = IoSlice::new(part);
            count += 1;
        }
        let window = window.get(..count).unwrap_or_default();
        loop {
            match self.send_now(window) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                done => return done,
            }
            // glommio waits until it can send something, and sends it.
            let first = window.iter().find(|piece| !piece.is_empty());
            let first = first.map(|piece| &**piece).unwrap_or_default();
            let sent = poll_fn(|context| {
                Pin::new(&mut *self.inner.borrow_mut()).poll_write(context, first)
            })
            .await;
            match sent {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn send_now(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let stream = self.inner.borrow();
        // SAFETY: `stream` owns the descriptor and outlives the borrow.
        let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        match pieces {
            [] => Ok(0),
            [piece] => SockRef::from(&descriptor).send_with_flags(piece, flags),
            pieces => SockRef::from(&descriptor).send_vectored_with_flags(pieces, flags),
        }
    }

    /// Tells the peer that no more will come (a TCP FIN). Reading goes on.
    pub async fn close(&mut self) -> io::Result<()> {
        poll_fn(|context| Pin::new(&mut *self.inner.borrow_mut()).poll_close(context)).await
    }
}
