//! Measures how long appends and reads wait while a head is read whole, and while it is cut.
//!
//! ```text
//! cut_pauses DIR SERIES        a head of so many series is read, then cut and thinned out, while others append to it and read it
//! ```
#![allow(clippy::unwrap_used, reason = "a measurement may panic anywhere")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thanoxide_env::Env;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, MatchKind, Matcher, Sample, TenantId, WriteBatch};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions, Selection};

/// That of the programs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PER_REQUEST: usize = 2_000;
const START_MS: i64 = 1_700_006_400_000;
const MINUTE_MS: i64 = 60_000;

fn labels(kind: &str, i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("http_request_duration_seconds_{}", i % 37)),
        ("instance", format!("10.{}.{}.{}:9090", i / 23 % 250, i / 23 / 250 % 250, i / 23 / 62_500)),
        ("job", format!("job-{}", i % 13)),
        ("namespace", format!("namespace-{}", i % 40)),
        ("pod", format!("{kind}-6c9f7d8b5-{i:07}")),
        ("status", ["200", "404", "500"][i % 3].to_string()),
    ])
}

fn batches(kind: &str, series: usize, t: i64) -> Vec<WriteBatch> {
    let batch = |first: usize| {
        let mut builder = WriteBatchBuilder::default();
        for i in first..(first + PER_REQUEST).min(series) {
            builder.push(&labels(kind, i), &[Sample { timestamp_ms: t, value: i as f64 }]);
        }
        builder.build()
    };
    (0..series).step_by(PER_REQUEST).map(batch).collect()
}

fn append(engine: &Engine, tenant: &TenantId, batch: &WriteBatch) {
    assert!(engine.append(tenant, batch, AppendOptions::default()).unwrap().rejected.is_empty());
}

/// The longest of many calls, made until told to stop, with a breath between.
fn longest(stop: &AtomicBool, mut call: impl FnMut()) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        call();
        longest = longest.max(begin.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    longest
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, series] = args.as_slice() else { return println!("cut_pauses DIR SERIES") };
    let engine = Engine::open(Path::new(dir), EngineOptions::default(), Env::system()).unwrap();
    let (tenant, series) = (TenantId::new("t").unwrap(), series.parse::<usize>().unwrap());
    for step in 0..8 {
        let t = START_MS + step * 14 * MINUTE_MS;
        batches("old", series, t).iter().for_each(|batch| append(&engine, &tenant, batch));
    }
    let mut few = batches("new", 100, START_MS + 181 * MINUTE_MS);
    few.iter().for_each(|batch| append(&engine, &tenant, batch));
    let matcher = [Matcher::new(MatchKind::Equal, "pod", "old-6c9f7d8b5-0000007").unwrap()];
    let reader = engine.reader(&tenant).unwrap();
    for what in ["all read", "labels read", "values read", "cut"] {
        let stop = AtomicBool::new(false);
        let (appends, reads) = std::thread::scope(|scope| {
            let appends = scope.spawn(|| {
                longest(&stop, || {
                    let samples = &mut few[0].samples;
                    samples.iter_mut().for_each(|sample| sample.timestamp_ms += 1);
                    append(&engine, &tenant, &few[0]);
                })
            });
            let reads =
                scope.spawn(|| longest(&stop, || assert!(!reader.select(&matcher, 0, i64::MAX).unwrap().is_empty())));
            let begin = Instant::now();
            match what {
                "cut" => assert!(!engine.maintain(&|_, _| false).cut.is_empty()),
                "labels read" => {
                    let all = Selection { labels_only: true, ..Selection::new(&[], 0, i64::MAX) };
                    assert!(reader.select_some(&all).unwrap().len() >= series);
                }
                "values read" => assert!(reader.label_values(b"pod", &[], 0, i64::MAX).unwrap().len() >= series),
                _ => assert!(reader.select(&[], 0, i64::MAX).unwrap().len() >= series),
            }
            println!("{what} in {:.2} s", begin.elapsed().as_secs_f64());
            stop.store(true, Ordering::Relaxed);
            (appends.join().unwrap(), reads.join().unwrap())
        });
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!("longest append {:.1} ms, longest read {:.1} ms", ms(appends), ms(reads));
    }
    println!("{:?}", engine.reader(&tenant).unwrap().stats());
}
