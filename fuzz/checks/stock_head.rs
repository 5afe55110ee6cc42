//! What must hold for any bytes in what a stock head left: head chunks, chunk snapshots, checkpoints.

use std::path::Path;
use std::sync::Arc;

use thanoxide_env::{Disk, Env, ManualClock, SeededRandom, SimDisk};
use thanoxide_model::series::Columns;
use thanoxide_tsdb::chunk;
use thanoxide_tsdb::encoding::{Put, checksum};
use thanoxide_tsdb::engine::{Engine, EngineOptions};
use thanoxide_tsdb::wal::checkpoint::{checkpoint_path, list_checkpoints};
use thanoxide_tsdb::wal::chunk_snapshot::{list_snapshots, read_snapshot};
use thanoxide_tsdb::wal::head_chunks::{HEAD_CHUNKS_DIR, HeadChunk, read_head_chunks};
use thanoxide_tsdb::wal::page::{PAGE_BYTES, pad_page, push_record};
use thanoxide_tsdb::wal::record::Record;
use thanoxide_tsdb::wal::segment::{SegmentReader, list_segments, segment_path};

/// A record is at most so many times as long as what is stored of it, and this much longer.
const MOST_GROWTH: (usize, usize) = (1024, 1 << 20);

/// The bytes are a file, or what a sound one holds: fields of chunks, records.
pub fn read(data: &[u8]) {
    let Some((how, data)) = data.split_first() else {
        return;
    };
    match how % 7 {
        0 => head_chunks(data),
        1 => head_chunks(&sound_head_chunks(data)),
        2 => snapshot(data),
        3 => snapshot(&sound_segment(data)),
        4 => checkpoint(data),
        5 => checkpoint(&sound_segment(data)),
        _ => taken_over(data),
    }
}

/// All of it in a tenant's directory, taken over.
fn taken_over(data: &[u8]) {
    let disk = SimDisk::default();
    let dir = Path::new("/data/tenant-a");
    let mut data = data;
    let mut next = |chunks: bool| {
        let Some((how, rest)) = data.split_first() else {
            return Vec::new();
        };
        let (bytes, rest) = part(rest);
        data = rest;
        match (how % 2, chunks) {
            (0, _) => bytes.to_vec(),
            (_, true) => sound_head_chunks(bytes),
            (_, false) => sound_segment(bytes),
        }
    };
    write(&disk, &dir.join("wal/checkpoint.00000003"), "00000000", &next(false));
    write(&disk, &dir.join("wal"), "00000004", &next(false));
    write(&disk, &dir.join("wbl"), "00000004", &next(false));
    write(&disk, &dir.join(HEAD_CHUNKS_DIR), "000001", &next(true));
    write(&disk, &dir.join("chunk_snapshot.000004.0000000000"), "00000000", &next(false));
    let env = Env {
        clock: Arc::new(ManualClock::default()),
        disk: Arc::new(disk.clone()),
        random: Arc::new(SeededRandom::new(7)),
    };
    let options = EngineOptions { max_exemplars: 5, min_free_bytes: 0, ..EngineOptions::default() };
    let Ok(engine) = Engine::open(Path::new("/data"), options, env) else {
        return;
    };
    for tenant in engine.tenants() {
        let Some(reader) = engine.reader(&tenant) else {
            continue;
        };
        for series in reader.select(&[], i64::MIN, i64::MAX).unwrap_or_default() {
            for chunk in &series.chunks {
                let _ = chunk::decode(chunk, i64::MIN, i64::MAX, &mut Columns::default());
            }
        }
    }
}

fn head_chunks(file: &[u8]) {
    let (disk, dir) = (SimDisk::default(), Path::new("/").join(HEAD_CHUNKS_DIR));
    write(&disk, &dir, "000001", file);
    let (mut bytes, mut chunks) = (0, 0);
    let damaged = read_head_chunks(&disk, &dir, &mut |head| {
        bytes += head.chunk.data.len();
        chunks += 1;
        decode(&head);
    });
    assert!(damaged.expect("the disk is memory") <= 1);
    assert!(bytes + chunks * 30 <= file.len(), "no more than the file holds");
}

/// A file of chunks whose checksums hold: a head of 25 bytes and two of the length for each, then the data.
fn sound_head_chunks(mut data: &[u8]) -> Vec<u8> {
    let mut file = vec![0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0];
    while let Some((head, rest)) = data.split_first_chunk::<25>() {
        let (bytes, rest) = part(rest);
        let start = file.len();
        file.extend_from_slice(head);
        file.put_uvarint(bytes.len() as u64);
        file.extend_from_slice(bytes);
        let sum = checksum(&file[start..]);
        file.put_u32(sum);
        data = rest;
    }
    file
}

fn snapshot(segment: &[u8]) {
    let (disk, dir) = (SimDisk::default(), Path::new("/chunk_snapshot.000003.0000000128"));
    write(&disk, dir, "00000000", segment);
    assert_eq!(list_snapshots(&disk, Path::new("/")).expect("the disk is memory"), [dir]);
    let mut series = 0;
    let read = read_snapshot(&disk, dir, &mut |labels, head| {
        series += 1;
        let text: usize = labels.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(text <= limit(segment.len()));
        if let Some(head) = head {
            assert!(head.chunk.data.len() <= limit(segment.len()));
            assert!(!head.out_of_order && head.series == labels.series);
            decode(&head);
        }
    });
    read.expect("damage is stepped over");
    assert!(series <= segment.len());
}

fn checkpoint(segment: &[u8]) {
    let (disk, wal) = (SimDisk::default(), Path::new("/wal"));
    let dir = checkpoint_path(wal, 3);
    write(&disk, &dir, "00000000", segment);
    assert_eq!(list_checkpoints(&disk, wal).expect("the disk is memory"), [3]);
    assert_eq!(list_segments(&disk, &dir).expect("the disk is memory"), [0]);
    let mut reader = SegmentReader::open(&disk, &segment_path(&dir, 0)).expect("the disk is memory");
    while let Some(record) = reader.next_record().expect("damage is stepped over") {
        assert!(record.len() <= limit(segment.len()));
        let _ = Record::decode(record);
    }
    assert!(reader.good_end() <= segment.len() as u64);
    assert!(reader.damage().iter().all(|damage| damage.end <= segment.len() as u64));
}

/// A segment of whole records: how each is compressed and two bytes of its length, then its bytes.
fn sound_segment(mut data: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: usize = 7;
    let mut file = Vec::new();
    while let Some((how, rest)) = data.split_first() {
        let (record, rest) = part(rest);
        if PAGE_BYTES - file.len() % PAGE_BYTES < HEADER_BYTES {
            pad_page(&mut file, 0);
        }
        push_record(&mut file, 0, record, (how % 3) << 3);
        data = rest;
    }
    file
}

/// A part of the data, its length in front.
fn part(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = data.split_first_chunk::<2>() else {
        return (data, &[]);
    };
    rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()))
}

fn limit(stored: usize) -> usize {
    stored * MOST_GROWTH.0 + MOST_GROWTH.1
}

fn decode(head: &HeadChunk) {
    let _ = chunk::decode(&head.chunk, i64::MIN, i64::MAX, &mut Columns::default());
}

fn write(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) {
    disk.create_dir_all(dir).expect("the disk is memory");
    let file = disk.create(&dir.join(name)).expect("the disk is memory");
    file.append(bytes).expect("the disk is memory");
}
