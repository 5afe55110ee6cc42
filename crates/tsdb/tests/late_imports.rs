//! Blocks that Prometheus cut of late samples (`from-out-of-order` in their `meta.json`) are taken in, kept as they are,
//! read, and compacted to the bytes of Prometheus.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/crash.rs"]
mod crash;
#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/values.rs"]
mod values;

use std::path::{Path, PathBuf};

use crash::{HOUR_MS, of_block, sim_env};
use engine_support::{Samples, batch, options, read, tenant, write};
use thanoxide_env::{Disk, SimDisk, SystemDisk};
use thanoxide_model::Labels;
use thanoxide_tsdb::block::block_id;
use thanoxide_tsdb::engine::{AppendOptions, Compacted, Engine, EngineOptions, OutOfOrder};
use thanoxide_tsdb::meta::{BlockId, BlockMeta, HINT_FROM_OUT_OF_ORDER, HINT_FROM_STALE_SERIES, META_FILE};

const MINUTE_MS: i64 = 60_000;
/// Blocks of six hours end here, and the head begins.
const START_MS: i64 = 1_000 * 6 * HOUR_MS;
const SERIES: i64 = 3;
const ROOT: &str = "/data";

type Floats = Vec<(Labels, Vec<(i64, f64)>)>;

fn labels(series: i64) -> Labels {
    Labels::from_pairs([("__name__", "m".to_string()), ("series", series.to_string())])
}

fn time_ms(minute: i64, seconds: i64) -> i64 {
    START_MS + minute * MINUTE_MS + seconds * 1000
}

fn minutes(from: i64, until: i64) -> Floats {
    let samples = |s: i64| (from..until).map(move |i| (time_ms(i, 0), (s + i % 7) as f64)).collect();
    (0..SERIES).map(|s| (labels(s), samples(s))).collect()
}

/// A sample of each series, in the oracle's words.
fn spoken(t: i64) -> String {
    let of = |s: i64| format!(r#"{{"series":{s},"t":{t},"bits":{}}}"#, ((s + t % 1000) as f64).to_bits());
    format!("{{\"batch\":[{}]}}\n", (0..SERIES).map(of).collect::<Vec<_>>().join(","))
}

/// The blocks of a Prometheus to which samples of five hours and a half came late, in `into`; by time.
fn stock_late(disk: &SimDisk, into: &str, seconds: i64) -> Vec<PathBuf> {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("stock");
    let late: String = (0..114).map(|i| spoken(time_ms(9 - i * 3, seconds))).collect();
    // Late samples are cut behind some in order, which are a day older here.
    let in_order = [-1800, 20].map(|minute| spoken(time_ms(minute, seconds))).concat();
    let input = in_order + &late + "{\"do\":\"compact\"}\n";
    let window_ms = (12 * HOUR_MS).to_string();
    oracle::run(&["engine", dir.to_str().unwrap(), &window_ms, "32", "7200000"], &input);
    let is_late = |path: &PathBuf| block_id(path).is_some() && meta(&SystemDisk, path).min_time > time_ms(-600, 0);
    for block in SystemDisk.list(&dir).unwrap().into_iter().filter(is_late) {
        disk.import(&SystemDisk, &block, &Path::new(into).join(block.file_name().unwrap())).unwrap();
    }
    let mut blocks = disk.list(Path::new(into)).unwrap();
    blocks.sort_by_key(|path| meta(disk, path).min_time);
    let hours = |path: &PathBuf| (meta(disk, path).min_time - START_MS) / HOUR_MS;
    assert_eq!(blocks.iter().map(hours).collect::<Vec<_>>(), [-6, -4, -2, 0]);
    assert!(blocks.iter().all(|path| meta(disk, path).compaction.hints == [HINT_FROM_OUT_OF_ORDER]));
    blocks
}

fn meta(disk: &dyn Disk, block: &Path) -> BlockMeta {
    BlockMeta::from_json(&disk.read(&block.join(META_FILE)).unwrap()).unwrap()
}

fn open(disk: &SimDisk, seed: u64) -> Engine {
    let options = EngineOptions { out_of_order_window_ms: 12 * HOUR_MS, ..options() };
    Engine::open(Path::new(ROOT), options, sim_env(disk, seed)).unwrap()
}

/// An engine with two blocks in order, and a head of an hour and a half behind them.
fn lived(disk: &SimDisk, model: &mut Samples) -> Engine {
    let engine = open(disk, 1);
    write(&engine, &minutes(-240, 90), model).unwrap();
    assert_eq!(engine.maintain(&|_, _| true).cut.len(), 2);
    engine
}

fn import(disk: &SimDisk, engine: &Engine, blocks: &[PathBuf], model: &mut Samples) {
    for block in blocks {
        engine.import_block(&tenant(), block).unwrap();
        for (labels, samples) in of_block(disk, block).unwrap() {
            model.entry(labels).or_default().extend(samples);
        }
    }
}

fn ours(block: &Path) -> PathBuf {
    Path::new(ROOT).join("tenant-a").join(block.file_name().unwrap())
}

/// Names and bytes of a block's files.
fn files(disk: &SimDisk, block: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let named = |path: PathBuf| (path.strip_prefix(block).unwrap().to_path_buf(), disk.read(&path).unwrap());
    disk.files(block).unwrap().into_iter().map(named).collect()
}

/// First hour, last hour and whether it is of late samples, of each block.
fn shown(engine: &Engine) -> Vec<(i64, i64, bool)> {
    let hours = |ms: i64| (ms - START_MS) / HOUR_MS;
    let late = |meta: &BlockMeta| meta.compaction.hints == [HINT_FROM_OUT_OF_ORDER];
    let metas = engine.reader(&tenant()).unwrap().blocks();
    metas.iter().map(|meta| (hours(meta.min_time), hours(meta.max_time), late(meta))).collect()
}

#[test]
fn they_are_kept_as_they_are_and_read() {
    let (disk, mut model) = (SimDisk::default(), Samples::new());
    let blocks = stock_late(&disk, "/a", 30);
    let engine = lived(&disk, &mut model);
    import(&disk, &engine, &blocks, &mut model);
    assert!(engine.import_block(&tenant(), &blocks[0]).is_err(), "it is there already");
    assert_eq!(read(&engine), model);
    blocks.iter().for_each(|block| assert!(files(&disk, &ours(block)) == files(&disk, block), "{}", block.display()));
    drop(engine);
    let engine = open(&disk, 2);
    assert_eq!(read(&engine), model);
    // The last one reaches beyond the head, which goes on in order all the same.
    let next = minutes(90, 95);
    let options = AppendOptions { out_of_order: OutOfOrder::Refuse, ..AppendOptions::default() };
    let appended = engine.append(&tenant(), &batch(&next), options).unwrap();
    assert!(appended.rejected.is_empty(), "{:?}", appended.rejected);
    assert_eq!(shown(&engine).iter().filter(|(.., late)| *late).count(), blocks.len());
}

/// Prometheus's compactor beside ours.
struct Beside {
    dir: tempfile::TempDir,
}

impl Beside {
    /// With a copy of each block of the tenant.
    fn of(disk: &SimDisk) -> Self {
        let beside = Beside { dir: tempfile::tempdir().unwrap() };
        beside.copy(disk);
        beside
    }

    fn copy(&self, disk: &SimDisk) {
        let tenant_dir = Path::new(ROOT).join("tenant-a");
        for block in disk.list(&tenant_dir).unwrap().into_iter().filter(|path| block_id(path).is_some()) {
            for (name, bytes) in files(disk, &block) {
                let to = self.dir.path().join(block.file_name().unwrap()).join(name);
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::write(to, bytes).unwrap();
            }
        }
    }

    fn place(&self, block: BlockId) -> PathBuf {
        self.dir.path().join(block.to_string())
    }

    /// Does the same, and gives the new block our name.
    fn compact(&self, done: &Compacted) {
        let into = self.dir.path().join("result");
        let dirs: Vec<String> = done.parents.iter().map(|id| self.place(*id).display().to_string()).collect();
        let words = ["compact", into.to_str().unwrap()].into_iter().chain(dirs.iter().map(String::as_str));
        let printed = oracle::run(&words.collect::<Vec<_>>(), "");
        let (made, named) = (into.join(printed.trim()), self.place(done.block.unwrap()));
        std::fs::rename(&made, &named).unwrap();
        let meta = BlockMeta { ulid: done.block.unwrap(), ..meta(&SystemDisk, &named) };
        std::fs::write(named.join(META_FILE), meta.to_json()).unwrap();
    }

    fn check(&self, disk: &SimDisk, engine: &Engine) {
        for meta in engine.reader(&tenant()).unwrap().blocks() {
            let ours = files(disk, &Path::new(ROOT).join("tenant-a").join(meta.ulid.to_string()));
            for (name, bytes) in ours {
                let theirs = std::fs::read(self.place(meta.ulid).join(&name)).unwrap();
                assert!(bytes == theirs, "{} of {} differs", name.display(), meta.ulid);
            }
        }
    }
}

/// Compacts both. Gives how many blocks were made.
fn compact(disk: &SimDisk, engine: &Engine, ranges_ms: &[i64]) -> usize {
    let beside = Beside::of(disk);
    let done = engine.compact_tenant(&tenant(), ranges_ms, &|_| true, &|| true).unwrap();
    done.iter().for_each(|done| beside.compact(done));
    beside.check(disk, engine);
    done.len()
}

#[test]
fn they_are_compacted_as_prometheus_does_once_they_lie_behind_the_head() {
    let (disk, mut model) = (SimDisk::default(), Samples::new());
    let (first, second) = (stock_late(&disk, "/a", 30), stock_late(&disk, "/b", 45));
    let engine = lived(&disk, &mut model);
    import(&disk, &engine, &first, &mut model);
    import(&disk, &engine, &second, &mut model);
    assert_eq!(compact(&disk, &engine, &[2 * HOUR_MS]), 3);
    // Two late ones made one; with one in order they are so no more; those of the head's time wait.
    let behind = [(-6, -4, true), (-4, -2, false), (-2, 0, false)];
    assert_eq!(shown(&engine), [&behind[..], &[(0, 2, true), (0, 2, true)]].concat());
    assert_eq!(read(&engine), model);
    drop(engine);
    let engine = open(&disk, 2);
    assert_eq!(read(&engine), model, "the head has what is beside the late ones");
    write(&engine, &minutes(90, 200), &mut model).unwrap();
    assert_eq!(engine.maintain(&|_, _| true).cut.len(), 1);
    assert_eq!(compact(&disk, &engine, &[2 * HOUR_MS, 6 * HOUR_MS]), 2);
    assert_eq!(shown(&engine), [(-6, 0, false), (0, 2, false)]);
    assert_eq!(read(&engine), model);
    drop(engine);
    let engine = open(&disk, 3);
    assert_eq!(read(&engine), model, "after a restart");
    assert_eq!(engine.reader(&tenant()).unwrap().stats().corrupt_blocks, 0);
}

#[test]
fn a_tenant_that_has_nothing_else_takes_older_samples_in_order() {
    let (disk, mut model) = (SimDisk::default(), Samples::new());
    let blocks = stock_late(&disk, "/a", 30);
    let engine = open(&disk, 1);
    import(&disk, &engine, &blocks, &mut model);
    assert_eq!(read(&engine), model);
    drop(engine);
    let engine = open(&disk, 2);
    write(&engine, &minutes(-300, -200), &mut model).unwrap();
    assert_eq!(read(&engine), model);
    drop(engine);
    assert_eq!(read(&open(&disk, 3)), model);
}

/// Another hint stays, and the one that a block gets for its time is put where Prometheus has it.
#[test]
fn a_block_of_the_heads_time_has_sorted_hints() {
    let (disk, mut model) = (SimDisk::default(), Samples::new());
    let block = stock_late(&disk, "/a", 30).pop().unwrap();
    let mut stale = meta(&disk, &block);
    stale.compaction.hints = vec![HINT_FROM_STALE_SERIES.to_string()];
    disk.overwrite(&block.join(META_FILE), stale.to_json()).unwrap();
    let engine = lived(&disk, &mut model);
    import(&disk, &engine, std::slice::from_ref(&block), &mut model);
    stale.compaction.hints = vec![HINT_FROM_OUT_OF_ORDER.to_string(), HINT_FROM_STALE_SERIES.to_string()];
    assert_eq!(meta(&disk, &ours(&block)), stale);
    drop(engine);
    assert_eq!(read(&open(&disk, 2)), model);
}
