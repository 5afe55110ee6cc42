//! Bucket configurations of the corpus are taken or refused as stock does, apart from the deviations listed here.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::PathBuf;

use serde_json::Value;
use thanoxide_objstore::{BucketConfig, ConfigError};

/// Valid for stock, refused by us with a clear error: what the S3 client cannot do is not dropped silently.
const REFUSED_ON_PURPOSE: [(&str, &str); 4] = [
    ("s3-signature-v2", "signature_version2"),
    ("s3-list-v1", "list_objects_version"),
    ("s3-sse-kms", "kms_encryption_context"),
    ("s3-no-bucket", "no s3 bucket"),
];

fn corpus() -> PathBuf {
    match std::env::var_os("THANOXIDE_SHARED") {
        Some(shared) => PathBuf::from(shared),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
    }
    .join("corpora/objstore")
}

fn rows(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(corpus().join(file)).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter(|row| row["kind"] == "objstore").collect()
}

fn open(yaml: &str, dir: &tempfile::TempDir) -> Result<(), ConfigError> {
    let place = dir.path().to_str().unwrap();
    let yaml = yaml.replace("${BUCKET_DIR}", place).replace("${CONF_DIR}", place);
    let config = BucketConfig::parse(&yaml, |name| (name == "BUCKET_FROM_ENV").then(|| place.to_string()))?;
    config.open().map(drop)
}

fn is_ours(yaml: &str) -> bool {
    let upper = yaml.to_uppercase();
    upper.contains("TYPE: S3") || upper.contains("TYPE: FILESYSTEM")
}

#[tokio::test]
async fn what_stock_takes_is_taken() {
    let mut taken = 0;
    for row in rows("valid.jsonl").into_iter().chain(rows("accepted-by-stock.jsonl")) {
        let name = row["name"].as_str().unwrap();
        let yaml = match row["file"].as_str() {
            Some(file) => std::fs::read_to_string(corpus().join(file)).unwrap(),
            None => row["files"]["x.yaml"].as_str().unwrap().to_string(),
        };
        let dir = tempfile::tempdir().unwrap();
        for (file, content) in row["other_files"].as_object().into_iter().flatten() {
            std::fs::write(dir.path().join(file), content.as_str().unwrap()).unwrap();
        }
        let result = open(&yaml, &dir);
        if !is_ours(&yaml) {
            assert!(matches!(result, Err(ConfigError::MissingType(_))), "{name}: {result:?}");
        } else if let Some((_, why)) = REFUSED_ON_PURPOSE.iter().find(|(refused, _)| *refused == name) {
            assert!(result.as_ref().is_err_and(|e| e.to_string().contains(why)), "{name}: {result:?}");
        } else {
            assert!(result.is_ok(), "{name}: {result:?}");
            taken += 1;
        }
    }
    assert!(taken >= 12, "{taken}");
}

#[tokio::test]
async fn what_stock_refuses_is_refused() {
    let mut refused = 0;
    for row in rows("invalid.jsonl") {
        let name = row["name"].as_str().unwrap();
        let inline =
            row["args"].as_array().unwrap().iter().find_map(|a| a.as_str()?.strip_prefix("--objstore.config="));
        let yaml = match row["files"]["x.yaml"].as_str().or(inline) {
            Some(yaml) => yaml,
            None => continue,
        };
        // About the flags, not about their content.
        if matches!(name, "file-and-content" | "missing-file") {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        for (file, content) in row["files"].as_object().into_iter().flatten() {
            std::fs::write(dir.path().join(file), content.as_str().unwrap()).unwrap();
        }
        let result = open(yaml, &dir);
        assert!(result.is_err(), "{name} is taken: {yaml}");
        refused += 1;
    }
    assert!(refused >= 25, "{refused}");
}
