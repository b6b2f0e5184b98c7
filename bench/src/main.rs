//! The command line of the benchmark.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bench::compare::options::CompareOptions;
use bench::compare::{runner, scenarios};
use bench::floor::{self, FloorOptions};
use bench::kinesis::options::{GetOptions, PutOptions, SubscribeOptions};
use bench::kinesis::{get, put, subscribe};
use bench::load::options::{ConsumeOptions, EndToEndOptions, Output, ProduceOptions};
use bench::load::report::LoadReport;
use bench::load::{consume, end_to_end, produce};
use bench::measure::limits;
use bench::plot;
use bench::plot::options::PlotCommand;
use clap::{Parser, Subcommand};

/// Loads a broker by Kafka's protocol or Kinesis' and measures it; compares this project's with others.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send records; measure throughput and time to the acknowledgement
    Produce(ProduceOptions),
    /// Read records: new ones, from memory, or from the disk
    Consume(ConsumeOptions),
    /// Send and read; measure the time from the intended sending to the arrival
    EndToEnd(EndToEndOptions),
    /// Kinesis: put records by PutRecords or PutRecord; measure throughput and time to the answer
    PutRecords(PutOptions),
    /// Kinesis: read all records by GetRecords, over and over from TRIM_HORIZON
    GetRecords(GetOptions),
    /// Kinesis: put records and be pushed them; measure the time from the intended putting to the arrival
    Subscribe(SubscribeOptions),
    /// Measure this broker and others in turn, by scenarios; write one table of medians and ratios
    Compare(CompareOptions),
    /// Be the least of brokers, to measure what client and kernel cost by themselves
    Floor(FloorOptions),
    /// List the scenarios and their groups
    Scenarios,
    /// Draw latencies and throughput
    #[command(subcommand)]
    Plot(PlotCommand),
    /// Measure the bare disk and the bare loopback
    Limits {
        /// Folder on the disk to measure
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Seconds for each measurement
        #[arg(short, long, default_value_t = 3)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Produce(options) => show(&produce::produce(&options)?, &options.output),
        Command::Consume(options) => show(&consume::consume(&options)?, &options.output),
        Command::EndToEnd(options) => show(&end_to_end::end_to_end(&options)?, &options.output),
        Command::PutRecords(options) => show(&put::put(&options)?, &options.output),
        Command::GetRecords(options) => show(&get::get(&options)?, &options.output),
        Command::Subscribe(options) => show(&subscribe::subscribe(&options)?, &options.output),
        Command::Compare(options) => {
            println!("{}", runner::compare(&options)?);
            Ok(())
        }
        Command::Floor(options) => floor::serve(&options),
        Command::Scenarios => {
            for scenario in scenarios::all() {
                let groups = scenario.groups().join(", ");
                println!("{:32} ({groups}) {}", scenario.name(), scenario.about());
            }
            Ok(())
        }
        Command::Plot(command) => {
            for file in plot::plot(&command)? {
                println!("{}", file.display());
            }
            Ok(())
        }
        Command::Limits { folder, seconds } => {
            println!("{}", limits::measure(&folder, Duration::from_secs(seconds))?.text());
            Ok(())
        }
    }
}

fn show(report: &LoadReport, output: &Output) -> anyhow::Result<()> {
    if output.json {
        println!("{}", serde_json::to_string_pretty(report).context("cannot write JSON")?);
    } else {
        println!("{}", report.text());
    }
    let why = report.first_failure.as_deref().unwrap_or("no reason given");
    anyhow::ensure!(report.failed == 0, "{} records failed (the first: {why})", report.failed);
    Ok(())
}
