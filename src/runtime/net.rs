//! TCP sockets of a core.
//!
//! Every core binds its own [`Listener`] to the same address (SO_REUSEPORT) and keeps what it accepts.

pub use std::net::SocketAddr;

pub use crate::backend::net::{Listener, ReadHalf, Stream, WriteHalf, connect};
