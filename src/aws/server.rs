//! The listener and its connections.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use broker::BrokerHandle;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioTimer;
use kinesis::{BrokerLog, Kinesis};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    config::AwsConfig, exchange::Door, memory::Memory, patient::Patient, service::Service,
};

/// A connection's read buffer grows to this; heads are far smaller, bodies are read in parts.
const READ_BUFFER_BYTES_MAX: usize = 64 << 10;
/// After a failed accept (no file descriptor left, say) the listener rests this long.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Why the door could not be opened.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for AWS clients: {error}. Choose another --aws-listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
}

/// A door that is open. Dropping it leaves it open until the tokio runtime ends; see
/// [`AwsServer::stop`].
#[derive(Debug)]
pub struct AwsServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    listening: JoinHandle<()>,
}

impl AwsServer {
    /// The address that it listens on, with the port that the system chose if 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests that are under way finish (within
    /// [`crate::AwsLimits::stop_timeout`]), and closes.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.listening.await {
            tracing::error!(%error, "the AWS listener did not end well");
        }
    }
}

/// Opens the door to the broker behind `handle`. To be called inside a tokio runtime, whose
/// workers then serve it.
pub async fn serve(handle: BrokerHandle, config: AwsConfig) -> Result<AwsServer, ServeError> {
    let kinesis = Kinesis::new(BrokerLog::new(handle), &config.secret);
    open(kinesis, config).await
}

/// Opens the door to any service.
pub(crate) async fn open<S: Service>(
    service: S,
    config: AwsConfig,
) -> Result<AwsServer, ServeError> {
    let refused = |error| ServeError::Listen { address: config.listen, error };
    let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let (stop, stopped) = watch::channel(false);
    let memory = Memory::new(config.limits.memory_bytes);
    let door = Arc::new(Door { service, config, memory });
    let listening = tokio::spawn(listen(listener, door, stopped));
    Ok(AwsServer { address, stop, listening })
}

async fn listen<S: Service>(
    listener: TcpListener,
    door: Arc<Door<S>>,
    mut stopped: watch::Receiver<bool>,
) {
    let limits = door.config.limits;
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let Some((socket, place)) = accepted else { continue };
        let connection = connection(socket, Arc::clone(&door), stopped.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.stop_timeout, finish).await.is_err() {
        tracing::warn!(open = connections.len(), "AWS connections are cut off");
        connections.shutdown().await;
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, _)) => {
            // A reply is written whole; waiting to fill a packet would only delay it.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was not set");
            }
            Some((socket, place))
        }
        Err(error) => {
            tracing::warn!(%error, "an AWS connection could not be accepted");
            sleep(ACCEPT_REST).await;
            None
        }
    }
}

async fn connection<S: Service>(
    socket: TcpStream,
    door: Arc<Door<S>>,
    mut stopped: watch::Receiver<bool>,
) {
    let limits = door.config.limits;
    let patient = Patient::new(socket, limits.write_timeout);
    let answer = service_fn(move |request| Arc::clone(&door).answer(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(READ_BUFFER_BYTES_MAX)
        .serve_connection(patient, answer);
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
        tracing::debug!(%error, "an AWS connection ended early");
    }
}
