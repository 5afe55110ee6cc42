//! Measures an engine: bytes of memory for each series, of log for each sample, and how long a start takes.
//!
//! ```text
//! engine_figures fill DIR TENANTS SERIES SAMPLES [SPREAD [TOGETHER]]   appends, tells figures, and ends without closing, as by kill -9
//! engine_figures open DIR                                              opens what `fill` left, and tells how long that took
//! engine_figures read DIR                                              opens it and reads the newest minutes of the first tenant
//! ```
//! With a spread the requests begin one after the other, so many steps long, and all go on until the last has its samples:
//! so chunks are full at different times. So many samples of a series come together in a request, else one.
//!
//! Series are of shape L10: ten labels, 60 % counters, 25 % gauges of three decimals, 10 % constants, 5 % random values, and
//! 5 ms of jitter. Samples are 15 s apart.
#![allow(clippy::unwrap_used, reason = "a measurement may panic anywhere")]

use std::path::Path;
use std::time::Instant;

use thanoxide_env::Env;
use thanoxide_model::series::Columns;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Matcher, Sample, TenantId, WriteBatch};
use thanoxide_tsdb::chunk::decode;
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions};

/// That of the programs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PER_REQUEST: usize = 2_000;
const START_MS: i64 = 1_700_006_400_000;

fn labels(i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("http_request_duration_seconds_{}", i % 37)),
        ("cluster", "eu-central-1-production".to_string()),
        ("container", format!("container-{}", i % 61)),
        ("instance", format!("10.{}.{}.{}:9090", i / 23 % 250, i / 23 / 250 % 250, i / 23 / 62_500)),
        ("job", format!("job-{}", i % 13)),
        ("le", format!("0.{}", i % 12)),
        ("method", ["GET", "POST", "PUT"][i % 3].to_string()),
        ("namespace", format!("namespace-{}", i % 40)),
        ("pod", format!("pod-6c9f7d8b5-{i:06}")),
        ("status", ["200", "404", "500"][i % 3].to_string()),
    ])
}

fn random(i: u64) -> u64 {
    let mut z = i.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn sample(series: usize, step: i64) -> Sample {
    let r = random((series as u64) << 20 | step as u64);
    let jitter_ms = (r % 11) as i64 - 5;
    let value = match series % 20 {
        0..12 => (series as i64 * 1000 + step * 37 + (r >> 60) as i64) as f64,
        12..17 => (100_000 + (r >> 45) as i64 % 50_000) as f64 / 1000.0,
        17..19 => 42.0,
        _ => (r >> 11) as f64 / (1u64 << 53) as f64,
    };
    Sample { timestamp_ms: START_MS + step * 15_000 + jitter_ms, value }
}

fn requests(series: usize, together: usize) -> Vec<(usize, WriteBatch)> {
    let samples = vec![Sample { timestamp_ms: 0, value: 0.0 }; together];
    let request = |first: usize| {
        let mut builder = WriteBatchBuilder::default();
        for i in first..(first + PER_REQUEST).min(series) {
            builder.push(&labels(i), &samples);
        }
        (first, builder.build())
    };
    (0..series).step_by(PER_REQUEST).map(request).collect()
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

/// Nanoseconds that this thread was on a core.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// User and system time of the process, in seconds.
fn process_cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn open(dir: &Path) -> Engine {
    Engine::open(dir, EngineOptions::default(), Env::system()).unwrap()
}

fn fill(dir: &Path, tenants: usize, series: usize, samples: i64, spread: i64, together: usize) {
    let engine = open(dir);
    let empty = status("VmRSS");
    let ids: Vec<TenantId> = (0..tenants).map(|i| TenantId::new(&format!("tenant-{i}")).unwrap()).collect();
    let mut requests = requests(series, together);
    let before = status("VmRSS");
    let (mut snapshots, mut new_ns, mut known_ns) = (0, 0, 0);
    let (mut total, last_step) = (0, samples + spread - 1);
    for step in (0..last_step).step_by(together) {
        let begun = |number: usize| number as i64 % spread <= step;
        for (first, request) in &mut requests {
            for (i, s) in request.samples.iter_mut().enumerate() {
                *s = sample(*first + i / together, step + (i % together) as i64);
            }
        }
        let begin_ns = cpu_ns();
        for (number, (_, request)) in requests.iter().enumerate().filter(|(number, _)| begun(*number)) {
            total += tenants * request.samples.len();
            for id in &ids {
                let appended = engine.append(id, request, AppendOptions::default()).unwrap();
                assert!(appended.rejected.is_empty());
                if (number + 1).is_multiple_of(4) || appended.ticket.position().is_multiple_of(64) {
                    appended.ticket.wait().unwrap();
                }
            }
        }
        if engine.snapshot_due() {
            engine.snapshot().unwrap();
            snapshots += 1;
        }
        *(if step == 0 { &mut new_ns } else { &mut known_ns }) += cpu_ns() - begin_ns;
    }
    engine.close().unwrap();
    let all = (tenants * series) as f64;
    let total = total as f64;
    let log_bytes = engine.reader(&ids[0]).unwrap().log_bytes().unwrap();
    if spread == 1 && together == 1 {
        println!("{:.0} ns a new series with its sample", new_ns as f64 / all);
        println!("{:.0} ns a further sample, commits and snapshots included", known_ns as f64 / (total - all).max(1.0));
    } else {
        println!("{:.0} ns a sample, all included", (new_ns + known_ns) as f64 / total);
    }
    println!("{:.0} samples a series", total / all);
    let [end, peak] = [status("VmRSS"), status("VmHWM")].map(|bytes| bytes - before);
    println!("{:.0} B a series (peak {:.0}), {:.1} MB without requests", end / all, peak / all, (end + empty) / 1e6);
    println!("the first tenant's, by parts: {:?}", engine.reader(&ids[0]).unwrap().memory());
    println!("{log_bytes} B of log, {:.2} a sample if all is in it; {snapshots} snapshots", log_bytes as f64 / total);
    std::process::exit(0);
}

/// What it costs to read all series of the first tenant, one after the other, of the newest time.
fn read(dir: &Path) {
    let engine = open(dir);
    let reader = engine.reader(&TenantId::new("tenant-0").unwrap()).unwrap();
    let newest_ms = reader.stats().times_ms.unwrap().1;
    let jobs: Vec<Matcher> = (0..13).map(|i| Matcher::equal(b"job", format!("job-{i}").as_bytes())).collect();
    for minutes in [1, 5, 60, 360] {
        let (mut best_ns, mut series, mut samples) = (u64::MAX, 0_u64, 0_u64);
        for _ in 0..3 {
            (series, samples) = (0, 0);
            let begin_ns = cpu_ns();
            for job in &jobs {
                for read in reader.select(std::slice::from_ref(job), newest_ms - minutes * 60_000, newest_ms).unwrap() {
                    series += 1;
                    let mut columns = Columns::default();
                    for chunk in &read.chunks {
                        decode(chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
                    }
                    samples += columns.values.len() as u64;
                }
            }
            best_ns = best_ns.min(cpu_ns() - begin_ns);
        }
        let (of_series, of_samples) = (best_ns / series, best_ns as f64 / samples as f64);
        println!(
            "{minutes} min: {of_series} ns a series, {of_samples:.1} ns a sample, {} samples each",
            samples / series
        );
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |i: usize| args[i].parse::<usize>().unwrap();
    match args.get(1).map(String::as_str) {
        Some("fill") => {
            let [spread, together] = [6, 7].map(|i| if args.len() > i { number(i) } else { 1 });
            fill(Path::new(&args[2]), number(3), number(4), number(5) as i64, spread as i64, together);
        }
        Some("open") => {
            let begin = Instant::now();
            let engine = open(Path::new(&args[2]));
            let (wall_s, cpu_s) = (begin.elapsed().as_secs_f64(), process_cpu_s());
            let [peak_mb, end_mb] = [status("VmHWM"), status("VmRSS")].map(|bytes| bytes / 1e6);
            println!("open in {wall_s:.3} s, {cpu_s:.2} s of CPU, {end_mb:.1} MB at the end (peak {peak_mb:.1})");
            println!("{:?}", engine.open_report());
        }
        Some("read") => read(Path::new(&args[2])),
        _ => println!("engine_figures fill DIR TENANTS SERIES SAMPLES [SPREAD [TOGETHER]] | open DIR | read DIR"),
    }
}
