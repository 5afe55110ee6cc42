//! What tenants share by having one log: its syncs, and the room that it takes.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/gate_disk.rs"]
mod gate_disk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine_support::{Samples, batch, env, labels, options, read, tenant};
use gate_disk::{Gate, GateDisk};
use thanoxide_env::SimDisk;
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{Histogram, Sample, TenantId};
use thanoxide_tsdb::chunk::{SampleValue, samples};
use thanoxide_tsdb::engine::{AppendOptions, CommitTicket, Engine, EngineOptions};
use thanoxide_tsdb::log::segment::list_segments;

const ROOT: &str = "/data";
const WRITERS: usize = 32;
const MINUTE_MS: i64 = 60_000;
const START_MS: i64 = 1_000 * 120 * MINUTE_MS;

fn writer(number: usize) -> TenantId {
    TenantId::new(&format!("writer-{number}")).unwrap()
}

/// A sample of each of some series.
fn append(engine: &Engine, tenant: &TenantId, series: usize, timestamp_ms: i64) -> CommitTicket {
    let series: Vec<_> = (0..series).map(|i| (labels(i), vec![(timestamp_ms, i as f64 + 0.5)])).collect();
    let appended = engine.append(tenant, &batch(&series), AppendOptions::default()).unwrap();
    assert!(appended.rejected.is_empty());
    appended.ticket
}

/// However many come while the log is being synced, whoever they are: the next sync is for all of them.
#[test]
fn all_who_come_during_a_sync_share_the_next_one() {
    let gate = Arc::new(Gate::default());
    let disk = GateDisk { inner: Arc::new(SimDisk::default()), gate: Arc::clone(&gate) };
    let engine = Engine::open(Path::new(ROOT), options(), env(Arc::new(disk))).unwrap();
    // What a new tenant and a new segment sync comes first.
    (0..WRITERS).for_each(|number| append(&engine, &writer(number), 1, START_MS).wait().unwrap());
    let before = gate.syncs();
    gate.shut();
    let acknowledged = AtomicUsize::new(0);
    let wait = |ticket: CommitTicket| {
        ticket.wait().unwrap();
        acknowledged.fetch_add(1, Ordering::SeqCst);
    };
    std::thread::scope(|scope| {
        let first = append(&engine, &writer(0), 1, START_MS + 1);
        scope.spawn(|| wait(first));
        gate.await_sync();
        // Appends do not wait for the disk; their tickets do.
        let tickets: Vec<_> = (1..WRITERS).map(|number| append(&engine, &writer(number), 1, START_MS + 1)).collect();
        tickets.into_iter().for_each(|ticket| drop(scope.spawn(|| wait(ticket))));
        assert_eq!((acknowledged.load(Ordering::SeqCst), gate.syncs() - before), (0, 1));
        gate.open();
    });
    assert_eq!((acknowledged.into_inner(), gate.syncs() - before), (WRITERS, 2));
}

/// With segments of 32 KiB.
fn open(disk: &SimDisk) -> Engine {
    let options = EngineOptions { out_of_order_window_ms: 60 * MINUTE_MS, max_exemplars: 10, ..options() };
    Engine::open(Path::new(ROOT), options, env(Arc::new(disk.clone()))).unwrap()
}

/// Something of each kind, of a tenant that does not come again.
fn write_once(engine: &Engine, idle: &TenantId) {
    let (mut builder, t) = (WriteBatchBuilder::default(), START_MS);
    let float = |t| Sample { timestamp_ms: t, value: t as f64 };
    builder.push(&labels(1), &[float(t), float(t - MINUTE_MS)]).push_exemplar(&labels(9), t, 1.0);
    let value = HistogramValue::Int(Arc::new(Histogram { count: 3, zero_count: 3, ..Histogram::default() }));
    builder.push(&labels(2), &[]).push_histogram(HistogramSample { timestamp_ms: t, value });
    let appended = engine.append(idle, &builder.build(), AppendOptions::default()).unwrap();
    assert_eq!((appended.accepted, appended.dropped_exemplars), (3, 0), "{:?}", appended.rejected);
    appended.ticket.wait().unwrap();
}

fn check_idle(engine: &Engine, idle: &TenantId) {
    let reader = engine.reader(idle).unwrap();
    let mut seen = Vec::new();
    for series in reader.select(&[], i64::MIN, i64::MAX).unwrap() {
        for sample in series.chunks.iter().flat_map(|chunk| samples(chunk).unwrap()) {
            let sample = sample.unwrap();
            let SampleValue::Float(value) = sample.value else {
                assert_eq!((&series.labels, sample.timestamp_ms), (&labels(2), START_MS));
                continue;
            };
            seen.push((series.labels.clone(), sample.timestamp_ms, value));
        }
    }
    let float = |t| (labels(1), t, t as f64);
    assert_eq!(seen, [float(START_MS - MINUTE_MS), float(START_MS)]);
    assert_eq!(reader.stats().series, 2);
    assert_eq!(reader.exemplars(&[vec![]], i64::MIN, i64::MAX).len(), 1);
}

fn segments(disk: &SimDisk) -> Vec<u64> {
    list_segments(disk, Path::new(ROOT)).unwrap()
}

/// Writes as another tenant until the log has begun a segment of this number. Snapshots are taken as maintenance takes them.
fn write_up_to(segment: u64, disk: &SimDisk, engine: &Engine, minute: &mut i64) {
    // Behind a snapshot there may be none for a moment.
    while segments(disk).last().is_none_or(|last| *last < segment) {
        append(engine, &tenant(), 200, START_MS + *minute * MINUTE_MS / 10).wait().unwrap();
        *minute += 1;
        let done = engine.maintain(&|_, _| false);
        assert!(done.failed.is_empty() && done.snapshot_failed.is_none());
    }
}

/// A log that is shared must not grow for one who is silent.
#[test]
fn an_idle_tenant_holds_no_segment() {
    let (mut disk, idle, mut minute) = (SimDisk::default(), TenantId::new("idle").unwrap(), 0);
    let mut engine = open(&disk);
    write_once(&engine, &idle);
    for end in [20, 40, 60] {
        write_up_to(end, &disk, &engine, &mut minute);
        let left = segments(&disk);
        assert!(left[0] > end - 10, "{left:?}");
        check_idle(&engine, &idle);
        let busy: Samples = read(&engine);
        disk = disk.fork();
        engine = open(&disk);
        check_idle(&engine, &idle);
        assert_eq!(read(&engine), busy);
    }
    assert_eq!(engine.open_report().counts.orphans, 0);
}
