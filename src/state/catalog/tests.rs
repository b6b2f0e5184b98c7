//! Topics come and go; snapshots and commands read back.
