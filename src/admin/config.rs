//! What the program tells this door.

use std::{net::SocketAddr, sync::Arc};

use thiserror::Error;

/// How the door is to be opened.
#[derive(Clone)]
pub struct AdminConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What runs.
    pub build: Build,
    /// The log, whose levels can be changed here.
    pub log: Arc<dyn LogLevels>,
}

/// What was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// The program's version.
    pub version: &'static str,
    /// The commit that it was built from, where the build was told.
    pub commit: Option<&'static str>,
}

/// The log's levels.
pub trait LogLevels: Send + Sync {
    /// The directives in force, as in `info,kafka=debug`.
    fn directives(&self) -> String;

    /// Puts other directives in force.
    fn set_directives(&self, directives: &str) -> Result<(), BadDirectives>;
}

/// Directives that are not understood; those in force stay.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{directives}` are no log levels: {reason}. Write LEVEL or TARGET=LEVEL, separated by \
         commas, as in info,kafka=debug; levels are off, error, warn, info, debug, trace"
)]
pub struct BadDirectives {
    /// What was said.
    pub directives: String,
    /// What is wrong with it.
    pub reason: String,
}
