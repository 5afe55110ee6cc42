//! Small runs of the others: does it all start, answer alike and stop? The figures mean nothing, and nothing is pinned.

use anyhow::Result;

use super::{Benchmark, ingest, query};
use crate::report::Report;
use crate::setting::Setting;

const INGEST_SERIES: u64 = 2_500;
const QUERY_SERIES: u64 = 500;
const SPAN_MS: i64 = 1_200_000;

/// What continuous integration runs.
pub(crate) struct Smoke;

impl Benchmark for Smoke {
    fn name(&self) -> &'static str {
        "smoke"
    }

    fn about(&self) -> &'static str {
        "small ingest and query, only to see that answers are equal"
    }

    fn is_pinned(&self) -> bool {
        false
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let setting = Setting { rounds: Some(2), ..setting.clone() };
        Ok(vec![ingest::run_size(&setting, INGEST_SERIES, 1)?, query::run_size(&setting, QUERY_SERIES, SPAN_MS)?])
    }
}
