//! ministack, look-alikes of several of AWS's services in Python, in memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::compare::system::{Place, Protocol, System};

/// ministack, from scripts/peers.
pub struct Ministack {
    environment: PathBuf,
}

impl Ministack {
    /// Installed below `peers`.
    pub fn find(peers: &Path) -> anyhow::Result<Ministack> {
        let environment = peers.join("ministack");
        if !environment.join("bin/ministack").is_file() {
            bail!(
                "there is no ministack in {}: run scripts/peers ministack",
                environment.display()
            );
        }
        Ok(Ministack { environment })
    }

    fn python(&self) -> PathBuf {
        self.environment.join("bin/python")
    }
}

impl System for Ministack {
    fn name(&self) -> &str {
        "ministack"
    }

    fn version(&self) -> anyhow::Result<String> {
        const ASK: &str = "import importlib.metadata, platform\n\
            print('ministack', importlib.metadata.version('ministack') + '; Python', platform.python_version())";
        let output = Command::new(self.python())
            .args(["-c", ASK])
            .output()
            .context("ministack's Python cannot be started")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn durability(&self) -> &str {
        "in its own memory: lost when it ends"
    }

    fn speaks(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Kinesis
    }

    fn prepare(&self, place: &Place) -> anyhow::Result<()> {
        Ok(std::fs::create_dir_all(place.data())?)
    }

    fn command(&self, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new(self.environment.join("bin/ministack"));
        command
            .env("GATEWAY_PORT", place.port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .current_dir(place.data());
        Ok(command)
    }
}
