//! Results, and the table of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::compare::machine::Machine;
use crate::compare::measurement::{Better, Figure, Measurement};
use crate::measure::limits::Limits;
use crate::measure::statistics::{Spread, ratio, spread};

/// Everything that one run of `compare` found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// Rounds of each scenario.
    pub rounds: u64,
    /// What a JVM was given before.
    pub warm_up_gigabytes: f64,
    /// What the page cache was filled with before each scenario.
    pub page_cache_fill_gibibytes: u64,
    /// Who took part; the first is who the others are compared with.
    pub systems: Vec<SystemResults>,
    /// What was done.
    pub scenarios: Vec<ScenarioResults>,
}

/// One who took part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SystemResults {
    /// Its name in tables.
    pub name: String,
    /// What it is.
    pub version: String,
    /// What its acknowledgement means.
    pub durability: String,
}

/// What one scenario found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScenarioResults {
    /// Its name.
    pub name: String,
    /// What was done.
    pub about: String,
    /// How busy the machine was before.
    pub load_average: String,
    /// The machine's own limits, in each round.
    pub limits: Vec<Limits>,
    /// Each system's measurements, in the order of the rounds.
    pub rounds: BTreeMap<String, Vec<Measurement>>,
    /// Who failed, and why.
    pub failures: BTreeMap<String, String>,
}

impl Results {
    /// The whole as a page of Markdown.
    pub fn markdown(&self) -> String {
        let mut page = String::from("# Benchmark\n\n| | |\n|---|---|\n");
        for (name, value) in self.machine.lines() {
            let _ = writeln!(page, "| {name} | {value} |");
        }
        let _ = writeln!(page, "| rounds | {} |", self.rounds);
        let _ = writeln!(
            page,
            "| before | page cache filled with {} GiB; each Kafka door warmed up with {} GB written and read |",
            self.page_cache_fill_gibibytes, self.warm_up_gigabytes
        );
        page.push_str("\n| system | version | an acknowledged record is |\n|---|---|---|\n");
        for system in &self.systems {
            let _ =
                writeln!(page, "| {} | {} | {} |", system.name, system.version, system.durability);
        }
        page.push_str(
            "\nMedians of the rounds, and their range. Ratios are of the medians; their range is that of the rounds' \
             own ratios. MB = 10^6 bytes of values.\n",
        );
        for scenario in &self.scenarios {
            page.push('\n');
            page.push_str(&scenario.markdown(&self.systems));
        }
        page
    }
}

impl ScenarioResults {
    /// One table.
    pub fn markdown(&self, systems: &[SystemResults]) -> String {
        let mut text = format!(
            "## {}\n{}. Load average before: {}.\n\n",
            self.name, self.about, self.load_average
        );
        let systems: Vec<&SystemResults> =
            systems.iter().filter(|system| self.rounds.contains_key(&system.name)).collect();
        let Some((ours, others)) = systems.split_first() else { return text };
        let mut heads: Vec<String> = systems.iter().map(|system| system.name.clone()).collect();
        heads.extend(others.iter().map(|other| format!("{} / {}", ours.name, other.name)));
        let _ = writeln!(text, "| | {} |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(heads.len()));
        for figure in self.figures() {
            let mut cells: Vec<String> = systems
                .iter()
                .map(|system| shown(spread(&self.values(system, &figure.name))))
                .collect();
            for other in others {
                cells.push(match figure.better {
                    Better::Neither => String::new(),
                    _ => shown(ratio(
                        &self.values(ours, &figure.name),
                        &self.values(other, &figure.name),
                    )),
                });
            }
            let arrow = match figure.better {
                Better::Higher => " ↑",
                Better::Lower => " ↓",
                Better::Neither => "",
            };
            let _ = writeln!(text, "| {}{arrow} | {} |", figure.name, cells.join(" | "));
        }
        text.push('\n');
        text.push_str(&self.limits_line());
        for (system, why) in &self.failures {
            let _ = writeln!(text, "- **{system} failed**, {why}");
        }
        text
    }

    fn limits_line(&self) -> String {
        let of = |value: fn(&Limits) -> f64| {
            shown(spread(&self.limits.iter().map(value).collect::<Vec<_>>()))
        };
        format!(
            "The machine itself, in the same rounds: O_DIRECT|O_DSYNC write of 4 KiB p50 {} ms, p99 {} ms; of 256 KiB \
             {} MB/s; loopback echo of 1 KiB p50 {} ms.\n",
            of(|limits| limits.durable_write.p50_ms),
            of(|limits| limits.durable_write.p99_ms),
            of(|limits| limits.durable_megabytes_per_second),
            of(|limits| limits.echo.p50_ms),
        )
    }

    // Every system yields the same figures, unless it failed; some have more behind them.
    fn figures(&self) -> Vec<Figure> {
        let mut figures: Vec<Figure> = Vec::new();
        for figure in self.rounds.values().flatten().flat_map(|measurement| &measurement.0) {
            if !figures.iter().any(|known| known.name == figure.name) {
                figures.push(figure.clone());
            }
        }
        figures
    }

    /// The rounds' values of one figure of one system.
    pub fn values(&self, system: &SystemResults, figure: &str) -> Vec<f64> {
        let rounds = self.rounds.get(&system.name).map(Vec::as_slice).unwrap_or_default();
        rounds.iter().filter_map(|measurement| measurement.get(figure)).collect()
    }
}

fn shown(spread: Option<Spread>) -> String {
    match spread {
        Some(Spread { median, min, max }) => {
            format!("{} [{}–{}]", rounded(median), rounded(min), rounded(max))
        }
        None => "–".to_owned(),
    }
}

// Three significant digits, more before the point.
fn rounded(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits_before_the_point = value.abs().log10().floor() as i32 + 1;
    let digits_behind = (3 - digits_before_the_point).clamp(0, 6) as usize;
    format!("{value:.digits_behind$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(name: &str) -> SystemResults {
        SystemResults { name: name.to_owned(), version: String::new(), durability: String::new() }
    }

    fn measured(value: f64) -> Measurement {
        let mut measurement = Measurement::default();
        measurement.add("MB/s", Better::Higher, value);
        measurement
    }

    fn results() -> ScenarioResults {
        let rounds = [("ours", vec![200.0, 400.0, 300.0]), ("theirs", vec![100.0, 100.0, 200.0])];
        ScenarioResults {
            name: "a".to_owned(),
            about: "b".to_owned(),
            load_average: "0 0 0".to_owned(),
            limits: Vec::new(),
            rounds: rounds
                .into_iter()
                .map(|(name, values)| (name.to_owned(), values.into_iter().map(measured).collect()))
                .collect(),
            failures: BTreeMap::new(),
        }
    }

    #[test]
    fn a_table_has_medians_ranges_and_ratios() {
        let table = results().markdown(&[system("ours"), system("theirs")]);
        assert!(table.contains("| | ours | theirs | ours / theirs |"), "{table}");
        assert!(
            table.contains("| MB/s ↑ | 300 [200–400] | 100 [100–200] | 3.00 [1.50–4.00] |"),
            "{table}"
        );
    }

    #[test]
    fn figures_have_three_digits_that_matter() {
        let shown = [123_456.7, 300.0, 45.67, 1.0, 0.01234, 0.0].map(rounded);
        assert_eq!(shown, ["123457", "300", "45.7", "1.00", "0.0123", "0"]);
    }

    #[test]
    fn who_failed_is_named_and_has_no_figure() {
        let mut results = results();
        results.rounds.insert("theirs".to_owned(), Vec::new());
        results.failures.insert("theirs".to_owned(), "measuring: it ended".to_owned());
        let table = results.markdown(&[system("ours"), system("theirs")]);
        assert!(table.contains("| MB/s ↑ | 300 [200–400] | – | – |"), "{table}");
        assert!(table.contains("theirs failed"), "{table}");
    }

    #[test]
    fn who_has_more_figures_shows_them_and_who_took_no_part_has_no_column() {
        let mut results = results();
        results.rounds.get_mut("theirs").unwrap()[0].add("seconds", Better::Lower, 4.0);
        let table =
            results.markdown(&[system("ours"), system("theirs"), system("on another protocol")]);
        assert!(table.contains("| seconds ↓ | – | 4.00 [4.00–4.00] | – |"), "{table}");
        assert!(!table.contains("on another protocol"), "{table}");
    }
}
