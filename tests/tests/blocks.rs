//! The blocks we upload are Prometheus's: its tools pass them, give back what was sent, and its engine answers the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use thanoxide_model::labels::go_quote;
use thanoxide_model::sample::stale_nan;
use thanoxide_model::{Labels, METRIC_NAME, Sample};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::compare::{difference, series_count};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;

const STEP_MS: i64 = 30_000;
const HOURS: i64 = 30;
const HOUR_MS: i64 = 3_600_000;

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_millis() as i64
}

/// One of every shape: counters with resets, gauges, gaps, stale markers, infinities, NaN, many digits, one lone sample.
fn value(series: usize, tick: i64) -> Option<f64> {
    let wave = (tick as f64 / 37.0 + series as f64).sin();
    Some(match series % 8 {
        0 => (tick % 900) as f64 * (series + 1) as f64,
        1 => wave * 1e3,
        2 if tick % 50 < 10 => return None,
        2 => tick as f64,
        3 if tick % 40 == 39 => stale_nan(),
        3 => 1.0,
        4 => [0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0][(tick % 5) as usize],
        5 => wave / 3.0,
        6 if tick != 100 => return None,
        6 => 42.5,
        _ => 7.0,
    })
}

fn labels(series: usize) -> Labels {
    let (instance, quoted) = (format!("host-{}", series / 4), format!("a \"quoted\" \\ value\n{series}"));
    Labels::from_pairs([
        (METRIC_NAME, "fed_total"),
        ("instance", &instance),
        ("job", "feeder"),
        ("kind", &(series % 8).to_string()),
        ("odd", &quoted),
        ("größe", "ü"),
    ])
}

/// Labels as the old promtool prints them: names are never quoted.
fn printed(labels: &Labels) -> String {
    let pair = |(name, value): (&[u8], &[u8])| format!("{}={}", String::from_utf8_lossy(name), go_quote(value));
    format!("{{{}}}", labels.iter().map(pair).collect::<Vec<_>>().join(", "))
}

/// What was sent: series and time -> bits.
type Sent = BTreeMap<(String, i64), u64>;

async fn feed(sender: &Sender, start_ms: i64) -> Result<Sent> {
    let mut sent = Sent::new();
    let ticks = HOURS * HOUR_MS / STEP_MS;
    for first in (0..ticks).step_by(20) {
        let mut series = Vec::new();
        for s in 0..24 {
            let at = |tick| value(s, tick).map(|value| Sample { timestamp_ms: start_ms + tick * STEP_MS, value });
            let samples: Vec<Sample> = (first..ticks.min(first + 20)).filter_map(at).collect();
            let name = printed(&labels(s));
            sent.extend(samples.iter().map(|x| ((name.clone(), x.timestamp_ms), x.value.to_bits())));
            if !samples.is_empty() {
                series.push((labels(s), samples));
            }
        }
        sender.write(&series).await?;
    }
    Ok(sent)
}

fn blocks(bucket: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(bucket) else { return Vec::new() };
    let whole = entries.flatten().filter(|entry| entry.path().join("meta.json").exists());
    let mut names: Vec<String> = whole.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status()?;
    ensure!(status.success(), "cp -r");
    Ok(())
}

fn promtool(args: &[&str]) -> Result<String> {
    let output = Command::new("promtool").args(args).output().context("promtool is missing: cargo xtask prepare")?;
    if !output.status.success() {
        bail!("promtool {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A line of `promtool tsdb dump`: `{labels} value time`.
fn dumped(line: &str) -> Result<(String, i64, f64)> {
    let (rest, time) = line.rsplit_once(' ').context("no time")?;
    let (labels, value) = rest.rsplit_once(' ').context("no value")?;
    Ok((labels.to_string(), time.parse()?, value.parse()?))
}

fn compare_dump(dump: &str, sent: &Sent, max_ms: i64) -> Result<usize> {
    let mut found = BTreeMap::new();
    for line in dump.lines().filter(|line| line.starts_with('{')) {
        let (labels, time, value) = dumped(line)?;
        ensure!(found.insert((labels, time), value).is_none(), "twice: {line}");
    }
    for ((labels, time), bits) in sent.iter().filter(|((_, time), _)| *time < max_ms) {
        let value = found.remove(&(labels.clone(), *time)).with_context(|| format!("lost: {labels} at {time}"))?;
        let expected = f64::from_bits(*bits);
        // The dump prints all NaNs alike.
        ensure!(
            value == expected || (value.is_nan() && expected.is_nan()),
            "{labels} at {time}: {value}, sent {expected}"
        );
    }
    if let Some((key, value)) = found.iter().find(|((_, time), _)| *time < max_ms) {
        bail!("invented: {key:?} = {value}");
    }
    Ok(sent.iter().filter(|((_, time), _)| *time < max_ms).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_blocks_passes_the_stock_tools() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut program = Program::standalone(dir.path(), &["--no-self-scrape"])?;
    let sender = Sender::new(format!("{}/api/v1/receive", program.url("remote-write")));
    let start_ms = (now_ms() - 31 * HOUR_MS) / (2 * HOUR_MS) * (2 * HOUR_MS);
    let sent = feed(&sender, start_ms).await?;
    let bucket = dir.path().join("bucket");
    let (began, mut wait) = (Instant::now(), tokio::time::interval(Duration::from_millis(200)));
    while blocks(&bucket).len() < 12 {
        wait.tick().await;
        if began.elapsed() > Duration::from_secs(90) {
            bail!("{} blocks; log:\n{}", blocks(&bucket).len(), program.log());
        }
    }
    let copy = dir.path().join("copy");
    copy_dir(&bucket, &copy)?;
    std::fs::create_dir_all(copy.join("wal"))?;
    let copied = copy.to_string_lossy().into_owned();
    let names = blocks(&copy);
    for name in &names {
        promtool(&["tsdb", "analyze", &copied, name]).with_context(|| format!("block {name}"))?;
    }
    let end_ms = start_ms + names.len() as i64 * 2 * HOUR_MS;
    let compared = compare_dump(&promtool(&["tsdb", "dump", &copied])?, &sent, end_ms)?;
    println!("{} blocks, {compared} samples equal in promtool's dump", names.len());
    ensure!(end_ms - start_ms >= 24 * HOUR_MS, "less than a day of blocks");

    let oracle = Program::oracle(&copy, &[])?;
    let (ours, stock) = (Api::new(program.url("http")), Api::new(oracle.url("http")));
    for query in [
        "fed_total",
        "sum by (kind) (rate(fed_total{kind=\"0\"}[10m]))",
        "count by (instance) (fed_total)",
        "max_over_time(fed_total{kind=\"1\"}[1h])",
        "fed_total{odd=~\"a .*\", kind!~\"4|6\"} * 2",
        "resets(fed_total{kind=\"0\"}[6h])",
    ] {
        let (from, to) = (start_ms + HOUR_MS, end_ms - 60_000);
        let (left, right) = (ours.range(query, from, to, 300_000).await?, stock.range(query, from, to, 300_000).await?);
        ensure!(series_count(&right) > 0, "{query}: stock has nothing: {right}");
        if let Some(difference) = difference(&left, &right, &["tenant_id", "replica"]) {
            bail!("{query}: {difference}");
        }
    }
    ensure!(program.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", program.log());
    Ok(())
}
