//! The listener and its connections.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body, Incoming},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{connection, limits::HttpLimits, tls::TlsIdentity};

/// After a failed accept (no file descriptor left, say) the listener rests this long.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// A door that is open. Dropping it leaves it open until the tokio runtime ends; see
/// [`HttpDoor::stop`].
#[derive(Debug)]
pub struct HttpDoor {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    listening: JoinHandle<()>,
    connections: HttpConnections,
}

/// How many connections a door has and had. Cheap to clone; usable from any thread.
#[derive(Debug, Clone, Default)]
pub struct HttpConnections {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    ended: AtomicU64,
}

impl HttpConnections {
    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        // In this order, so that one that ends between the two is not missing twice.
        let ended = self.counts.ended.load(Ordering::Acquire);
        self.accepted().saturating_sub(ended)
    }

    /// Connections that were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.counts.accepted.load(Ordering::Acquire)
    }
}

/// A connection's place, and its place among the counts, while it lives.
struct Place {
    _permit: OwnedSemaphorePermit,
    connections: HttpConnections,
}

impl Place {
    fn taken(permit: OwnedSemaphorePermit, connections: &HttpConnections) -> Place {
        connections.counts.accepted.fetch_add(1, Ordering::AcqRel);
        Place { _permit: permit, connections: connections.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.counts.ended.fetch_add(1, Ordering::AcqRel);
    }
}

impl HttpDoor {
    /// The address that it listens on, with the port that the system chose if 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there are.
    pub fn connections(&self) -> &HttpConnections {
        &self.connections
    }

    /// Takes no more connections, lets requests that are under way finish (within
    /// [`HttpLimits::stop_timeout`]), and closes.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.listening.await {
            tracing::error!(%error, address = %self.address, "a listener did not end well");
        }
    }
}

/// Listens on an address, and has `answer` answer each request. To be called inside a tokio
/// runtime, whose workers then serve it.
pub async fn open<A, F, B>(
    listen: SocketAddr,
    limits: HttpLimits,
    answer: A,
) -> io::Result<HttpDoor>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    open_with(listen, limits, None, answer).await
}

/// The same, with TLS.
pub async fn open_tls<A, F, B>(
    listen: SocketAddr,
    limits: HttpLimits,
    identity: TlsIdentity,
    answer: A,
) -> io::Result<HttpDoor>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    open_with(listen, limits, Some(identity), answer).await
}

async fn open_with<A, F, B>(
    listen: SocketAddr,
    limits: HttpLimits,
    tls: Option<TlsIdentity>,
    answer: A,
) -> io::Result<HttpDoor>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let socket = TcpListener::bind(listen).await?;
    let address = socket.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let connections = HttpConnections::default();
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let counting = connections.clone();
    let listener = Listener { socket, tls, limits, places, connections: counting, stopped };
    let listening = tokio::spawn(listener.run(answer));
    Ok(HttpDoor { address, stop, listening, connections })
}

struct Listener {
    socket: TcpListener,
    tls: Option<TlsIdentity>,
    limits: HttpLimits,
    places: Arc<Semaphore>,
    connections: HttpConnections,
    stopped: watch::Receiver<bool>,
}

impl Listener {
    async fn run<A, F, B>(self, answer: A)
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let mut serving = JoinSet::new();
        let mut stopped = self.stopped.clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                Some(_) = serving.join_next() => continue,
                _ = stopped.wait_for(|stop| *stop) => break,
            };
            let Some((socket, place)) = accepted else { continue };
            let (tls, limits) = (self.tls.clone(), self.limits);
            let (answer, stopped) = (answer.clone(), self.stopped.clone());
            serving.spawn(async move {
                connection::serve(socket, tls, limits, answer, stopped).await;
                drop(place);
            });
        }
        drop(self.socket);
        let finish = async { while serving.join_next().await.is_some() {} };
        if timeout(self.limits.stop_timeout, finish).await.is_err() {
            tracing::warn!(open = serving.len(), "HTTP connections are cut off");
            serving.shutdown().await;
        }
    }

    /// The next connection, once there is a place for it.
    async fn accept(&self) -> Option<(TcpStream, Place)> {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        match self.socket.accept().await {
            Ok((socket, _)) => {
                let place = Place::taken(permit, &self.connections);
                // A reply is written whole; waiting to fill a packet would only delay it.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY was not set");
                }
                Some((socket, place))
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                sleep(ACCEPT_REST).await;
                None
            }
        }
    }
}
