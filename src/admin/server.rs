//! The door itself: opened before recovery, told how far the program has come, closed last.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http_door::{HttpDoor, HttpLimits};
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    config::AdminConfig,
    readiness::{Phase, Serving},
    routes::Routes,
};

/// Who reads these pages is a handful of programs and people.
const LIMITS: HttpLimits = HttpLimits {
    connections_max: 64,
    // Longer than the usual interval between two scrapes, for which Prometheus keeps a connection.
    head_timeout: Duration::from_secs(75),
    write_timeout: Duration::from_secs(10),
    stop_timeout: Duration::from_secs(1),
};

/// Why the door could not be opened.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address} for metrics and health: {error}. Choose another \
         --admin-listen, or switch it off with --admin-listen=off"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
}

/// The door, open. Dropping it leaves it open until the tokio runtime ends.
pub struct AdminServer {
    door: HttpDoor,
    phase: watch::Sender<Phase>,
}

/// Opens the door; it answers that the program is starting until told otherwise. To be called
/// inside a tokio runtime, whose workers then serve it.
pub async fn serve(config: AdminConfig) -> Result<AdminServer, ServeError> {
    let address = config.listen;
    let (phase, phases) = watch::channel(Phase::Recovering);
    let routes = Arc::new(Routes::new(config, phases));
    let door = http_door::open(address, LIMITS, move |request| Arc::clone(&routes).answer(request))
        .await
        .map_err(|error| ServeError::Listen { address, error })?;
    Ok(AdminServer { door, phase })
}

impl AdminServer {
    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.door.local_address()
    }

    /// The broker has recovered and its doors are open.
    pub fn note_serving(&self, serving: Serving) {
        self.phase.send_replace(Phase::Serving(Arc::new(serving)));
    }

    /// The program is about to stop: no more work should be sent to it.
    pub fn note_stopping(&self) {
        self.phase.send_replace(Phase::Stopping);
    }

    /// Closes the door.
    pub async fn stop(self) {
        self.door.stop().await;
    }
}
