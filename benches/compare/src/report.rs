//! What a benchmark found: one line per metric, one column per peer, as text and as JSON.

use std::borrow::Cow;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// One measured property; a value per peer, NaN where there is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) unit: Cow<'static, str>,
    pub(crate) better: Better,
    #[serde(deserialize_with = "values")]
    pub(crate) values: Vec<f64>,
}

/// A table. The first peer is the one that the others are compared with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) peers: Vec<String>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// A table without lines.
    pub(crate) fn new(title: impl Into<String>, peers: Vec<String>) -> Self {
        Report { title: title.into(), peers, metrics: Vec::new(), notes: Vec::new() }
    }

    /// Adds a line.
    pub(crate) fn add(&mut self, name: impl Into<String>, unit: &'static str, better: Better, values: Vec<f64>) {
        self.metrics.push(Metric { name: name.into(), unit: Cow::Borrowed(unit), better, values });
    }

    /// Adds a remark.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The table as aligned text.
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![self.head()];
        rows.extend(self.metrics.iter().map(Metric::row));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
        let mut text = format!("{}\n", self.title);
        for row in &rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0 => format!("  {cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            });
            text.push_str(cells.collect::<String>().trim_end());
            text.push('\n');
        }
        self.notes.iter().for_each(|note| text.push_str(&format!("  * {note}\n")));
        text
    }

    fn head(&self) -> Vec<String> {
        let ratios = self.peers.iter().skip(1).map(|peer| format!("x {peer}"));
        std::iter::once(String::new()).chain(self.peers.iter().cloned()).chain(ratios).collect()
    }
}

impl Metric {
    fn row(&self) -> Vec<String> {
        let name = if self.unit.is_empty() { self.name.clone() } else { format!("{}, {}", self.name, self.unit) };
        let values = self.values.iter().map(|&value| number(value));
        let ratios = (1..self.values.len()).map(|peer| ratio(self.times_better(peer)));
        std::iter::once(name).chain(values).chain(ratios).collect()
    }

    /// How many times better the first peer is than another.
    pub(crate) fn times_better(&self, peer: usize) -> f64 {
        match self.better {
            Better::Higher => self.values[0] / self.values[peer],
            Better::Lower => self.values[peer] / self.values[0],
        }
    }
}

/// Everything of a run, for `--json`.
pub(crate) fn json_of(setting: Value, reports: &[Report]) -> Value {
    json!({ "setting": setting, "reports": reports })
}

/// What [`json_of`] wrote.
pub(crate) fn from_json(text: &str) -> Result<Vec<Report>> {
    let mut value: Value = serde_json::from_str(text).context("no JSON")?;
    Ok(serde_json::from_value(value["reports"].take())?)
}

/// JSON has no NaN; it says null.
fn values<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(from)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// Three digits that matter, thousands as `k`, millions as `M`.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() {
        "-".to_string()
    } else if magnitude >= 9_999_500.0 {
        format!("{:.1} M", value / 1e6)
    } else if magnitude >= 999_500.0 {
        format!("{:.2} M", value / 1e6)
    } else if magnitude >= 9_999.5 {
        format!("{:.0} k", value / 1e3)
    } else if magnitude >= 99.95 {
        format!("{value:.0}")
    } else if magnitude >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn ratio(value: f64) -> String {
    if value.is_finite() && value >= 0.0 { format!("{value:.2}") } else { "-".to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = |value| number(value);
        assert_eq!(shown(1_530_000.0), "1.53 M");
        assert_eq!(shown(15_300_000.0), "15.3 M");
        assert_eq!(shown(181_234.0), "181 k");
        assert_eq!((shown(5_532.0), shown(12.34), shown(0.5)), ("5532".into(), "12.3".into(), "0.50".into()));
        assert_eq!(shown(f64::NAN), "-");
    }

    #[test]
    fn tables_are_aligned_and_ratios_say_how_much_better_the_first_is() {
        let mut report = Report::new("ingest", vec!["ours".into(), "other".into()]);
        report.add("samples per CPU-second", "", Better::Higher, vec![2e6, 5e5]);
        report.add("ack p99", "ms", Better::Lower, vec![10.0, 25.0]);
        report.add("unknown", "", Better::Lower, vec![f64::NAN, 1.0]);
        report.note("a remark");
        let expected = "ingest\n                            ours  other  x other\n\
                        \x20 samples per CPU-second  2.00 M  500 k     4.00\n\
                        \x20 ack p99, ms               10.0   25.0     2.50\n\
                        \x20 unknown                      -   1.00        -\n  * a remark\n";
        assert_eq!(report.text(), expected);
    }

    #[test]
    fn the_files_that_are_kept_are_read_and_name_no_paths() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks");
        let paths = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        let paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        assert!(!paths.is_empty());
        for path in paths {
            let text = std::fs::read_to_string(&path).unwrap();
            let names_paths = ["/tmp/", "/home/", "/root/", "/work/", "target/"].iter().any(|part| text.contains(part));
            assert!(!names_paths && !from_json(&text).unwrap().is_empty(), "{}", path.display());
        }
    }

    #[test]
    fn json_holds_metrics_with_their_units() {
        let mut report = Report::new("t", vec!["ours".into()]);
        report.add("ack", "ms", Better::Lower, vec![f64::NAN]);
        let document = json_of(json!({"rounds": 1}), std::slice::from_ref(&report));
        assert_eq!(document["reports"][0]["metrics"][0]["unit"], "ms");
        assert_eq!(document["reports"][0]["metrics"][0]["better"], "lower");
        assert!(document["reports"][0]["metrics"][0]["values"][0].is_null());
        let read = from_json(&document.to_string()).unwrap();
        assert!(read[0].metrics[0].values[0].is_nan() && read[0].text() == report.text());
    }
}
