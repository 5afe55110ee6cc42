//! Metas are read and written as stock writes them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::{Path, PathBuf};

use thanoxide_block::{DeletionMark, Meta};

fn golden_blocks() -> PathBuf {
    match std::env::var_os("THANOXIDE_SHARED") {
        Some(shared) => PathBuf::from(shared),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
    }
    .join("golden/blocks")
}

fn find(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            find(&entry.path(), name, found);
        } else if entry.file_name() == name {
            found.push(entry.path());
        }
    }
}

#[test]
fn golden_metas_come_back_byte_for_byte() {
    let mut paths = Vec::new();
    find(&golden_blocks(), "meta.json", &mut paths);
    assert!(paths.len() >= 35, "{}", paths.len());
    for path in paths {
        let json = std::fs::read(&path).unwrap();
        let meta = Meta::parse(&json).unwrap();
        let written = String::from_utf8(meta.to_json()).unwrap();
        // Prometheus itself writes no newline at the end.
        assert_eq!(written.trim_end(), String::from_utf8(json).unwrap().trim_end(), "{}", path.display());
        assert_eq!(path.parent().unwrap().file_name().unwrap().to_str(), Some(meta.id().to_string().as_str()));
    }
}

#[test]
fn golden_marks_are_read() {
    let mut paths = Vec::new();
    find(&golden_blocks().join("marks"), "deletion-mark.json", &mut paths);
    assert_eq!(paths.len(), 2);
    for path in paths {
        let mark = DeletionMark::parse(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((mark.deletion_time_s, mark.details.as_str()), (1_767_325_600, "source of compacted block"));
    }
    assert!(DeletionMark::parse(b"{}").is_err());
}
