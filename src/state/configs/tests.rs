//! Tables, layers, changes.
