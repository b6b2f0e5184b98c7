//! Batches as others see them: round trips, hostile bytes, and another implementation as oracle.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod generate;
mod hostile;
mod oracle;
mod round_trip;
mod rules;
