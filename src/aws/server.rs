//! The listener of this door.

use std::{io, net::SocketAddr, sync::Arc};

use broker::BrokerHandle;
use http_door::{HttpDoor, HttpLimits};
use kinesis::{BrokerLog, Kinesis};
use thiserror::Error;

use crate::{
    config::{AwsConfig, AwsLimits},
    door_metrics::{DoorMetrics, DoorReader},
    exchange::Door,
    memory::Memory,
    service::Service,
};

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
    door: HttpDoor,
    metrics: Arc<DoorMetrics>,
    memory: Memory,
}

impl AwsServer {
    /// The address that it listens on, with the port that the system chose if 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.door.local_address()
    }

    /// What the door counts.
    pub fn reader(&self) -> DoorReader {
        DoorReader {
            metrics: Arc::clone(&self.metrics),
            connections: self.door.connections().clone(),
            memory: self.memory.clone(),
        }
    }

    /// Takes no more connections, lets requests that are under way finish (within
    /// [`crate::AwsLimits::stop_timeout`]), and closes.
    pub async fn stop(self) {
        self.door.stop().await;
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
    let (listen, limits) = (config.listen, config.limits);
    let memory = Memory::new(limits.memory_bytes);
    let metrics = Arc::new(DoorMetrics::new(S::operations()));
    let door = Door { service, config, memory: memory.clone(), metrics: Arc::clone(&metrics) };
    let door = Arc::new(door);
    let door = http_door::open(listen, http_limits(limits), move |request| {
        Arc::clone(&door).answer(request)
    })
    .await
    .map_err(|error| ServeError::Listen { address: listen, error })?;
    Ok(AwsServer { door, metrics, memory })
}

fn http_limits(limits: AwsLimits) -> HttpLimits {
    HttpLimits {
        connections_max: limits.connections_max,
        head_timeout: limits.head_timeout,
        write_timeout: limits.write_timeout,
        stop_timeout: limits.stop_timeout,
    }
}
