//! TCP sockets of a core.
//!
//! Every core binds its own [`Listener`] to the same address (SO_REUSEPORT) and keeps what it accepts, unless it
//! sends it to another as a [`MovingStream`].

pub use std::net::SocketAddr;

pub use crate::backend::net::{Listener, MovingStream, ReadHalf, Stream, WriteHalf, connect};
