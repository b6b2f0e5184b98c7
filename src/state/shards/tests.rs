//! The two invariants, and what Kinesis sees.
