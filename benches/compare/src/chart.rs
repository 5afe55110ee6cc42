//! A report as a picture: one bar per metric and peer, as long as ours is better, on a logarithmic scale.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::{Metric, Report};

const ROW_PX: usize = 22;
const NAME_PX: usize = 330;
const BAR_PX: f64 = 420.0;
const TOP_PX: usize = 58;
/// Bars end here: a hundred times better, or worse.
const LIMIT: f64 = 100.0;
const COLOURS: [&str; 4] = ["#2f6f9f", "#c2702d", "#5b8c3e", "#8a5aa3"];

/// Writes a picture of each report with at least two peers; its name follows from the title.
pub(crate) fn write_all(reports: &[Report], dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for report in reports.iter().filter(|report| report.peers.len() > 1) {
        let path = dir.join(format!("{}.svg", file_name(&report.title)));
        fs::write(&path, svg(report)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Letters and digits of a title, words joined by hyphens.
fn file_name(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.take(16).collect::<Vec<_>>().join("-").to_lowercase()
}

fn svg(report: &Report) -> String {
    let bars: Vec<(&Metric, usize, f64)> = report
        .metrics
        .iter()
        .filter(|metric| is_shown(metric))
        .flat_map(|metric| (1..report.peers.len()).map(move |peer| (metric, peer, metric.times_better(peer))))
        .filter(|(_, _, times)| times.is_finite() && *times > 0.0)
        .collect();
    let (width, height) = (NAME_PX + BAR_PX as usize + 80, TOP_PX + ROW_PX * bars.len() + 12);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    put(&mut text, 12, 20, "font-size=\"14\" font-weight=\"bold\"", &report.title);
    for (peer, name) in report.peers.iter().enumerate().skip(1) {
        let at = NAME_PX + 150 * (peer - 1);
        put(&mut text, at, 42, &format!("fill=\"{}\"", colour(peer)), &format!("times better than {name}"));
    }
    bars.iter().enumerate().for_each(|(row, bar)| put_bar(&mut text, row, bar));
    let middle = x_of(1.0);
    let _ = writeln!(
        text,
        "<line x1=\"{middle:.0}\" x2=\"{middle:.0}\" y1=\"50\" y2=\"{height}\" stroke=\"#444\"/>\n</svg>"
    );
    text
}

/// Of each query only the costs; the answer is as large for all, and the time follows from the cost.
fn is_shown(metric: &Metric) -> bool {
    let hidden = [": wall, median", ": peak memory", ": answer"];
    !hidden.iter().any(|part| metric.name.contains(part))
}

fn put_bar(text: &mut String, row: usize, (metric, peer, times): &(&Metric, usize, f64)) {
    let y = TOP_PX + ROW_PX * row;
    let (one, end) = (x_of(1.0), x_of(*times));
    let (x, width) = (one.min(end), (end - one).abs().max(1.0));
    put(text, 12, y + 15, "", &metric.name);
    let _ = writeln!(
        text,
        "<rect x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\" fill=\"{}\"/>",
        y + 3,
        ROW_PX - 6,
        colour(*peer)
    );
    put(text, one.max(end) as usize + 5, y + 15, "", &format!("{times:.2}"));
}

/// Where a ratio lies: 1 is at a quarter of the width, so that most bars, which go right, have room.
fn x_of(times: f64) -> f64 {
    let place = times.clamp(1.0 / LIMIT.sqrt(), LIMIT).ln() / LIMIT.ln();
    NAME_PX as f64 + BAR_PX * (1.0 + 2.0 * place) / 3.0
}

fn colour(peer: usize) -> &'static str {
    COLOURS[(peer - 1) % COLOURS.len()]
}

fn put(text: &mut String, x: usize, y: usize, attributes: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\" {attributes}>{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Better;

    #[test]
    fn a_picture_has_a_bar_for_every_ratio() {
        let mut report = Report::new("ingest: 100 series <x>", vec!["ours".into(), "a".into(), "b".into()]);
        report.add("CPU", "ns", Better::Lower, vec![1.0, 10.0, 5.0]);
        report.add("up: answer", "MB", Better::Lower, vec![1.0, 1.0, 1.0]);
        report.add("nothing", "", Better::Lower, vec![f64::NAN, 1.0, 1.0]);
        let dir = tempfile::tempdir().unwrap();
        write_all(&[report], dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join("ingest-100-series-x.svg")).unwrap();
        assert_eq!(text.matches("<rect").count(), 3);
        assert!(text.contains(">10.00<") && text.contains("&lt;x>"));
    }

    #[test]
    fn better_is_right_of_the_line() {
        assert!(x_of(2.0) > x_of(1.0) && x_of(0.5) < x_of(1.0));
        assert!(x_of(1e9) <= NAME_PX as f64 + BAR_PX && x_of(1e-9) >= NAME_PX as f64);
    }
}
