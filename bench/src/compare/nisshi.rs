//! nisshi, a Kafka-compatible broker in Rust, with its store in memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use crate::compare::system::{Place, System};

/// nisshi, from scripts/peers.
pub struct Nisshi {
    binary: PathBuf,
}

impl Nisshi {
    /// Installed below `peers`.
    pub fn find(peers: &Path) -> anyhow::Result<Nisshi> {
        let binary = peers.join("nisshi/bin/nisshi");
        if !binary.is_file() {
            bail!("there is no {}: run scripts/peers nisshi", binary.display());
        }
        Ok(Nisshi { binary })
    }
}

impl System for Nisshi {
    fn name(&self) -> &str {
        "nisshi"
    }

    fn version(&self) -> anyhow::Result<String> {
        let output = Command::new(&self.binary).arg("--version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn durability(&self) -> &str {
        "in its own memory: lost when it ends"
    }

    fn prepare(&self, _place: &Place) -> anyhow::Result<()> {
        Ok(())
    }

    fn command(&self, place: &Place) -> anyhow::Result<Command> {
        let url = format!("tcp://{}", place.address());
        let mut command = Command::new(&self.binary);
        command
            .args(["broker", "--kafka-cluster-id", "bench"])
            .args(["--kafka-listener-url", &url, "--kafka-advertised-listener-url", &url])
            .args(["--storage-engine", "memory://bench/"]);
        Ok(command)
    }
}
