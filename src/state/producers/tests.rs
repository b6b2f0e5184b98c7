//! Sequences, epochs, snapshots.
