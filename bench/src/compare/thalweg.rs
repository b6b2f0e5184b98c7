//! This broker.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::Context;

use crate::compare::system::{Place, Protocol, System};

/// This broker, as a binary and the arguments of its `serve`.
pub struct Thalweg {
    name: String,
    binary: PathBuf,
    arguments: Vec<String>,
    cores: Option<usize>,
}

impl Thalweg {
    /// From `[NAME=]FILE [ARGUMENTS]`.
    pub fn parse(text: &str, cores: Option<usize>) -> anyhow::Result<Thalweg> {
        let mut words = text.split_ascii_whitespace();
        let first = words.next().context("--thalweg: no file")?;
        let (name, binary) = first.split_once('=').unwrap_or(("thalweg", first));
        let binary = PathBuf::from(binary);
        anyhow::ensure!(binary.is_file(), "--thalweg: there is no {}", binary.display());
        Ok(Thalweg {
            name: name.to_owned(),
            binary,
            arguments: words.map(str::to_owned).collect(),
            cores,
        })
    }

    /// The binary beside this program, or where scripts/test builds it.
    pub fn find(cache: &Path, cores: Option<usize>) -> anyhow::Result<Thalweg> {
        let beside = std::env::current_exe()?.with_file_name("thalweg");
        let built = cache.join("target/release/thalweg");
        let found = [beside, built].into_iter().find(|file| file.is_file());
        let binary = found.context(
            "no thalweg to measure: build it (scripts/test build), or name it with --thalweg",
        )?;
        Ok(Thalweg { name: "thalweg".to_owned(), binary, arguments: Vec::new(), cores })
    }
}

impl System for Thalweg {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> anyhow::Result<String> {
        let output = Command::new(&self.binary).arg("--version").output()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let built =
            self.binary.metadata()?.modified()?.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let arguments = self.arguments.join(" ");
        Ok(format!("{version}, built at {built} (Unix time) {arguments}").trim_end().to_owned())
    }

    fn durability(&self) -> &str {
        "on the disk before the acknowledgement"
    }

    fn speaks(&self, _protocol: Protocol) -> bool {
        true
    }

    fn kinesis_address(&self, place: &Place) -> String {
        format!("127.0.0.1:{}", place.second_port)
    }

    fn prepare(&self, _place: &Place) -> anyhow::Result<()> {
        Ok(())
    }

    fn command(&self, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.binary);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(place.data())
            .args(["--kafka-listen", &place.address()])
            .args(["--aws-listen", &self.kinesis_address(place)])
            // Two builds may run at once, and only one could have the usual port.
            .args(["--admin-listen", "off"]);
        if let Some(cores) = self.cores {
            command.args(["--cores", &cores.to_string()]);
        }
        command.args(&self.arguments);
        Ok(command)
    }
}
