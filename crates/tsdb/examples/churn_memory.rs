//! Measures whether the memory of series that left comes back.
//!
//! ```text
//! churn_memory DIR SERIES       so many series stay, and in each of three blocks as many others come that send no more
//! ```
//! Samples are ten minutes apart in their own time, blocks two hours. The allocator gives back what was free for ten
//! seconds, so the series that stay go on for some more.
#![allow(clippy::unwrap_used, reason = "a measurement may panic anywhere")]

use std::path::Path;
use std::time::{Duration, Instant};

use thanoxide_env::Env;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, TenantId, WriteBatch};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions};

/// That of the programs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PER_REQUEST: usize = 2_000;
const START_MS: i64 = 1_700_006_400_000;
const STEP_MS: i64 = 600_000;
const STEPS_PER_BLOCK: i64 = 12;

fn labels(kind: &str, i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("http_request_duration_seconds_{}", i % 37)),
        ("cluster", "eu-central-1-production".to_string()),
        ("instance", format!("10.{}.{}.{}:9090", i / 23 % 250, i / 23 / 250 % 250, i / 23 / 62_500)),
        ("job", format!("job-{}", i % 13)),
        ("namespace", format!("namespace-{}", i % 40)),
        ("pod", format!("{kind}-6c9f7d8b5-{i:07}")),
        ("status", ["200", "404", "500"][i % 3].to_string()),
    ])
}

fn requests(kind: &str, series: usize) -> Vec<WriteBatch> {
    let request = |first: usize| {
        let mut builder = WriteBatchBuilder::default();
        for i in first..(first + PER_REQUEST).min(series) {
            builder.push(&labels(kind, i), &[Sample { timestamp_ms: 0, value: i as f64 }]);
        }
        builder.build()
    };
    (0..series).step_by(PER_REQUEST).map(request).collect()
}

/// The resident set, in bytes.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

struct Run {
    engine: Engine,
    tenant: TenantId,
    staying: Vec<WriteBatch>,
    step: i64,
}

impl Run {
    /// Appends a sample of each series, and sees to what is due.
    fn step(&mut self, passing: &mut [WriteBatch]) {
        for request in self.staying.iter_mut().chain(passing) {
            for sample in &mut request.samples {
                sample.timestamp_ms = START_MS + self.step * STEP_MS;
                sample.value += self.step as f64;
            }
            let appended = self.engine.append(&self.tenant, request, AppendOptions::default()).unwrap();
            assert!(appended.rejected.is_empty());
        }
        self.step += 1;
        let done = self.engine.maintain(&|_, _| true);
        assert!(done.failed.is_empty() && done.snapshot_failed.is_none());
    }

    /// Blocks of the series that stay only, and then so many seconds of them.
    fn settle(&mut self) {
        (0..3 * STEPS_PER_BLOCK).for_each(|_| self.step(&mut []));
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(15) {
            self.step(&mut []);
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, series] = args.as_slice() else { return println!("churn_memory DIR SERIES") };
    let series = series.parse().unwrap();
    // Older blocks go, so that only heads are compared.
    let options = EngineOptions { retention_ms: Some(1), ..EngineOptions::default() };
    let engine = Engine::open(Path::new(dir), options, Env::system()).unwrap();
    let staying = requests("staying", series);
    let mut run = Run { engine, tenant: TenantId::new("t").unwrap(), staying, step: 0 };
    run.settle();
    let before = resident();
    let mut most = before;
    for generation in 0..3 {
        let mut passing = requests(&format!("passing-{generation}"), series);
        (0..STEPS_PER_BLOCK).for_each(|_| run.step(&mut passing));
        most = most.max(resident());
    }
    run.settle();
    let after = resident();
    let mb = |bytes: f64| bytes / 1e6;
    println!(
        "{:.0} MB before, {:.0} at most, {:.0} after: {:.3} times",
        mb(before),
        mb(most),
        mb(after),
        after / before
    );
}
