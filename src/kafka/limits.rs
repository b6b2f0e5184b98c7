//! What the broker's settings say about connections and requests. They are fixed at start.

use std::time::Duration;

use state::{
    catalog::Catalog,
    configs::{CONNECTIONS_MAX_IDLE_MS, FETCH_MAX_BYTES, SOCKET_REQUEST_MAX_BYTES},
};

/// Bounds on what one client may do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `socket.request.max.bytes`: a larger frame closes its connection.
    pub request_bytes_max: usize,
    /// `fetch.max.bytes`: a reply has no more, its first batch apart.
    pub fetch_bytes_max: usize,
    /// `connections.max.idle.ms`: a connection on which nothing happens for so long is closed;
    /// `None` for never.
    pub idle_max: Option<Duration>,
}

impl Limits {
    /// As the broker is set up; Kafka's defaults for what is not known.
    pub fn of(catalog: &Catalog) -> Limits {
        let size = |name, otherwise| {
            let bytes = catalog.broker_number(name).and_then(|bytes| usize::try_from(bytes).ok());
            bytes.unwrap_or(otherwise)
        };
        let idle_ms = catalog.broker_number(CONNECTIONS_MAX_IDLE_MS).unwrap_or(600_000);
        Limits {
            request_bytes_max: size(SOCKET_REQUEST_MAX_BYTES, 104_857_600),
            fetch_bytes_max: size(FETCH_MAX_BYTES, 57_671_680),
            idle_max: u64::try_from(idle_ms).ok().map(Duration::from_millis),
        }
    }
}
