//! What is done to an engine beside appends and reads: backup, import, drain, scrub, recoding.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/golden.rs"]
mod golden;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine_support::{Samples, append, batch, contains, labels, open, options, read, tenant, write};
use thanoxide_env::{Env, ManualClock, SeededRandom, SystemDisk};
use thanoxide_model::{Labels, TenantId};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineError};

const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_000 * 2 * HOUR_MS;

/// A model that a writer and a checker share.
type Shared<T> = Arc<std::sync::Mutex<T>>;

fn minutes(series: std::ops::Range<usize>, from: i64, count: i64) -> Vec<(Labels, Vec<(i64, f64)>)> {
    let samples = |s: usize| (from..from + count).map(move |i| (START_MS + i * 60_000, (s as i64 + i * i) as f64));
    series.map(|s| (labels(s), samples(s).collect())).collect()
}

fn block_dirs(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut dirs: Vec<_> = entries.filter(|path| path.join("meta.json").exists()).collect();
    dirs.sort();
    dirs
}

/// While samples come in, heads are cut and snapshots taken, a backup has what was acknowledged before it, and no more than
/// what was tried until its end.
#[test]
fn a_backup_under_load_has_all_that_was_acknowledged_before() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(dir.path());
    let (over, model): (_, Shared<Samples>) = (AtomicBool::new(false), Shared::default());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut hour = 0;
            while !over.load(Ordering::SeqCst) && hour < 400 {
                let mut next = model.lock().unwrap().clone();
                write(&engine, &minutes(0..6, hour * 60, 60), &mut next).unwrap();
                *model.lock().unwrap() = next;
                engine.maintain(&|_, _| true);
                engine.snapshot().unwrap();
                hour += 1;
            }
        });
        for i in 0..4 {
            let before = model.lock().unwrap().clone();
            let copy = copies.path().join(i.to_string());
            engine.backup(&copy).unwrap();
            let have = read(&open(&copy));
            assert!(contains(&have, &before), "backup {i}");
            // What was under way is known once it is acknowledged.
            over.store(i == 3, Ordering::SeqCst);
            let wanted = have.values().map(|samples| samples.len()).max().unwrap_or_default();
            while model.lock().unwrap().values().map(|samples| samples.len()).max().unwrap_or_default() < wanted {
                std::thread::yield_now();
            }
            assert!(contains(&model.lock().unwrap(), &have), "backup {i} invented something");
        }
    });
    // Both go on, and neither knows of the other.
    let copy = open(&copies.path().join("3"));
    let mut of_copy = read(&copy);
    let later = 500 * 60;
    write(&copy, &minutes(0..2, later, 3), &mut of_copy).unwrap();
    drop(copy);
    assert_eq!(read(&open(&copies.path().join("3"))), of_copy);
    assert_eq!(read(&engine), *model.lock().unwrap());
    assert!(matches!(engine.backup(copies.path()), Err(EngineError::Io { .. })), "it overwrites nothing");
}

#[test]
fn a_drained_engine_has_all_in_blocks_and_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Samples::new();
    let engine = open(dir.path());
    write(&engine, &minutes(0..5, 0, 200), &mut model).unwrap();
    let done = engine.drain().unwrap();
    assert!(done.failed.is_empty() && !done.cut.is_empty());
    assert_eq!(read(&engine), model);
    assert_eq!(engine.reader(&tenant()).unwrap().stats().series, 0);
    assert!(matches!(append(&engine, &batch(&minutes(0..1, 300, 1))), Err(EngineError::Closed)));
    drop(engine);
    assert_eq!(read(&open(dir.path())), model);
}

#[test]
fn imported_blocks_are_read_and_hide_nothing_of_the_head() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut model = Samples::new();
    let other = open(theirs.path());
    write(&other, &minutes(0..5, 0, 230), &mut model).unwrap();
    other.drain().unwrap();
    drop(other);
    let engine = open(ours.path());
    // A head that begins in the middle of the blocks' times.
    write(&engine, &minutes(10..12, 60, 300), &mut model).unwrap();
    let blocks = block_dirs(&theirs.path().join(tenant().as_str()));
    assert!(blocks.len() > 1);
    for block in &blocks {
        engine.import_block(&tenant(), block).unwrap();
    }
    assert!(engine.import_block(&tenant(), &blocks[0]).is_err(), "it is there already");
    assert_eq!(read(&engine), model);
    drop(engine);
    let engine = open(ours.path());
    assert_eq!(read(&engine), model);
    write(&engine, &minutes(10..12, 360, 5), &mut model).unwrap();
    assert_eq!(read(&engine), model);
    // What cannot be read is not taken.
    let broken = theirs.path().join("01HF8B9V80P2SXQMYQXDEM885G");
    std::fs::create_dir(&broken).unwrap();
    assert!(engine.import_block(&tenant(), &broken).is_err());
}

#[test]
fn a_scrub_names_what_is_broken_and_only_that() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Samples::new();
    let engine = open(dir.path());
    for i in 0..6 {
        write(&engine, &minutes(0..20, i * 60, 60), &mut model).unwrap();
    }
    engine.maintain(&|_, _| true);
    // Enough that the head has full chunks again.
    write(&engine, &minutes(0..20, 360, 60), &mut model).unwrap();
    engine.snapshot().unwrap();
    let sound = engine.scrub(&|| true);
    assert_eq!((sound.blocks, sound.broken.len()), (engine.reader(&tenant()).unwrap().blocks().len() as u64, 0));
    assert!(sound.chunks > 40);
    let flip = |path: &Path, at: usize| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let block = block_dirs(&dir.path().join(tenant().as_str())).remove(0);
    flip(&block.join("chunks/000001"), 100);
    let chunks = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let chunks: Vec<_> = chunks.filter(|path| path.extension().is_some_and(|e| e == "tchk")).collect();
    assert!(!chunks.is_empty());
    for path in &chunks {
        let len = std::fs::metadata(path).unwrap().len() as usize;
        (40..len).step_by(50).for_each(|at| flip(path, at));
    }
    let found = engine.scrub(&|| true);
    assert!(found.broken.iter().any(|broken| broken.path == block), "{found:?}");
    assert!(found.broken.iter().any(|broken| broken.path == dir.path()), "{found:?}");
    assert_eq!(found.blocks, sound.blocks - 1);
    assert!(engine.damaged_chunks() > 0);
    // A damaged chunk of the head holds up neither the cut nor the return.
    assert!(engine.flush_all().failed.is_empty());
}

#[test]
fn blocks_with_start_times_are_written_without_them_once() {
    let dir = tempfile::tempdir().unwrap();
    golden::unpack("prometheus-st", &dir.path().join("prometheus"));
    let id = TenantId::new("prometheus").unwrap();
    let engine = open(dir.path());
    let samples = |engine: &Engine| {
        let reader = engine.reader(&id).unwrap();
        let series = reader.select(&[], i64::MIN, i64::MAX).unwrap();
        let count = |chunk: &thanoxide_tsdb::chunk::Chunk| thanoxide_tsdb::chunk::samples(chunk).unwrap().count();
        series.iter().map(|series| series.chunks.iter().map(count).sum::<usize>()).collect::<Vec<_>>()
    };
    let before = samples(&engine);
    // A head knows no start times: there is a block with some only if stock had cut one.
    engine.drop_start_times(&id, &|_| true).unwrap();
    assert!(engine.drop_start_times(&id, &|_| true).unwrap().is_empty());
    let source = block_dirs(&golden::shared().join("golden/blocks/prom-xor2-st")).remove(0);
    let imported = engine.import_block(&id, &source).unwrap();
    let with = samples(&engine);
    assert!(engine.drop_start_times(&id, &|block| block != imported).unwrap().is_empty(), "not wanted");
    let recoded = engine.drop_start_times(&id, &|_| true).unwrap();
    assert_eq!(recoded.iter().map(|done| done.parents.clone()).collect::<Vec<_>>(), [vec![imported]]);
    assert_eq!(samples(&engine), with);
    assert!(with.iter().sum::<usize>() > before.iter().sum());
    assert!(!dir.path().join("prometheus").join(imported.to_string()).exists());
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(samples(&engine), with);
    assert!(engine.drop_start_times(&id, &|_| true).unwrap().is_empty());
}

/// Tenants whose ranges end at one moment are cut in turns.
#[test]
fn many_tenants_are_not_cut_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env {
        clock: Arc::new(ManualClock::default()),
        disk: Arc::new(SystemDisk),
        random: Arc::new(SeededRandom::new(7)),
    };
    let options = thanoxide_tsdb::engine::EngineOptions { sync_commits: false, ..options() };
    let engine = Engine::open(dir.path(), options, env).unwrap();
    for i in 0..40 {
        let id = TenantId::new(&format!("tenant-{i}")).unwrap();
        for from in [0, 200] {
            engine.append(&id, &batch(&minutes(0..1, from, 1)), AppendOptions::default()).unwrap();
        }
    }
    let cuts: Vec<usize> = (0..6).map(|_| engine.maintain(&|_, _| false).cut.len()).collect();
    assert_eq!(cuts, [8, 8, 8, 8, 8, 0]);
}

/// One series that goes on does not keep the files in which others' chunks lay.
#[test]
fn chunk_files_are_not_kept_for_a_few_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let (quiet, busy) = (TenantId::new("quiet").unwrap(), tenant());
    let engine = open(dir.path());
    let write_to = |id: &TenantId, series: std::ops::Range<usize>, from: i64, count: i64| {
        let samples = |s: usize| (from..from + count).map(move |i| (START_MS + i * 1000, (s as i64 + i * i) as f64));
        let series: Vec<(Labels, Vec<(i64, f64)>)> = series.map(|s| (labels(s), samples(s).collect())).collect();
        engine.append(id, &batch(&series), AppendOptions::default()).unwrap().ticket.wait().unwrap();
    };
    write_to(&quiet, 0..2, 0, 300);
    write_to(&busy, 0..60, 0, 600);
    let files = || {
        let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = names.filter(|path| path.extension().is_some_and(|e| e == "tchk")).collect();
        names.sort();
        names
    };
    engine.snapshot().unwrap();
    let first = files();
    assert_eq!(first.len(), 1);
    engine.flush_tenant(&busy).unwrap();
    // One pass moves what is left, the next removes the file; the flush left some in the file behind it, too.
    (0..4).for_each(|_| engine.snapshot().unwrap());
    let after = files();
    assert!(!after.contains(&first[0]) && after.len() == 1, "{after:?}");
    let samples = |engine: &Engine| {
        let series = engine.reader(&quiet).unwrap().select(&[], i64::MIN, i64::MAX).unwrap();
        let count = |chunk: &thanoxide_tsdb::chunk::Chunk| thanoxide_tsdb::chunk::samples(chunk).unwrap().count();
        series.iter().map(|series| series.chunks.iter().map(count).sum::<usize>()).collect::<Vec<_>>()
    };
    assert_eq!(samples(&engine), [300, 300]);
    drop(engine);
    assert_eq!(samples(&open(dir.path())), [300, 300]);
}
