//! What every door that speaks HTTP/1.1 has in common: a listener, and connections with bounds.
//!
//! **What it is.** [`open`] listens on an address and hands each request to a function that answers
//! it. How many connections there may be, and how slow their clients, is [`HttpLimits`].
//!
//! **What it owns.** The listener, its connections, and their end: [`HttpDoor::stop`] lets requests
//! that are under way finish.
//!
//! **Where it runs.** On tokio's worker threads, off the lane-owning cores.
//!
//! **What it must never do.** Look into a request: what is asked, how large its body may be and who
//! may ask is for the door that it serves.
//!
//! **Where to start reading.** [`listener`], then [`patient`] (a socket that does not wait for ever).

mod listener;
mod patient;

pub use listener::{HttpConnections, HttpDoor, HttpLimits, open};
