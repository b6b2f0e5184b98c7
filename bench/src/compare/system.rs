//! A broker under measurement: how it is started, and its process.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::kinesis::control;
use crate::measure::process_use::CpuSeconds;
use crate::wire::Connection;

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Kafka's.
    Kafka,
    /// Kinesis', as far as everybody has it.
    Kinesis,
    /// Kinesis', with SubscribeToShard.
    KinesisFanOut,
}

/// A kind of broker, set up in one way.
pub trait System {
    /// A short name, for columns and files.
    fn name(&self) -> &str;
    /// What it is, and its version.
    fn version(&self) -> anyhow::Result<String>;
    /// What has become of a record when it is acknowledged. Figures of different classes are never compared
    /// without it.
    fn durability(&self) -> &str;
    /// Whether it speaks a protocol. Unless it says otherwise: Kafka's only.
    fn speaks(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Kafka
    }
    /// Where Kinesis' clients connect, if it speaks their protocol.
    fn kinesis_address(&self, place: &Place) -> String {
        place.address()
    }
    /// Makes an empty data folder ready for the first start.
    fn prepare(&self, place: &Place) -> anyhow::Result<()>;
    /// The command that starts it, in the foreground.
    fn command(&self, place: &Place) -> anyhow::Result<Command>;
}

/// Where one broker runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its data, and what is written for it.
    pub folder: PathBuf,
    /// Where clients connect, on loopback.
    pub port: u16,
    /// A second port: for what a broker says to itself, or for a second protocol.
    pub second_port: u16,
    /// Whether it is stopped for minutes and goes on as if nothing had been: no timeout of its own may notice.
    pub is_paused: bool,
}

const PORTS: &str = "ports";

impl Place {
    /// Free ports, and an empty folder at `folder`.
    pub fn new(folder: PathBuf) -> anyhow::Result<Place> {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        // Both are held while they are chosen, so that they differ.
        let (first, second) =
            (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        let (port, second_port) = (first.local_addr()?.port(), second.local_addr()?.port());
        std::fs::write(folder.join(PORTS), format!("{port} {second_port}"))?;
        Ok(Place { folder, port, second_port, is_paused: false })
    }

    /// The one that `new` made at `folder`.
    pub fn again(folder: PathBuf) -> anyhow::Result<Place> {
        let ports = std::fs::read_to_string(folder.join(PORTS))
            .with_context(|| format!("there is no broker's folder at {}", folder.display()))?;
        let (port, second_port) = ports.split_once(' ').context("a damaged file of ports")?;
        Ok(Place {
            port: port.parse()?,
            second_port: second_port.parse()?,
            folder,
            is_paused: false,
        })
    }

    /// What clients connect to.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The broker's data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("broker.log")
    }
}

/// A broker's process. Dropping it ends the process.
pub struct Running {
    child: Child,
    place: Place,
    name: String,
    speaks_kafka: bool,
}

const READY_PATIENCE: Duration = Duration::from_secs(300);
const STOP_PATIENCE: Duration = Duration::from_secs(300);
const RETRY: Duration = Duration::from_millis(1);

impl Running {
    /// Starts `system`; it may not answer yet.
    pub fn spawn(system: &dyn System, place: &Place) -> anyhow::Result<Running> {
        let log = log_file(&place.log())?;
        let mut command = ended_with_this_process(&system.command(place)?);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be started ({command:?})", system.name()))?;
        Ok(Running {
            child,
            place: place.clone(),
            name: system.name().to_owned(),
            speaks_kafka: system.speaks(Protocol::Kafka),
        })
    }

    /// Starts `system` and waits until it answers.
    pub fn start(system: &dyn System, place: &Place) -> anyhow::Result<Running> {
        let mut running = Running::spawn(system, place)?;
        running.wait_until_ready()?;
        Ok(running)
    }

    /// Waits until it answers a Metadata request with a broker in it, or, if it does not speak Kafka's protocol, a
    /// request of Kinesis'.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        if !self.speaks_kafka {
            return self.retry_until(control::is_ready);
        }
        let ready = |connection: &mut Connection| {
            connection.metadata(None).is_ok_and(|metadata| !metadata.brokers.is_empty())
        };
        self.retry_until(|address| Connection::open(address).is_ok_and(|mut c| ready(&mut c)))
    }

    /// Tries `attempt` each millisecond until it succeeds.
    pub fn retry_until(&mut self, mut attempt: impl FnMut(&str) -> bool) -> anyhow::Result<()> {
        let (started, address) = (Instant::now(), self.place.address());
        while !attempt(&address) {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}); its last words: {}", self.name, self.last_words());
            }
            if started.elapsed() > READY_PATIENCE {
                bail!(
                    "{} does not serve after {READY_PATIENCE:?}: {}",
                    self.name,
                    self.last_words()
                );
            }
            std::thread::sleep(RETRY);
        }
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it runs.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Stops its threads, so that it takes nothing from another's measurement.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on, and waits until it answers.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)?;
        self.wait_until_ready()
    }

    /// Waits until it has done what it does behind its answers; `patience` at most.
    pub fn wait_until_quiet(&self, patience: Duration) -> anyhow::Result<()> {
        const LOOK: Duration = Duration::from_millis(200);
        // Two ticks of the kernel's clock in 200 ms: a tenth of a core.
        const QUIET_SECONDS: f64 = 0.021;
        let started = Instant::now();
        let mut before = CpuSeconds::of(self.pid())?;
        loop {
            std::thread::sleep(LOOK);
            let now = CpuSeconds::of(self.pid())?;
            if now.since(before).total() < QUIET_SECONDS || started.elapsed() > patience {
                return Ok(());
            }
            before = now;
        }
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)?;
        self.signal(Signal::TERM)?;
        let started = Instant::now();
        while self.child.try_wait()?.is_none() {
            if started.elapsed() > STOP_PATIENCE {
                bail!("{} does not stop on SIGTERM", self.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.pid() as i32).context("a process without an id")?;
        kill_process(pid, signal).with_context(|| format!("{} cannot be signalled", self.name))
    }

    fn last_words(&self) -> String {
        let log = std::fs::read(self.place.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone, in the good case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A broker must not outlive a runner that was killed; one that is paused would do so for ever. util-linux's
/// `setpriv` asks the kernel for it and becomes the command; without it, the command is left as it is.
fn ended_with_this_process(command: &Command) -> Command {
    const SETPRIV: &str = "/usr/bin/setpriv";
    let mut wrapped;
    if Path::new(SETPRIV).exists() {
        wrapped = Command::new(SETPRIV);
        wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program());
    } else {
        wrapped = Command::new(command.get_program());
    }
    wrapped.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

fn log_file(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_arguments_environment_and_folder() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $ANSWER; pwd"]).env("ANSWER", "42").current_dir("/usr");
        let output = ended_with_this_process(&command).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "42\n/usr\n");
    }
}
