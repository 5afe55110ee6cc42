//! Blocks are compacted, samples deleted and old blocks given up, and nothing else is lost.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::path::Path;
use std::sync::Arc;

use engine_support::*;
use thanoxide_env::SystemDisk;
use thanoxide_model::{Labels, MatchKind, Matcher};
use thanoxide_tsdb::compact::exponential_ranges_ms;
use thanoxide_tsdb::engine::{Engine, EngineOptions};
use thanoxide_tsdb::meta::BlockMeta;

const HOUR_MS: i64 = 3_600_000;
/// A multiple of 18 hours.
const BASE_MS: i64 = 1_000 * 18 * HOUR_MS;

fn step(t: i64) -> Vec<(Labels, Vec<(i64, f64)>)> {
    (0..20).map(|i| (labels(i), vec![(t, (t % 7919 + i as i64) as f64)])).collect()
}

/// Writes a sample of each series every ten minutes and cuts what is due.
fn fill(engine: &Engine, hours: i64, model: &mut Samples) {
    for tens in 0..hours * 6 {
        write(engine, &step(BASE_MS + tens * 600_000), model).unwrap();
    }
    assert!(engine.maintain(&|_, _| false).failed.is_empty());
}

fn blocks(engine: &Engine) -> Vec<BlockMeta> {
    engine.reader(&tenant()).unwrap().blocks()
}

fn ranges(engine: &Engine) -> Vec<(i64, i64)> {
    let hours = |ms: i64| (ms - BASE_MS) / HOUR_MS;
    blocks(engine).iter().map(|meta| (hours(meta.min_time), hours(meta.max_time))).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn full_ranges_become_one_block_each() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut model = Samples::new();
    fill(&engine, 23, &mut model);
    assert_eq!(ranges(&engine).len(), 10);
    let first = blocks(&engine)[0].ulid;
    let spare = tempfile::tempdir().unwrap();
    let (block_dir, aside) = (engine.tenant_dir(&tenant()).join(first.to_string()), spare.path().join("block"));
    copy(&block_dir, &aside);

    let planned = exponential_ranges_ms(2 * HOUR_MS, 18 * HOUR_MS);
    assert!(engine.compact_tenant(&tenant(), &planned, &|_| false, &|| true).unwrap().is_empty());
    let done = engine.compact_tenant(&tenant(), &planned, &|_| true, &|| true).unwrap();
    // Three of 6 h each, and those again.
    assert_eq!(done.iter().map(|c| c.parents.len()).collect::<Vec<_>>(), [3, 3, 3, 3]);
    assert_eq!(ranges(&engine), [(0, 18), (18, 20)]);
    assert_eq!(read(&engine), model);
    let made = &blocks(&engine)[0];
    assert_eq!((made.compaction.level, made.compaction.sources.len(), made.compaction.parents.len()), (3, 9, 3));
    assert_eq!((made.stats.num_series, made.stats.num_samples), (20, 20 * 18 * 6));

    // A crash may leave a block behind that another was made of; here one whose child is gone by now stays.
    drop(engine);
    copy(&aside, &block_dir);
    let mut child = BlockMeta::from_json(&std::fs::read(aside.join("meta.json")).unwrap()).unwrap();
    let engine = open(dir.path());
    assert_eq!(blocks(&engine).len(), 3);
    assert_eq!(read(&engine), model);
    drop(engine);
    let id = blocks_on_disk(dir.path())[2].clone();
    let meta_file = dir.path().join("tenant-a").join(id).join("meta.json");
    child = BlockMeta { ulid: first, ..child };
    let mut listed = BlockMeta::from_json(&std::fs::read(&meta_file).unwrap()).unwrap();
    listed.compaction.parents.push(thanoxide_tsdb::meta::BlockParent { ulid: child.ulid, min_time: 0, max_time: 0 });
    std::fs::write(&meta_file, listed.to_json()).unwrap();
    let engine = open(dir.path());
    assert!(!block_dir.exists());
    assert_eq!(read(&engine), model);
}

fn blocks_on_disk(root: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(root.join("tenant-a")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.len() == 26).collect();
    names.sort();
    names
}

#[test]
fn deleted_samples_are_gone_at_once_and_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut model = Samples::new();
    fill(&engine, 7, &mut model);
    assert_eq!(ranges(&engine), [(0, 2), (2, 4)]);
    let matcher = Matcher::new(MatchKind::Regexp, "i", "3|5").unwrap();
    let (from, to) = (BASE_MS + HOUR_MS, BASE_MS + 3 * HOUR_MS);
    engine.delete(&tenant(), &[matcher], from, to).unwrap();
    for i in [3, 5] {
        model.get_mut(&labels(i)).unwrap().retain(|t, _| !(from..=to).contains(t));
    }
    assert_eq!(read(&engine), model);
    assert_eq!(blocks(&engine).iter().map(|m| m.stats.num_tombstones).collect::<Vec<_>>(), [2, 2]);
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(read(&engine), model);
    let cleaned = engine.clean_tombstones(&tenant()).unwrap();
    assert_eq!(cleaned.len(), 2);
    assert_eq!(read(&engine), model);
    let metas = blocks(&engine);
    assert!(metas.iter().all(|m| m.stats.num_tombstones == 0 && m.compaction.level == 1));
    assert_eq!(metas[0].compaction.parents[0].ulid, cleaned[0].parents[0]);
    // A block of which nothing is left goes.
    let all = Matcher::new(MatchKind::Equal, "__name__", "metric").unwrap();
    engine.delete(&tenant(), &[all], i64::MIN, BASE_MS + 2 * HOUR_MS - 1).unwrap();
    let cleaned = engine.clean_tombstones(&tenant()).unwrap();
    assert_eq!((cleaned.len(), cleaned[0].block), (1, None));
    assert_eq!(ranges(&engine), [(2, 4)]);
}

#[test]
fn the_oldest_blocks_go_where_there_is_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Samples::new();
    {
        let engine = open(dir.path());
        fill(&engine, 13, &mut model);
        assert_eq!(ranges(&engine).len(), 5);
    }
    let bytes: u64 =
        blocks_on_disk(dir.path()).iter().map(|id| block_bytes(&dir.path().join("tenant-a").join(id))).sum();
    // Log and chunk files count as well, but only blocks can go.
    let shared = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
    let shared =
        shared.filter(|entry| [".tlog", ".tchk"].iter().any(|e| entry.file_name().to_string_lossy().ends_with(e)));
    let shared_bytes: u64 = shared.map(|entry| entry.metadata().unwrap().len()).sum();
    let options = EngineOptions { retention_bytes: Some(bytes / 2 + shared_bytes), ..options() };
    let engine = Engine::open(dir.path(), options, env(Arc::new(SystemDisk))).unwrap();
    assert!(engine.maintain(&|_, _| false).removed.is_empty());
    assert_eq!(engine.maintain(&|_, _| true).removed.len(), 3);
    assert_eq!(ranges(&engine), [(6, 8), (8, 10)]);
    assert!(contains(&model, &read(&engine)));
}

fn block_bytes(dir: &Path) -> u64 {
    let chunks = std::fs::read_dir(dir.join("chunks")).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
    chunks.sum::<u64>() + std::fs::metadata(dir.join("index")).unwrap().len()
}
