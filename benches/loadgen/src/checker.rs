//! Reads a plan's samples back through PromQL: nothing acknowledged may be missing, nothing may be there that was not sent.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http::Connection;
use crate::plan::{NAME, Plan};
use crate::sender::{Ledger, members};

/// What was read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Samples that were acknowledged.
    pub acked: u64,
    /// Samples that were read back; those of requests without an answer may be among them.
    pub found: u64,
}

/// Checks everything; `api` is `host:port` of Prometheus's API, the scrapes below `scrapes` may have been sent.
pub fn check(plan: &Plan, ledger: &Ledger, scrapes: u64, api: &str) -> Result<Checked> {
    let groups = ledger.acked.iter();
    groups.map(|(&group, acked)| check_group(plan, group, acked, scrapes, api)).try_fold(
        Checked::default(),
        |sum, one| {
            let one = one?;
            Ok(Checked { acked: sum.acked + one.acked, found: sum.found + one.found })
        },
    )
}

/// Checks one group of series.
pub fn check_group(plan: &Plan, group: u64, acked: &[u64], scrapes: u64, api: &str) -> Result<Checked> {
    let found = samples_of(plan, group, scrapes, api)?;
    let mut checked = Checked { acked: 0, found: found.values().map(|times| times.len() as u64).sum() };
    for series in members(plan, group) {
        let times = found.get(&series);
        for time_ms in acked.iter().filter_map(|&scrape| plan.sample(series, scrape)).map(|(time_ms, _)| time_ms) {
            checked.acked += 1;
            if times.is_none_or(|times| !times.contains(&time_ms)) {
                bail!("series {series}: the acknowledged sample at {time_ms} is lost");
            }
        }
    }
    Ok(checked)
}

/// The times of all samples of a group's series, each of which must be the plan's.
fn samples_of(plan: &Plan, group: u64, scrapes: u64, api: &str) -> Result<BTreeMap<u64, BTreeSet<i64>>> {
    let end_ms = plan.start_ms + scrapes as i64 * plan.interval_ms + plan.jitter_ms;
    let span_s = (end_ms - plan.start_ms + plan.jitter_ms) / 1_000 + 2;
    let query = format!("{NAME}{{group=\"{group}\"}}[{span_s}s]");
    let time = format!("{}.{:03}", end_ms / 1_000, end_ms % 1_000);
    let mut connection = Connection::open(api)?;
    let body = connection.post_form("/api/v1/query", &[("query", &query), ("time", &time)])?.success()?;
    let answer: Value = serde_json::from_slice(&body).context("no JSON")?;
    if answer["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty()) {
        bail!("group {group}: the answer may lack something: {}", answer["warnings"]);
    }
    let mut found: BTreeMap<u64, BTreeSet<i64>> = BTreeMap::new();
    for one in answer["data"]["result"].as_array().with_context(|| format!("no result: {answer}"))? {
        let series: u64 = one["metric"]["series"].as_str().context("no series label")?.parse()?;
        let times = found.entry(series).or_default();
        for point in one["values"].as_array().context("no values")? {
            let time_ms = checked_point(plan, series, &one["metric"], point, scrapes)?;
            if !times.insert(time_ms) {
                bail!("series {series}: the sample at {time_ms} is there twice");
            }
        }
    }
    Ok(found)
}

fn checked_point(plan: &Plan, series: u64, metric: &Value, point: &Value, scrapes: u64) -> Result<i64> {
    let time_ms = (point[0].as_f64().context("no time")? * 1_000.0).round() as i64;
    let value: f64 = point[1].as_str().context("no value")?.parse()?;
    let scrape = plan.scrape_at(time_ms);
    let generation: u64 = metric["generation"].as_str().context("no generation label")?.parse()?;
    let is_ours = plan.sample(series, scrape) == Some((time_ms, value)) && scrape < scrapes;
    // The sample before a hole comes again; at a change of labels it is never sent with the new ones.
    if !is_ours || plan.generation(series, scrape) != generation {
        bail!("series {series}, generation {generation}: {value} at {time_ms} was never sent");
    }
    Ok(time_ms)
}
