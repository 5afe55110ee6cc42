//! Series that come and go for hours, in compressed time: heads are cut three times, and what is forgotten gives its memory back.
//!
//! A scrape every twenty minutes, before each a tenth of all series is replaced by series that were never there. After three, five and
//! seven hours of samples every program must have made one more block of two hours before the load goes on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use thanoxide_loadgen::http::Connection;
use thanoxide_loadgen::replay::replay;
use thanoxide_loadgen::shape::Shape;
use thanoxide_loadgen::template::{Body, Protocol};
use thanoxide_loadgen::workload::Workload;

use super::{Benchmark, note_commands, progress, seconds, start_all, start_ms, stop_all};
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;
use crate::stats;

const SERIES: u64 = 200_000;
const STEP_MS: i64 = 20 * 60_000;
const HOUR_MS: i64 = 3_600_000;
const JITTER_ROOM_MS: i64 = 60_000;
/// A head is cut when it reaches so far: a block and a half.
const CUT_HOURS: [i64; 3] = [3, 5, 7];
/// One request in so many is replaced before a scrape.
const EVERY: usize = 10;
/// A cut may take so long to begin and to end.
const CUT_DEADLINE: Duration = Duration::from_secs(100);
const CUT_POLL: Duration = Duration::from_millis(50);

/// How far a run goes.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// So many heads are cut.
    cuts: usize,
    /// Memory that a cut gave up comes back within so long, or it counts as kept.
    settle: Duration,
}

const WHOLE: Extent = Extent { cuts: CUT_HOURS.len(), settle: Duration::from_secs(12) };
/// What continuous integration runs: a head is cut half a minute after the start, the next would be as much later.
pub(crate) const SMALL: Extent = Extent { cuts: 1, settle: Duration::ZERO };

/// Memory after each cut of a head, and what writes wait meanwhile.
pub(crate) struct Storm;

impl Benchmark for Storm {
    fn name(&self) -> &'static str {
        "storm"
    }

    fn about(&self) -> &'static str {
        "seven hours of churn, in which heads are cut three times: memory after each; --sizes 200k"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let sizes = if setting.sizes.is_empty() { &[SERIES] } else { setting.sizes.as_slice() };
        sizes.iter().map(|&series| run_size(setting, series, WHOLE)).collect()
    }
}

/// A peer's readings.
struct Run {
    running: Running,
    cpu_s: f64,
    acks: Vec<f64>,
    blocks: BTreeSet<String>,
    /// Resident memory before anything, before each cut and after it.
    empty_bytes: f64,
    before_bytes: Vec<f64>,
    after_bytes: Vec<f64>,
}

/// One size with all peers, so far.
pub(crate) fn run_size(setting: &Setting, series: u64, extent: Extent) -> Result<Report> {
    let first_ms = start_ms() - CUT_HOURS[2] * HOUR_MS;
    // Soon behind a boundary of blocks, so that the first cut comes after three hours, and jitter does not reach before it.
    let first_ms = first_ms - first_ms.rem_euclid(2 * HOUR_MS) + JITTER_ROOM_MS;
    let mut workload = Workload::new(Shape::L10, series, first_ms, STEP_MS, 1);
    let mut runs: Vec<Run> = start_all(setting)?.into_iter().map(Run::new).collect::<Result<_>>()?;
    let (mut sweeps, mut replaced) = (0, 0);
    for (cut, hours) in CUT_HOURS.into_iter().enumerate().take(extent.cuts) {
        while workload.next_ms() <= first_ms + hours * HOUR_MS + STEP_MS {
            if sweeps > 0 {
                replaced += workload.churn(EVERY.min(series.div_ceil(2_000) as usize), sweeps);
            }
            sweeps += 1;
            let bodies = workload.sweep()?;
            runs.iter_mut().try_for_each(|run| run.send(&bodies))?;
        }
        for run in &mut runs {
            run.await_cut(cut + 1, extent.settle)?;
            progress(&format!("storm {series}: {} has cut {}/{}", run.running.peer.name(), cut + 1, extent.cuts));
        }
    }
    let last_ms = workload.next_ms() - STEP_MS;
    runs.iter().try_for_each(|run| run.check_last(series, last_ms))?;
    let title =
        format!("storm: {series} series, {replaced} replaced in {sweeps} scrapes, cuts of heads: {}", extent.cuts);
    report(setting, runs, title)
}

impl Run {
    fn new(running: Running) -> Result<Self> {
        let empty_bytes = running.usage()?.resident_bytes;
        let (before_bytes, after_bytes) = (Vec::new(), Vec::new());
        Ok(Run {
            running,
            cpu_s: 0.0,
            acks: Vec::new(),
            blocks: BTreeSet::new(),
            empty_bytes,
            before_bytes,
            after_bytes,
        })
    }

    fn send(&mut self, bodies: &[Body]) -> Result<()> {
        let before = self.running.usage()?;
        self.acks.extend(replay(&self.running.write_endpoint()?, Protocol::V1.headers(), &[bodies.to_vec()])?);
        self.cpu_s += (self.running.usage()? - before).cpu_s;
        Ok(())
    }

    /// Waits until so many blocks were made, and then for the memory; one without blocks is only read.
    fn await_cut(&mut self, cuts: usize, settle: Duration) -> Result<()> {
        let before = self.running.usage()?;
        self.before_bytes.push(before.resident_bytes);
        let end = Instant::now() + CUT_DEADLINE;
        while self.running.peer.recipe.makes_blocks && self.blocks.len() < cuts {
            find_blocks(&self.running.data_dir(), &mut self.blocks)?;
            if Instant::now() > end {
                // Some programs put it off; then their table says so.
                let exact = self.running.peer.recipe.is_exact;
                ensure!(!exact, "{} has cut {} of {cuts} blocks", self.running.peer.name(), self.blocks.len());
                break;
            }
            thread::sleep(CUT_POLL);
        }
        thread::sleep(settle);
        let after = self.running.usage()?;
        self.after_bytes.push(after.resident_bytes);
        self.cpu_s += (after - before).cpu_s;
        Ok(())
    }

    /// All series of the last scrape must be there.
    fn check_last(&self, series: u64, last_ms: i64) -> Result<()> {
        self.running.flush()?;
        let query = format!("count(count_over_time({{__name__=~\".+\"}}[{}ms]))", STEP_MS / 2);
        let (body, _) = self.running.ask("query", &[("query", &query), ("time", &seconds(last_ms + STEP_MS / 4))])?;
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let count = answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
        let (exact, name) = (self.running.peer.recipe.is_exact, self.running.peer.name());
        ensure!(!exact || count == Some(series as f64), "{name}: {count:?} of {series} series have the last sample");
        Ok(())
    }

    /// How many series its heads have, by its metrics.
    fn head_series(&self) -> Result<f64> {
        let Some(port) = self.running.peer.recipe.metrics else { return Ok(f64::NAN) };
        let body = Connection::open(&self.running.address(port)?)?.get("/metrics")?.success()?;
        let text = String::from_utf8(body).context("metrics are text")?;
        let series = text.lines().filter_map(|line| line.strip_prefix("prometheus_tsdb_head_series"));
        let values = series.filter(|rest| rest.starts_with([' ', '{'])).filter_map(|rest| rest.rsplit(' ').next());
        Ok(values.filter_map(|value| value.parse::<f64>().ok()).sum())
    }
}

/// The names of all blocks below a directory.
fn find_blocks(dir: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.len() == 26 && path.join("meta.json").is_file() {
            found.insert(name);
        } else if path.is_dir() {
            // What is being moved or removed meanwhile is looked for again.
            let _ = find_blocks(&path, found);
        }
    }
    Ok(())
}

fn report(setting: &Setting, runs: Vec<Run>, title: String) -> Result<Report> {
    use Better::Lower;
    let mut report = Report::new(title, setting.peer_names());
    let of = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    report.add("CPU, cuts included", "s", Lower, of(&|r| r.cpu_s));
    report.add("ack p99", "ms", Lower, of(&|r| 1e3 * stats::quantile(&r.acks, 0.99)));
    report.add("ack max", "ms", Lower, of(&|r| 1e3 * stats::max(&r.acks)));
    let cuts = runs.first().map_or(0, |run| run.after_bytes.len());
    for (cut, hours) in CUT_HOURS.into_iter().enumerate().take(cuts) {
        let grown = |bytes: &dyn Fn(&Run) -> f64| of(&|r| (bytes(r) - r.empty_bytes) / 1e6);
        report.add(
            format!("resident after {hours} h, before cut {}", cut + 1),
            "MB",
            Lower,
            grown(&|r| r.before_bytes[cut]),
        );
        report.add(format!("resident after cut {}", cut + 1), "MB", Lower, grown(&|r| r.after_bytes[cut]));
    }
    report.add(
        "blocks made",
        "",
        Better::Higher,
        of(&|r| if r.running.peer.recipe.makes_blocks { r.blocks.len() as f64 } else { f64::NAN }),
    );
    let head_series: Vec<f64> = runs.iter().map(Run::head_series).collect::<Result<_>>()?;
    report.add("series in heads at the end", "", Lower, head_series);
    let running: Vec<Running> = runs.into_iter().map(|run| run.running).collect();
    note_commands(&mut report, &running);
    stop_all(running)?;
    Ok(report)
}
