//! What a process has used of the machine, from /proc.

use std::fs;
use std::io;

use rustix::param::clock_ticks_per_second;
use serde::{Deserialize, Serialize};

/// Processor time, in seconds, of all of a process's threads, ended ones too; not of its child processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuSeconds {
    /// In the program itself.
    pub user: f64,
    /// In the kernel on the program's behalf. Writing back the page cache is not in it: the kernel's own threads
    /// do that.
    pub system: f64,
}

impl CpuSeconds {
    /// Both.
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: CpuSeconds) -> CpuSeconds {
        CpuSeconds { user: self.user - earlier.user, system: self.system - earlier.system }
    }

    /// What process `pid` has used so far.
    pub fn of(pid: u32) -> io::Result<CpuSeconds> {
        let path = format!("/proc/{pid}/stat");
        parse_stat(&fs::read_to_string(&path)?, OWN, clock_ticks_per_second() as f64)
            .ok_or_else(|| malformed(&path))
    }

    /// What those child processes of this one have used that have ended and were waited for.
    pub fn of_ended_children() -> io::Result<CpuSeconds> {
        let path = "/proc/self/stat";
        parse_stat(&fs::read_to_string(path)?, CHILDREN, clock_ticks_per_second() as f64)
            .ok_or_else(|| malformed(path))
    }
}

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidentMemory {
    /// Now.
    pub now_bytes: u64,
    /// The most since the process started, or since `reset_peak`.
    pub peak_bytes: u64,
}

impl ResidentMemory {
    /// Of process `pid`.
    pub fn of(pid: u32) -> io::Result<ResidentMemory> {
        let path = format!("/proc/{pid}/status");
        parse_status(&fs::read_to_string(&path)?).ok_or_else(|| malformed(&path))
    }

    /// Forgets the peak of process `pid`, so that the next one read is that of one measurement.
    pub fn reset_peak(pid: u32) -> io::Result<()> {
        fs::write(format!("/proc/{pid}/clear_refs"), "5")
    }
}

fn malformed(path: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{path} is not in the form that the kernel documents"),
    )
}

// proc(5): pid (comm) state …; utime and stime are the 14th and 15th fields, those of children the next two. The
// name may hold spaces and parentheses, so counting starts behind the last one, with the third field.
const OWN: usize = 14 - 3;
const CHILDREN: usize = 16 - 3;

fn parse_stat(stat: &str, first: usize, ticks_per_second: f64) -> Option<CpuSeconds> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(first);
    let mut seconds = || Some(fields.next()?.parse::<u64>().ok()? as f64 / ticks_per_second);
    Some(CpuSeconds { user: seconds()?, system: seconds()? })
}

fn parse_status(status: &str) -> Option<ResidentMemory> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(ResidentMemory { now_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_a_name_that_imitates_the_fields() {
        let stat =
            "42 (odd) name 1 2) S 1 42 42 0 -1 4194560 100 0 0 0 250 75 3 4 20 0 9 0 100 1 2";
        let cpu = parse_stat(stat, OWN, 100.0).unwrap();
        assert_eq!(cpu, CpuSeconds { user: 2.5, system: 0.75 });
        assert_eq!(cpu.total(), 3.25);
        let children = parse_stat(stat, CHILDREN, 100.0).unwrap();
        assert_eq!(children, CpuSeconds { user: 0.03, system: 0.04 });
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t 900 kB\nVmHWM:\t     200 kB\nVmRSS:\t     100 kB\n";
        let memory = parse_status(status).unwrap();
        assert_eq!(memory, ResidentMemory { now_bytes: 102_400, peak_bytes: 204_800 });
    }

    #[test]
    fn the_kernel_of_this_machine_is_understood() {
        let before = CpuSeconds::of(std::process::id()).unwrap();
        assert!(before.total() >= 0.0);
        let memory = ResidentMemory::of(std::process::id()).unwrap();
        assert!(memory.peak_bytes >= memory.now_bytes && memory.now_bytes > 0);
    }
}
