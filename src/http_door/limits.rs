//! The bounds of a door.

use std::time::Duration;

/// How many connections, and how slow they may be.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Open connections. More wait in the listener's queue.
    pub connections_max: usize,
    /// How long a TLS handshake, or a request's head, may take to arrive, and a connection may be
    /// idle.
    pub head_timeout: Duration,
    /// How long a client may leave a reply lying without taking any of it.
    pub write_timeout: Duration,
    /// How long `stop` waits for requests that are under way.
    pub stop_timeout: Duration,
}
