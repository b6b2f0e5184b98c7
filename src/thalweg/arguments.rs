//! The command line. Every flag is also an environment variable and a key of the file.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::{logging::LogFormat, size::Size};

/// A durable streaming log that Kafka clients and Kinesis clients use side by side.
#[derive(Debug, Parser)]
#[command(name = "thalweg", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a broker (the default command).
    Serve(ServeArguments),
}

/// What was said on the command line or, where a flag was not given, in the environment.
#[derive(Debug, Default, PartialEq, Eq, clap::Args)]
pub struct ServeArguments {
    /// A TOML file with any of these settings, by their long names (`data-dir = "…"`).
    #[arg(long, value_name = "FILE", env = "THALWEG_CONFIG")]
    pub config: Option<PathBuf>,

    /// Where the data lives; made if missing [default: ./thalweg-data].
    #[arg(long, value_name = "DIR", env = "THALWEG_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// Cores that own data, each a thread [default: one per CPU].
    #[arg(long, value_name = "N", env = "THALWEG_CORES")]
    pub cores: Option<usize>,

    /// Keep each core's thread on one CPU; `false` where much else runs on the same CPUs [default:
    /// true].
    #[arg(
        long,
        value_name = "BOOLEAN",
        env = "THALWEG_PIN_CORES",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub pin_cores: Option<bool>,

    /// How many microseconds a core with nothing to do goes on looking before it sleeps, 0 to
    /// 1000000: shorter latency for an idle CPU [default: 0].
    #[arg(long, value_name = "N", env = "THALWEG_IDLE_SPIN_US")]
    pub idle_spin_us: Option<u64>,

    /// Where Kafka clients connect; port 0 takes a free one [default: 127.0.0.1:9092].
    #[arg(long, value_name = "HOST:PORT", env = "THALWEG_KAFKA_LISTEN")]
    pub kafka_listen: Option<String>,

    /// What Kafka clients are told to connect to [default: the address listened on].
    #[arg(long, value_name = "HOST:PORT", env = "THALWEG_ADVERTISED_ADDRESS")]
    pub advertised_address: Option<String>,

    /// Where Kinesis clients connect; port 0 takes a free one [default: 127.0.0.1:4567].
    #[arg(long, value_name = "HOST:PORT", env = "THALWEG_AWS_LISTEN")]
    pub aws_listen: Option<String>,

    /// Where Kinesis clients connect with TLS; port 0 takes a free one [default: nowhere].
    #[arg(long, value_name = "HOST:PORT", env = "THALWEG_AWS_TLS_LISTEN")]
    pub aws_tls_listen: Option<String>,

    /// The certificate for `--aws-tls-listen`, and behind it those that vouch for it: PEM.
    #[arg(long, value_name = "FILE", env = "THALWEG_AWS_TLS_CERTIFICATE")]
    pub aws_tls_certificate: Option<PathBuf>,

    /// The certificate's private key: PEM.
    #[arg(long, value_name = "FILE", env = "THALWEG_AWS_TLS_KEY")]
    pub aws_tls_key: Option<PathBuf>,

    /// Make a certificate that vouches for itself, and keep it in the data directory
    /// [default: false].
    #[arg(
        long,
        value_name = "BOOLEAN",
        env = "THALWEG_AWS_TLS_SELF_SIGNED",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub aws_tls_self_signed: Option<bool>,

    /// Who may use the AWS door: a file in the form of AWS's shared credentials file. Requests must
    /// then be signed with one of its keys [default: every request is accepted].
    #[arg(long, value_name = "FILE", env = "THALWEG_CREDENTIALS")]
    pub credentials: Option<PathBuf>,

    /// Where metrics, health and log levels are, over HTTP; `off` for nowhere
    /// [default: 127.0.0.1:9644].
    #[arg(long, value_name = "HOST:PORT", env = "THALWEG_ADMIN_LISTEN")]
    pub admin_listen: Option<String>,

    /// Memory for records and requests in flight, e.g. 512MiB [default: a quarter of the
    /// machine's, at most 4GiB].
    #[arg(long, value_name = "BYTES", env = "THALWEG_MEMORY")]
    pub memory: Option<Size>,

    /// A broker configuration by Kafka's name, e.g. `num.partitions=4`; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// The same, from the environment: `KEY=VALUE` separated by semicolons.
    #[arg(long, hide = true, value_name = "KEY=VALUE;…", env = "THALWEG_SET")]
    pub set_list: Option<String>,

    /// How log lines look [default: text].
    #[arg(long, value_name = "FORMAT", env = "THALWEG_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// `thalweg --cores 2` means `thalweg serve --cores 2`, and `thalweg` alone `thalweg serve`.
pub fn with_default_command(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let for_the_program = ["-h", "--help", "-V", "--version"];
    let names_command = arguments.get(1).is_some_and(|first| {
        for_the_program.iter().any(|flag| first == flag)
            || !first.to_string_lossy().starts_with('-')
    });
    if !names_command {
        let at = arguments.len().min(1);
        arguments.insert(at, "serve".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn with_default(arguments: &[&str]) -> Vec<OsString> {
        with_default_command(arguments.iter().map(OsString::from))
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_command() {
        assert_eq!(with_default(&["thalweg"]), ["thalweg", "serve"]);
        assert_eq!(
            with_default(&["thalweg", "--cores", "2"]),
            ["thalweg", "serve", "--cores", "2"]
        );
        assert_eq!(with_default(&["thalweg", "serve"]), ["thalweg", "serve"]);
        assert_eq!(with_default(&["thalweg", "--version"]), ["thalweg", "--version"]);
        assert_eq!(with_default(&["thalweg", "sreve"]), ["thalweg", "sreve"]);
    }
}
