//! What the program decides about this door.

use std::{net::SocketAddr, time::Duration};

use crate::{signature::Credentials, tls::TlsSource};

/// How the door is to be opened.
#[derive(Debug, Clone)]
pub struct AwsConfig {
    /// Where to listen, without TLS.
    pub listen: SocketAddr,
    /// The region in ARNs when a request's signature does not say one.
    pub region: String,
    /// The account in ARNs and messages: 12 digits.
    pub account_id: String,
    /// The key under which tokens (shard iterators, page tokens) are made. It must be the same
    /// after a restart, and hard to guess.
    pub secret: Vec<u8>,
    /// Bounds; the defaults suit production.
    pub limits: AwsLimits,
}

/// Who may reach the door, and who may ask. By default nothing is protected.
#[derive(Debug, Clone, Default)]
pub struct AwsSecurity {
    /// Where to listen with TLS, if at all.
    pub tls: Option<AwsTls>,
    /// Who may ask. Without, signatures are not looked at.
    pub credentials: Option<Credentials>,
}

/// The listener with TLS.
#[derive(Debug, Clone)]
pub struct AwsTls {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Its certificate.
    pub source: TlsSource,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct AwsLimits {
    /// Open connections of each listener. More wait in its queue.
    pub connections_max: usize,
    /// Memory for requests being read and replies being written, in bytes, over all connections.
    pub memory_bytes: usize,
    /// How long a request's head may take to arrive, and a connection may be idle.
    pub head_timeout: Duration,
    /// How long a body may take to arrive, and a request may wait for memory.
    pub body_timeout: Duration,
    /// How long a client may leave a reply lying without taking any of it.
    pub write_timeout: Duration,
    /// How long `stop` waits for requests that are under way.
    pub stop_timeout: Duration,
}

impl Default for AwsLimits {
    fn default() -> Self {
        AwsLimits {
            connections_max: 10_000,
            memory_bytes: 256 << 20,
            // Longer than the 60 s for which the Java SDK keeps an idle connection, so that it is
            // the client that closes it, and no request meets a closing connection.
            head_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(10),
        }
    }
}
