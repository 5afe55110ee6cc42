//! Rings of our nodes, of stock's, and of both: every series lies where Thanos's own package would put it, and one query
//! over all nodes returns what was sent.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use thanoxide_model::{Labels, METRIC_NAME, Sample};
use thanoxide_router::hashring::{Algorithm, HashringMetrics, Hashrings, parse_hashrings, series_hash};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::program::{Program, interop};
use thanoxide_testkit::raw_write::read_all;
use thanoxide_testkit::sender::Sender;
use xxhash_rust::xxh64::Xxh64;

const TENANT: &str = "default-tenant";
const TIME_MS: i64 = 1_790_000_000_000;
const SERIES: usize = 400;
const REPLICATION_FACTOR: usize = 3;
/// How long the last replicas of a write may take to arrive: it was answered before.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);

// --- placement against Thanos's own package ---

/// splitmix64, as in `ringreceiver`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn series(&mut self) -> (String, Vec<(String, String)>) {
        let tenant = format!("tenant-{}", self.next() % 50);
        let labels = (0..self.next() % 12).map(|i| {
            let mut value = format!("{:x}", self.next());
            if self.next().is_multiple_of(64) {
                while value.len() < 600 {
                    value = value.repeat(2);
                }
            }
            (format!("label_{i}_é"), value)
        });
        (tenant, labels.collect())
    }
}

fn own_places(config: &str, algorithm: &str, factor: usize, seed: u64, count: usize) -> Result<Vec<String>> {
    let rings =
        Hashrings::new(&parse_hashrings(config)?, Algorithm::named(algorithm), factor, &HashringMetrics::default())?;
    let mut random = Random(seed);
    let mut digests = Vec::new();
    for _ in 0..count / 1000 {
        let mut digest = Xxh64::new(0);
        for _ in 0..1000 {
            let (tenant, labels) = random.series();
            let hash = series_hash(&tenant, labels.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
            let ring = rings.ring_of(&tenant)?;
            for replica in 0..factor {
                digest.update(ring.endpoints()[ring.node(hash, replica)?].address.as_bytes());
                digest.update(b"\n");
            }
        }
        digests.push(format!("{:016x}", digest.digest()));
    }
    Ok(digests)
}

fn stock_places(file: &Path, algorithm: &str, factor: usize, seed: u64, count: usize) -> Result<Vec<String>> {
    let mut command = Command::new(interop("ringreceiver"));
    command.arg("place").arg("--hashrings-file").arg(file).args(["--algorithm", algorithm]);
    command.args(["--replication-factor", &factor.to_string(), "--seed", &seed.to_string()]);
    let output = command
        .args(["--count", &count.to_string()])
        .output()
        .context("ringreceiver is missing: cargo xtask prepare")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_string).collect())
}

/// `THANOXIDE_PLACEMENTS` label sets of each ring; CI takes fewer.
#[test]
fn random_series_lie_where_thanos_puts_them() -> Result<()> {
    let count = std::env::var("THANOXIDE_PLACEMENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let dir = tempfile::tempdir()?;
    let nodes = |n: usize, zones: usize| -> Vec<Value> {
        let zone = |i: usize| if zones > 0 { format!("zone-{}", i % zones) } else { String::new() };
        (0..n).map(|i| json!({"address": format!("receive-{i}.svc:10901"), "az": zone(i)})).collect()
    };
    let shards = json!({"shard_size": 6, "overrides": [{"shard_size": 9, "tenants": ["tenant-1*"], "tenant_matcher_type": "glob"}]});
    let rings = [
        ("hashmod", 3, json!([{"endpoints": nodes(7, 0)}])),
        ("ketama", 3, json!([{"endpoints": nodes(7, 0)}])),
        ("ketama", 3, json!([{"endpoints": nodes(12, 3)}])),
        (
            "ketama",
            2,
            json!([{"tenants": ["tenant-1*"], "tenant_matcher_type": "glob", "endpoints": nodes(4, 0)}, {"endpoints": nodes(9, 3), "shuffle_sharding_config": shards}]),
        ),
    ];
    for (i, (algorithm, factor, config)) in rings.iter().enumerate() {
        let file = dir.path().join("rings.json");
        std::fs::write(&file, config.to_string())?;
        let seed = 77 + i as u64;
        let ours = own_places(&config.to_string(), algorithm, *factor, seed, count)?;
        let stock = stock_places(&file, algorithm, *factor, seed, count)?;
        ensure!(ours.len() == count / 1000 && ours == stock, "{algorithm} {factor}: ours {ours:?}, stock {stock:?}");
    }
    Ok(())
}

// --- rings of programs ---

/// `way` tells the writes of one test apart.
fn labels(way: &str, series: usize) -> Labels {
    Labels::from_pairs([
        (METRIC_NAME, "ring_total"),
        ("instance", format!("10.0.{}.{}:9100", series / 250, series % 250).as_str()),
        ("job", "ring"),
        ("series", &series.to_string()),
        ("way", way),
    ])
}

fn batch(way: &str) -> Vec<(Labels, Vec<Sample>)> {
    let sample = |series: usize| Sample { timestamp_ms: TIME_MS, value: series as f64 };
    (0..SERIES).map(|series| (labels(way, series), vec![sample(series)])).collect()
}

/// Which series of one way a node has, by their label `series`.
fn series_of(node: &Program, way: &str) -> Result<BTreeSet<usize>> {
    let all = read_all(node.address("grpc"))?;
    let number = |labels: &String| {
        let labels: Vec<(String, String)> = serde_json::from_str(labels)?;
        let (_, number) = labels.into_iter().find(|(name, _)| name == "series").context("a series without a number")?;
        Ok(number.parse()?)
    };
    let way = format!("[\"way\",\"{way}\"]");
    all.keys().filter(|labels| labels.contains(&way)).map(number).collect()
}

/// Which series each node should have.
fn wanted(config: &str, nodes: &[Program], way: &str) -> Result<Vec<BTreeSet<usize>>> {
    let metrics = HashringMetrics::default();
    let rings = Hashrings::new(&parse_hashrings(config)?, Algorithm::Ketama, REPLICATION_FACTOR, &metrics)?;
    let ring = rings.ring_of(TENANT)?;
    let mut wanted = vec![BTreeSet::new(); nodes.len()];
    for series in 0..SERIES {
        let labels = labels(way, series);
        let hash = series_hash(TENANT, labels.iter());
        for replica in 0..REPLICATION_FACTOR {
            let address = &ring.endpoints()[ring.node(hash, replica)?].address;
            let node = nodes.iter().position(|node| node.address("grpc") == address).context("unknown node")?;
            wanted[node].insert(series);
        }
    }
    Ok(wanted)
}

fn ring_file(dir: &Path, nodes: &[Program]) -> Result<(String, String)> {
    let endpoint =
        |node: &Program| json!({"address": node.address("grpc"), "capnproto_address": node.address("capnproto")});
    let config = json!([{ "endpoints": nodes.iter().map(endpoint).collect::<Vec<_>>() }]).to_string();
    let file = dir.join("hashrings.json");
    std::fs::write(&file, &config)?;
    Ok((config, file.display().to_string()))
}

fn our_router(dir: &Path, file: &str, args: &[&str]) -> Result<Program> {
    let file = format!("--receive.hashrings-file={file}");
    let mut all = vec![file.as_str(), "--receive.hashrings-algorithm=ketama", "--receive.replication-factor=3"];
    all.extend(args);
    Program::receiver(dir, &all)
}

fn stock_router(dir: &Path, file: &str, args: &[&str]) -> Result<Program> {
    let mut all = vec!["--hashrings-file", file, "--algorithm", "ketama", "--replication-factor", "3"];
    all.extend(args);
    Program::stock_ring(dir, &all)
}

/// Writes through a router, and checks where everything lies and what a query over all nodes says.
async fn check(router: &Program, config: &str, nodes: &[Program], way: &str) -> Result<()> {
    Sender::new(format!("{}/api/v1/receive", router.url("remote-write"))).write(&batch(way)).await?;
    let wanted = wanted(config, nodes, way)?;
    let end = Instant::now() + SETTLE_DEADLINE;
    for (number, (node, wanted)) in nodes.iter().zip(&wanted).enumerate() {
        let mut found = series_of(node, way)?;
        while found != *wanted && found.is_subset(wanted) && Instant::now() < end {
            found = series_of(node, way)?;
        }
        ensure!(found == *wanted, "node {number} has {} series, {} belong to it", found.len(), wanted.len());
    }
    query_all(nodes, way).await
}

async fn query_all(nodes: &[Program], way: &str) -> Result<()> {
    let endpoints: Vec<String> = nodes.iter().map(|node| format!("--endpoint={}", node.address("grpc"))).collect();
    let mut args = vec!["--query.replica-label=replica", "--query.replica-label=node"];
    args.extend(endpoints.iter().map(String::as_str));
    let query = Program::querier(&args)?;
    let api = Api::new(query.url("http"));
    let sum: usize = (0..SERIES).sum();
    let end = Instant::now() + SETTLE_DEADLINE;
    loop {
        // The first answers may come before the nodes are known.
        let answer = api.instant(&format!("count(ring_total{{way=\"{way}\"}}) or vector(0)"), TIME_MS).await?;
        if answer["data"]["result"][0]["value"][1].as_str() == Some(&SERIES.to_string()) {
            break;
        }
        ensure!(Instant::now() < end, "{answer}");
    }
    let answer = api.instant(&format!("sum(ring_total{{way=\"{way}\"}})"), TIME_MS).await?;
    ensure!(answer["data"]["result"][0]["value"][1].as_str() == Some(&sum.to_string()), "{answer}");
    Ok(())
}

fn ours(dir: &Path, count: usize) -> Result<Vec<Program>> {
    let node = |i: usize| Program::receiver(&dir.join(format!("ours-{i}")), &[&format!("--label=node=\"ours-{i}\"")]);
    (0..count).map(node).collect()
}

fn stocks(dir: &Path, count: usize) -> Result<Vec<Program>> {
    let node = |i: usize| Program::stock_ring(&dir.join(format!("stock-{i}")), &["--replica", &format!("stock-{i}")]);
    (0..count).map(node).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_router_before_our_ingesters() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let nodes = ours(dir.path(), 4)?;
    let (config, file) = ring_file(dir.path(), &nodes)?;
    for protocol in ["protobuf", "capnproto"] {
        let router = stock_router(&dir.path().join(protocol), &file, &["--protocol", protocol])?;
        check(&router, &config, &nodes, protocol).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_router_before_stock_ingesters() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let nodes = stocks(dir.path(), 4)?;
    let (config, file) = ring_file(dir.path(), &nodes)?;
    let ways = [
        "--receive.grpc-compression=snappy",
        "--receive.grpc-compression=none",
        "--receive.replication-protocol=capnproto",
    ];
    for way in ways {
        let router = our_router(&dir.path().join("router"), &file, &[way])?;
        check(&router, &config, &nodes, way).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_of_both_behind_either_router() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut nodes = ours(dir.path(), 3)?;
    nodes.extend(stocks(dir.path(), 2)?);
    let (config, file) = ring_file(dir.path(), &nodes)?;
    let router = our_router(&dir.path().join("router"), &file, &[])?;
    check(&router, &config, &nodes, "ours").await?;
    let router = stock_router(&dir.path().join("stock-router"), &file, &["--compression", "none"])?;
    check(&router, &config, &nodes, "stock").await
}
