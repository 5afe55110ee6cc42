//! Golden blocks in a bucket, and what stock reads from them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt;
use prometheus_client::registry::Registry;
use serde_json::Value;
use thanoxide_env::{Env, SystemDisk};
use thanoxide_model::series::Columns;
use thanoxide_model::{Labels, Matcher};
use thanoxide_objstore::{Bucket, BucketConfig, UploadSource};
use thanoxide_store::{BucketStore, StoreConfig};
use thanoxide_storeapi::{SeriesFrame, SeriesRequest, Store, StoreError, StoreSeries};
use thanoxide_tsdb::chunk;

pub(crate) fn golden() -> PathBuf {
    match std::env::var_os("THANOXIDE_SHARED") {
        Some(shared) => PathBuf::from(shared),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
    }
    .join("golden")
}

pub(crate) fn json_lines(path: &Path) -> Vec<Value> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The block directories of a case.
pub(crate) fn blocks(case: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(golden().join("blocks").join(case)).unwrap().map(|e| e.unwrap().path());
    let mut dirs: Vec<_> = entries.filter(|path| !path.ends_with("expected")).collect();
    dirs.sort();
    dirs
}

/// Puts the blocks of a case into a bucket, object by object.
pub(crate) async fn put_case(bucket: &dyn Bucket, case: &str) {
    for block in blocks(case) {
        put_block(bucket, &block).await;
    }
}

pub(crate) async fn put_block(bucket: &dyn Bucket, block: &Path) {
    let id = block.file_name().unwrap().to_str().unwrap();
    let mut files = vec![block.join("index"), block.join("meta.json")];
    files.extend(std::fs::read_dir(block.join("chunks")).unwrap().map(|e| e.unwrap().path()));
    for path in files {
        let name = format!("{id}/{}", path.strip_prefix(block).unwrap().to_str().unwrap());
        let bytes = std::fs::read(&path).unwrap();
        bucket.upload(&name, UploadSource::from(bytes)).await.unwrap();
    }
}

pub(crate) fn filesystem(dir: &Path) -> Arc<dyn Bucket> {
    let yaml = format!("type: FILESYSTEM\nconfig: {{directory: {:?}}}", dir.join("bucket"));
    BucketConfig::parse(&yaml, |_| None).unwrap().open().unwrap()
}

pub(crate) fn store(bucket: Arc<dyn Bucket>, dir: &Path, adapt: impl FnOnce(&mut StoreConfig)) -> BucketStore {
    let mut config = StoreConfig::new(dir.join("data"));
    adapt(&mut config);
    let env = Env { disk: Arc::new(SystemDisk), ..Env::system() };
    BucketStore::new(config, env, bucket, &mut Registry::default())
}

/// All series with any value of `case`, that is: of every golden block.
pub(crate) fn everything() -> SeriesRequest {
    SeriesRequest {
        min_time_ms: i64::MIN,
        max_time_ms: i64::MAX,
        matchers: vec![matcher("case", "!=", "")],
        ..SeriesRequest::default()
    }
}

pub(crate) fn matcher(name: &str, operator: &str, value: &str) -> Matcher {
    use thanoxide_model::MatchKind::{Equal, NotEqual, NotRegexp, Regexp};
    let kind = [Equal, NotEqual, Regexp, NotRegexp].into_iter().find(|kind| kind.as_str() == operator).unwrap();
    Matcher::new(kind, name, value).unwrap()
}

#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) series: Vec<StoreSeries>,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    pub(crate) fn labels(&self) -> Vec<String> {
        self.series.iter().map(|series| series.labels.to_string()).collect()
    }
}

pub(crate) async fn ask(store: &BucketStore, request: SeriesRequest) -> Result<Answer, StoreError> {
    let mut answer = Answer::default();
    // Without some of their labels series are still in the order of all of them.
    let has_all_labels = request.hints.projection.is_none();
    let mut frames = store.series(request).await?;
    while let Some(frame) = frames.next().await {
        match frame? {
            SeriesFrame::Warning(warning) => answer.warnings.push(warning),
            SeriesFrame::Series(series) => {
                for series in series {
                    match answer.series.last_mut() {
                        Some(last) if last.labels == series.labels => last.chunks.extend(series.chunks),
                        _ => answer.series.push(series),
                    }
                }
            }
        }
    }
    let is_sorted = answer.series.is_sorted_by(|a, b| a.labels < b.labels);
    assert!(is_sorted || !has_all_labels, "series come sorted, each once");
    Ok(answer)
}

/// A chunk: first and last time, and each sample's time and bits.
pub(crate) type Chunk = (i64, i64, Vec<(i64, u64)>);
/// Series by labels.
pub(crate) type Content = BTreeMap<Labels, Vec<Chunk>>;

pub(crate) fn content(answer: &Answer) -> Content {
    let decode = |raw: &chunk::Chunk| {
        let mut columns = Columns::default();
        chunk::decode(raw, i64::MIN, i64::MAX, &mut columns).unwrap();
        let bits = columns.values.iter().map(|value| value.to_bits());
        (raw.min_time_ms, raw.max_time_ms, columns.timestamps_ms.iter().copied().zip(bits).collect())
    };
    let chunks = |series: &StoreSeries| series.chunks.iter().map(|c| decode(c.raw.as_ref().unwrap())).collect();
    answer.series.iter().map(|series| (series.labels.clone(), chunks(series))).collect()
}

/// What stock reads from the float blocks of a case, with external labels, without `removed` ones.
pub(crate) fn expected(case: &str, removed: &[&str]) -> Content {
    let mut all = Content::new();
    for block in blocks(case) {
        let meta: Value = serde_json::from_slice(&std::fs::read(block.join("meta.json")).unwrap()).unwrap();
        let external = meta["thanos"]["labels"].as_object().unwrap();
        let external = Labels::from_pairs(external.iter().map(|(name, value)| (name, value.as_str().unwrap())));
        let id = block.file_name().unwrap();
        for row in json_lines(&block.parent().unwrap().join("expected").join(id).join("series.jsonl.gz")) {
            let pair = |pair: &Value| (pair[0].as_str().unwrap().to_string(), pair[1].as_str().unwrap().to_string());
            let own = Labels::from_pairs(row["labels"].as_array().unwrap().iter().map(pair));
            let series = all.entry(own.overlay(&external).without(removed)).or_default();
            series.extend(chunks(&row));
            // A chunk that both replicas have comes once.
            series.sort();
            series.dedup();
        }
    }
    all
}

fn chunks(row: &Value) -> Vec<Chunk> {
    let sample =
        |sample: &Value| (sample[0].as_i64().unwrap(), u64::from_str_radix(sample[1].as_str().unwrap(), 16).unwrap());
    let mut samples = row["samples"].as_array().unwrap().iter().map(sample);
    let chunk = |meta: &Value| {
        let count = meta["num_samples"].as_u64().unwrap() as usize;
        let samples = samples.by_ref().take(count).collect();
        (meta["mint"].as_i64().unwrap(), meta["maxt"].as_i64().unwrap(), samples)
    };
    row["chunks"].as_array().unwrap().iter().map(chunk).collect()
}
