//! Torn logs and flipped bits: the engine starts, keeps what it acknowledged, and invents nothing. Disks that fail or are full
//! are in `disk_faults.rs` and `read_faults.rs`.
//!
//! Every offset of a log with each kind of frame is torn here, and a slice of the rest; `tests/long faults` has more holes in the middle,
//! 100,000 flips, and a log of 100 MB.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/crash.rs"]
mod crash;
#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/every_kind.rs"]
mod every_kind;
#[path = "support/values.rs"]
mod values;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crash::{HOUR_MS, ROOT, difference, read, sim_env};
use engine_support::{Samples, append, batch, contains, labels, options};
use every_kind::Moment;
use thanoxide_env::{Disk, Random, SeededRandom, SimDisk};
use thanoxide_model::Labels;
use thanoxide_tsdb::engine::{Engine, EngineOptions};
use thanoxide_tsdb::log::segment::SegmentReader;

const START_MS: i64 = 100 * 2 * HOUR_MS;

type Batch = Vec<(Labels, Vec<(i64, f64)>)>;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn minutes(series: std::ops::Range<usize>, from_min: i64, count: i64) -> Batch {
    let samples = |s: usize| (0..count).map(move |i| (START_MS + (from_min + i) * 60_000, (s as i64 * 31 + i) as f64));
    series.map(|s| (labels(s), samples(s).collect())).collect()
}

fn grown(model: &Samples, series: &Batch) -> Samples {
    let mut model = model.clone();
    for (labels, samples) in series {
        model.entry(labels.clone()).or_default().extend(samples.iter().map(|(t, v)| (*t, v.to_bits())));
    }
    model
}

/// The files of the log in the order of their bytes, whichever way the engine writes it.
fn log_files(disk: &SimDisk) -> Vec<PathBuf> {
    let is_log = |path: &PathBuf| {
        let in_wal = path.parent().and_then(Path::file_name).is_some_and(|dir| dir == "wal");
        in_wal || path.extension().is_some_and(|extension| extension == "tlog")
    };
    disk.files(Path::new(ROOT)).unwrap().into_iter().filter(is_log).collect()
}

fn len(disk: &SimDisk, path: &Path) -> usize {
    disk.read(path).unwrap().len()
}

fn log_bytes(disk: &SimDisk) -> usize {
    log_files(disk).iter().map(|path| len(disk, path)).sum()
}

/// A log of 64 KiB or a little more over several segments, with the state after each acknowledgement and its length then.
fn logged() -> (SimDisk, Vec<(usize, Samples)>) {
    let disk = SimDisk::default();
    let engine = Engine::open(Path::new(ROOT), options(), sim_env(&disk, 7)).unwrap();
    let mut states = vec![(0, Samples::new())];
    let mut round = 0;
    while log_bytes(&disk) < 64 * 1024 {
        let series = minutes(0..10 + round as usize % 40, round, 1);
        append(&engine, &batch(&series)).unwrap().ticket.wait().unwrap();
        let model = grown(&states[states.len() - 1].1, &series);
        states.push((log_bytes(&disk), model));
        round += 1;
    }
    (disk, states)
}

fn open(disk: &SimDisk) -> Engine {
    Engine::open(Path::new(ROOT), options(), sim_env(disk, 1000)).unwrap()
}

/// The disk as if the log ended at an offset.
fn cut_at(disk: &SimDisk, files: &[PathBuf], offset: usize) -> SimDisk {
    let cut = disk.fork();
    let mut before = 0;
    for path in files {
        let bytes = disk.read(path).unwrap();
        if before >= offset && before > 0 {
            cut.remove_file(path).unwrap();
        } else {
            let keep = bytes.len().min(offset - before);
            cut.overwrite(path, bytes[..keep].to_vec()).unwrap();
        }
        before += bytes.len();
    }
    cut
}

/// The log of a life holds each kind of frame, histograms of each kind among them, and goes over segments' edges.
fn check_kinds(moments: &[Moment]) {
    let end = &moments[moments.len() - 1];
    let files = log_files(&end.disk);
    assert!(end.bytes >= 64 * 1024 && files.len() > 2, "{} bytes in {} segments", end.bytes, files.len());
    let (mut kinds, mut histograms) = (BTreeSet::new(), BTreeSet::new());
    for path in &files {
        let mut reader = SegmentReader::open(&end.disk, path).unwrap();
        while let Some((_, frame)) = reader.next_frame().unwrap() {
            kinds.insert(frame.kind.unwrap() as u8);
            histograms.extend(every_kind::histograms(&frame));
        }
    }
    assert!(kinds.into_iter().eq(every_kind::KINDS), "each kind is there");
    assert_eq!(histograms.len(), 4, "integers and floats, with custom buckets and without: {histograms:?}");
}

/// Every offset, or one of so many; all that is not the log is there as when the torn write was done.
#[test]
fn a_log_torn_at_any_offset_costs_what_was_not_acknowledged() {
    let moments = every_kind::life(64 * 1024);
    check_kinds(&moments);
    let end = &moments[moments.len() - 1];
    let (step, mut tears) = (setting("THANOXIDE_TEAR_STEP", 1), 0);
    for offset in (0..=end.bytes).step_by(step) {
        let last = moments.iter().rposition(|moment| moment.bytes <= offset).unwrap();
        let (acknowledged, tried) = (&moments[last], &moments[(last + 1).min(moments.len() - 1)]);
        let torn = cut_at(&tried.disk, &log_files(&tried.disk), offset);
        let have = every_kind::look(&every_kind::open(&torn, true));
        let between = every_kind::is_between(&have, &acknowledged.seen, &tried.seen);
        assert!(between.is_ok(), "torn at {offset}: {between:?}");
        tears += 1;
    }
    println!("{tears} tears of {} bytes in {} files", end.bytes, log_files(&end.disk).len());
}

/// A segment is torn, and those behind it are there: a hole in what was acknowledged.
#[test]
fn a_segment_torn_before_others_costs_what_it_held_and_is_named() {
    let moments = every_kind::life(64 * 1024);
    check_kinds(&moments);
    let end = &moments[moments.len() - 1];
    let (step, mut tears, mut holes) = (setting("THANOXIDE_TEAR_STEP", 7), 0, 0);
    let (files, mut start) = (log_files(&end.disk), 0);
    for path in &files[..files.len() - 1] {
        let bytes = end.disk.read(path).unwrap();
        for keep in (0..bytes.len()).step_by(step) {
            let torn = end.disk.fork();
            torn.overwrite(path, bytes[..keep].to_vec()).unwrap();
            let gone = |at: usize| moments[at].bytes > start + keep && moments[at - 1].bytes < start + bytes.len();
            let first = (1..moments.len()).find(|at| gone(*at)).unwrap();
            let lost = first..(first..moments.len()).find(|at| !gone(*at)).unwrap();
            let engine = every_kind::open(&torn, true);
            let (have, report) = (every_kind::look(&engine), engine.open_report());
            let sound = every_kind::Without::new(&moments, &lost).check(&have);
            assert!(sound.is_ok(), "{} torn at {keep}, {lost:?} touched: {sound:?}", path.display());
            let named = report.missing + report.damaged + report.counts.orphans + report.counts.undecodable > 0;
            assert!(named || have == end.seen, "{} torn at {keep}: lost in silence", path.display());
            (tears, holes) = (tears + 1, holes + usize::from(have != end.seen));
        }
        start += bytes.len();
    }
    println!("{tears} tears, {holes} cost something");
    assert!(holes > 0);
}

#[test]
fn a_flipped_bit_costs_only_what_it_touches() {
    let (disk, states) = logged();
    // Definitions come twice, so what is lost is what the touched frames held.
    flips(&disk, &states[states.len() - 1].1, 80);
}

/// A head whose samples are in chunk files, a snapshot and the log.
fn snapshotted() -> (SimDisk, Samples) {
    let disk = SimDisk::default();
    let engine = Engine::open(Path::new(ROOT), options(), sim_env(&disk, 7)).unwrap();
    let mut model = Samples::new();
    for round in 0..6 {
        let series = minutes(0..60, round * 45, 45);
        append(&engine, &batch(&series)).unwrap().ticket.wait().unwrap();
        model = grown(&model, &series);
        if round == 4 {
            engine.snapshot().unwrap();
        }
    }
    (disk, model)
}

#[test]
fn a_flipped_bit_in_snapshot_or_chunk_files_costs_the_series_it_touches() {
    let (disk, model) = snapshotted();
    let has =
        |ending: &str| disk.files(Path::new(ROOT)).unwrap().iter().any(|path| path.to_string_lossy().ends_with(ending));
    assert!(has(".tsnap") && has(".tchk") && has(".tlog"));
    // A frame of the snapshot holds no more than some twenty series.
    flips(&disk, &model, 20 * 6 * 45);
}

/// Flips bits anywhere in the files; what is read then is sound, and few samples are missing.
fn flips(disk: &SimDisk, model: &Samples, may_lose: usize) {
    let count = |samples: &Samples| samples.values().map(|s| s.len()).sum::<usize>();
    let files: Vec<_> = disk.files(Path::new(ROOT)).unwrap().into_iter().filter(|p| len(disk, p) > 0).collect();
    let (flips, random) = (setting("THANOXIDE_FLIPS", 300), SeededRandom::new(11));
    let last_log = log_files(disk).pop();
    let last_frame =
        last_log.as_ref().and_then(|path| frames(path, disk).pop()).map_or(0, |(start, ..)| start as usize);
    let (mut most_lost, mut touched) = (0, 0);
    for flip in 0..flips {
        let below = |n: usize| (random.next_u64() % n as u64) as usize;
        let damaged = disk.fork();
        // By bytes, not by files.
        let mut at = below(files.iter().map(|path| len(disk, path)).sum());
        let path = files.iter().find(|path| {
            let len = len(disk, path);
            let here = at < len;
            at -= if here { 0 } else { len };
            here
        });
        let path = path.unwrap();
        let mut bytes = disk.read(path).unwrap();
        bytes[at] ^= 1 << below(8);
        damaged.overwrite(path, bytes).unwrap();
        let engine = open(&damaged);
        let have = read(&engine).unwrap_or_else(|e| panic!("flip {flip}, {}: {e}", path.display()));
        assert!(contains(model, &have), "flip {flip}, {} at {at}: {}", path.display(), difference(&have, model));
        let lost = count(model) - count(&have);
        let report = engine.open_report();
        let named = report.damaged + report.missing + report.counts.undecodable + report.counts.orphans;
        let named = named > 0 || report.counts.lost_chunks > 0 || engine.damaged_chunks() > 0;
        // Of a tenant whose name or life is damaged nothing is left, but for the last bytes of the log nothing else is silent.
        let life = path.ends_with("generation");
        let tail = Some(path) == last_log.as_ref() && at >= last_frame;
        assert!(lost == 0 || named || life || tail, "flip {flip}, {} at {at}: {lost} lost in silence", path.display());
        assert!(life || lost <= may_lose, "flip {flip}, {} at {at}: {lost} lost", path.display());
        (most_lost, touched) = (if life { most_lost } else { most_lost.max(lost) }, touched + usize::from(lost > 0));
    }
    println!("{flips} flips, {touched} cost samples, at most {most_lost} of {}", count(model));
}

/// A block of zeros in the middle of a log looks like padding, but positions tell.
#[test]
fn zeroed_disk_blocks_of_a_log_are_named() {
    const BLOCK: usize = 4096;
    let (disk, states) = logged();
    let model = &states[states.len() - 1].1;
    let files = log_files(&disk);
    let last = files.last().unwrap();
    for path in &files {
        let bytes = disk.read(path).unwrap();
        for start in (0..bytes.len()).step_by(BLOCK) {
            let end = bytes.len().min(start + BLOCK);
            // Nobody can tell the end of the last commit from one that was never written.
            if path == last && end + BLOCK > bytes.len() {
                continue;
            }
            let (damaged, mut zeroed) = (disk.fork(), bytes.clone());
            zeroed[start..end].fill(0);
            damaged.overwrite(path, zeroed).unwrap();
            let engine = open(&damaged);
            let have = read(&engine).unwrap();
            assert!(contains(model, &have), "{} at {start}: {}", path.display(), difference(&have, model));
            let report = engine.open_report();
            let named = report.damaged + report.missing > 0;
            assert!(named || have == *model, "{} at {start}: {}", path.display(), difference(model, &have));
        }
    }
}

/// Where the frames of a segment begin, their positions, and the bytes of their payloads.
fn frames(path: &Path, disk: &SimDisk) -> Vec<(u64, u64, usize)> {
    let (mut reader, mut frames) = (SegmentReader::open(disk, path).unwrap(), Vec::new());
    while let Some((start, frame)) = reader.next_frame().unwrap() {
        frames.push((start, frame.position, frame.payload.len()));
    }
    frames
}

/// A log of `THANOXIDE_TORN_LOG_BYTES` in segments of a megabyte, torn `THANOXIDE_TEARS` times: the segments before the
/// last are read as ever, and of the torn one all frames come back that lie before the tear.
#[test]
fn a_long_log_torn_anywhere_gives_back_all_before_the_tear() {
    let disk = SimDisk::default();
    let options = EngineOptions { segment_bytes: 1 << 20, ..options() };
    let engine = Engine::open(Path::new(ROOT), options, sim_env(&disk, 7)).unwrap();
    let (wanted, random) = (setting("THANOXIDE_TORN_LOG_BYTES", 2 << 20), SeededRandom::new(5));
    let mut round = 0;
    while round % 64 != 0 || log_bytes(&disk) < wanted {
        // Values of all lengths, so that frames end anywhere.
        let value = |bits: u64| f64::from_bits(bits >> (bits % 60));
        let sample = |s| (labels(s), vec![(START_MS + round * 1000, value(random.next_u64()))]);
        append(&engine, &batch(&(0..200).map(sample).collect::<Vec<_>>())).unwrap().ticket.wait().unwrap();
        round += 1;
    }
    drop(engine);
    let files: Vec<_> =
        log_files(&disk).into_iter().map(|path| (frames(&path, &disk), disk.read(&path).unwrap(), path)).collect();
    let tears = setting("THANOXIDE_TEARS", 200);
    for _ in 0..tears {
        let (whole, bytes, path) = &files[(random.next_u64() % files.len() as u64) as usize];
        let offset = (random.next_u64() % (bytes.len() as u64 + 1)) as usize;
        let torn = SimDisk::default();
        torn.create_dir_all(Path::new(ROOT)).unwrap();
        torn.create(path).unwrap().append(&bytes[..offset]).unwrap();
        let left = frames(path, &torn);
        assert!(whole.starts_with(&left), "{} torn at {offset}", path.display());
        // The next frame begins behind the tear, or goes across it.
        let next = whole.get(left.len() + 1).map_or(bytes.len() as u64, |(start, ..)| *start);
        assert!(next >= offset as u64, "{} torn at {offset}: a frame before it is lost", path.display());
    }
    println!("{tears} tears of {} bytes in {} segments", log_bytes(&disk), files.len());
}
