//! Latency by percentile: both axes logarithmic, the percentiles by how rare what lies behind them is.

use hdrhistogram::Histogram;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::plot::{Series, colour, drawing};

const NS_PER_MS: f64 = 1e6;
const POINTS_PER_DECADE: usize = 40;

/// Draws `series`.
pub fn draw<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    title: &str,
    series: &Series,
) -> anyhow::Result<()> {
    let recorded: Vec<&(String, Histogram<u64>)> =
        series.iter().filter(|(_, h)| !h.is_empty()).collect();
    anyhow::ensure!(!recorded.is_empty(), "nothing was recorded");
    // One in so many: 2 is the median, 1,000 is p99.9.
    let rarest = recorded.iter().map(|(_, h)| h.len() as f64).fold(10.0, f64::max);
    let lowest = recorded.iter().map(|(_, h)| at(h, 1.0)).fold(f64::MAX, f64::min);
    let highest = recorded.iter().map(|(_, h)| h.max() as f64 / NS_PER_MS).fold(0.0, f64::max);

    drawing(area.fill(&WHITE))?;
    let mut chart = drawing(
        ChartBuilder::on(area)
            .caption(title, ("sans-serif", 18))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(
                (1.0..rarest).log_scale(),
                (lowest * 0.8..highest * 1.2).log_scale(),
            ),
    )?;
    drawing(
        chart
            .configure_mesh()
            .x_desc("percentile")
            .y_desc("milliseconds")
            .label_style(("sans-serif", 15))
            .x_label_formatter(&percentile)
            .y_label_formatter(&milliseconds)
            .light_line_style(BLACK.mix(0.05))
            .bold_line_style(BLACK.mix(0.15))
            .draw(),
    )?;
    for (index, (name, histogram)) in recorded.into_iter().enumerate() {
        let style = colour(index).stroke_width(2);
        drawing(chart.draw_series(LineSeries::new(points(histogram), style)))?
            .label(name.clone())
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 24, y)], style));
    }
    drawing(
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(("sans-serif", 15))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw(),
    )?;
    drawing(area.present())
}

// One point for each step of rarity, up to the rarest that was seen.
fn points(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let decades = (histogram.len() as f64).log10();
    let steps = (decades * POINTS_PER_DECADE as f64).floor() as usize;
    let rarity = |step: usize| 10f64.powf(step as f64 / POINTS_PER_DECADE as f64);
    (0..=steps).map(rarity).map(|one_in| (one_in, at(histogram, one_in))).collect()
}

/// The latency, in milliseconds, that one in `one_in` exceeds.
fn at(histogram: &Histogram<u64>, one_in: f64) -> f64 {
    let quantile = 1.0 - 1.0 / one_in;
    histogram.value_at_quantile(quantile).max(1) as f64 / NS_PER_MS
}

fn percentile(one_in: &f64) -> String {
    let percent = 100.0 * (1.0 - 1.0 / one_in);
    let nines = (one_in.log10().ceil() as usize).saturating_sub(2);
    format!("{percent:.nines$} %")
}

fn milliseconds(value: &f64) -> String {
    if *value >= 1.0 { format!("{value:.0}") } else { format!("{value}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::latency::histogram;

    #[test]
    fn percentiles_are_written_with_their_nines() {
        let written: Vec<String> =
            [1.0, 10.0, 100.0, 1_000.0, 10_000.0].iter().map(percentile).collect();
        assert_eq!(written, ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn a_line_ends_at_the_rarest_that_was_seen() {
        let mut latencies = histogram();
        for latency_ns in 1..=1_000 {
            latencies.record(latency_ns * 1_000_000).unwrap();
        }
        let points = points(&latencies);
        let (rarest, slowest) = *points.last().unwrap();
        assert!((rarest - 1_000.0).abs() < 1.0, "{rarest}");
        assert!((slowest - 999.0).abs() < 2.0, "{slowest}");
    }
}
