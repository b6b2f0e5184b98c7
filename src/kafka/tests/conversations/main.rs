//! Conversations with the door as a client has them: a broker on the simulated runtime, a
//! connection, requests in, replies out. Each test says what a reference or an issue of another
//! broker taught (see the names).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what must be there"
)]

mod admin;
mod commits_under_way;
mod consumer_groups;
mod conversation;
mod counting;
mod fetching;
mod following;
mod framing;
mod group_admin;
mod groups;
mod metadata;
mod moving;
mod producing;
mod transactions;
mod worker_leases;
