//! Plots, as SVG or PNG: latencies by percentile from HdrHistogram logs, throughput from a comparison's results.

mod font;
mod latency;
pub mod options;
mod throughput;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use plotters::prelude::*;

use crate::compare::table::Results;
use crate::measure::latency::{histogram, read_log};
use options::{Format, PlotCommand};

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 600;
const BAR_HEIGHT: u32 = 18;
/// Told apart by those who see colours otherwise, too (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// Draws what is asked for. Returns the files.
pub fn plot(command: &PlotCommand) -> anyhow::Result<Vec<PathBuf>> {
    match command {
        PlotCommand::Latency { files, out, title, font } => {
            font::register(font.as_deref())?;
            let series = read_series(files)?;
            draw(out, HEIGHT, |area| match area {
                Area::Svg(area) => latency::draw(&area, title, &series),
                Area::Png(area) => latency::draw(&area, title, &series),
            })?;
            Ok(vec![out.clone()])
        }
        PlotCommand::Results { folder, format, font } => {
            font::register(font.as_deref())?;
            plot_results(folder, *format)
        }
    }
}

fn plot_results(folder: &Path, format: Format) -> anyhow::Result<Vec<PathBuf>> {
    let path = folder.join("results.json");
    let json = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let results: Results = serde_json::from_slice(&json)
        .with_context(|| format!("{} holds no results", path.display()))?;
    let mut drawn = Vec::new();
    if let Some(bars) = throughput::Bars::of(&results) {
        let out = folder.join(format!("throughput.{}", format.extension()));
        draw(&out, HEIGHT.max(bars.count() * BAR_HEIGHT), |area| match area {
            Area::Svg(area) => throughput::draw(&area, &bars),
            Area::Png(area) => throughput::draw(&area, &bars),
        })?;
        drawn.push(out);
    }
    for (scenario, files) in logs_by_scenario(folder)? {
        let mut series = read_series(&files)?;
        // Each system has the same colour in every plot.
        let place = |name: &str| results.systems.iter().position(|system| system.name == name);
        series.sort_by_key(|(name, _)| place(name));
        let about = results.scenarios.iter().find(|found| found.name == scenario);
        let title = about.map_or(scenario.as_str(), |found| found.about.as_str()).to_owned();
        let out = folder.join(format!("{scenario}.{}", format.extension()));
        draw(&out, HEIGHT, |area| match area {
            Area::Svg(area) => latency::draw(&area, &title, &series),
            Area::Png(area) => latency::draw(&area, &title, &series),
        })?;
        drawn.push(out);
    }
    if drawn.is_empty() {
        bail!("{} holds nothing that can be drawn", folder.display());
    }
    Ok(drawn)
}

// `compare` names its logs SCENARIO.SYSTEM.ROUND.hlog. Here: each scenario's, as SYSTEM=FILE.
fn logs_by_scenario(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut logs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parts: Vec<&str> = name.split('.').collect();
        if let [scenario, system, _round, "hlog"] = parts.as_slice() {
            logs.entry((*scenario).to_owned())
                .or_default()
                .push(format!("{system}={}", path.display()));
        }
    }
    logs.values_mut().for_each(|files| files.sort_unstable());
    Ok(logs)
}

/// Each name's latencies; files of the same name become one.
type Series = Vec<(String, Histogram<u64>)>;

fn read_series(files: &[String]) -> anyhow::Result<Series> {
    let mut series: Series = Vec::new();
    for text in files {
        let (name, path) = text.split_once('=').unwrap_or((text, text));
        let read = read_log(Path::new(path))?;
        if !series.iter().any(|(known, _)| known == name) {
            series.push((name.to_owned(), histogram()));
        }
        if let Some((_, total)) = series.iter_mut().find(|(known, _)| known == name) {
            total.add(&read).with_context(|| format!("{path} does not fit"))?;
        }
    }
    Ok(series)
}

enum Area<'a> {
    Svg(DrawingArea<SVGBackend<'a>, plotters::coord::Shift>),
    Png(DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>),
}

fn draw(
    out: &Path,
    height: u32,
    with: impl FnOnce(Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let size = (WIDTH, height);
    let extension = out.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let area = match extension.as_str() {
        "svg" => Area::Svg(SVGBackend::new(out, size).into_drawing_area()),
        "png" => Area::Png(BitMapBackend::new(out, size).into_drawing_area()),
        _ => bail!("{}: .svg or .png is needed", out.display()),
    };
    with(area).with_context(|| format!("cannot draw {}", out.display()))
}

/// The colour of series number `index`.
fn colour(index: usize) -> RGBColor {
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or(BLACK)
}

/// Errors of the drawing library are not `Sync`: their text is kept.
fn drawing<T, E: std::fmt::Display>(result: Result<T, E>) -> anyhow::Result<T> {
    result.map_err(|error| anyhow::anyhow!("{error}"))
}
