use std::path::Path;

use proptest::prelude::*;
use thanoxide_env::{Disk, FaultDisk, SystemDisk};

use super::segment::{SegmentReader, list_segments, segment_path};
use super::*;

/// What is read, and how many stretches could not be.
fn read(dir: &Path) -> (Vec<Vec<u8>>, usize) {
    let (mut records, mut damaged) = (Vec::new(), 0);
    for number in list_segments(&SystemDisk, dir).unwrap() {
        let mut reader = SegmentReader::open(&SystemDisk, &segment_path(dir, number)).unwrap();
        while let Some(record) = reader.next_record().unwrap() {
            records.push(record.to_vec());
        }
        damaged += reader.damage().len();
    }
    (records, damaged)
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

fn try_write(disk: &dyn Disk, dir: &Path, segment_bytes: u64, records: &[Vec<u8>]) -> io::Result<()> {
    let mut log = LogWriter::create(disk, dir, segment_bytes)?;
    records.iter().try_for_each(|record| log.push(record))?;
    log.finish()
}

fn write(dir: &Path, segment_bytes: u64, records: &[Vec<u8>]) {
    try_write(&SystemDisk, dir, segment_bytes, records).unwrap();
}

#[test]
fn records_of_all_sizes_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut sizes: Vec<usize> = (0..20).chain([1000, 32_740, 32_754, 32_755, 32_760, 32_761, 32_762, 70_000]).collect();
    sizes.extend([7, 3, 32_768, 100_000]);
    let mut records: Vec<Vec<u8>> = sizes.iter().map(|n| noise(*n, *n as u64 + 1)).collect();
    records.extend((0..50).map(|i| vec![i as u8; 5000 * i]));
    // What is there is gone on with.
    for part in records.chunks(11) {
        write(dir.path(), 4 * 32 * 1024, part);
    }
    assert_eq!(read(dir.path()), (records.clone(), 0));
    assert!(list_segments(&SystemDisk, dir.path()).unwrap().len() > records.len().div_ceil(11));
}

#[test]
fn a_log_without_records_has_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1 << 20, &[]);
    assert_eq!(list_segments(&SystemDisk, dir.path()).unwrap(), [0]);
    assert_eq!(read(dir.path()), (Vec::new(), 0));
}

#[test]
fn a_torn_tail_costs_only_the_record_it_tore() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<Vec<u8>> = (0..12).map(|i| noise(30 + i * 7, i as u64)).collect();
    write(dir.path(), 1 << 20, &records);
    let path = segment_path(dir.path(), 0);
    let bytes = std::fs::read(&path).unwrap();
    for cut in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let mut end = 0;
        let whole = records.iter().take_while(|r| {
            end += r.len() + page::HEADER_BYTES;
            end <= cut
        });
        assert_eq!(read(dir.path()).0.len(), whole.count(), "cut at {cut}");
    }
}

#[test]
fn damage_costs_only_the_records_it_touches() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<Vec<u8>> = (0..40).map(|i| noise(3000, i as u64)).collect();
    write(dir.path(), 1 << 20, &records);
    let path = segment_path(dir.path(), 0);
    let bytes = std::fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(997) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x40;
        std::fs::write(&path, &flipped).unwrap();
        let (left, damaged) = read(dir.path());
        assert!(left.iter().all(|r| records.contains(r)));
        // A flipped length loses the rest of its page, at most ten records and those that cross its ends.
        assert!(left.len() >= records.len() - 12, "flipped at {at}: {} left", left.len());
        assert!(left.len() == records.len() || damaged > 0, "flipped at {at}");
    }
}

/// Whatever call fails is told.
#[test]
fn a_log_that_cannot_be_written_is_an_error() {
    let records: Vec<Vec<u8>> = (0..12).map(|i| noise(9000, i)).collect();
    for fail_at in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new(std::sync::Arc::new(SystemDisk));
        disk.fail_at(fail_at);
        let written = try_write(&disk, &dir.path().join("wal"), 64 * 1024, &records);
        if disk.calls() < fail_at {
            written.unwrap();
            assert_eq!(read(&dir.path().join("wal")), (records, 0));
            return;
        }
        written.unwrap_err();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn arbitrary_segments_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..70_000)) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(segment_path(dir.path(), 0), &bytes).unwrap();
        read(dir.path());
    }
}
