//! Near the limit of memory.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine_support::{batch, labels, options, tenant};
use thanoxide_env::{Env, ManualClock, ManualMemory, SeededRandom, SystemDisk};
use thanoxide_model::{TenantId, Verdict};
use thanoxide_tsdb::engine::{AppendOptions, Appended, Engine, EngineError, EngineOptions};

const LIMIT_BYTES: u64 = 1_000_000;

struct Node {
    engine: Engine,
    clock: Arc<ManualClock>,
    memory: Arc<ManualMemory>,
}

impl Node {
    fn open(dir: &Path) -> Self {
        let (clock, memory) = (Arc::new(ManualClock::default()), Arc::new(ManualMemory::default()));
        let env =
            Env { clock: Arc::clone(&clock) as _, disk: Arc::new(SystemDisk), random: Arc::new(SeededRandom::new(3)) };
        let options = EngineOptions { memory_limit_bytes: Some(LIMIT_BYTES), ..options() };
        let engine = Engine::open_within(dir, options, env, Arc::clone(&memory) as _).unwrap();
        Node { engine, clock, memory }
    }

    /// So many per cent of the limit are in use from now on.
    fn use_memory(&self, percent: u64) {
        self.memory.set(LIMIT_BYTES / 100 * percent);
        self.clock.advance(Duration::from_secs(1));
    }

    fn write(&self, tenant: &TenantId, series: std::ops::Range<usize>, t: i64) -> Result<Appended, EngineError> {
        let series: Vec<_> = series.map(|i| (labels(i), vec![(t, i as f64)])).collect();
        self.engine.append(tenant, &batch(&series), AppendOptions::default())
    }

    fn series(&self, tenant: &TenantId) -> usize {
        self.engine.reader(tenant).unwrap().stats().series
    }
}

#[test]
fn new_series_are_refused_first_and_taken_again_later() {
    let dir = tempfile::tempdir().unwrap();
    let (node, id) = (Node::open(dir.path()), tenant());
    node.use_memory(89);
    node.write(&id, 0..10, 1000).unwrap();
    node.use_memory(92);
    assert_eq!(node.write(&id, 0..10, 2000).unwrap().accepted, 10);
    let partly = node.write(&id, 5..15, 3000).unwrap();
    let refused = partly.rejected.iter().filter(|rejected| rejected.verdict == Verdict::SeriesLimit);
    assert_eq!((partly.accepted, refused.count()), (5, 5));
    assert_eq!(node.series(&id), 10);
    // No head is cut for that.
    assert!(!node.engine.is_pressed() && node.engine.maintain(&|_, _| false).cut.is_empty());
    node.use_memory(80);
    let again = node.write(&id, 5..15, 3000).unwrap();
    assert!(again.accepted == 10 && again.rejected.is_empty());
    assert_eq!(node.series(&id), 15);
}

#[test]
fn heads_are_cut_the_largest_first() {
    let dir = tempfile::tempdir().unwrap();
    let (node, large, small) = (Node::open(dir.path()), tenant(), TenantId::new("small").unwrap());
    node.write(&large, 0..300, 1000).unwrap();
    node.write(&small, 0..20, 1000).unwrap();
    node.use_memory(97);
    assert!(node.engine.is_pressed());
    let cut: Vec<_> = node.engine.maintain(&|_, _| false).cut.into_iter().map(|(tenant, _)| tenant).collect();
    assert!(cut.len() == 1 && cut[0] == large);
    assert_eq!((node.series(&large), node.series(&small)), (0, 20));
    // What was cut is read from its block, and what was freed gets its time to come back.
    let all = node.engine.reader(&large).unwrap().select(&[], i64::MIN, i64::MAX).unwrap();
    assert_eq!(all.len(), 300);
    assert!(!node.engine.is_pressed());
    node.use_memory(60);
    assert_eq!(node.write(&large, 0..300, 2000).unwrap().accepted, 300);
}

#[test]
fn senders_do_not_notice_an_early_cut() {
    const MINUTE_MS: i64 = 60_000;
    let dir = tempfile::tempdir().unwrap();
    let (node, id, newest_ms) = (Node::open(dir.path()), tenant(), 10 * 60 * MINUTE_MS);
    // Senders whose newest sample is older than that of others.
    node.write(&id, 0..10, newest_ms - 10 * MINUTE_MS).unwrap();
    node.write(&id, 10..20, newest_ms).unwrap();
    node.use_memory(97);
    assert!(!node.engine.maintain(&|_, _| false).cut.is_empty());
    node.use_memory(60);
    let behind = node.write(&id, 0..10, newest_ms - 9 * MINUTE_MS).unwrap();
    assert_eq!((behind.accepted, behind.rejected.len()), (10, 0));
    assert_eq!(node.write(&id, 10..20, newest_ms + 1).unwrap().accepted, 10);
    let behind = node.write(&id, 0..20, newest_ms - 8 * MINUTE_MS).unwrap();
    let refused = behind.rejected.iter().filter(|rejected| rejected.verdict == Verdict::OutOfOrder);
    assert_eq!((behind.accepted, refused.count()), (10, 10), "who has sent newer ones is out of order, as ever");
    let old = node.write(&id, 0..10, newest_ms - 120 * MINUTE_MS).unwrap();
    assert!(old.accepted == 0 && old.rejected.iter().all(|rejected| rejected.verdict == Verdict::OutOfBounds));
    assert_eq!(engine_support::read(&node.engine).values().map(|samples| samples.len()).sum::<usize>(), 50);
}
