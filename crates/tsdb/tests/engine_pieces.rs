//! Open chunks whose first bytes are in chunk files already.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engine_support::{Samples, labels, open, read, tenant, write};
use thanoxide_model::series::Columns;
use thanoxide_tsdb::chunk::{self, Encoding, xor::XorAppender};
use thanoxide_tsdb::engine::Engine;

const SERIES: usize = 12;
const RANGE_MS: i64 = 7_200_000;

/// Nine bytes a sample, two, and something between.
fn value(series: usize, step: i64) -> f64 {
    let random = (step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(series as u32 * 7);
    match series % 3 {
        0 => f64::from_bits(random >> 2),
        1 => 42.0,
        _ => (random >> 45) as f64 / 1000.0,
    }
}

/// A sample of each series for each step.
fn fill(engine: &Engine, steps: std::ops::Range<i64>, model: &mut Samples) {
    let series = |i: usize| (labels(i), steps.clone().map(|step| (step * 15_000, value(i, step))).collect());
    write(engine, &(0..SERIES).map(series).collect::<Vec<_>>(), model).unwrap();
}

/// All chunks are what one appender makes of their samples. Gives the greatest length.
fn check(engine: &Engine, model: &Samples) -> usize {
    assert!(read(engine) == *model);
    let mut longest = 0;
    for series in engine.reader(&tenant()).unwrap().select(&[], i64::MIN, i64::MAX).unwrap() {
        for chunk in &series.chunks {
            let (mut columns, mut appender) = (Columns::default(), XorAppender::new());
            chunk::decode(chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
            let samples = columns.timestamps_ms.iter().zip(&columns.values);
            samples.for_each(|(timestamp_ms, value)| appender.append(*timestamp_ms, *value));
            assert!(chunk.encoding == Encoding::Xor && chunk.data == appender.into_bytes(), "{}", series.labels);
            longest = longest.max(chunk.data.len());
        }
    }
    longest
}

fn chunk_files(dir: &Path) -> BTreeSet<PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "tchk")).collect()
}

#[test]
fn they_are_whole_for_readers_over_snapshots_and_starts() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, mut model, mut longest) = (open(dir.path()), Samples::new(), 0);
    for (round, from) in (0..300).step_by(10).enumerate() {
        fill(&engine, from..from + 10, &mut model);
        if round % 4 == 1 {
            engine.snapshot().unwrap();
        }
        if round % 5 == 4 {
            drop(engine);
            engine = open(dir.path());
            assert_eq!(engine.open_report().counts.lost_chunks, 0);
        }
        longest = longest.max(check(&engine, &model));
    }
    assert!(longest > 900, "{longest}");
}

#[test]
fn they_end_where_others_end() {
    // The values of all series need few pieces; what was cut must not depend on them.
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut model) = (open(dir.path()), Samples::new());
    fill(&engine, 0..RANGE_MS / 15_000 * 2, &mut model);
    check(&engine, &model);
    for series in engine.reader(&tenant()).unwrap().select(&[], i64::MIN, i64::MAX).unwrap() {
        let wide = (0..SERIES).step_by(3).any(|i| series.labels == labels(i));
        if !wide {
            let starts: Vec<_> = series.chunks.iter().map(|chunk| chunk.min_time_ms).collect();
            assert_eq!(starts, (0..8).map(|chunk| chunk * RANGE_MS / 4).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_lost_piece_costs_its_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut model) = (open(dir.path()), Samples::new());
    // Pieces of open chunks only.
    fill(&engine, 0..60, &mut model);
    engine.snapshot().unwrap();
    let pieces = chunk_files(dir.path());
    fill(&engine, 60..70, &mut model);
    drop(engine);
    pieces.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let engine = open(dir.path());
    let lost = engine.open_report().counts.lost_chunks;
    assert!(!pieces.is_empty() && lost > 0 && lost < SERIES as u64, "{lost}");
    let have = read(&engine);
    for (labels, samples) in &model {
        // Either all, or what the log has.
        assert!([10, samples.len()].contains(&have[labels].len()));
    }
    let mut model = have;
    fill(&engine, 70..80, &mut model);
    engine.snapshot().unwrap();
    drop(engine);
    check(&open(dir.path()), &model);
}

#[test]
fn files_of_pieces_go_with_their_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut model) = (open(dir.path()), Samples::new());
    for from in (0..1_200).step_by(40) {
        fill(&engine, from..from + 40, &mut model);
        engine.snapshot().unwrap();
    }
    let before = chunk_files(dir.path());
    assert!(before.len() >= 30);
    engine.maintain(&|_, _| false);
    (0..2).for_each(|_| engine.snapshot().unwrap());
    // Two hours are twelve files.
    let after = chunk_files(dir.path());
    assert!(before.iter().take(11).all(|path| !after.contains(path)), "{after:?}");
    check(&engine, &model);
}
