//! What log and snapshot say of series that nothing defines and of tenants that are gone: it is set aside and named, or it is
//! of a life that ended; it never goes to another series, and never comes back by itself.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_support::{Samples, batch, env, labels, options, read, tenant};
use thanoxide_env::{Disk, Env, SeededRandom, SimDisk};
use thanoxide_model::{Labels, TenantId};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions};
use thanoxide_tsdb::log::floats::FloatsReader;
use thanoxide_tsdb::log::segment::SegmentReader;
use thanoxide_tsdb::log::{Frame, FrameKind};

const ROOT: &str = "/data";
const MINUTE_MS: i64 = 60_000;
const START_MS: i64 = 1_000 * 120 * MINUTE_MS;
/// The series whose definitions are lost.
const LOST: usize = 7;

fn open(disk: &SimDisk) -> Engine {
    // No two starts have the same random numbers.
    static STARTS: AtomicU64 = AtomicU64::new(1);
    let random = SeededRandom::new(STARTS.fetch_add(1, Ordering::Relaxed));
    let env = Env { random: Arc::new(random), ..env(Arc::new(disk.clone())) };
    let options = EngineOptions { out_of_order_window_ms: 60 * MINUTE_MS, ..options() };
    Engine::open(Path::new(ROOT), options, env).unwrap()
}

fn other() -> TenantId {
    TenantId::new("tenant-b").unwrap()
}

/// A sample of some series at some minute.
fn minute(series: &[usize], minute: i64) -> Vec<(Labels, Vec<(i64, f64)>)> {
    let sample = |series: usize| (START_MS + minute * MINUTE_MS, (minute * 100) as f64 + series as f64);
    series.iter().map(|series| (labels(*series), vec![sample(*series)])).collect()
}

fn write(engine: &Engine, tenant: &TenantId, series: &[(Labels, Vec<(i64, f64)>)], model: &mut Samples) {
    let appended = engine.append(tenant, &batch(series), AppendOptions::default()).unwrap();
    assert!(appended.rejected.is_empty(), "{:?}", appended.rejected);
    appended.ticket.wait().unwrap();
    for (labels, samples) in series {
        model.entry(labels.clone()).or_default().extend(samples.iter().map(|(t, v)| (*t, v.to_bits())));
    }
}

fn files(disk: &SimDisk, prefix: &str) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(prefix);
    disk.list(Path::new(ROOT)).unwrap().into_iter().filter(is_one).collect()
}

/// Visits the frames of all files of a kind, and where their bodies end.
fn each_frame(disk: &SimDisk, prefix: &str, mut visit: impl FnMut(&Path, u64, &Frame<'_>)) {
    for path in files(disk, prefix) {
        let mut reader = SegmentReader::open(disk, &path).unwrap();
        while let Some((start, frame)) = reader.next_frame().unwrap() {
            visit(&path, start, &frame);
        }
        assert!(reader.damage().is_empty());
    }
}

/// Where the frames are that define a series and none besides.
fn definitions(disk: &SimDisk) -> Vec<(PathBuf, usize)> {
    let (mut found, value) = (Vec::new(), LOST.to_string());
    each_frame(disk, "log-", |path, start, frame| {
        if frame.kind == Some(FrameKind::Definitions) && frame.payload.ends_with(value.as_bytes()) {
            found.push((path.to_path_buf(), start as usize));
        }
    });
    found
}

/// A bit of the frame's body is another one.
fn damage(disk: &SimDisk, (path, start): &(PathBuf, usize)) {
    let mut bytes = disk.read(path).unwrap();
    bytes[start + 20] ^= 4;
    disk.overwrite(path, bytes).unwrap();
}

/// A log in which one series is defined by frames of its own, and all that was written.
fn logged() -> (SimDisk, Samples) {
    let (disk, mut model) = (SimDisk::default(), Samples::new());
    let engine = open(&disk);
    for number in 0..4 {
        write(&engine, &tenant(), &minute(&[0, 1, 2], number), &mut model);
        write(&engine, &tenant(), &minute(&[LOST], number), &mut model);
    }
    // Frames of several series, in order and late.
    for number in 4..20 {
        write(&engine, &tenant(), &minute(&[0, LOST, 2, 3], number), &mut model);
    }
    let late = |series| (labels(series), vec![(START_MS + 5 * MINUTE_MS + 1, 0.5)]);
    write(&engine, &tenant(), &[late(1), late(LOST)], &mut model);
    (disk.fork(), model)
}

#[test]
fn one_lost_definition_costs_nothing() {
    let (disk, model) = logged();
    let frames = definitions(&disk);
    assert_eq!(frames.len(), 2, "a series is defined twice");
    for frame in &frames {
        let damaged = disk.fork();
        damage(&damaged, frame);
        let engine = open(&damaged);
        assert_eq!(read(&engine), model);
        let report = engine.open_report();
        assert_eq!((report.damaged, report.missing, report.counts.orphans), (1, 1, 0));
        assert!(files(&damaged, "orphans-").is_empty());
    }
}

#[test]
fn samples_of_a_series_whose_definitions_are_lost_are_set_aside_and_named() {
    let (disk, model) = logged();
    definitions(&disk).iter().for_each(|frame| damage(&disk, frame));
    let mut rest = model.clone();
    let lost = rest.remove(&labels(LOST)).unwrap();
    let engine = open(&disk);
    assert_eq!(read(&engine), rest, "others are whole");
    let report = engine.open_report();
    let named = (report.damaged, report.missing, report.counts.orphans);
    assert_eq!(named, (2, 2, lost.len() as u64), "{report:?}");
    // They are in a file that has nothing but frames of the log.
    let aside = set_aside(&disk);
    assert_eq!(aside.len(), 1, "once");
    assert!(lost.iter().all(|sample| aside[0].contains(&(*sample.0, *sample.1))), "all are there");
    // The series comes again under another reference, and is not mistaken for what it was.
    write(&engine, &tenant(), &minute(&[0, LOST, 8], 30), &mut rest);
    write(&engine, &tenant(), &minute(&[0, LOST, 8], 31), &mut rest);
    assert_eq!(read(&engine), rest);
    let crashed = disk.fork();
    let engine = open(&crashed);
    assert_eq!((read(&engine), engine.open_report().counts.orphans), (rest.clone(), lost.len() as u64));
    // Behind a snapshot nothing speaks of them any more, but what was set aside stays.
    engine.snapshot().unwrap();
    drop(engine);
    let before = files(&crashed, "orphans-");
    let engine = open(&crashed);
    assert_eq!((read(&engine), engine.open_report().counts.orphans), (rest, 0));
    assert_eq!((files(&crashed, "orphans-"), set_aside(&crashed)[0].len()), (before, aside[0].len()));
}

/// The samples of each file of orphans.
fn set_aside(disk: &SimDisk) -> Vec<Vec<(i64, u64)>> {
    let mut all: Vec<Vec<(i64, u64)>> = vec![Vec::new(); files(disk, "orphans-").len()];
    let paths = files(disk, "orphans-");
    each_frame(disk, "orphans-", |path, _, frame| {
        assert_eq!(frame.tenant, tenant().as_str().as_bytes());
        assert!(matches!(frame.kind, Some(FrameKind::Floats | FrameKind::LateFloats)), "{:?}", frame.kind);
        let (mut reader, at) = (FloatsReader::new(frame.payload), paths.iter().position(|p| p == path).unwrap());
        while let Some(sample) = reader.next().unwrap() {
            all[at].push((sample.timestamp_ms, sample.value.to_bits()));
        }
    });
    all
}

/// What two tenants hold.
#[derive(Clone, Default)]
struct Two {
    gone: Samples,
    stays: Samples,
}

fn read_of(engine: &Engine, tenant: &TenantId) -> Samples {
    let Some(reader) = engine.reader(tenant) else { return Samples::new() };
    let mut all = Samples::new();
    for series in reader.select(&[], i64::MIN, i64::MAX).unwrap() {
        let samples = all.entry(series.labels.clone()).or_default();
        for chunk in &series.chunks {
            for sample in thanoxide_tsdb::chunk::samples(chunk).unwrap() {
                let sample = sample.unwrap();
                let thanoxide_tsdb::chunk::SampleValue::Float(value) = sample.value else { unreachable!() };
                assert_eq!(samples.insert(sample.timestamp_ms, value.to_bits()), None, "each comes once");
            }
        }
    }
    all
}

fn write_both(engine: &Engine, minutes: std::ops::Range<i64>, model: &mut Two) {
    for number in minutes {
        write(engine, &tenant(), &minute(&[0, 1], number), &mut model.gone);
        write(engine, &other(), &minute(&[1, 2], number), &mut model.stays);
    }
}

/// Takes a tenant's directory away, then starts; writes to it anew, and starts again, with a snapshot behind or without.
fn check_deleted(disk: &SimDisk, model: &Two, snapshot_behind: bool, empty_directory: bool) {
    let what = format!("snapshot behind {snapshot_behind}, an empty directory {empty_directory}");
    let disk = disk.fork();
    let dir = Path::new(ROOT).join(tenant().as_str());
    disk.remove_dir_all(&dir).unwrap();
    if empty_directory {
        disk.create_dir_all(&dir).unwrap();
    }
    // Twice: the first start must not bring back anything for the second one.
    for _ in 0..2 {
        let engine = open(&disk);
        assert_eq!(read_of(&engine, &tenant()), Samples::new(), "{what}: deleted");
        assert_eq!(engine.tenants().contains(&tenant()), empty_directory, "{what}");
        assert_eq!(disk.exists(&dir).unwrap(), empty_directory, "{what}: made by nobody");
        assert_eq!(read_of(&engine, &other()), model.stays, "{what}: the other is whole");
        assert_eq!(engine.open_report().counts.orphans, 0, "{what}");
    }
    let (engine, mut model) = (open(&disk), Two { gone: Samples::new(), ..model.clone() });
    // The same series at times that it had, and others.
    write(&engine, &tenant(), &minute(&[1, 5], 3), &mut model.gone);
    write(&engine, &tenant(), &minute(&[1, 5], 90), &mut model.gone);
    write(&engine, &other(), &minute(&[1, 2], 90), &mut model.stays);
    if snapshot_behind {
        engine.snapshot().unwrap();
        write(&engine, &tenant(), &minute(&[5, 6], 91), &mut model.gone);
    }
    let disk = disk.fork();
    drop(engine);
    for _ in 0..2 {
        let engine = open(&disk);
        assert_eq!(read_of(&engine, &tenant()), model.gone, "{what}: only what is new");
        assert_eq!(read_of(&engine, &other()), model.stays, "{what}: the other is whole");
    }
}

fn check_deleted_however(disk: &SimDisk, model: &Two) {
    for case in 0..4 {
        check_deleted(disk, model, case & 1 != 0, case & 2 != 0);
    }
}

#[test]
fn a_tenant_whose_directory_is_gone_does_not_come_back_from_the_log() {
    let (disk, mut model) = (SimDisk::default(), Two::default());
    let engine = open(&disk);
    write_both(&engine, 0..50, &mut model);
    let crashed = disk.fork();
    assert_eq!(read_of(&open(&crashed), &tenant()), model.gone);
    check_deleted_however(&crashed, &model);
}

#[test]
fn a_tenant_whose_directory_is_gone_does_not_come_back_from_the_snapshot() {
    let (disk, mut model) = (SimDisk::default(), Two::default());
    let engine = open(&disk);
    // Chunks in chunk files, open ones in the snapshot.
    write_both(&engine, 0..30, &mut model);
    engine.snapshot().unwrap();
    check_deleted_however(&disk.fork(), &model);
    // And some of it in the log behind.
    write_both(&engine, 30..60, &mut model);
    check_deleted_however(&disk.fork(), &model);
}

/// One life after the other, each of which is deleted: no two have the same generation.
#[test]
fn each_life_of_a_tenant_has_its_own_data() {
    let (disk, mut model) = (SimDisk::default(), Samples::new());
    let mut generations = Vec::new();
    for life in 0..6 {
        let engine = open(&disk);
        assert_eq!(read_of(&engine, &tenant()), Samples::new());
        model.clear();
        write(&engine, &tenant(), &minute(&[0, life as usize], life), &mut model);
        write(&engine, &tenant(), &minute(&[0, life as usize], life + 1), &mut model);
        if life % 2 == 1 {
            engine.snapshot().unwrap();
        }
        assert_eq!(read_of(&engine, &tenant()), model);
        drop(engine);
        assert_eq!(read_of(&open(&disk), &tenant()), model);
        let dir = Path::new(ROOT).join(tenant().as_str());
        generations.push(disk.read(&dir.join(thanoxide_tsdb::engine::GENERATION_FILE)).unwrap());
        disk.remove_dir_all(&dir).unwrap();
    }
    generations.sort_unstable();
    generations.dedup();
    assert_eq!(generations.len(), 6);
}
