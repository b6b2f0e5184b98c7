//! The file of `--config`: TOML, the same names as the flags.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;

use crate::{logging::LogFormat, size::Size};

/// What a configuration file may say. A key that is not here is an error, so that a misspelt one
/// does not go unnoticed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigFile {
    pub data_dir: Option<PathBuf>,
    pub cores: Option<usize>,
    pub pin_cores: Option<bool>,
    pub idle_spin_us: Option<u64>,
    pub kafka_listen: Option<String>,
    pub advertised_address: Option<String>,
    pub aws_listen: Option<String>,
    pub aws_tls_listen: Option<String>,
    pub aws_tls_certificate: Option<PathBuf>,
    pub aws_tls_key: Option<PathBuf>,
    pub aws_tls_self_signed: Option<bool>,
    pub credentials: Option<PathBuf>,
    pub admin_listen: Option<String>,
    pub memory: Option<Size>,
    pub log_format: Option<LogFormat>,
    /// `[set]`: broker configurations by Kafka's names.
    #[serde(default)]
    pub set: BTreeMap<String, ConfigValue>,
}

/// `"num.partitions" = 4` and `"num.partitions" = "4"` mean the same.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum ConfigValue {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

impl ConfigValue {
    /// The value as Kafka writes it.
    pub fn into_text(self) -> String {
        match self {
            ConfigValue::Text(text) => text,
            ConfigValue::Integer(number) => number.to_string(),
            ConfigValue::Float(number) => number.to_string(),
            ConfigValue::Boolean(value) => value.to_string(),
        }
    }
}

/// A configuration file is not usable.
#[derive(Debug, Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("the configuration file {path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML, or says something unknown.
    #[error("the configuration file {path} is not understood: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What, and where in the file.
        source: Box<toml::de::Error>,
    },
}

/// Reads a file.
pub fn read(path: &Path) -> Result<ConfigFile, ConfigFileError> {
    let path = path.to_owned();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(ConfigFileError::Read { path, source }),
    };
    toml::from_str(&text)
        .map_err(|source| ConfigFileError::Parse { path, source: Box::new(source) })
}
