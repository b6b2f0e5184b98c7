//! What every door that speaks HTTP has in common: a listener, and connections with bounds.
//!
//! **What it is.** [`open`] listens on an address and hands each request to a function that answers
//! it. HTTP/1.1 and HTTP/2 come in by the same port and are told apart by their first bytes;
//! [`open_tls`] is the same inside TLS. How many connections there may be, and how slow their
//! clients, is [`HttpLimits`].
//!
//! **What it owns.** The listener, its connections, and their end: [`HttpDoor::stop`] lets requests
//! that are under way finish.
//!
//! **Where it runs.** On tokio's worker threads, off the lane-owning cores.
//!
//! **What it must never do.** Look into a request: what is asked, how large its body may be and who
//! may ask is for the door that it serves.
//!
//! **Where to start reading.** [`listener`], then [`connection`] (from the first byte to the last, and
//! the bounds of HTTP/2), [`patient`] (a socket that does not wait for ever), [`pace`] and
//! [`stream_task`] (what that is for a stream of HTTP/2), [`tls`].

mod connection;
mod limits;
mod listener;
mod pace;
mod patient;
mod preface;
mod stream_task;
mod tls;

pub use limits::HttpLimits;
pub use listener::{HttpConnections, HttpDoor, open, open_tls};
pub use tls::{TlsError, TlsIdentity};
