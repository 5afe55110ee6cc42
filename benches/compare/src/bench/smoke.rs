//! Small runs of the others: does it all start, answer alike and stop? The figures mean nothing, and nothing is pinned.

use anyhow::Result;

use thanoxide_loadgen::template::Protocol;

use super::{BENCHMARKS, Benchmark, ingest, query, router, storm};
use crate::report::Report;
use crate::setting::Setting;

const INGEST_SERIES: u64 = 2_500;
const TENANTS: u64 = 5;
const QUERY_SERIES: u64 = 500;
const SPAN_MS: i64 = 1_200_000;
const COMPACTED_SERIES: u64 = 200;
/// Fewer would leave questions without an answer.
const MATCHED_SERIES: u64 = 20_000;

/// What continuous integration runs.
pub(crate) struct Smoke;

impl Benchmark for Smoke {
    fn name(&self) -> &'static str {
        "smoke"
    }

    fn about(&self) -> &'static str {
        "small runs of the others, only to see that answers are equal"
    }

    fn is_pinned(&self) -> bool {
        false
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let setting = Setting { rounds: Some(2), ..setting.clone() };
        let sized = |size: u64| Setting { sizes: vec![size], ..setting.clone() };
        let mut reports = vec![ingest::run_size(&setting, Protocol::V1, INGEST_SERIES, 1)?];
        reports.push(ingest::run_size(&setting, Protocol::V2, INGEST_SERIES, 1)?);
        for name in ["memory", "memory2h", "churn", "restart", "empty", "parse"] {
            reports.extend(run(name, &sized(INGEST_SERIES))?);
        }
        reports.push(storm::run_size(&setting, INGEST_SERIES, storm::SMALL)?);
        reports.push(router::run_case(&setting, router::SMALL, INGEST_SERIES, 1)?);
        reports.push(query::run_size(&setting, QUERY_SERIES, SPAN_MS)?);
        reports.extend(run("matchers", &Setting { rounds: Some(1), ..sized(MATCHED_SERIES) })?);
        reports.extend(run("compaction", &sized(COMPACTED_SERIES))?);
        reports.extend(run("tenants", &sized(TENANTS))?);
        Ok(reports)
    }
}

/// Another benchmark, by its name.
fn run(name: &str, setting: &Setting) -> Result<Vec<Report>> {
    BENCHMARKS.iter().find(|benchmark| benchmark.name() == name).expect("it is in the list").run(setting)
}
