//! Golden data: data directories as stock programs left them, and what they had acknowledged.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;
use thanoxide_model::Labels;

/// The directory of shared test data.
pub(crate) fn shared() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    std::env::var_os("THANOXIDE_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from)
}

pub(crate) fn gunzip(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Unpacks `datadirs/<name>.tar.gz`.
pub(crate) fn unpack(name: &str, into: &Path) {
    let tar = gunzip(&shared().join("golden/datadirs").join(format!("{name}.tar.gz")));
    let text = |field: &[u8]| String::from_utf8_lossy(field).trim_end_matches('\0').trim().to_string();
    std::fs::create_dir_all(into).unwrap();
    let mut rest = tar.as_slice();
    while rest.len() >= 512 && rest[0] != 0 {
        let (header, after) = rest.split_at(512);
        let size = usize::from_str_radix(&text(&header[124..136]), 8).unwrap();
        let path = into.join(text(&header[..100]));
        match header[156] {
            b'5' => std::fs::create_dir_all(&path).unwrap(),
            b'0' | 0 => {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &after[..size]).unwrap();
            }
            _ => {}
        }
        rest = &after[size.next_multiple_of(512)..];
    }
}

/// The float samples, as bits, and the times of the histograms that were acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    pub(crate) floats: BTreeMap<(Labels, i64), u64>,
    pub(crate) histograms: BTreeMap<(Labels, i64), u64>,
    /// What was ever sent.
    pub(crate) tried: BTreeSet<(Labels, i64)>,
}

impl Acknowledged {
    /// Adds `datadirs/<name>.acked-<part>.jsonl.gz`.
    pub(crate) fn add(&mut self, name: &str, part: &str) {
        self.add_file(&format!("{name}.acked-{part}.jsonl.gz"));
    }

    /// Adds a file of `datadirs`.
    pub(crate) fn add_file(&mut self, file: &str) {
        let path = shared().join("golden/datadirs").join(file);
        for line in String::from_utf8(gunzip(&path)).unwrap().lines() {
            let request: Value = serde_json::from_str(line).unwrap();
            for series in request["series"].as_array().unwrap() {
                self.add_series(series, request["acked"] == true);
            }
        }
    }

    fn add_series(&mut self, series: &Value, acknowledged: bool) {
        let pair = |p: &Value| (p[0].as_str().unwrap().to_string(), p[1].as_str().unwrap().to_string());
        let labels = Labels::from_pairs(series["labels"].as_array().unwrap().iter().map(pair));
        let bits = |v: &Value| u64::from_str_radix(v.as_str().unwrap(), 16).unwrap();
        for sample in series["samples"].as_array().into_iter().flatten() {
            let t = if sample.is_array() { &sample[0] } else { &sample["t"] };
            self.tried.insert((labels.clone(), t.as_i64().unwrap()));
            if !acknowledged {
                continue;
            }
            if sample.is_array() {
                self.floats.insert((labels.clone(), sample[0].as_i64().unwrap()), bits(&sample[1]));
            } else {
                self.histograms.insert((labels.clone(), sample["t"].as_i64().unwrap()), bits(&sample["sum"]));
            }
        }
    }
}
