//! Figures, how they are summed up and shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// What a figure should reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
}

impl Target {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
        }
    }
}

#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    unit: &'static str,
    /// Of all runs.
    median: f64,
    lowest: f64,
    highest: f64,
    runs: Vec<f64>,
    target: Option<Target>,
    met: Option<bool>,
}

/// Everything one bench measured.
#[derive(Debug, Serialize)]
pub struct Report {
    bench: &'static str,
    machine: String,
    cores: usize,
    /// Facts that a reader of the figures needs, such as sizes.
    facts: BTreeMap<&'static str, String>,
    figures: Vec<Figure>,
}

impl Report {
    /// An empty report.
    pub fn new(bench: &'static str) -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let machine = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            bench,
            machine: machine.map_or("unknown", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            facts: BTreeMap::new(),
            figures: Vec::new(),
        }
    }

    /// Notes under which circumstances the figures hold.
    pub fn fact(&mut self, name: &'static str, value: impl ToString) {
        self.facts.insert(name, value.to_string());
    }

    /// Adds one run's value; values of the same name belong together. Not-a-number means it could not be measured, and
    /// misses every target.
    pub fn add(&mut self, name: impl Into<String>, unit: &'static str, value: f64, target: Option<Target>) {
        let name = name.into();
        let index = self.figures.iter().position(|figure| figure.name == name).unwrap_or_else(|| {
            let (median, lowest, highest) = (f64::NAN, f64::NAN, f64::NAN);
            self.figures.push(Figure { name, unit, median, lowest, highest, runs: Vec::new(), target, met: None });
            self.figures.len() - 1
        });
        let figure = &mut self.figures[index];
        figure.runs.push(value);
        figure.median = percentile(&figure.runs, 0.5);
        figure.lowest = figure.runs.iter().copied().fold(f64::INFINITY, f64::min);
        figure.highest = figure.runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        figure.met = target.map(|target| target.met(figure.median));
    }

    /// The median of the runs of a figure.
    pub fn median(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.median)
    }

    /// Names of the figures that missed their targets.
    pub fn missed(&self) -> Vec<&str> {
        self.figures.iter().filter(|figure| figure.met == Some(false)).map(|figure| figure.name.as_str()).collect()
    }

    /// Prints the table, and writes the same figures to `json` if given.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn publish(&self, json: Option<&Path>) -> Result<()> {
        io::stdout().write_all(self.table().as_bytes())?;
        let Some(path) = json else { return Ok(()) };
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn table(&self) -> String {
        let mut text = format!("bench {}, {} cores, {}\n", self.bench, self.cores, self.machine);
        for (name, value) in &self.facts {
            let _ = writeln!(text, "  {name}: {value}");
        }
        let width = self.figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
        let _ = writeln!(text, "\n{:width$}  {:>10}  {:>10}  {:>10}  unit", "", "median", "lowest", "highest");
        for Figure { name, unit, median, lowest, highest, target, met, .. } in &self.figures {
            let row = [median, lowest, highest].map(|value| number(*value));
            let _ = write!(text, "{name:width$}  {:>10}  {:>10}  {:>10}  {unit}", row[0], row[1], row[2]);
            if let (Some(target), Some(met)) = (target, met) {
                let (sign, limit) = match target {
                    Target::AtLeast(limit) => ('≥', limit),
                    Target::AtMost(limit) => ('≤', limit),
                };
                let _ = write!(text, "  (target {sign} {}: {})", number(*limit), if *met { "met" } else { "MISSED" });
            }
            text.push('\n');
        }
        text
    }
}

/// Four significant digits are more than any of these measurements deserves.
fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The value below which this share (0 to 1) of the values lies, between the two nearest; not-a-number if there are none.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = share.clamp(0.0, 1.0) * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the last index")]
    let below = position as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_the_nearest_values() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!([0.0, 0.5, 1.0].map(|share| percentile(&values, share)), [1.0, 2.5, 4.0]);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn targets_are_judged_by_the_median_of_the_runs() {
        let mut report = Report::new("test");
        for value in [90.0, 30.0, 70.0] {
            report.add("speed", "1/s", value, Some(Target::AtLeast(60.0)));
            report.add("delay", "ms", value, Some(Target::AtMost(60.0)));
        }
        report.add("nothing", "ms", f64::NAN, Some(Target::AtMost(60.0)));
        assert_eq!(
            report.figures.iter().map(|figure| figure.met).collect::<Vec<_>>(),
            [Some(true), Some(false), Some(false)]
        );
        let table = report.table();
        assert!(table.contains("speed") && table.contains("≥ 60.00: met"), "{table}");
        assert!(table.contains("≤ 60.00: MISSED"), "{table}");
        assert_eq!(report.median("speed"), Some(70.0));
        assert_eq!(report.missed(), ["delay", "nothing"]);
    }
}
