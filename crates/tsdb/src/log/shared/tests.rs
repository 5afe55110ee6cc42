use std::sync::Arc;

use thanoxide_env::{Disk, FaultDisk, SystemDisk};

use super::SharedLog;
use crate::log::segment::{BLOCK_BYTES, SegmentReader, list_segments, segment_path};
use crate::log::{Frame, FrameKind, LogReadError, LogReader, Position};

fn open(disk: Arc<dyn Disk>, root: &std::path::Path) -> SharedLog {
    SharedLog::new(disk, root, 64 * 1024, true, 1, 0)
}

fn append(log: &SharedLog, payload: &[u8]) -> Position {
    log.append("tenant", 7, [(FrameKind::Floats, payload)].into_iter())
}

/// Positions and payloads of all frames, and the number of damaged stretches.
fn read(root: &std::path::Path) -> (Vec<(Position, Vec<u8>)>, usize) {
    let (mut frames, mut damage) = (Vec::new(), 0);
    for number in list_segments(&SystemDisk, root).unwrap() {
        let mut reader = SegmentReader::open(&SystemDisk, &segment_path(root, number)).unwrap();
        while let Some((_, frame)) = reader.next_frame().unwrap() {
            assert_eq!((frame.tenant, frame.generation), (b"tenant".as_slice(), 7));
            frames.push((frame.position, frame.payload.to_vec()));
        }
        damage += reader.damage().len();
    }
    (frames, damage)
}

fn payload(i: u64) -> Vec<u8> {
    (0..i * 37 % 5000).map(|n| (n * i) as u8).collect()
}

#[test]
fn frames_come_back_in_order_and_commits_keep_their_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(Arc::new(SystemDisk), dir.path());
    for i in 1..200 {
        let position = append(&log, &payload(i));
        assert_eq!(position, i);
        if i % 3 == 0 {
            log.commit(position).unwrap();
            assert_eq!(log.size_bytes().unwrap() % BLOCK_BYTES, 0);
        }
    }
    log.commit(log.position()).unwrap();
    let (frames, damage) = read(dir.path());
    assert_eq!(frames, (1..200).map(|i| (i, payload(i))).collect::<Vec<_>>());
    assert_eq!(damage, 0);
    assert!(list_segments(&SystemDisk, dir.path()).unwrap().len() > 3);
    let next = log.rotate().unwrap();
    append(&log, b"new");
    log.commit(200).unwrap();
    log.remove_before(next).unwrap();
    assert_eq!(read(dir.path()).0, [(200, b"new".to_vec())]);
}

#[test]
fn a_log_cut_anywhere_gives_what_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(Arc::new(SystemDisk), dir.path());
    for i in 1..12 {
        append(&log, &payload(i));
        log.commit(i).unwrap();
    }
    let path = segment_path(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    let all = read(dir.path()).0;
    for len in (0..whole.len()).step_by(13) {
        std::fs::write(&path, &whole[..len]).unwrap();
        let (frames, damage) = read(dir.path());
        assert_eq!(frames, all[..frames.len()]);
        assert!(damage <= 1);
    }
}

#[test]
fn a_flipped_bit_costs_one_frame() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(Arc::new(SystemDisk), dir.path());
    for i in 1..30 {
        append(&log, &payload(i));
        if i % 4 == 0 {
            log.commit(i).unwrap();
        }
    }
    log.commit(29).unwrap();
    let path = segment_path(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    let all = read(dir.path()).0;
    for bit in (0..whole.len() * 8).step_by(61) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let (frames, damage) = read(dir.path());
        assert!(frames.len() + 1 >= all.len(), "bit {bit}: {} frames", frames.len());
        assert!(frames.iter().all(|frame| all.contains(frame)));
        assert!(damage >= all.len() - frames.len());
    }
}

#[test]
fn whatever_fails_is_written_again() {
    for fail_at in 1..20 {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new(Arc::new(SystemDisk));
        let log = open(Arc::new(disk.clone()), dir.path());
        disk.fail_at(fail_at);
        for i in 1..9 {
            let position = append(&log, &payload(i));
            if log.commit(position).is_err() {
                log.recover().unwrap();
            }
            assert_eq!(log.backlog_bytes(), 0);
            let (mut frames, _) = read(dir.path());
            frames.sort();
            frames.dedup();
            assert_eq!(frames, (1..=i).map(|i| (i, payload(i))).collect::<Vec<_>>(), "call {fail_at}");
        }
    }
}

/// That they share syncs is in `tests/engine_shared_log.rs`.
#[test]
fn many_writers_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(Arc::new(SystemDisk), dir.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..50 {
                    log.commit(append(&log, &payload(i))).unwrap();
                }
            });
        }
    });
    let (frames, damage) = read(dir.path());
    assert_eq!(frames.iter().map(|f| f.0).collect::<Vec<_>>(), (1..=200).collect::<Vec<_>>());
    assert_eq!(damage, 0);
}

proptest::proptest! {
    #[test]
    fn arbitrary_segments_do_not_panic(bytes: Vec<u8>, header: bool) {
        let dir = tempfile::tempdir().unwrap();
        let mut all = if header { b"TlogSeg\x01\0\0\0\0\0\0\0\x01TlF\x01".to_vec() } else { Vec::new() };
        all.extend(bytes);
        std::fs::write(segment_path(dir.path(), 1), all).unwrap();
        let mut reader = SegmentReader::open(&SystemDisk, &segment_path(dir.path(), 1)).unwrap();
        while reader.next_frame().unwrap().is_some() {}
    }
}

/// Reads what is there for a reader, all of it or some frames.
fn follow(log: &SharedLog, reader: &mut LogReader, most: usize) -> Vec<(Position, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut note = |frame: &Frame<'_>| {
        frames.push((frame.position, frame.payload.to_vec()));
        frames.len() < most
    };
    log.read(reader, &mut note).unwrap();
    frames
}

#[test]
fn a_reader_follows_what_is_durable_and_is_told_what_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(Arc::new(SystemDisk), dir.path());
    assert_eq!(log.watermark().unwrap(), 1);
    let mut reader = log.reader(0);
    assert_eq!(follow(&log, &mut reader, 9), []);
    let mut seen = Vec::new();
    for i in 1..120 {
        append(&log, &payload(i));
        // Not durable yet.
        assert_eq!(follow(&log, &mut log.reader(i), 9), []);
        log.commit(i).unwrap();
        if i % 7 == 0 {
            seen.extend(follow(&log, &mut reader, 5));
        }
    }
    seen.extend(follow(&log, &mut reader, usize::MAX));
    assert_eq!(seen, (1..120).map(|i| (i, payload(i))).collect::<Vec<_>>());
    assert_eq!(follow(&log, &mut log.reader(100), 3).first(), Some(&(100, payload(100))));
    let next = log.rotate().unwrap();
    append(&log, b"new");
    log.commit(120).unwrap();
    log.remove_before(next).unwrap();
    assert_eq!(log.watermark().unwrap(), 120);
    assert_eq!(follow(&log, &mut reader, 9), [(120, b"new".to_vec())]);
    let told = log.read(&mut log.reader(7), &mut |_| true);
    assert!(matches!(told, Err(LogReadError::Truncated { wanted: 7, watermark: 120 })), "{told:?}");
}

#[test]
fn a_reader_sees_each_frame_once_whatever_fails() {
    for fail_at in 1.. {
        let (dir, disk) = (tempfile::tempdir().unwrap(), FaultDisk::new(Arc::new(SystemDisk)));
        disk.fail_at(fail_at);
        let log = open(Arc::new(disk.clone()), dir.path());
        let (mut reader, mut seen) = (log.reader(1), Vec::new());
        for i in 1..12 {
            append(&log, &payload(i));
            let committed = (0..3).any(|_| log.commit(i).is_ok());
            assert!(committed);
            seen.extend(follow(&log, &mut reader, usize::MAX));
        }
        assert_eq!(seen, (1..12).map(|i| (i, payload(i))).collect::<Vec<_>>(), "call {fail_at} fails");
        if disk.calls() < fail_at {
            return;
        }
    }
}
