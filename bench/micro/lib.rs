//! Micro-benchmarks of what the hot path is made of: `cargo bench -p micro-bench`. All of it is in `benches/`:
//! `parsing` (Kafka frames, batch checks), `storage` (journal append, fetch assembly), `cores` (calls between
//! cores). Nothing here is part of the broker.
