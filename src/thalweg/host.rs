//! What is asked of the machine to find defaults.

use std::{fs, thread};

/// CPUs that this process may use.
pub fn cpu_count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The machine's memory in bytes, or the container's where that is less; `None` if neither says.
pub fn memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total_of_meminfo);
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|limit| limit.trim().parse().ok());
    machine.into_iter().chain(container).min()
}

fn total_of_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The machine's name, by which others may reach it.
pub fn name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty() && name != "(none)").then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_meminfo() {
        let text = "MemTotal:       24593612 kB\nMemFree:        1 kB\n";
        assert_eq!(total_of_meminfo(text), Some(24_593_612 << 10));
        assert_eq!(total_of_meminfo("nothing"), None);
    }
}
