//! The listener of this door.

use std::{io, net::SocketAddr, sync::Arc};

use broker::BrokerHandle;
use http_door::{HttpDoor, HttpLimits, TlsIdentity};
use kinesis::{BrokerLog, Kinesis};
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    config::{AwsConfig, AwsLimits, AwsSecurity, AwsTls},
    door_metrics::{DoorMetrics, DoorReader},
    exchange::Door,
    memory::Memory,
    service::Service,
    signature::{Credentials, Signatures},
    tls::{IdentityError, TlsSource},
};

/// Why the door could not be opened.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for AWS clients: {error}. Choose another {flag}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What sets it.
        flag: &'static str,
        /// What the operating system said.
        error: io::Error,
    },
    /// There is no certificate for TLS.
    #[error("the AWS door has no TLS certificate: {0}")]
    Identity(#[from] IdentityError),
}

/// A door that is open. Dropping it leaves it open until the tokio runtime ends; see
/// [`AwsServer::stop`].
#[derive(Debug)]
pub struct AwsServer {
    door: HttpDoor,
    tls_door: Option<HttpDoor>,
    /// The certificate that is shown, and where it came from.
    identity: Option<(TlsSource, TlsIdentity)>,
    signatures: Option<Signatures>,
    metrics: Arc<DoorMetrics>,
    memory: Memory,
    /// Ends streams of events, which would keep their connections for minutes.
    stop: watch::Sender<bool>,
}

impl AwsServer {
    /// The address that it listens on without TLS, with the port that the system chose if 0 was
    /// asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.door.local_address()
    }

    /// The address that it listens on with TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_door.as_ref().map(HttpDoor::local_address)
    }

    /// Reads the certificate and its key again, for those who connect from now on. After an error
    /// the ones before stay.
    pub fn reload_certificate(&self) -> Result<(), IdentityError> {
        if let Some((source, identity)) = &self.identity {
            identity.replace(&source.identity()?);
        }
        Ok(())
    }

    /// From now on these are who may ask. A door that was opened to everybody stays so.
    pub fn replace_credentials(&self, credentials: Credentials) {
        if let Some(signatures) = &self.signatures {
            signatures.replace(credentials);
        }
    }

    /// What the door counts.
    pub fn reader(&self) -> DoorReader {
        DoorReader {
            metrics: Arc::clone(&self.metrics),
            connections: self.doors().map(|door| door.connections().clone()).collect(),
            memory: self.memory.clone(),
        }
    }

    fn doors(&self) -> impl Iterator<Item = &HttpDoor> {
        std::iter::once(&self.door).chain(&self.tls_door)
    }

    /// Takes no more connections, lets requests that are under way finish (within
    /// [`crate::AwsLimits::stop_timeout`]), and closes.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let tls_door = async {
            if let Some(door) = self.tls_door {
                door.stop().await;
            }
        };
        tokio::join!(self.door.stop(), tls_door);
    }
}

/// Opens the door to the broker behind `handle`, to whoever reaches it. To be called inside a tokio
/// runtime, whose workers then serve it.
pub async fn serve(handle: BrokerHandle, config: AwsConfig) -> Result<AwsServer, ServeError> {
    serve_secured(handle, config, AwsSecurity::default()).await
}

/// The same, with TLS on one more address and to holders of credentials, as `security` says.
pub async fn serve_secured(
    handle: BrokerHandle,
    config: AwsConfig,
    security: AwsSecurity,
) -> Result<AwsServer, ServeError> {
    let kinesis = Kinesis::new(BrokerLog::new(handle), &config.secret);
    open(kinesis, config, security).await
}

/// Opens the door to any service.
pub(crate) async fn open<S: Service>(
    service: S,
    config: AwsConfig,
    security: AwsSecurity,
) -> Result<AwsServer, ServeError> {
    let limits = config.limits;
    let memory = Memory::new(limits.memory_bytes);
    let metrics = Arc::new(DoorMetrics::new(S::operations()));
    let (stop, stopping) = watch::channel(false);
    let AwsSecurity { tls, credentials } = security;
    let listen = config.listen;
    let signatures = credentials.map(Signatures::new);
    let door = Arc::new(Door {
        service,
        signatures: signatures.clone(),
        config,
        memory: memory.clone(),
        metrics: Arc::clone(&metrics),
        stopping,
    });
    let answer = move |request| Arc::clone(&door).answer(request);
    let refused = |address, flag| move |error| ServeError::Listen { address, flag, error };
    let (tls_door, identity) = match tls {
        Some(AwsTls { listen, source }) => {
            let identity = source.identity()?;
            let shown = identity.clone();
            let opened =
                http_door::open_tls(listen, http_limits(limits), shown, answer.clone()).await;
            let opened = opened.map_err(refused(listen, "--aws-tls-listen"))?;
            (Some(opened), Some((source, identity)))
        }
        None => (None, None),
    };
    let opened = http_door::open(listen, http_limits(limits), answer).await;
    let door = opened.map_err(refused(listen, "--aws-listen"))?;
    Ok(AwsServer { door, tls_door, identity, signatures, metrics, memory, stop })
}

fn http_limits(limits: AwsLimits) -> HttpLimits {
    HttpLimits {
        connections_max: limits.connections_max,
        head_timeout: limits.head_timeout,
        write_timeout: limits.write_timeout,
        stop_timeout: limits.stop_timeout,
    }
}
