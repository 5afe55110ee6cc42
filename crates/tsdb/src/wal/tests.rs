use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use thanoxide_env::{Disk, FaultDisk, SystemDisk};

use super::segment::{list_segments, segment_path};
use super::*;

fn open(dir: &Path, segment_bytes: u64) -> SegmentLog {
    SegmentLog::open(Arc::new(SystemDisk), dir.join("wal"), segment_bytes).unwrap()
}

fn replayed(dir: &Path) -> (Vec<Vec<u8>>, ReplayReport) {
    let mut records = Vec::new();
    let report = open(dir, 1 << 20).replay(&mut |r| records.push(r.to_vec())).unwrap();
    (records, report)
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    };
    (0..len).map(|_| next()).collect()
}

fn write(dir: &Path, segment_bytes: u64, records: &[Vec<u8>]) {
    let log = open(dir, segment_bytes);
    for record in records {
        let position = log.append(&[record]);
        log.commit(position).unwrap();
    }
}

#[test]
fn records_of_all_sizes_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut sizes: Vec<usize> = (0..20).chain([1000, 32_740, 32_754, 32_755, 32_760, 32_761, 32_762, 70_000]).collect();
    sizes.extend([7, 3, 32_768, 100_000]);
    let records: Vec<Vec<u8>> = sizes.iter().map(|n| noise(*n, *n as u64 + 1)).collect();
    write(dir.path(), 4 * 32 * 1024, &records);
    let (read, report) = replayed(dir.path());
    assert_eq!(read, records);
    assert_eq!((report.damaged, report.torn), (0, 0));
    assert!(report.segments > 2);
}

#[test]
fn compressible_records_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<Vec<u8>> = (0..50).map(|i| vec![i as u8; 5000 * i]).collect();
    write(dir.path(), 1 << 20, &records);
    assert_eq!(replayed(dir.path()).0, records);
}

#[test]
fn a_torn_tail_costs_only_the_record_it_tore() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<Vec<u8>> = (0..12).map(|i| noise(30 + i * 7, i as u64)).collect();
    write(dir.path(), 1 << 20, &records);
    let path = segment_path(&dir.path().join("wal"), 0);
    let bytes = std::fs::read(&path).unwrap();
    for cut in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let (read, report) = replayed(dir.path());
        let mut end = 0;
        let whole = records.iter().take_while(|r| {
            end += r.len() + page::HEADER_BYTES;
            end <= cut
        });
        assert_eq!(read.len(), whole.count(), "cut at {cut}");
        assert_eq!(report.damaged, 0);
        // The repair leaves a log without a flaw.
        assert_eq!(replayed(dir.path()).1.torn, 0);
        assert_eq!(replayed(dir.path()).0, read);
    }
}

#[test]
fn damage_costs_only_the_records_it_touches() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<Vec<u8>> = (0..40).map(|i| noise(3000, i as u64)).collect();
    write(dir.path(), 1 << 20, &records);
    let path = segment_path(&dir.path().join("wal"), 0);
    let bytes = std::fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(997) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&path, &damaged).unwrap();
        let (read, report) = replayed(dir.path());
        assert!(read.iter().all(|r| records.contains(r)));
        // A flipped length loses the rest of its page, at most ten records and those that cross its ends.
        assert!(read.len() >= records.len() - 12, "flipped at {at}: {} left", read.len());
        assert!(read.len() == records.len() || report.damaged + report.torn > 0, "flipped at {at}");
        let (again, report) = replayed(dir.path());
        assert_eq!((again, report.damaged, report.torn), (read, 0, 0), "flipped at {at}");
    }
    assert!(std::fs::read_dir(dir.path().join("wal-damaged")).unwrap().count() > 0);
}

#[test]
fn concurrent_commits_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 1 << 20);
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let log = &log;
            scope.spawn(move || {
                for i in 0..50u64 {
                    let position = log.append(&[&(thread * 1000 + i).to_be_bytes()]);
                    log.commit(position).unwrap();
                }
            });
        }
    });
    let (read, _) = replayed(dir.path());
    let mut numbers: Vec<u64> = read.iter().map(|r| u64::from_be_bytes(r.as_slice().try_into().unwrap())).collect();
    for thread in 0..8 {
        let of_thread: Vec<_> = numbers.iter().filter(|n| **n / 1000 == thread).collect();
        assert!(of_thread.is_sorted());
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 400);
}

/// Whatever call fails: what was acknowledged is there afterwards, and the log works again.
#[test]
fn no_failure_loses_an_acknowledged_record() {
    for fail_at in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new(Arc::new(SystemDisk));
        disk.fail_at(fail_at);
        let Ok(log) = SegmentLog::open(Arc::new(disk.clone()), dir.path().join("wal"), 64 * 1024) else { continue };
        let mut acknowledged = Vec::new();
        for i in 0..12u64 {
            let record = noise(9000, i);
            let position = log.append(&[&record]);
            if log.commit(position).is_ok() || log.commit(position).is_ok() {
                acknowledged.push(record);
            }
        }
        assert!(acknowledged.len() >= 11);
        let (read, report) = replayed(dir.path());
        assert!(acknowledged.iter().all(|r| read.contains(r)), "call {fail_at}");
        assert_eq!(report.damaged + report.torn, 0, "a sealed segment is whole, call {fail_at}");
        if disk.calls() < fail_at {
            return;
        }
    }
}

#[test]
fn a_full_disk_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(Arc::new(SystemDisk));
    let log = SegmentLog::open(Arc::new(disk.clone()), dir.path().join("wal"), 64 * 1024).unwrap();
    let first = log.append(&[b"before"]);
    log.commit(first).unwrap();
    disk.set_full(true);
    let second = log.append(&[b"while full"]);
    assert!(matches!(log.commit(second), Err(LogError::DiskFull { .. })));
    assert!(log.recover().is_err());
    disk.set_full(false);
    log.recover().unwrap();
    log.commit(second).unwrap();
    assert_eq!(log.backlog_bytes(), 0);
    assert_eq!(replayed(dir.path()).0, [b"before".to_vec(), b"while full".to_vec()]);
}

#[test]
fn checkpoints_replace_old_segments() {
    use record::{Record, SampleRecord, begin_series, push_series};
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 32 * 1024);
    for series in 1..=200u64 {
        let mut bytes = Vec::new();
        begin_series(&mut bytes);
        let value = format!("{series:0>1000}");
        push_series(&mut bytes, series, [(b"a".as_slice(), value.as_bytes())].into_iter());
        let mut samples = SampleRecord::default();
        samples.push_float(series, series as i64, 1.0);
        // Incompressible filler, so that segments fill up.
        let filler = [vec![99], noise(4000, series)].concat();
        let position = log.append(&[&bytes, samples.bytes(), &filler]);
        log.commit(position).unwrap();
    }
    let keep = |series: u64, _: u32| series.is_multiple_of(2);
    log.truncate(&Truncation { min_time_ms: 100, keep_series: &keep }).unwrap();
    drop(log);
    let segments = list_segments(&SystemDisk, &dir.path().join("wal")).unwrap();
    assert!(segments[0] > 0);
    let (mut odd, mut even, mut old) = (0, 0, 0);
    for record in replayed(dir.path()).0 {
        match Record::decode(&record).unwrap() {
            Record::Series(series) => {
                series.iter().for_each(|s| *(if s.series.is_multiple_of(2) { &mut even } else { &mut odd }) += 1)
            }
            Record::Samples(samples) => old += samples.iter().filter(|s| s.timestamp_ms < 100).count(),
            _ => {}
        }
    }
    assert_eq!(even, 100);
    assert!(odd < 50, "{odd}");
    assert_eq!(old, 0);
    assert!(SystemDisk.exists(&checkpoint::checkpoint_path(&dir.path().join("wal"), segments[0] - 1)).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn arbitrary_segments_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..70_000)) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("wal")).unwrap();
        std::fs::write(segment_path(&dir.path().join("wal"), 0), &bytes).unwrap();
        replayed(dir.path());
    }
}
