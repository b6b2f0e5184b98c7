//! What everything ran on.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::system::uname;
use serde::{Deserialize, Serialize};

/// A description of the machine, for the head of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// When, in UTC.
    pub date: String,
    /// Kernel and its version.
    pub kernel: String,
    /// Processors, and their model.
    pub processors: String,
    /// Memory.
    pub memory: String,
    /// The disk with the data: device, filesystem, mount options, write cache.
    pub disk: String,
    /// How busy the machine was before: 1, 5 and 15 minutes.
    pub load_average: String,
}

impl Machine {
    /// This one; `data` is the folder with the brokers' data.
    pub fn look(data: &Path, cpus: &[usize]) -> Machine {
        let system = uname();
        let (release, architecture) =
            (system.release().to_string_lossy(), system.machine().to_string_lossy());
        let used = if cpus.is_empty() { String::new() } else { format!("; used: {cpus:?}") };
        Machine {
            date: first_line(Command::new("date").args(["-u", "+%F %H:%M"])),
            kernel: format!("Linux {release} {architecture}"),
            processors: processors() + &used,
            memory: field("/proc/meminfo", "MemTotal"),
            disk: disk(data),
            load_average: load_average(),
        }
    }

    /// Lines for the head of the table.
    pub fn lines(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("date", &self.date),
            ("kernel", &self.kernel),
            ("processors", &self.processors),
            ("memory", &self.memory),
            ("disk", &self.disk),
            ("load average before", &self.load_average),
        ]
    }
}

/// The kernel's load averages.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").to_owned()
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':'))
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}

fn processors() -> String {
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{count} x {}", field("/proc/cpuinfo", "model name"))
}

// The mount whose point is the longest prefix of the folder's path.
fn disk(data: &Path) -> String {
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        Some((fields.next()?, fields.next()?, fields.next()?, fields.next()?))
    });
    let of_data = mounts
        .filter(|(_, point, ..)| data.starts_with(point))
        .max_by_key(|(_, point, ..)| point.len());
    let Some((device, _, filesystem, options)) =
        of_data.map(|m| (m.0.to_owned(), m.1, m.2.to_owned(), m.3.to_owned()))
    else {
        return "unknown".to_owned();
    };
    let block = device.trim_start_matches("/dev/");
    let cache = fs::read_to_string(format!("/sys/block/{block}/queue/write_cache"));
    let cache = cache.map_or_else(|_| "unknown".to_owned(), |cache| cache.trim().to_owned());
    format!("{device}, {filesystem} ({options}), write cache: {cache}")
}

/// Whether `folder` lies in memory, not on a disk.
pub fn is_in_memory(folder: &Path) -> bool {
    disk(folder).contains(", tmpfs ")
}
