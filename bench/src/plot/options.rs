//! What `bench plot` can be told.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// `bench plot`.
#[derive(Subcommand, Clone, Debug)]
pub enum PlotCommand {
    /// Latencies by percentile, from HdrHistogram logs
    Latency {
        /// Logs; those with the same name become one line
        #[arg(required = true, value_name = "[NAME=]FILE")]
        files: Vec<String>,
        /// Where to draw: .svg or .png
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
        /// What stands above it
        #[arg(short, long, default_value = "Latency by percentile")]
        title: String,
        /// A TrueType font, if none of the system's is found
        #[arg(long, value_name = "FILE")]
        font: Option<PathBuf>,
    },
    /// Everything in a folder of `compare`'s results
    Results {
        /// The folder; plots are added to it
        folder: PathBuf,
        /// The plots' format
        #[arg(short, long, default_value = "svg")]
        format: Format,
        /// A TrueType font, if none of the system's is found
        #[arg(long, value_name = "FILE")]
        font: Option<PathBuf>,
    },
}

/// Formats of plots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Scalable
    Svg,
    /// Pixels
    Png,
}

impl Format {
    /// Of file names.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Svg => "svg",
            Format::Png => "png",
        }
    }
}
