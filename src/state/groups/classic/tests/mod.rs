//! The coordinator by scripts of events, by a table of what it refuses, and by properties.

mod given;
mod properties;
mod refusals;
mod scripts;
