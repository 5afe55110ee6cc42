//! Placement against what stock recorded, and hashring files good and bad.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::path::PathBuf;

use serde_json::Value;
use thanoxide_router::hashring::{Algorithm, HashringMetrics, Hashrings, parse_hashrings, series_hash};

fn shared(path: &str) -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("THANOXIDE_SHARED").map_or_else(beside, PathBuf::from).join(path)
}

fn read_gz(path: &str) -> String {
    let file = std::fs::File::open(shared(path)).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

struct Pair {
    tenant: String,
    labels: Vec<(String, String)>,
}

impl Pair {
    fn hash(&self) -> u64 {
        series_hash(&self.tenant, self.labels.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }
}

fn pairs() -> Vec<Pair> {
    let text = read_gz("golden/hashring/pairs.jsonl.gz");
    let pair = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |v: &Value| v.as_str().unwrap().to_string();
        let labels = value["labels"].as_array().unwrap().iter().map(|l| (text(&l[0]), text(&l[1])));
        let pair = Pair { tenant: text(&value["tenant"]), labels: labels.collect() };
        assert_eq!(format!("{:016x}", pair.hash()), format!("{:0>16}", text(&value["hash"])));
        pair
    };
    text.lines().map(pair).collect()
}

fn rings(config: &Value, algorithm: &str, replication_factor: usize) -> Result<Hashrings, String> {
    let config = parse_hashrings(&config.to_string()).map_err(|e| e.to_string())?;
    let metrics = HashringMetrics::default();
    Hashrings::new(&config, Algorithm::named(algorithm), replication_factor, &metrics).map_err(|e| e.to_string())
}

/// One line of a result file.
fn placed(rings: &Hashrings, pair: &Pair, replication_factor: usize, addresses: &[&str]) -> String {
    let hash = pair.hash();
    let replica = |n| {
        let ring = rings.ring_of(&pair.tenant).map_err(|e| e.to_string())?;
        let node = ring.node(hash, n).map_err(|e| e.to_string())?;
        let address = ring.endpoints()[node].address.clone();
        Ok::<_, String>(addresses.iter().position(|a| *a == address).unwrap().to_string())
    };
    let replicas: Vec<String> =
        (0..replication_factor).map(|n| replica(n).unwrap_or_else(|e| format!("E:{e}"))).collect();
    replicas.join(",")
}

#[test]
fn every_series_lies_where_stock_puts_it() {
    let pairs = pairs();
    let cases: Value =
        serde_json::from_str(&std::fs::read_to_string(shared("golden/hashring/rings.json")).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let replication_factor = case["replication_factor"].as_u64().unwrap() as usize;
        let rings = rings(&case["config"], case["algorithm"].as_str().unwrap(), replication_factor);
        if let Some(error) = case.get("config_error").and_then(Value::as_str) {
            assert_eq!(rings.unwrap_err(), error, "{name}");
            continue;
        }
        let rings = rings.unwrap();
        let addresses: Vec<&str> = case["addresses"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        let wanted = read_gz(&format!("golden/hashring/{}", case["result_file"].as_str().unwrap()));
        for (pair, wanted) in pairs.iter().zip(wanted.lines()) {
            assert_eq!(
                placed(&rings, pair, replication_factor, &addresses),
                wanted,
                "{name} {} {:?}",
                pair.tenant,
                pair.labels
            );
        }
    }
}

#[test]
fn good_files_are_taken() {
    for entry in std::fs::read_dir(shared("corpora/objstore/valid/hashring")).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read_to_string(&path).unwrap();
        let rings = rings_of_text(&content, 1);
        assert!(rings.is_ok(), "{path:?}: {rings:?}");
    }
}

fn rings_of_text(content: &str, replication_factor: usize) -> Result<Hashrings, String> {
    let config = parse_hashrings(content).map_err(|e| e.to_string())?;
    Hashrings::new(&config, Algorithm::Hashmod, replication_factor, &HashringMetrics::default())
        .map_err(|e| e.to_string())
}

#[test]
fn bad_files_are_refused_in_stocks_words() {
    let mut seen = 0;
    for line in std::fs::read_to_string(shared("corpora/objstore/invalid.jsonl")).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let Some(content) = case["files"].get("h.json").and_then(Value::as_str) else { continue };
        if case["kind"] != "hashring" || content == "[]" {
            continue;
        }
        let args = case["args"].as_array().unwrap();
        let replication_factor = if args.iter().any(|a| a == "--receive.replication-factor=3") { 3 } else { 1 };
        let error = rings_of_text(content, replication_factor).unwrap_err();
        let message = case["message"].as_str().unwrap();
        assert!(message.contains(&error), "{}: {error}\nstock: {message}", case["name"]);
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn a_ring_that_stock_searches_for_ever_is_refused() {
    let ring = r#"[{"algorithm":"ketama","endpoints":[{"address":"a:1","az":"x"},{"address":"b:1","az":"y"},
        {"address":"c:1","az":"y"},{"address":"d:1","az":"y"}]}]"#;
    assert_eq!(
        rings_of_text(ring, 4).unwrap_err(),
        "ketama: availability zones are too unbalanced for the replication factor"
    );
    assert!(rings_of_text(ring, 3).is_ok());
}

#[test]
fn a_node_more_moves_one_nth() {
    let endpoints = |n: usize| (0..n).map(|i| format!("\"node-{i}:10901\"")).collect::<Vec<_>>().join(",");
    let rings = |n| rings_of_text(&format!(r#"[{{"algorithm":"ketama","endpoints":[{}]}}]"#, endpoints(n)), 1).unwrap();
    let (three, four) = (rings(3).ring_of("t").unwrap(), rings(4).ring_of("t").unwrap());
    let pairs = pairs();
    let moved = pairs.iter().filter(|pair| {
        let of = |ring: &thanoxide_router::hashring::RingOfTenant| {
            ring.endpoints()[ring.node(pair.hash(), 0).unwrap()].address.clone()
        };
        let (before, after) = (of(&three), of(&four));
        assert!(before == after || after == "node-3:10901");
        before != after
    });
    let share = moved.count() as f64 / pairs.len() as f64;
    assert!((0.2..0.3).contains(&share), "{share}");
}
