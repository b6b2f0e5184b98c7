//! Whether this machine can run cores, and what to change if it cannot.
#![expect(unsafe_code, reason = "limits and CPU sets of the process are asked of libc")]

use std::{
    fs, io, mem,
    net::{SocketAddr, TcpListener},
    sync::OnceLock,
};

/// Locked memory that one executor needs; glommio refuses to start one below.
const LOCKED_BYTES_PER_CORE: u64 = 512 << 10;

/// Fewer open files than this will not carry a few hundred connections and partitions.
const OPEN_FILES_WANTED: u64 = 10_000;

/// Kernels before this lack operations of io_uring that glommio relies on.
const OLDEST_KERNEL: (u32, u32) = (5, 8);

/// The host cannot run cores.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// io_uring was switched off by the administrator.
    #[error(
        "io_uring is disabled on this host (kernel.io_uring_disabled={setting}): as root run `sysctl -w kernel.io_uring_disabled=0`"
    )]
    IoUringDisabled {
        /// 1: only for unprivileged processes; 2: for all.
        setting: u32,
    },
    /// io_uring cannot be used for another reason.
    #[error(
        "io_uring cannot be used ({source}): the kernel must be {}.{} or newer, and a container's seccomp profile must allow io_uring_setup, io_uring_enter and io_uring_register (Docker: `--security-opt seccomp=unconfined`)",
        OLDEST_KERNEL.0, OLDEST_KERNEL.1
    )]
    IoUringUnavailable {
        /// What io_uring_setup answered.
        source: io::Error,
    },
    /// The kernel is too old.
    #[error("Linux {release} is too old: {}.{} or newer is needed", OLDEST_KERNEL.0, OLDEST_KERNEL.1)]
    KernelTooOld {
        /// What uname says.
        release: String,
    },
    /// RLIMIT_MEMLOCK is too low for even one core.
    #[error(
        "the limit on locked memory is {have_bytes} bytes, and {need_bytes} are needed: raise it with `ulimit -l {}` (KiB), LimitMEMLOCK= of systemd, or Docker's `--ulimit memlock=-1`",
        .need_bytes >> 10
    )]
    LockedMemory {
        /// The limit.
        have_bytes: u64,
        /// What one core needs.
        need_bytes: u64,
    },
}

/// The host can run cores, but something is tight.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HostWarning {
    /// RLIMIT_MEMLOCK is below what all cores together may lock.
    #[error(
        "the limit on locked memory is {have_bytes} bytes; {cores} cores may need {need_bytes}: if a core fails to start, raise it with `ulimit -l {}` (KiB) or LimitMEMLOCK= of systemd",
        .need_bytes >> 10
    )]
    LockedMemory {
        /// The limit.
        have_bytes: u64,
        /// What the cores may need.
        need_bytes: u64,
        /// How many cores.
        cores: usize,
    },
    /// Few files may be open; the soft limit was raised as far as it goes.
    #[error(
        "only {have} files may be open (each connection and each partition in use takes some): raise the hard limit with `ulimit -Hn {wanted}` or LimitNOFILE= of systemd"
    )]
    OpenFiles {
        /// The limit in force.
        have: u64,
        /// Where the warning would cease.
        wanted: u64,
    },
    /// More cores than CPUs that this process may use.
    #[error(
        "{cores} cores share {cpus} CPUs: they will hold each other up; use at most one core per CPU"
    )]
    MoreCoresThanCpus {
        /// Cores asked for.
        cores: usize,
        /// CPUs that may be used.
        cpus: usize,
    },
}

/// Looks at what `cores` cores need, and raises the soft limit on open files to the hard one. To be called once
/// at start, before [`start`](crate::start), on any thread.
pub fn check_host(cores: usize) -> Result<Vec<HostWarning>, HostError> {
    check_kernel()?;
    check_io_uring()?;
    let mut warnings = Vec::new();
    let locked = limit(libc::RLIMIT_MEMLOCK).soft;
    if locked < LOCKED_BYTES_PER_CORE {
        return Err(HostError::LockedMemory {
            have_bytes: locked,
            need_bytes: LOCKED_BYTES_PER_CORE,
        });
    }
    let locked_wanted = LOCKED_BYTES_PER_CORE.saturating_mul(cores as u64);
    if locked < locked_wanted {
        warnings.push(HostWarning::LockedMemory {
            have_bytes: locked,
            need_bytes: locked_wanted,
            cores,
        });
    }
    let open_files = raise_open_files();
    if open_files < OPEN_FILES_WANTED {
        warnings.push(HostWarning::OpenFiles { have: open_files, wanted: OPEN_FILES_WANTED });
    }
    let cpus = allowed_cpus().len();
    if cpus > 0 && cores > cpus {
        warnings.push(HostWarning::MoreCoresThanCpus { cores, cpus });
    }
    Ok(warnings)
}

/// That nobody listens on `address` yet. To be asked once, before the cores bind: their listeners share a port
/// (SO_REUSEPORT), also with those of another broker of the same user, which would then get every other
/// connection. [`io::ErrorKind::AddrInUse`] if someone does.
pub fn check_address_unused(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

fn check_kernel() -> Result<(), HostError> {
    // A host that hides its release is judged by io_uring alone.
    let Ok(release) = fs::read_to_string("/proc/sys/kernel/osrelease") else {
        return Ok(());
    };
    let release = release.trim().to_owned();
    match parse_release(&release) {
        Some(version) if version < OLDEST_KERNEL => Err(HostError::KernelTooOld { release }),
        Some(_) | None => Ok(()),
    }
}

/// `major.minor` of a release such as `6.1.0-13-amd64`.
fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

fn check_io_uring() -> Result<(), HostError> {
    let Err(source) = io_uring::IoUring::new(2) else {
        return Ok(());
    };
    // The file exists since Linux 6.6.
    let setting = fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    Err(match setting {
        0 => HostError::IoUringUnavailable { source },
        setting => HostError::IoUringDisabled { setting },
    })
}

struct Limit {
    soft: u64,
    hard: u64,
}

/// The limit, as high as can be if it cannot be read (it always can).
fn limit(resource: libc::__rlimit_resource_t) -> Limit {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid place for the answer.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), resource, "a limit cannot be read");
    }
    Limit { soft: limit.rlim_cur, hard: limit.rlim_max }
}

/// Raises the soft limit on open files to the hard one; the limit then in force.
fn raise_open_files() -> u64 {
    let Limit { soft, hard } = limit(libc::RLIMIT_NOFILE);
    if soft >= hard {
        return soft;
    }
    let wanted = libc::rlimit { rlim_cur: hard, rlim_max: hard };
    // SAFETY: `wanted` is a valid limit to read from.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) } == 0 {
        hard
    } else {
        soft
    }
}

/// The CPUs that this process may run on, by number; empty if the kernel does not say.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    cpus_of_process().map_or_else(Vec::new, |set| {
        (0..libc::CPU_SETSIZE as usize)
            // SAFETY: the number is below CPU_SETSIZE, so it lies within the set.
            .filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) })
            .collect()
    })
}

/// The CPUs that this process may run on. They are asked for once, from a thread that is not pinned: the first
/// caller is [`check_host`] or [`start`](crate::start).
pub(crate) fn cpus_of_process() -> Option<libc::cpu_set_t> {
    static CPUS: OnceLock<Option<libc::cpu_set_t>> = OnceLock::new();
    *CPUS.get_or_init(|| {
        // SAFETY: a cpu_set_t is an array of integers, of which all zeros is a value.
        let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: `set` is a place of the size given; 0 means this thread.
        let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
        (result == 0).then_some(set)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Releases as distributions write them.
    #[test]
    fn kernel_releases_are_understood() {
        assert_eq!(parse_release("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(parse_release("5.15"), Some((5, 15)));
        assert_eq!(parse_release("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(parse_release("next"), None);
    }

    /// Given the host that tests run on, when checked, then cores can run, and the soft limit on open files
    /// has been raised to the hard one.
    #[test]
    fn this_host_can_run_a_core() {
        check_host(1).unwrap();
        let files = limit(libc::RLIMIT_NOFILE);
        assert_eq!(files.soft, files.hard);
    }
}
