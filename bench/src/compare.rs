//! The comparison: the same scenario against several brokers in turn, round by round, and one table of it.

mod floor;
pub mod kafka;
mod kinesalite;
mod load_run;
mod machine;
pub mod measurement;
mod ministack;
mod nisshi;
pub mod options;
mod page_cache;
pub mod runner;
pub mod scenario;
pub mod scenarios;
pub mod system;
pub mod table;
mod thalweg;
mod tool;
