//! The life of a broker process.

use crate::configuration::Configuration;

/// Runs a broker until a signal stops it.
pub fn run(_configuration: Configuration) -> Result<(), Box<dyn std::error::Error>> {
    Err("the broker is not wired yet".into())
}
