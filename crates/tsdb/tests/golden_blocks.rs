//! Blocks against what stock reads from them, and written again to the same bytes.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "golden/support.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use support::{golden, hex, read_json, sample, show};
use thanoxide_env::SystemDisk;
use thanoxide_model::{Labels, MatchKind, Matcher};
use thanoxide_tsdb::block::{Block, BlockWriter};
use thanoxide_tsdb::chunk;
use thanoxide_tsdb::index::{IndexReader, SymbolSet};
use thanoxide_tsdb::meta::BlockMeta;
use thanoxide_tsdb::tombstones::Tombstones;

/// Every block, with the directory of what stock reads from it.
fn blocks() -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    for case in sorted(&golden("blocks")) {
        for block in sorted(&case).into_iter().filter(|p| thanoxide_tsdb::block::block_id(p).is_some()) {
            found.push((block.clone(), case.join("expected").join(block.file_name().unwrap())));
        }
    }
    assert!(found.len() >= 38, "{}", found.len());
    found
}

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

fn text(bytes: &[u8]) -> Value {
    json!(String::from_utf8_lossy(bytes))
}

fn labels(v: &Value) -> Labels {
    Labels::from_pairs(v.as_array().unwrap().iter().map(|l| (l[0].as_str().unwrap(), l[1].as_str().unwrap())))
}

#[test]
fn indexes_read_as_stock_reads_them() {
    for (dir, expected) in blocks() {
        let block = Block::open(&SystemDisk, &dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let want = &read_json(&expected.join("index.json.gz"))[0];
        let index = block.index();
        assert_eq!(json!(index.version()), want["index_version"]);
        let toc = index.toc();
        assert_eq!(json!(toc.symbols), want["toc"]["symbols"]);
        assert_eq!(json!(toc.series), want["toc"]["series"]);
        assert_eq!(json!(toc.postings), want["toc"]["postings"]);
        assert_eq!(json!(toc.postings_table), want["toc"]["postings_table"]);
        assert_eq!(
            Value::from(index.symbols().unwrap().map(text).collect::<Vec<_>>()),
            want["symbols"],
            "{}",
            dir.display()
        );
        assert_eq!(Value::from(index.label_names().map(text).collect::<Vec<_>>()), want["label_names"]);
        for (name, values) in want["label_values"].as_object().unwrap() {
            let mut ours = Vec::new();
            for value in index.label_values(name.as_bytes()).unwrap() {
                let refs = index.postings(name.as_bytes(), &value).unwrap();
                ours.push(json!({"value": text(&value), "series": refs.len(), "refs": refs}));
            }
            assert_eq!(&Value::from(ours), values, "{} {name}", dir.display());
            assert!(index.postings(name.as_bytes(), b"\xff no such value").unwrap().is_empty());
        }
    }
}

/// No writer makes version 3; stock reads it as version 2 but for its number.
#[test]
fn version_3_reads_as_version_2() {
    let mut read = 0;
    for (dir, _) in blocks() {
        let mut bytes = std::fs::read(dir.join("index")).unwrap();
        if bytes[4] != 2 {
            continue;
        }
        let open = |bytes: &[u8]| IndexReader::open(Arc::new(Bytes::copy_from_slice(bytes))).unwrap();
        let two = open(&bytes);
        bytes[4] = 3;
        let three = open(&bytes);
        assert_eq!((two.version(), three.version()), (2, 3));
        for name in two.label_names() {
            assert_eq!(two.label_values(name).unwrap(), three.label_values(name).unwrap());
        }
        for series in two.all_postings().unwrap() {
            assert_eq!(two.series(series).unwrap(), three.series(series).unwrap());
            read += 1;
        }
        assert_eq!(two.all_postings().unwrap(), three.all_postings().unwrap());
    }
    assert!(read > 1000, "{read}");
}

#[test]
fn series_read_as_stock_reads_them() {
    for (dir, expected) in blocks() {
        let file = expected.join("series.jsonl.gz");
        if !file.exists() {
            continue;
        }
        let block = Block::open(&SystemDisk, &dir).unwrap();
        let want = read_json(&file);
        let all = block.index().all_postings().unwrap();
        assert_eq!(all.len(), want.len());
        for (series, want) in all.into_iter().zip(want) {
            let what = format!("{} {}", dir.display(), want["ref"]);
            assert_eq!(json!(series), want["ref"]);
            let entry = block.index().series(series).unwrap();
            assert_eq!(entry.labels, labels(&want["labels"]), "{what}");
            let mut samples = Vec::new();
            assert_eq!(entry.chunks.len(), want["chunks"].as_array().unwrap().len(), "{what}");
            for (meta, want) in entry.chunks.iter().zip(want["chunks"].as_array().unwrap()) {
                let chunk = block.segments().chunk(meta).unwrap();
                let ours = (meta.reference, meta.min_time_ms, meta.max_time_ms, chunk.encoding as u8);
                let ours = json!([ours.0, ours.1, ours.2, ours.3, chunk::sample_count(&chunk), chunk.data.len()]);
                let keys = ["ref", "mint", "maxt", "encoding", "num_samples", "len"];
                assert_eq!(ours, Value::from(keys.map(|k| want[k].clone()).to_vec()), "{what}");
                samples.extend(chunk::samples(&chunk).unwrap().map(|s| show(&s.unwrap())));
            }
            let stock: Vec<_> = want["samples"].as_array().unwrap().iter().map(|s| show(&sample(s))).collect();
            assert_eq!(samples, stock, "{what}");
        }
    }
}

/// Files of chunks as the case's writer cut them.
fn max_segment_bytes(dir: &Path) -> u64 {
    if dir.to_string_lossy().contains("many-chunks") { 64 << 10 } else { 512 << 20 }
}

#[test]
fn blocks_are_written_to_the_same_bytes() {
    let mut equal = 0;
    for (dir, _) in blocks() {
        let block = Block::open(&SystemDisk, &dir).unwrap();
        if block.index().version() != 2 {
            continue;
        }
        let out = tempfile::tempdir().unwrap();
        let mut symbols = SymbolSet::default();
        block.index().symbols().unwrap().for_each(|symbol| symbols.add(symbol));
        let max_bytes = max_segment_bytes(&dir);
        let meta = block.meta().clone();
        let mut writer =
            BlockWriter::with_max_segment_bytes(&SystemDisk, out.path(), meta.clone(), &symbols, max_bytes).unwrap();
        for series in block.index().all_postings().unwrap() {
            let entry = block.index().series(series).unwrap();
            let chunks: Vec<_> = entry.chunks.iter().map(|meta| block.segments().chunk(meta).unwrap()).collect();
            writer.add_series(&entry.labels, &chunks).unwrap();
        }
        let aggregates = dir.to_string_lossy().contains("5m") || dir.to_string_lossy().contains("downsample-1h");
        let written = out.path().join(format!("{}.tmp-for-creation", meta.ulid));
        let written = match writer.finish().unwrap() {
            Some(new) => {
                let (ours, theirs) = (new.stats, meta.stats);
                assert_eq!((ours.num_series, ours.num_chunks), (theirs.num_series, theirs.num_chunks));
                assert!(aggregates || ours.num_samples == theirs.num_samples);
                out.path().join(meta.ulid.to_string())
            }
            None => written,
        };
        for file in ["index".to_owned()].into_iter().chain(chunk_files(&dir)) {
            let (ours, theirs) = (std::fs::read(written.join(&file)), std::fs::read(dir.join(&file)).unwrap());
            assert!(ours.is_ok_and(|ours| ours == theirs), "{} {file}", dir.display());
            equal += 1;
        }
        assert_eq!(chunk_files(&written), chunk_files(&dir));
    }
    assert_eq!(equal, 78);
}

fn chunk_files(dir: &Path) -> Vec<String> {
    let name = |p: PathBuf| format!("chunks/{}", p.file_name().unwrap().to_string_lossy());
    sorted(&dir.join("chunks")).into_iter().map(name).collect()
}

#[test]
fn meta_files_are_written_to_the_same_bytes() {
    for (dir, _) in blocks() {
        let file = std::fs::read(dir.join("meta.json")).unwrap();
        let ours = BlockMeta::from_json(&file).unwrap().to_json();
        let file = file.strip_suffix(b"\n").unwrap_or(&file);
        assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(file), "{}", dir.display());
    }
}

#[test]
fn deleted_samples_are_not_shown() {
    let (dir, expected) = blocks().into_iter().find(|(dir, _)| dir.to_string_lossy().contains("tombstones")).unwrap();
    let block = Block::open(&SystemDisk, &dir).unwrap();
    let want = read_json(&expected.join("visible.jsonl.gz"));
    let mut shown = Vec::new();
    for read in block.select(&[], i64::MIN, i64::MAX).unwrap() {
        let (labels, chunks) = read.unwrap();
        let samples: Vec<_> = chunks
            .iter()
            .flat_map(|c| chunk::samples(c).unwrap().map(|s| show(&s.unwrap())).collect::<Vec<_>>())
            .collect();
        shown.push((labels, samples));
    }
    let want: Vec<(Labels, Vec<Value>)> = want
        .iter()
        .map(|v| {
            let samples = v["samples"].as_array().unwrap().iter().map(|s| show(&sample(s))).collect();
            (labels(&v["labels"]), samples)
        })
        .collect();
    assert_eq!(shown, want);
    let file = std::fs::read(dir.join("tombstones")).unwrap();
    let mut ours = Tombstones::from_bytes(&file).unwrap().to_bytes();
    assert_eq!(ours.len(), file.len());
    ours.truncate(5);
    assert_eq!(hex(&ours), hex(&file[..5]));
}

/// What a matcher selects, against asking each series.
#[test]
fn matchers_select_what_the_labels_say() {
    let matchers = |texts: &[(MatchKind, &str, &str)]| -> Vec<Matcher> {
        texts.iter().map(|(kind, name, value)| Matcher::new(*kind, name, value).unwrap()).collect()
    };
    use MatchKind::{Equal, NotEqual, NotRegexp, Regexp};
    let selections = [
        matchers(&[]),
        matchers(&[(Equal, "__name__", "exact32")]),
        matchers(&[(Equal, "__name__", "absent")]),
        matchers(&[(Regexp, "__name__", "exact.*")]),
        matchers(&[(Regexp, "__name__", "exact32|exact33|absent")]),
        matchers(&[(NotRegexp, "__name__", "exact32|exact33|absent")]),
        matchers(&[(NotRegexp, "__name__", "exact.*")]),
        matchers(&[(NotEqual, "__name__", "exact32"), (Regexp, "__name__", ".*e.*")]),
        matchers(&[(Equal, "__name__", "")]),
        matchers(&[(NotEqual, "__name__", "")]),
        matchers(&[(Regexp, "__name__", ".*")]),
        matchers(&[(Regexp, "__name__", ".+")]),
        matchers(&[(NotRegexp, "__name__", ".+")]),
        matchers(&[(Regexp, "absent", "a?")]),
        matchers(&[(Regexp, "__name__", "(|exact32)")]),
        matchers(&[(Regexp, "v", "[0-9]+"), (NotRegexp, "v", "1.*")]),
    ];
    for case in ["labels-edge", "index-v1", "promql"] {
        let (dir, _) = blocks().into_iter().find(|(dir, _)| dir.to_string_lossy().contains(case)).unwrap();
        let block = Block::open(&SystemDisk, &dir).unwrap();
        for matchers in &selections {
            let mut want = Vec::new();
            for series in block.index().all_postings().unwrap() {
                let labels = block.index().series(series).unwrap().labels;
                if matchers.iter().all(|m| m.matches_labels(&labels)) {
                    want.push(series);
                }
            }
            assert_eq!(block.postings(matchers).unwrap(), want, "{case} {matchers:?}");
            let names = block.label_names(matchers).unwrap();
            assert_eq!(names.is_empty(), want.is_empty());
            for name in names.iter().take(3) {
                let values: std::collections::BTreeSet<_> = want
                    .iter()
                    .filter_map(|s| block.index().series(*s).unwrap().labels.get(name).map(<[u8]>::to_vec))
                    .collect();
                assert_eq!(block.label_values(name, matchers).unwrap(), Vec::from_iter(values), "{case} {matchers:?}");
            }
        }
    }
}
