//! Lives of an engine on a recorded disk: what they do, step by step.

use std::path::Path;

use thanoxide_env::{Disk, SimDisk};
use thanoxide_model::Matcher;
use thanoxide_tsdb::engine::{Compacted, EngineError, EngineOptions};
use thanoxide_tsdb::meta::{BlockId, BlockMeta, HINT_FROM_OUT_OF_ORDER};

use crate::crash::{HANDED_BACK, HOUR_MS, Life, ROOT};
use crate::engine_support::{self, Samples, labels, tenant};
use crate::stock::{stock_deletes, stock_head};
use crate::values::{self, Batch, value};

/// The number of a life among those of its kind. No two have the same files: each has more series than the one before, and
/// every seventh begins anew with larger segments of the log.
pub(crate) type Number = usize;

fn shape(number: Number) -> (usize, EngineOptions) {
    let options = engine_support::options();
    let segment_bytes = options.segment_bytes * (1 + number as u64 / 7 % 3);
    (number % 7, EngineOptions { segment_bytes, ..options })
}

fn with_late(options: EngineOptions) -> EngineOptions {
    EngineOptions { out_of_order_window_ms: 12 * HOUR_MS, ..options }
}

const START_MS: i64 = 100 * 2 * HOUR_MS;

/// Samples of `series` from `from_min` on, one each minute, with marks of ends: floats, and in every other life histograms.
fn minutes(number: Number, series: std::ops::Range<usize>, from_min: i64, count: i64) -> Batch {
    let time_ms = |i: i64| START_MS + (from_min + i) * 60_000;
    let kind = |s: usize| if number.is_multiple_of(2) { s } else { values::FLOATS };
    let value = |s: usize, i: i64| value(kind(s), from_min + i, (s as i64 + i * i) as f64);
    let samples = |s: usize| (0..count).map(move |i| (time_ms(i), value(s, i)));
    series.map(|s| (labels(s), samples(s).collect())).collect()
}

/// What fails because of the disk is tried again, as a program does it. On a disk that is well nothing may fail.
fn again<T>(life: &Life, what: impl Fn() -> Result<T, EngineError>) -> Result<T, EngineError> {
    if life.disk.may_fail() { what().or_else(|_| what()).or_else(|_| what()) } else { what() }
}

/// Appends, with a new series now and then, over restarts.
pub(crate) fn appends(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (more, options) = shape(number);
    let mut life = Life::begin(disk, "append", Samples::new(), options)?;
    for i in 0..24 {
        if i == 23 {
            life.settle();
        }
        life.write(&minutes(number, 0..3 + i as usize / 4 + more, i * 4, 4))?;
        if i % 8 == 7 {
            life.open()?;
        }
    }
    Ok(life)
}

/// Appends until blocks are cut, again and again, and the log is shortened.
pub(crate) fn cuts(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (more, options) = shape(number);
    let mut life = Life::begin(disk, "append", Samples::new(), options)?;
    for i in 0..12 {
        if i == 8 {
            life.settle();
        }
        life.phase("append");
        // Each time some series end and others begin.
        life.write(&minutes(number, i as usize..i as usize + 4 + more, i * 60, 30))?;
        life.write(&minutes(number, i as usize..i as usize + 4 + more, i * 60 + 30, 30))?;
        life.phase("cut");
        again(&life, || match life.engine().maintain(&|_, _| true).failed.pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        })
        .map_err(|e| format!("cut: {e}"))?;
    }
    life.phase("append");
    life.write(&minutes(number, 20..22 + more, 12 * 60, 30))?;
    Ok(life)
}

/// Takes over what a stock program left, and goes on.
pub(crate) fn takes_over(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (stock, seed) = (SimDisk::default(), number as u64);
    let known = stock_head(&stock, &Path::new(ROOT).join("tenant-a"), START_MS, 60 + 10 * (number % 12) as i64, seed);
    disk.import(&stock, Path::new(ROOT), Path::new(ROOT)).unwrap();
    let mut life = Life::begin(disk.clone(), "take-over", known, shape(number).1)?;
    life.write(&minutes(number, 0..3, 300, 2))?;
    let left = |name: &str| disk.exists(&Path::new(ROOT).join("tenant-a").join(name)).unwrap();
    if left("wal") || left("wbl") || left("chunks_head") {
        return Err("the stock files were not put aside".to_string());
    }
    // What was put aside goes.
    life.open()?;
    if left("wbl.taken-over") || left("chunks_head.taken-over") {
        return Err("what was put aside is left".to_string());
    }
    life.settle();
    life.write(&minutes(number, 0..3, 310, 2))?;
    Ok(life)
}

/// Compacts blocks, deletes from them and cleans up.
pub(crate) fn compacts(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (more, options) = shape(number);
    let mut life = Life::begin(disk, "append", Samples::new(), options)?;
    for i in 0..10 {
        life.write(&minutes(number, i as usize..i as usize + 4 + more, i * 60, 60))?;
        again(&life, || life.engine().maintain(&|_, _| true).failed.pop().map_or(Ok(()), |(_, e)| Err(e)))
            .map_err(|e| format!("cut: {e}"))?;
    }
    life.phase("compaction");
    compact(&life)?;
    life.phase("delete");
    for series in 2..5 {
        deletes_range(&mut life, series, i64::MIN, START_MS + 3 * HOUR_MS)?;
    }
    life.phase("clean-up");
    let cleaned = again(&life, || life.engine().clean_tombstones(&tenant())).map_err(|e| format!("clean-up: {e}"))?;
    are_gone(&life, &cleaned)?;
    life.settle();
    life.phase("append");
    life.write(&minutes(number, 10..14 + more, 600, 60))?;
    life.open()?;
    life.phase("compaction");
    compact(&life)?;
    life.phase("append");
    life.write(&minutes(number, 10..14 + more, 660, 60))?;
    Ok(life)
}

/// Makes fewer blocks of many, of which nothing is left.
fn compact(life: &Life) -> Result<Vec<Compacted>, String> {
    let ranges_ms = [2 * HOUR_MS, 6 * HOUR_MS];
    let compacted = again(life, || life.engine().compact_tenant(&tenant(), &ranges_ms, &|_| true, &|| true));
    let compacted = compacted.map_err(|e| format!("compaction: {e}"))?;
    are_gone(life, &compacted)?;
    Ok(compacted)
}

/// Nothing is left of the blocks that others were made of.
fn are_gone(life: &Life, compacted: &[Compacted]) -> Result<(), String> {
    let dir = Path::new(ROOT).join("tenant-a");
    let mut parents = compacted.iter().flat_map(|compacted| &compacted.parents);
    match parents.find(|parent| life.disk.exists(&dir.join(parent.to_string())).unwrap()) {
        Some(parent) if !life.disk.may_fail() => Err(format!("block {parent} is left")),
        _ => Ok(()),
    }
}

/// Snapshots between appends, each of which gives up the log before it.
pub(crate) fn snapshots(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (more, options) = shape(number);
    let mut life = Life::begin(disk, "append", Samples::new(), options)?;
    for i in 0..6 {
        life.phase("append");
        // Chunks are full after some of these.
        life.write(&minutes(number, 0..3 + i as usize + more, i * 50, 50))?;
        if i == 4 {
            life.settle();
        }
        life.phase("snapshot");
        again(&life, || life.engine().snapshot()).map_err(|e| format!("snapshot: {e}"))?;
        if i % 3 == 2 {
            life.open()?;
        }
    }
    life.phase("append");
    life.write(&minutes(number, 0..3 + more, 300, 10))?;
    Ok(life)
}

/// Hands back, goes on where nobody came between, and hands back once more.
pub(crate) fn hands_back(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (more, options) = shape(number);
    let mut life = Life::begin(disk, "append", Samples::new(), with_late(options))?;
    for i in 0..3 {
        life.phase("append");
        life.write(&minutes(number, 0..4 + more, i * 80, 40))?;
        life.write(&minutes(number, 1..6 + more, i * 80 + 40, 40))?;
        life.write(&late_minutes(number, 4..7, i * 80 + 30, 12))?;
        if i == 2 {
            life.settle();
        }
        life.phase("hand-back");
        again(&life, || life.engine().hand_back()).map_err(|e| format!("hand-back: {e}"))?;
        life.phase(HANDED_BACK);
        life.phase("hand-back");
        if i == 2 {
            // Nobody came between, and it is done once more.
            again(&life, || life.engine().hand_back()).map_err(|e| format!("hand-back: {e}"))?;
            life.phase(HANDED_BACK);
            life.phase("hand-back");
        }
        if i == 1 {
            // A stock program goes on, deletes and stops; what it deleted must not come back from our own log.
            life.stop();
            let until_ms = START_MS + 100 * 60_000;
            life.delete(&labels(1), i64::MIN..until_ms, |life| {
                stock_deletes(&life.disk, &Path::new(ROOT).join("tenant-a"), &labels(1), until_ms)
            })?;
        }
        life.open()?;
        let left = |name: &str| life.disk.exists(&Path::new(ROOT).join("tenant-a").join(name)).unwrap();
        if left("wal") || left("chunks_head") || left("handed-back") {
            return Err("the stock files are left".to_string());
        }
    }
    life.phase("append");
    life.write(&minutes(number, 0..4 + more, 300, 10))?;
    Ok(life)
}

/// Late samples between those in order: logged, in snapshots, cut into blocks of their own.
pub(crate) fn comes_late(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (more, options) = shape(number);
    let mut life = Life::begin(disk, "append", Samples::new(), with_late(options))?;
    for i in 0..8 {
        if i == 6 {
            life.settle();
        }
        life.phase("append");
        life.write(&minutes(number, 0..3 + more, i * 60, 60))?;
        life.phase("late");
        // Behind the newest of the same series, and of series that have nothing else.
        life.write(&late_minutes(number, i as usize % 3..3 + i as usize, i * 60 - 45, 40))?;
        life.phase("late-snapshot");
        if i % 2 == 0 {
            again(&life, || life.engine().snapshot()).map_err(|e| format!("snapshot: {e}"))?;
        }
        life.phase("late");
        life.write(&late_minutes(number, 1..4, i * 60 - 90, 20))?;
        life.phase("late-cut");
        again(&life, || life.engine().maintain(&|_, _| true).failed.pop().map_or(Ok(()), |(_, e)| Err(e)))
            .map_err(|e| format!("cut: {e}"))?;
        // Makes the marks of the cut durable, too.
        life.write(&late_minutes(number, 7..8, i * 60, 2))?;
        if i % 3 == 2 {
            life.open()?;
        }
    }
    life.phase("append");
    life.write(&minutes(number, 20..22, 8 * 60, 30))?;
    Ok(life)
}

/// Blocks of late samples between those in order, which are merged while more of their times come.
pub(crate) fn compacts_late(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (more, options) = shape(number);
    let mut life = Life::begin(disk, "append", Samples::new(), with_late(options))?;
    let mut mixed = 0;
    for i in 0..10 {
        if i == 7 {
            life.settle();
        }
        life.phase("append");
        life.write(&minutes(number, i as usize / 3..i as usize / 3 + 3 + more, i * 60, 60))?;
        life.phase("late");
        // Of the head, some of which is cut next; later of blocks that were made of others, too.
        life.write(&late_minutes(number, i as usize / 3..i as usize / 3 + 4, i * 60 - 45, 20))?;
        if i > 5 {
            life.write(&late_minutes(number, 1..3, i * 60 - 400, 10))?;
        }
        life.phase("late-cut");
        again(&life, || life.engine().maintain(&|_, _| true).failed.pop().map_or(Ok(()), |(_, e)| Err(e)))
            .map_err(|e| format!("cut: {e}"))?;
        life.phase("late-compaction");
        mixed += compacts_mixed(&life)?;
        if i % 4 == 2 {
            life.open()?;
        }
    }
    life.phase("append");
    life.write(&minutes(number, 20..22, 10 * 60, 30))?;
    if mixed > 0 { Ok(life) } else { Err("no late block was merged with others".to_string()) }
}

/// Compacts, and says how many blocks were made of late ones and others.
fn compacts_mixed(life: &Life) -> Result<usize, String> {
    let late: Vec<BlockId> = metas(life).into_iter().filter(is_late).map(|meta| meta.ulid).collect();
    let mixed = |compacted: &Compacted| {
        let late = compacted.parents.iter().filter(|parent| late.contains(parent)).count();
        (1..compacted.parents.len()).contains(&late)
    };
    Ok(compact(life)?.iter().filter(|compacted| mixed(compacted)).count())
}

fn metas(life: &Life) -> Vec<BlockMeta> {
    life.engine().reader(&tenant()).map(|reader| reader.blocks()).unwrap_or_default()
}

fn is_late(meta: &BlockMeta) -> bool {
    meta.compaction.hints.iter().any(|hint| hint == HINT_FROM_OUT_OF_ORDER)
}

/// Deletes in the head, in blocks and in both as one, of samples in order and late ones.
pub(crate) fn deletes(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (more, options) = shape(number);
    let mut life = Life::begin(disk, "append", Samples::new(), with_late(options))?;
    for i in 0..8 {
        if i == 6 {
            life.settle();
        }
        life.phase("append");
        life.write(&minutes(number, 0..5 + more, i * 60, 60))?;
        life.write(&late_minutes(number, 0..6, i * 60 - 45, 20))?;
        life.phase("head-delete");
        for series in [i as usize % 5, (i as usize + 2) % 5] {
            // No range of a series is deleted twice: each deletion is needed for itself.
            deletes_range(&mut life, series, START_MS + (i * 60 - 150) * 60_000, START_MS + (i * 60 - 30) * 60_000)?;
        }
        life.phase("append");
        life.write(&late_minutes(number, 0..3, i * 60 - 40, 3))?;
        life.phase("deleted-snapshot");
        if i % 2 == 0 {
            again(&life, || life.engine().snapshot()).map_err(|e| format!("snapshot: {e}"))?;
        }
        life.phase("deleted-cut");
        again(&life, || life.engine().maintain(&|_, _| true).failed.pop().map_or(Ok(()), |(_, e)| Err(e)))
            .map_err(|e| format!("cut: {e}"))?;
        if i % 3 == 2 {
            life.open()?;
        }
    }
    life.phase("append");
    life.write(&minutes(number, 20..22, 8 * 60, 30))?;
    Ok(life)
}

fn deletes_range(life: &mut Life, series: usize, min_ms: i64, end_ms: i64) -> Result<(), String> {
    life.delete(&labels(series), min_ms..end_ms, |life| {
        let matchers = [Matcher::equal("i", series.to_string())];
        let deleted = again(life, || life.engine().delete(&tenant(), &matchers, min_ms, end_ms - 1));
        deleted.map_err(|e| format!("delete: {e}"))
    })
}

/// Takes in blocks that another engine cut: of other times, and of times that are there already.
pub(crate) fn imports(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (more, options) = shape(number);
    let elsewhere = SimDisk::default();
    let mut other = Life::begin(elsewhere.clone(), "", Samples::new(), options.clone())?;
    let mut blocks = Vec::new();
    for i in 0..10 {
        // Half a minute beside those of the life that takes them in.
        let batch = late_minutes(number, i as usize / 4..i as usize / 4 + 3 + more, (i - 4) * 60, 60);
        other.write(&batch)?;
        for (_, block) in other.engine().maintain(&|_, _| true).cut {
            blocks.push(block);
        }
    }
    other.stop();
    disk.import(&elsewhere, Path::new(ROOT), Path::new("/elsewhere")).map_err(|e| e.to_string())?;
    let mut life = Life::begin(disk, "append", Samples::new(), with_late(options))?;
    for (i, block) in blocks.into_iter().enumerate() {
        life.phase("append");
        life.write(&minutes(number, 0..4 + more, i as i64 * 90, 90))?;
        if i == 3 {
            life.settle();
        }
        life.phase("import");
        let path = Path::new("/elsewhere/tenant-a").join(block.to_string());
        let samples = crate::crash::of_block(&life.disk, &path)?;
        life.add(&samples, |life| {
            again(life, || life.engine().import_block(&tenant(), &path)).map(drop).map_err(|e| format!("import: {e}"))
        })?;
        again(&life, || life.engine().maintain(&|_, _| true).failed.pop().map_or(Ok(()), |(_, e)| Err(e)))
            .map_err(|e| format!("cut: {e}"))?;
        if i % 2 == 1 {
            life.open()?;
        }
    }
    life.phase("append");
    life.write(&minutes(number, 20..22 + more, 600, 30))?;
    Ok(life)
}

/// Copies of all of it, between appends, cuts and snapshots; each is looked at, too.
pub(crate) fn backs_up(disk: SimDisk, number: Number) -> Result<Life, String> {
    let (more, options) = shape(number);
    let mut life = Life::begin(disk, "append", Samples::new(), with_late(options))?;
    for i in 0..6 {
        life.phase("append");
        life.write(&minutes(number, i as usize..i as usize + 4 + more, i * 60, 60))?;
        life.write(&late_minutes(number, i as usize..i as usize + 3, i * 60 - 45, 20))?;
        if i % 2 == 0 {
            again(&life, || life.engine().snapshot()).map_err(|e| format!("snapshot: {e}"))?;
        }
        again(&life, || life.engine().maintain(&|_, _| true).failed.pop().map_or(Ok(()), |(_, e)| Err(e)))
            .map_err(|e| format!("cut: {e}"))?;
        life.write(&minutes(number, i as usize..i as usize + 2, i * 60 + 60, 1))?;
        if i == 5 {
            life.settle();
        }
        life.phase("backup");
        life.back_up(&Path::new("/backups").join(format!("{i}")))?;
    }
    life.phase("append");
    life.write(&minutes(number, 20..22 + more, 600, 30))?;
    Ok(life)
}

/// As [`minutes`], of times between.
fn late_minutes(number: Number, series: std::ops::Range<usize>, from_min: i64, count: i64) -> Batch {
    let mut batch = minutes(number, series, from_min, count);
    batch.iter_mut().flat_map(|(_, samples)| samples).for_each(|(t, _)| *t += 30_000 + from_min % 7);
    batch
}
