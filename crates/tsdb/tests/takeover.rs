//! Data directories of stock programs that were killed are taken over with all that they had acknowledged.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/golden.rs"]
mod golden;

use std::collections::BTreeMap;
use std::path::Path;

use engine_support::open;
use golden::{Acknowledged, unpack};
use thanoxide_model::{Labels, STALE_NAN_BITS, TenantId};
use thanoxide_tsdb::chunk::{self, SampleValue};
use thanoxide_tsdb::engine::Engine;

type Bits = BTreeMap<(Labels, i64), u64>;

/// Floats and sums of histograms, by series and time.
fn read(engine: &Engine, tenant: &str) -> (Bits, Bits) {
    let (mut floats, mut histograms) = (BTreeMap::new(), BTreeMap::new());
    let reader = engine.reader(&TenantId::new(tenant).unwrap()).unwrap();
    for series in reader.select(&[], i64::MIN, i64::MAX).unwrap() {
        for chunk in &series.chunks {
            for sample in chunk::samples(chunk).unwrap() {
                let sample = sample.unwrap();
                let key = (series.labels.clone(), sample.timestamp_ms);
                let (known, bits) = match sample.value {
                    SampleValue::Float(v) => (&mut floats, v.to_bits()),
                    SampleValue::Histogram(h) => (&mut histograms, h.sum.to_bits()),
                    SampleValue::FloatHistogram(h) => (&mut histograms, h.sum.to_bits()),
                };
                // Stock's own blocks may have a sample twice, but never two values.
                let before = known.insert(key, bits);
                assert_eq!(before.unwrap_or(bits), bits, "{} {}", series.labels, sample.timestamp_ms);
            }
        }
    }
    (floats, histograms)
}

fn check(dir: &Path, tenant: &str, acknowledged: &Acknowledged) {
    // Once more from what the first start made of it.
    for _ in 0..2 {
        check_once(dir, tenant, acknowledged);
    }
    for name in ["wbl", "chunks_head", "wbl.taken-over"] {
        assert!(!dir.join(tenant).join(name).exists(), "{name} is left");
    }
}

fn check_once(dir: &Path, tenant: &str, acknowledged: &Acknowledged) {
    let engine = open(dir);
    let (floats, histograms) = read(&engine, tenant);
    let lost = |have: &Bits, want: &Bits| {
        let lost = want.iter().filter(|(key, bits)| have.get(*key) != Some(*bits));
        lost.map(|((labels, t), bits)| format!("{labels} {t} {bits:016x}")).collect::<Vec<_>>()
    };
    // A float's stale marker after a histogram is kept as a histogram's.
    let (stale, values): (Bits, Bits) =
        acknowledged.floats.clone().into_iter().partition(|(_, bits)| *bits == STALE_NAN_BITS);
    let lost_floats = lost(&floats, &values);
    assert!(lost_floats.is_empty(), "{} of {} floats: {:?}", lost_floats.len(), values.len(), &lost_floats[..3]);
    let lost_histograms = lost(&histograms, &acknowledged.histograms);
    assert!(lost_histograms.is_empty(), "{} histograms: {:?}", lost_histograms.len(), &lost_histograms[..3]);
    let invented = |have: &Bits, kind: &str| {
        let mut invented = have.keys().filter(|key| !acknowledged.tried.contains(*key));
        assert_eq!(invented.next(), None, "invented {kind}");
    };
    invented(&floats, "floats");
    invented(&histograms, "histograms");
    assert!(stale.iter().all(|(key, bits)| floats.get(key).or(histograms.get(key)) == Some(bits)));
}

#[test]
fn a_killed_thanos_receive() {
    let dir = tempfile::tempdir().unwrap();
    unpack("receive", dir.path());
    for tenant in ["tenant-a", "tenant-b"] {
        let mut acknowledged = Acknowledged::default();
        for part in ["1", "2", "3", "4-ooo", "5"] {
            acknowledged.add("receive", &format!("{part}-{tenant}"));
        }
        check(dir.path(), tenant, &acknowledged);
    }
}

#[test]
fn a_killed_prometheus() {
    let dir = tempfile::tempdir().unwrap();
    unpack("prometheus", &dir.path().join("prometheus"));
    let mut acknowledged = Acknowledged::default();
    ["1", "2", "3", "4", "5", "6-ooo", "7"].iter().for_each(|part| acknowledged.add("prometheus", part));
    check(dir.path(), "prometheus", &acknowledged);
}

#[test]
fn a_killed_prometheus_with_start_timestamps() {
    let dir = tempfile::tempdir().unwrap();
    unpack("prometheus-st", &dir.path().join("prometheus"));
    let mut acknowledged = Acknowledged::default();
    ["1", "2-ooo"].iter().for_each(|part| acknowledged.add("prometheus-st", part));
    check(dir.path(), "prometheus", &acknowledged);
}

#[test]
fn a_prometheus_that_left_a_chunk_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    unpack("prometheus-snapshot", &dir.path().join("prometheus"));
    let mut acknowledged = Acknowledged::default();
    ["1", "2", "3", "4", "5", "6-ooo", "7"].iter().for_each(|part| acknowledged.add("prometheus", part));
    acknowledged.add_file("prometheus-snapshot.acked.jsonl.gz");
    check(dir.path(), "prometheus", &acknowledged);
}
