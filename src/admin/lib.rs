//! What the program shows of itself: the door for operators, orchestrators and Prometheus.
//!
//! **What it is.** A few pages over HTTP: `/livez` and `/readyz` (may it be sent work, and if not,
//! why), `/version`, `/metrics`, and `/log-level`, which can be changed while the program runs.
//!
//! **What it owns.** The names, types and help texts of all metrics, and what "ready" means. The
//! numbers are counted in the rooms that do the work, on their cores, and asked for when somebody
//! reads.
//!
//! **Where it runs.** On tokio's worker threads, off the lane-owning cores. It listens before
//! recovery begins and until the broker has stopped.
//!
//! **What it must never do.** Show what records contain or who sends them; slow a core down (each is
//! asked once a page, and a core that does not answer in time is told of, not waited for); decide
//! anything about data.
//!
//! **Where to start reading.** [`routes`] (which path answers what), then [`readiness`] and `metrics/mod.rs`.

mod answers;
mod config;
mod metrics;
mod readiness;
mod routes;
mod server;

pub use config::{AdminConfig, BadDirectives, Build, LogLevels};
pub use readiness::Serving;
pub use server::{AdminServer, ServeError, serve};

#[cfg(test)]
mod tests;
