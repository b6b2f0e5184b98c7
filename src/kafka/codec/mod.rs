//! Hand-written codecs: those of the data path, which must not copy batches, and those that the
//! `kafka-protocol` crate does not have.

pub mod api_versions;
pub mod describe_log_dirs;
pub mod fetch;
pub mod produce;
pub mod topic_ref;

#[cfg(test)]
mod tests;
