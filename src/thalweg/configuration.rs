//! One configuration out of four places: a flag wins over the environment, that over the file, and
//! that over the default.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    path::PathBuf,
};

use thiserror::Error;

use self::aws_tls::AwsTlsSettings;
pub use self::aws_tls::{AwsTls, AwsTlsError, Certificate};
use crate::{
    arguments::ServeArguments,
    config_file::{self, ConfigFile, ConfigFileError},
    host,
    logging::LogFormat,
    size::Size,
};

const DATA_DIR: &str = "./thalweg-data";
const KAFKA_LISTEN: &str = "127.0.0.1:9092";
const AWS_LISTEN: &str = "127.0.0.1:4567";
const ADMIN_LISTEN: &str = "127.0.0.1:9644";
/// What `admin-listen` says to have no such door.
const OFF: &str = "off";
/// The default is this part of the machine's memory …
const MEMORY_DIVISOR: u64 = 4;
/// … but at most this, in bytes.
const MEMORY_BYTES_MAX: u64 = 4 << 30;
/// Below this a core has no room for a few requests of the largest size, in bytes.
const MEMORY_PER_CORE_BYTES_MIN: u64 = 32 << 20;
const CORES_MAX: usize = 1024;
/// A second; a core that looks longer has nothing to do.
const IDLE_SPIN_US_MAX: u64 = 1_000_000;

/// How a broker process is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Where the data lives.
    pub data_dir: PathBuf,
    /// Lane-owning cores.
    pub cores: usize,
    /// Whether each has a CPU of its own.
    pub pin_cores: bool,
    /// How long a core looks for work before it sleeps.
    pub idle_spin_us: u64,
    /// Where Kafka clients connect; never port 0.
    pub kafka_listen: SocketAddr,
    /// What Kafka clients are told to connect to.
    pub advertised: Address,
    /// Where Kinesis clients connect; never port 0.
    pub aws_listen: SocketAddr,
    /// Where they connect with TLS, and the certificate that they are shown. `None`: nowhere.
    pub aws_tls: Option<AwsTls>,
    /// Who may use the AWS door. `None`: whoever reaches it.
    pub credentials: Option<PathBuf>,
    /// Where metrics and health are; never port 0. `None`: nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// Memory for records and requests in flight.
    pub memory: Size,
    /// Broker configurations by Kafka's names, not yet checked.
    pub configs: BTreeMap<String, String>,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// A host by name or number, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A setting does not make sense.
#[derive(Debug, Error)]
pub enum ConfigurationError {
    /// The file of `--config`.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// An address.
    #[error("{setting}: `{text}` is not an address: write HOST:PORT, such as 127.0.0.1:9092")]
    Address {
        /// The setting's name.
        setting: &'static str,
        /// What it says.
        text: String,
    },
    /// A host name that leads nowhere, or no port to be had.
    #[error("{setting}: `{text}` cannot be listened on: {source}")]
    Listen {
        /// The setting's name.
        setting: &'static str,
        /// What it says.
        text: String,
        /// Why.
        source: io::Error,
    },
    /// A number outside its bounds.
    #[error("{setting}: {value} is out of bounds: {bounds}")]
    OutOfBounds {
        /// The setting's name.
        setting: &'static str,
        /// What it says.
        value: String,
        /// What it may be.
        bounds: String,
    },
    /// The settings of TLS do not fit together.
    #[error(transparent)]
    AwsTls(#[from] AwsTlsError),
    /// `--set` without a value.
    #[error("set: `{text}` is not KEY=VALUE, such as num.partitions=4")]
    Set {
        /// What it says.
        text: String,
    },
}

impl Configuration {
    /// Puts flags, environment (which the arguments hold already), file and defaults together.
    pub fn resolve(arguments: ServeArguments) -> Result<Configuration, ConfigurationError> {
        let file = match &arguments.config {
            Some(path) => config_file::read(path)?,
            None => ConfigFile::default(),
        };
        merge(arguments, file)
    }
}

fn merge(flags: ServeArguments, file: ConfigFile) -> Result<Configuration, ConfigurationError> {
    let cores = flags.cores.or(file.cores).unwrap_or_else(host::cpu_count);
    check_cores(cores)?;
    let memory = flags.memory.or(file.memory).unwrap_or_else(|| default_memory(cores));
    check_memory(memory, cores)?;
    let idle_spin_us = flags.idle_spin_us.or(file.idle_spin_us).unwrap_or(0);
    check_idle_spin(idle_spin_us)?;

    let kafka_listen = flags.kafka_listen.or(file.kafka_listen);
    let kafka_listen = resolve("kafka-listen", kafka_listen.as_deref().unwrap_or(KAFKA_LISTEN))?;
    let aws_listen = flags.aws_listen.or(file.aws_listen);
    let aws_listen = resolve("aws-listen", aws_listen.as_deref().unwrap_or(AWS_LISTEN))?;
    let aws_tls = AwsTls::from_settings(AwsTlsSettings {
        listen: flags.aws_tls_listen.or(file.aws_tls_listen),
        certificate: flags.aws_tls_certificate.or(file.aws_tls_certificate),
        key: flags.aws_tls_key.or(file.aws_tls_key),
        self_signed: flags.aws_tls_self_signed.or(file.aws_tls_self_signed).unwrap_or(false),
    })?;
    let admin_listen = flags.admin_listen.or(file.admin_listen);
    let admin_listen = match admin_listen.as_deref().unwrap_or(ADMIN_LISTEN) {
        OFF => None,
        address => Some(resolve("admin-listen", address)?),
    };
    let advertised = match flags.advertised_address.or(file.advertised_address) {
        Some(text) => parse_address("advertised-address", &text)?,
        None => reachable(kafka_listen),
    };

    let mut configs: BTreeMap<String, String> =
        file.set.into_iter().map(|(key, value)| (key, value.into_text())).collect();
    let from_environment = flags.set_list.as_deref().unwrap_or_default().split(';');
    let from_environment = from_environment.filter(|text| !text.trim().is_empty());
    for text in from_environment.chain(flags.set.iter().map(String::as_str)) {
        let (key, value) = parse_set(text)?;
        configs.insert(key, value);
    }

    Ok(Configuration {
        data_dir: flags.data_dir.or(file.data_dir).unwrap_or_else(|| DATA_DIR.into()),
        cores,
        pin_cores: flags.pin_cores.or(file.pin_cores).unwrap_or(true),
        idle_spin_us,
        kafka_listen,
        advertised,
        aws_listen,
        aws_tls,
        credentials: flags.credentials.or(file.credentials),
        admin_listen,
        memory,
        configs,
        log_format: flags.log_format.or(file.log_format).unwrap_or_default(),
    })
}

fn check_cores(cores: usize) -> Result<(), ConfigurationError> {
    if (1..=CORES_MAX).contains(&cores) {
        return Ok(());
    }
    Err(ConfigurationError::OutOfBounds {
        setting: "cores",
        value: cores.to_string(),
        bounds: format!("from 1 to {CORES_MAX}"),
    })
}

fn check_idle_spin(idle_spin_us: u64) -> Result<(), ConfigurationError> {
    if idle_spin_us <= IDLE_SPIN_US_MAX {
        return Ok(());
    }
    Err(ConfigurationError::OutOfBounds {
        setting: "idle-spin-us",
        value: idle_spin_us.to_string(),
        bounds: format!("from 0 to {IDLE_SPIN_US_MAX}"),
    })
}

fn memory_min(cores: usize) -> Size {
    Size { bytes: MEMORY_PER_CORE_BYTES_MIN.saturating_mul(cores as u64) }
}

fn default_memory(cores: usize) -> Size {
    let machine = host::memory_bytes().unwrap_or(0);
    let bytes = (machine / MEMORY_DIVISOR).min(MEMORY_BYTES_MAX);
    // Whole mebibytes read better.
    Size { bytes: bytes >> 20 << 20 }.max(memory_min(cores))
}

fn check_memory(memory: Size, cores: usize) -> Result<(), ConfigurationError> {
    let least = memory_min(cores);
    if memory >= least {
        return Ok(());
    }
    Err(ConfigurationError::OutOfBounds {
        setting: "memory",
        value: memory.to_string(),
        bounds: format!("at least {least} for {cores} cores"),
    })
}

fn parse_set(text: &str) -> Result<(String, String), ConfigurationError> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(ConfigurationError::Set { text: text.to_owned() }),
    }
}

fn parse_address(setting: &'static str, text: &str) -> Result<Address, ConfigurationError> {
    let error = || ConfigurationError::Address { setting, text: text.to_owned() };
    let (host, port) = text.trim().rsplit_once(':').ok_or_else(error)?;
    let port = port.parse().map_err(|_| error())?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    // Without its brackets an IPv6 address could be cut anywhere.
    if host.is_empty() || (bare.is_none() && host.contains(':')) {
        return Err(error());
    }
    Ok(Address { host: host.to_owned(), port })
}

/// Finds the IP address behind a name, and a free port for port 0: every core binds the same one,
/// so the kernel cannot be left to choose.
fn resolve(setting: &'static str, text: &str) -> Result<SocketAddr, ConfigurationError> {
    let address = parse_address(setting, text)?;
    let failed = |source| ConfigurationError::Listen { setting, text: text.to_owned(), source };
    let mut found = (address.host.as_str(), address.port).to_socket_addrs().map_err(failed)?;
    let found = found.next().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    if found.port() != 0 {
        return Ok(found);
    }
    TcpListener::bind(found).and_then(|listener| listener.local_addr()).map_err(failed)
}

/// What clients can be told when only the address listened on is known: itself or, where that
/// means every address there is, the machine's name.
fn reachable(listen: SocketAddr) -> Address {
    let host = match listen.ip() {
        ip if ip.is_unspecified() => host::name().unwrap_or_else(|| "localhost".to_owned()),
        ip => ip.to_string(),
    };
    Address { host, port: listen.port() }
}

mod aws_tls;

#[cfg(test)]
mod tests;
