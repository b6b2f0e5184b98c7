//! Runs the load generator as a process of its own, so that its memory, its threads and its processor time are
//! not the runner's.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

use crate::load::report::LoadReport;

/// A load under way.
pub struct LoadRun {
    child: Child,
    arguments: Vec<String>,
}

impl LoadRun {
    /// Starts `bench` with these arguments.
    pub fn start(arguments: &[String]) -> anyhow::Result<LoadRun> {
        // (This program, even if its file has been replaced since.)
        let child = Command::new("/proc/self/exe")
            .args(arguments)
            .args(["--json", "--quiet"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("the load generator cannot be started")?;
        Ok(LoadRun { child, arguments: arguments.to_vec() })
    }

    /// Waits for its end.
    pub fn finish(self) -> anyhow::Result<LoadReport> {
        let output = self.child.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "bench {} failed: {}",
                self.arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout).context("the load generator's report cannot be read")
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Ends it; whatever it found is lost.
    pub fn abort(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it and waits for its end.
pub fn run(arguments: &[String]) -> anyhow::Result<LoadReport> {
    LoadRun::start(arguments)?.finish()
}
