//! Metas are read and written as stock writes them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
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

proptest! {
    #[test]
    fn damaged_metas_are_survived(at in 0usize..1000, byte in any::<u8>(), cut in 0usize..1000) {
        let json = r#"{"ulid":"01KDWFZY80KG2G81JRQ1C0PR5T","minTime":1,"maxTime":2,"stats":{"numSamples":1},
            "compaction":{"level":1,"sources":["01KDWFZY80KG2G81JRQ1C0PR5T"]},"version":1,"thanos":{"version":1,
            "labels":{"a":"b"},"downsample":{"resolution":0},"source":"sidecar","files":[{"rel_path":"index"}],
            "index_stats":{"chunk_max_size":-9223372036854775808},"upload_time":"2026-01-03T04:05:06Z"}}"#;
        prop_assert!(Meta::parse_uploaded(json.as_bytes()).is_ok());
        let mut bytes = json.as_bytes().to_vec();
        bytes.truncate(cut.max(1));
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(meta) = Meta::parse(&bytes) {
            prop_assert_eq!(Meta::parse(&meta.to_json()), Ok(meta.clone()));
            let _ = meta.thanos.as_ref().map(|thanos| (thanos.upload_time_ms(), thanos.label_set()));
        }
        let _ = DeletionMark::parse(&bytes);
    }
}
