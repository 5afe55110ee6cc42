//! Matchers over a head and over the index of a block.
//!
//! `THANOXIDE_BENCH_BLOCK` names a block, such as that of data set D7 (1 M series); without it there are 50,000 series of the
//! same shape.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use divan::{Bencher, black_box};
use thanoxide_env::{Env, ManualClock, SeededRandom, SystemDisk};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, MatchKind, Matcher, Sample, TenantId};
use thanoxide_tsdb::block::Block;
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions, TenantReader};

const SERIES: u64 = 50_000;
const HOUR_MS: i64 = 3_600_000;

fn main() {
    divan::main();
}

fn labels(i: u64) -> Labels {
    let (pod, mixed) = (i, i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Labels::from_pairs([
        ("__name__", format!("{}_{}_total", ["http", "grpc", "node", "disk"][(i % 4) as usize], i % 37)),
        ("cluster", format!("prod-eu-{}", i % 4)),
        ("container", format!("c{}", i % 61)),
        ("instance", format!("10.{}.{}.{}:9090", pod % 43, pod / 43 % 250, pod / 43 / 250)),
        ("job", format!("job-{}", i % 13)),
        ("le", if i.is_multiple_of(10) { format!("0.{}", i % 12) } else { String::new() }),
        ("method", ["GET", "POST", "PUT"][(i % 3) as usize].to_string()),
        ("namespace", format!("team-{}", i % 40)),
        ("pod", format!("app{}-{:010x}-{:05x}", i % 61, mixed >> 24, mixed & 0xfffff)),
        ("status", ["200", "404", "500"][(mixed >> 7) as usize % 3].to_string()),
    ])
}

/// The queries of benchmark 7, and one whose pattern has no literal to look for.
const QUERIES: [&str; 6] = ["regex_pod", "not5xx_ns", "instance_prefix", "le_empty", "dense", "no_literal"];

fn matchers(query: &str) -> Vec<Matcher> {
    use MatchKind::{Equal, NotEqual, NotRegexp, Regexp};
    let of = |all: &[(&str, MatchKind, &str)]| {
        all.iter().map(|(n, k, v)| Matcher::new(*k, n, v).expect("a sound pattern")).collect()
    };
    match query {
        "regex_pod" => of(&[("__name__", Regexp, "http_.*"), ("pod", Regexp, ".*-6c9.*")]),
        "not5xx_ns" => of(&[("status", NotRegexp, "5.."), ("namespace", Regexp, "team-1|team-2")]),
        "instance_prefix" => of(&[("instance", Regexp, "10\\.3\\..*")]),
        "le_empty" => of(&[("__name__", Regexp, ".+"), ("le", Equal, "")]),
        "dense" => of(&[("status", Regexp, "2..|4.."), ("method", NotEqual, "PUT"), ("container", NotEqual, "c7")]),
        _ => of(&[("pod", Regexp, "app[0-9]*[02468]-[0-9a-f]+[13579bdf]-0.+")]),
    }
}

struct Data {
    _dir: tempfile::TempDir,
    _engine: Engine,
    head: TenantReader,
    block: PathBuf,
}

fn engine(dir: &tempfile::TempDir) -> Engine {
    let env = Env {
        clock: Arc::new(ManualClock::default()),
        disk: Arc::new(SystemDisk),
        random: Arc::new(SeededRandom::new(1)),
    };
    Engine::open(dir.path(), EngineOptions { min_free_bytes: 0, ..EngineOptions::default() }, env).expect("it is new")
}

fn fill(engine: &Engine, tenant: &TenantId, all: &[Labels], t: i64) {
    for labels in all.chunks(2000) {
        let mut builder = WriteBatchBuilder::default();
        labels.iter().for_each(|labels| {
            builder.push(labels, &[Sample { timestamp_ms: t, value: 1.0 }]);
        });
        engine.append(tenant, &builder.build(), AppendOptions::default()).expect("the disk works");
    }
}

/// A head with all series, and a block with them.
fn data() -> &'static Data {
    static DATA: OnceLock<Data> = OnceLock::new();
    DATA.get_or_init(|| {
        let dir = tempfile::tempdir().expect("there is room");
        let (engine, tenant) = (engine(&dir), TenantId::new("t").expect("a name"));
        let given = std::env::var_os("THANOXIDE_BENCH_BLOCK").map(PathBuf::from);
        let all: Vec<Labels> = match &given {
            None => (0..SERIES).map(labels).collect(),
            Some(block) => {
                let block = Block::open(&SystemDisk, block).expect("a block");
                let series = block.index().all_postings().expect("an index");
                series.into_iter().map(|s| block.index().series(s).expect("a series").labels).collect()
            }
        };
        let reader = || engine.reader(&tenant).expect("the tenant is there");
        let block = given.unwrap_or_else(|| {
            fill(&engine, &tenant, &all, HOUR_MS);
            fill(&engine, &tenant, &all[..1], 6 * HOUR_MS);
            engine.maintain(&|_: &TenantId, _| false);
            let id = reader().blocks()[0].ulid;
            dir.path().join("t").join(id.to_string())
        });
        fill(&engine, &tenant, &all, 6 * HOUR_MS + 1);
        Data { head: reader(), _engine: engine, _dir: dir, block }
    })
}

const T_MS: i64 = 6 * HOUR_MS + 1;

#[divan::bench(args = QUERIES, sample_count = 5, sample_size = 1)]
fn block_first_touch(bencher: Bencher, query: &str) {
    let (data, matchers) = (data(), matchers(query));
    bencher
        .with_inputs(|| Block::open(&SystemDisk, &data.block).expect("a block"))
        .bench_local_values(|block| (black_box(block.index().matching(&matchers).expect("an index").len()), block));
}

#[divan::bench(args = QUERIES, sample_count = 10, sample_size = 1)]
fn block_warm(bencher: Bencher, query: &str) {
    let block = Block::open(&SystemDisk, &data().block).expect("a block");
    let matchers = matchers(query);
    bencher.bench_local(|| black_box(block.index().matching(&matchers).expect("an index").len()));
}

#[divan::bench(args = QUERIES, sample_count = 5, sample_size = 1)]
fn block_series(bencher: Bencher, query: &str) {
    let block = Block::open(&SystemDisk, &data().block).expect("a block");
    let matchers = matchers(query);
    bencher.bench_local(|| {
        let found = block.index().matching(&matchers).expect("an index");
        let labels =
            found.iter().map(|series| block.index().series(series).expect("a series").labels.as_packed().len());
        black_box(labels.sum::<usize>())
    });
}

#[divan::bench(args = QUERIES, sample_count = 5, sample_size = 1)]
fn block_pod_values(bencher: Bencher, query: &str) {
    let block = Block::open(&SystemDisk, &data().block).expect("a block");
    let matchers = matchers(query);
    bencher.bench_local(|| black_box(block.label_values(b"pod", &matchers).expect("an index").len()));
}

#[divan::bench(args = QUERIES, sample_count = 5, sample_size = 1)]
fn block_job_values(bencher: Bencher, query: &str) {
    let block = Block::open(&SystemDisk, &data().block).expect("a block");
    let matchers = matchers(query);
    bencher.bench_local(|| black_box(block.label_values(b"job", &matchers).expect("an index").len()));
}

#[divan::bench(args = QUERIES, sample_count = 5, sample_size = 1)]
fn head_series(bencher: Bencher, query: &str) {
    let (head, matchers) = (&data().head, matchers(query));
    bencher.bench_local(|| black_box(head.select(&matchers, T_MS, T_MS).expect("in memory").len()));
}

#[divan::bench(args = QUERIES, sample_count = 5, sample_size = 1)]
fn head_pod_values(bencher: Bencher, query: &str) {
    let (head, matchers) = (&data().head, matchers(query));
    bencher.bench_local(|| black_box(head.label_values(b"pod", &matchers, T_MS, T_MS).expect("in memory").len()));
}

#[divan::bench(args = QUERIES, sample_count = 5, sample_size = 1)]
fn head_job_values(bencher: Bencher, query: &str) {
    let (head, matchers) = (&data().head, matchers(query));
    bencher.bench_local(|| black_box(head.label_values(b"job", &matchers, T_MS, T_MS).expect("in memory").len()));
}
