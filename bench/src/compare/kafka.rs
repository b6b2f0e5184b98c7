//! Apache Kafka in KRaft mode, one node, from the jars that scripts/peers installs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::compare::system::{Place, System};

// Those of Kafka's own start script.
const JVM_OPTIONS: [&str; 4] = [
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];

/// Apache Kafka.
pub struct Kafka {
    home: PathBuf,
    heap: String,
    synced: bool,
}

impl Kafka {
    /// Installed below `peers`. `synced`: every record is synced before it is acknowledged.
    pub fn find(peers: &Path, heap: &str, synced: bool) -> anyhow::Result<Kafka> {
        let home = peers.join("kafka");
        if !home.join("libs").is_dir() {
            bail!("there is no Apache Kafka in {}: run scripts/peers kafka", home.display());
        }
        Ok(Kafka { home, heap: heap.to_owned(), synced })
    }

    fn class_path(&self) -> String {
        format!("{}/*", self.home.join("libs").display())
    }

    fn properties(&self, place: &Place) -> String {
        let (port, controller) = (place.port, place.second_port);
        let mut properties = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={}\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n\
             # A deleted topic's files go soon: rounds need the room.\n\
             log.segment.delete.delay.ms=1000\n",
            place.data().display()
        );
        if place.is_paused {
            // Its own controller must not give it up for dead.
            properties.push_str("broker.session.timeout.ms=86400000\n");
        }
        if self.synced {
            properties.push_str("log.flush.interval.messages=1\n");
        }
        properties
    }
}

impl System for Kafka {
    fn name(&self) -> &str {
        if self.synced { "kafka-synced" } else { "kafka" }
    }

    fn version(&self) -> anyhow::Result<String> {
        let jars = std::fs::read_dir(self.home.join("libs"))?;
        let names = jars.filter_map(|jar| jar.ok()?.file_name().into_string().ok());
        let version = names
            .filter_map(|name| {
                Some(name.strip_prefix("kafka_2.13-")?.strip_suffix(".jar")?.to_owned())
            })
            .next()
            .context("no kafka_2.13 jar")?;
        let java = Command::new("java").arg("-version").output().context("there is no java")?;
        let java =
            String::from_utf8_lossy(&java.stderr).lines().next().unwrap_or_default().to_owned();
        let synced = if self.synced { ", log.flush.interval.messages=1" } else { "" };
        Ok(format!("Apache Kafka {version}, KRaft, heap {}{synced}; {java}", self.heap))
    }

    fn durability(&self) -> &str {
        if self.synced {
            "on the disk before the acknowledgement"
        } else {
            "in the page cache: lost if the machine fails"
        }
    }

    fn prepare(&self, place: &Place) -> anyhow::Result<()> {
        let properties = place.folder.join("server.properties");
        std::fs::write(&properties, self.properties(place))?;
        let output = Command::new("java")
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &self.class_path()])
            .args(["kafka.tools.StorageTool", "format", "--standalone"])
            // Any id will do: the cluster has one node.
            .args(["-t", "dGhhbHdlZy1iZW5jaG1hcg", "-c"])
            .arg(&properties)
            .output()
            .context("there is no java")?;
        if !output.status.success() {
            bail!(
                "Kafka's data folder cannot be made: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    fn command(&self, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new("java");
        command
            .args([format!("-Xms{}", self.heap), format!("-Xmx{}", self.heap)])
            .args(JVM_OPTIONS)
            .arg(format!(
                "-Dlog4j2.configurationFile={}",
                self.home.join("log4j2.properties").display()
            ))
            .args(["-cp", &self.class_path(), "kafka.Kafka"])
            .arg(place.folder.join("server.properties"));
        Ok(command)
    }
}
