//! Samples per second from a decoded request into head and log.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use thanoxide_env::{Env, ManualClock, SeededRandom, SystemDisk};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, TenantId, WriteBatch};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions};

const SERIES: usize = 100_000;
const PER_REQUEST: usize = 2_000;

fn main() {
    divan::main();
}

fn labels(i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("http_request_duration_seconds_{}", i % 37)),
        ("cluster", "eu-central-1-production".to_string()),
        ("container", format!("container-{}", i % 61)),
        ("instance", format!("10.{}.{}.{}:9090", i / 23 % 250, i / 7 % 250, i % 250)),
        ("job", format!("job-{}", i % 13)),
        ("le", format!("0.{}", i % 12)),
        ("method", ["GET", "POST", "PUT"][i % 3].to_string()),
        ("namespace", format!("namespace-{}", i % 40)),
        ("pod", format!("pod-6c9f7d8b5-{i:06}")),
        ("status", ["200", "404", "500"][i % 3].to_string()),
    ])
}

fn requests() -> Vec<WriteBatch> {
    let all: Vec<Labels> = (0..SERIES).map(labels).collect();
    let request = |series: &[Labels]| {
        let mut builder = WriteBatchBuilder::default();
        series.iter().for_each(|labels| {
            builder.push(labels, &[Sample { timestamp_ms: 0, value: 0.0 }]);
        });
        builder.build()
    };
    all.chunks(PER_REQUEST).map(request).collect()
}

fn round(engine: &Engine, tenant: &TenantId, requests: &mut [WriteBatch], round: i64) {
    for request in requests {
        for (i, sample) in request.samples.iter_mut().enumerate() {
            *sample =
                Sample { timestamp_ms: round * 15_000 + (i as i64 % 11), value: (round * 7 + i as i64 % 13) as f64 };
        }
        black_box(engine.append(tenant, request, AppendOptions::default()).expect("the disk works"));
    }
}

fn engine(dir: &tempfile::TempDir) -> Engine {
    let env = Env {
        clock: Arc::new(ManualClock::default()),
        disk: Arc::new(SystemDisk),
        random: Arc::new(SeededRandom::new(1)),
    };
    let options = EngineOptions { min_free_bytes: 0, ..EngineOptions::default() };
    Engine::open(dir.path(), options, env).expect("the directory is new")
}

/// Known series, one new sample each.
#[divan::bench(sample_count = 20)]
fn steady(bencher: Bencher) {
    let dir = tempfile::tempdir().expect("there is room");
    let (engine, tenant) = (engine(&dir), TenantId::new("t").expect("a name"));
    let mut requests = requests();
    let mut t = 0;
    round(&engine, &tenant, &mut requests, t);
    bencher.counter(ItemsCount::new(SERIES)).bench_local(|| {
        t += 1;
        round(&engine, &tenant, &mut requests, t);
    });
}

/// New series, one sample each.
#[divan::bench(sample_count = 5)]
fn first_touch(bencher: Bencher) {
    let tenant = TenantId::new("t").expect("a name");
    let requests = requests();
    bencher
        .counter(ItemsCount::new(SERIES))
        .with_inputs(|| {
            let dir = tempfile::tempdir().expect("there is room");
            (engine(&dir), requests.clone(), dir)
        })
        .bench_local_values(|(engine, mut requests, dir)| {
            round(&engine, &tenant, &mut requests, 0);
            (engine, dir)
        });
}
