//! `thalweg`: the program. Command line, configuration, logs, and the wiring of the rooms.
//!
//! **What it owns.** The process: its arguments, its log, its signals, its exit code, and the tokio
//! runtime on which the AWS door lives beside the lane-owning cores.
//!
//! **What it must never do.** Decide anything about data: that is `broker` and below.
//!
//! **Where to start reading.** [`arguments`] for what can be said on the command line,
//! [`configuration`] for how flags, environment, file and defaults become one, [`serve`] for the
//! life of a broker process from start to stop.

mod arguments;
mod config_file;
mod configuration;
mod host;
mod logging;
mod serve;
mod size;

use std::{error::Error, process::ExitCode};

use clap::Parser;

use crate::{
    arguments::{Arguments, Command, with_default_command},
    configuration::Configuration,
};

fn main() -> ExitCode {
    runtime::keep_freed_memory();
    let Arguments { command } = Arguments::parse_from(with_default_command(std::env::args_os()));
    let Command::Serve(arguments) = command;
    let outcome: Result<(), Box<dyn Error>> =
        Configuration::resolve(arguments).map_err(Box::from).and_then(|configuration| {
            let log = logging::start(configuration.log_format)?;
            serve::run(configuration, log).map_err(Box::from)
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Before the log is up, or after it: whoever started the program must see this.
            eprintln!("thalweg: {error}");
            ExitCode::FAILURE
        }
    }
}
