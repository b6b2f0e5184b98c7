//! kinesalite, a look-alike of Kinesis on Node.js, in memory or on LevelDB.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::compare::system::{Place, Protocol, System};

// What its own command does, but on loopback only. Its own limit of shards is ten, over all streams of a run.
const SERVE: &str = "const [kinesalite, port, path] = process.argv.slice(1); \
    require(kinesalite)({path, shardLimit: 1000}).listen(+port, '127.0.0.1')";

/// kinesalite, from scripts/peers.
pub struct Kinesalite {
    package: PathBuf,
    on_disk: bool,
}

impl Kinesalite {
    /// Installed below `peers`. `on_disk`: with a LevelDB in its folder.
    pub fn find(peers: &Path, on_disk: bool) -> anyhow::Result<Kinesalite> {
        let package = peers.join("kinesalite/node_modules/kinesalite");
        if !package.is_dir() {
            bail!("there is no {}: run scripts/peers kinesalite", package.display());
        }
        Ok(Kinesalite { package, on_disk })
    }
}

impl System for Kinesalite {
    fn name(&self) -> &str {
        if self.on_disk { "kinesalite-leveldb" } else { "kinesalite" }
    }

    fn version(&self) -> anyhow::Result<String> {
        let description = std::fs::read(self.package.join("package.json"))?;
        let description: serde_json::Value = serde_json::from_slice(&description)?;
        let version = description.get("version").and_then(serde_json::Value::as_str);
        let version = version.context("kinesalite's package.json has no version")?;
        let node = Command::new("node").arg("--version").output().context("there is no node")?;
        let node = String::from_utf8_lossy(&node.stdout).trim().to_owned();
        let store = if self.on_disk { "LevelDB on the disk" } else { "store in memory" };
        Ok(format!("kinesalite {version}, {store}; Node.js {node}"))
    }

    fn durability(&self) -> &str {
        if self.on_disk {
            "in the page cache: lost if the machine fails"
        } else {
            "in its own memory: lost when it ends"
        }
    }

    fn speaks(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Kinesis
    }

    fn prepare(&self, _place: &Place) -> anyhow::Result<()> {
        Ok(())
    }

    fn command(&self, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new("node");
        command.args(["-e", SERVE]).arg(&self.package).arg(place.port.to_string());
        if self.on_disk {
            command.arg(place.data());
        }
        Ok(command)
    }
}
