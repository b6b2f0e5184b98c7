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
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioTimer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::patient::Patient;

/// A connection's read buffer grows to this; heads are far smaller, bodies are read in parts.
const READ_BUFFER_BYTES_MAX: usize = 64 << 10;
/// After a failed accept (no file descriptor left, say) the listener rests this long.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// How many connections, and how slow they may be.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Open connections. More wait in the listener's queue.
    pub connections_max: usize,
    /// How long a request's head may take to arrive, and a connection may be idle.
    pub head_timeout: Duration,
    /// How long a client may leave a reply lying without taking any of it.
    pub write_timeout: Duration,
    /// How long `stop` waits for requests that are under way.
    pub stop_timeout: Duration,
}

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
pub async fn open<A, F>(listen: SocketAddr, limits: HttpLimits, answer: A) -> io::Result<HttpDoor>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let socket = TcpListener::bind(listen).await?;
    let address = socket.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let connections = HttpConnections::default();
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let listener = Listener { socket, limits, places, connections: connections.clone(), stopped };
    let listening = tokio::spawn(listener.run(answer));
    Ok(HttpDoor { address, stop, listening, connections })
}

struct Listener {
    socket: TcpListener,
    limits: HttpLimits,
    places: Arc<Semaphore>,
    connections: HttpConnections,
    stopped: watch::Receiver<bool>,
}

impl Listener {
    async fn run<A, F>(self, answer: A)
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
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
            let connection = serve(socket, self.limits, answer.clone(), self.stopped.clone());
            serving.spawn(async move {
                connection.await;
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

async fn serve<A, F>(
    socket: TcpStream,
    limits: HttpLimits,
    answer: A,
    mut stopped: watch::Receiver<bool>,
) where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let patient = Patient::new(socket, limits.write_timeout);
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(READ_BUFFER_BYTES_MAX)
        .serve_connection(patient, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        served = connection.as_mut() => Some(served),
        _ = stopped.wait_for(|stop| *stop) => None,
    };
    let served = match ended {
        Some(served) => served,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // Clients that vanish, stall or send what is no HTTP are not the operator's business.
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}
