//! The floor: what client, loopback and kernel cost with the least of brokers (`bench floor`).

use std::process::Command;

use crate::compare::system::{Place, System};

/// `bench floor`, with or without a durable write for each produce request.
pub struct Floor {
    writes: bool,
}

impl Floor {
    /// The one or the other.
    pub fn new(writes: bool) -> Floor {
        Floor { writes }
    }
}

impl System for Floor {
    fn name(&self) -> &str {
        if self.writes { "floor-durable" } else { "floor" }
    }

    fn version(&self) -> anyhow::Result<String> {
        Ok(format!(
            "bench floor {}: no broker, but the least that a client can talk to",
            env!("CARGO_PKG_VERSION")
        ))
    }

    fn durability(&self) -> &str {
        if self.writes {
            "in its own memory, but each request is also written once, O_DIRECT and O_DSYNC, over old ones"
        } else {
            "in its own memory: lost when it ends"
        }
    }

    fn prepare(&self, place: &Place) -> anyhow::Result<()> {
        Ok(std::fs::create_dir_all(place.data())?)
    }

    fn command(&self, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", "--listen", &place.address()]);
        if self.writes {
            command.arg("--write-to").arg(place.data().join("written"));
        }
        Ok(command)
    }
}
