//! What the fuzzing of the formats begins with, and what it found, through the same checks.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[allow(unreachable_pub, clippy::disallowed_methods, reason = "a file of the workspace of fuzz targets")]
#[path = "../../../fuzz/checks/log.rs"]
mod log;
#[allow(unreachable_pub, clippy::disallowed_methods, reason = "a file of the workspace of fuzz targets")]
#[path = "../../../fuzz/checks/stock_head.rs"]
mod stock_head;
#[allow(unreachable_pub, clippy::disallowed_methods, reason = "a file of the workspace of fuzz targets")]
#[path = "../../../fuzz/checks/tsdb.rs"]
mod tsdb;

use std::path::Path;

/// What it begins with, whole and cut short, and what it grew, whole.
fn replay(target: &str, check: impl Fn(&[u8])) {
    for bytes in inputs("seeds", target) {
        (0..=bytes.len().min(64)).for_each(|len| check(&bytes[..len]));
        check(&bytes);
    }
    inputs("grown", target).iter().for_each(|bytes| check(bytes));
}

fn inputs(kind: &str, target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(kind).join(target);
    let inputs: Vec<_> =
        std::fs::read_dir(&dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!inputs.is_empty(), "{}", dir.display());
    inputs
}

#[test]
fn chunk() {
    replay("tsdb_chunk", tsdb::chunk);
}

#[test]
fn chunk_append() {
    replay("tsdb_chunk_append", tsdb::chunk_append);
}

#[test]
fn index() {
    replay("tsdb_index", tsdb::index);
}

#[test]
fn block_files() {
    replay("tsdb_block_files", tsdb::block_files);
}

#[test]
fn wal_record() {
    replay("tsdb_wal_record", tsdb::wal_record);
}

#[test]
fn wal_segment() {
    replay("tsdb_wal_segment", tsdb::wal_segment);
}

#[test]
fn stock_head() {
    replay("tsdb_stock_head", stock_head::read);
}

#[test]
fn log_frame() {
    replay("tsdb_log_frame", log::frame);
}

#[test]
fn log_opened() {
    replay("tsdb_log_opened", log::opened);
}
