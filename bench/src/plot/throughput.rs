//! Throughput of several scenarios, a bar for each system: the median, with its range.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::compare::table::Results;
use crate::measure::statistics::{Spread, spread};
use crate::plot::{colour, drawing};

const FIGURE: &str = "MB/s";

/// What is drawn.
pub struct Bars {
    systems: Vec<String>,
    // Each scenario's, in the systems' order.
    scenarios: Vec<(String, Vec<Option<Spread>>)>,
}

impl Bars {
    /// Of the scenarios that measured throughput; none if none did.
    pub fn of(results: &Results) -> Option<Bars> {
        let spreads = |scenario: &crate::compare::table::ScenarioResults| {
            let of_system = |system| spread(&scenario.values(system, FIGURE));
            results.systems.iter().map(of_system).collect::<Vec<_>>()
        };
        let scenarios: Vec<(String, Vec<Option<Spread>>)> = results
            .scenarios
            .iter()
            .map(|scenario| (scenario.name.clone(), spreads(scenario)))
            .filter(|(_, spreads)| spreads.iter().any(Option::is_some))
            .collect();
        let systems = results.systems.iter().map(|system| system.name.clone()).collect();
        (!scenarios.is_empty()).then_some(Bars { systems, scenarios })
    }

    /// How many bars there are at most.
    pub fn count(&self) -> u32 {
        (self.systems.len() * self.scenarios.len()) as u32
    }
}

/// Draws them, one row of bars for each scenario.
pub fn draw<B: DrawingBackend>(area: &DrawingArea<B, Shift>, bars: &Bars) -> anyhow::Result<()> {
    let highest =
        bars.scenarios.iter().flat_map(|(_, spreads)| spreads.iter().flatten()).map(|s| s.max);
    let highest = highest.fold(1.0, f64::max);
    let rows = bars.scenarios.len() as f64;
    drawing(area.fill(&WHITE))?;
    let mut chart = drawing(
        ChartBuilder::on(area)
            .caption("Throughput, MB/s: medians, and the range of the rounds", ("sans-serif", 18))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(240)
            .build_cartesian_2d(0.0..highest * 1.05, 0.0..rows),
    )?;
    drawing(
        chart
            .configure_mesh()
            .x_desc("MB/s (10^6 bytes of values)")
            .label_style(("sans-serif", 15))
            .disable_y_mesh()
            .y_labels(0)
            .light_line_style(BLACK.mix(0.05))
            .draw(),
    )?;
    let height = 0.8 / bars.systems.len().max(1) as f64;
    for (index, system) in bars.systems.iter().enumerate() {
        let style = colour(index);
        // The first scenario and the first system stand on top.
        let top = |row: usize| rows - row as f64 - 0.1 - index as f64 * height;
        let measured: Vec<(usize, Spread)> = bars
            .scenarios
            .iter()
            .enumerate()
            .filter_map(|(row, (_, spreads))| Some((row, (*spreads.get(index)?)?)))
            .collect();
        let rectangles = measured.iter().map(|(row, spread)| {
            let corners = [(0.0, top(*row)), (spread.median, top(*row) - height * 0.9)];
            Rectangle::new(corners, style.filled())
        });
        drawing(chart.draw_series(rectangles))?
            .label(system.clone())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], style.filled()));
        let ranges = measured.iter().map(|(row, spread)| {
            let middle = top(*row) - height * 0.45;
            PathElement::new(
                vec![(spread.min, middle), (spread.max, middle)],
                BLACK.mix(0.6).stroke_width(2),
            )
        });
        drawing(chart.draw_series(ranges))?;
    }
    let plotting = chart.plotting_area();
    for (row, (scenario, _)) in bars.scenarios.iter().enumerate() {
        // Left of the axis, in the middle of the row.
        let (x, y) = plotting.map_coordinate(&(0.0, rows - row as f64 - 0.5));
        let style = ("sans-serif", 15).into_font().into_text_style(area).pos(
            plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Right,
                plotters::style::text_anchor::VPos::Center,
            ),
        );
        drawing(area.draw_text(scenario, &style, (x - 10, y)))?;
    }
    drawing(
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .label_font(("sans-serif", 15))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw(),
    )?;
    drawing(area.present())
}
