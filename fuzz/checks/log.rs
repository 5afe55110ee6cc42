//! What must hold for any bytes in the files of the engine.
#![allow(dead_code, reason = "each target has a check of its own")]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thanoxide_env::{Disk, Env, ManualClock, SeededRandom, SimDisk};
use thanoxide_model::series::Columns;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, TenantId};
use thanoxide_tsdb::chunk;
use thanoxide_tsdb::encoding::{Put, Reader};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions};
use thanoxide_tsdb::log::definitions::DefinitionsReader;
use thanoxide_tsdb::log::deletions::{DeletionsReader, push_deletions};
use thanoxide_tsdb::log::exemplars::ExemplarsReader;
use thanoxide_tsdb::log::floats::{FloatsReader, FloatsWriter};
use thanoxide_tsdb::log::histograms::HistogramsReader;
use thanoxide_tsdb::log::segment::{SegmentReader, segment_path};
use thanoxide_tsdb::log::{Frame, FrameKind};

const ROOT: &str = "/data";
const KINDS: [FrameKind; 19] = [
    FrameKind::Definitions,
    FrameKind::Floats,
    FrameKind::Histograms,
    FrameKind::Truncation,
    FrameKind::LateFloats,
    FrameKind::LateHistograms,
    FrameKind::Tombstones,
    FrameKind::Exemplars,
    FrameKind::Metadata,
    FrameKind::LateTruncation,
    FrameKind::Tenant,
    FrameKind::Series,
    FrameKind::SavedExemplars,
    FrameKind::End,
    FrameKind::PiecedSeries,
    FrameKind::StartedFloats,
    FrameKind::StartedHistograms,
    FrameKind::StartedLateFloats,
    FrameKind::StartedLateHistograms,
];

/// The payload of a frame, and the frame itself.
pub fn frame(data: &[u8]) {
    let _ = Frame::decode(data);
    let Some((kind, payload)) = data.split_first() else { return };
    match kind % 5 {
        0 => {
            let (mut reader, mut definitions) = (Reader::new(payload), DefinitionsReader::default());
            while !reader.is_empty() && definitions.read(&mut reader).is_ok() {}
        }
        1 => floats(payload),
        2 => {
            let mut histograms = HistogramsReader::new(payload);
            while let Ok(Some(_)) = histograms.next() {}
        }
        3 => deletions(payload),
        _ => {
            let mut exemplars = ExemplarsReader::new(payload);
            while let Ok(Some(_)) = exemplars.next() {}
        }
    }
}

/// What is read is written and read again the same.
fn floats(payload: &[u8]) {
    let (mut reader, mut samples, mut writer) = (FloatsReader::new(payload), Vec::new(), FloatsWriter::default());
    while let Ok(Some(sample)) = reader.next() {
        writer.push(sample.series, sample.timestamp_ms, sample.value);
        samples.push((sample.series, sample.timestamp_ms, sample.value.to_bits()));
    }
    let mut again = FloatsReader::new(writer.bytes());
    for sample in samples {
        let read = again.next().expect("our own bytes").expect("it was written");
        assert_eq!((read.series, read.timestamp_ms, read.value.to_bits()), sample);
    }
}

fn deletions(payload: &[u8]) {
    let (mut reader, mut read, mut bytes) = (DeletionsReader::new(payload), Vec::new(), Vec::new());
    while let Ok(Some(deletion)) = reader.next() {
        read.push(deletion);
    }
    push_deletions(&mut bytes, read.iter().cloned());
    let mut again = DeletionsReader::new(&bytes);
    for deletion in read {
        assert_eq!(again.next().expect("our own bytes"), Some(deletion));
    }
}

/// A directory with some samples in log, snapshot and chunk files.
struct Directory {
    disk: SimDisk,
    /// Of the tenant.
    generation: u64,
    log: PathBuf,
    snapshot: PathBuf,
    chunks: PathBuf,
}

impl Directory {
    fn new() -> Self {
        let disk = SimDisk::default();
        let engine = open(&disk).expect("an empty directory");
        for from in (0..300).step_by(20) {
            if from == 280 {
                engine.snapshot().expect("the disk is memory");
            }
            append(&engine, from..from + 20);
        }
        drop(engine);
        let root = Path::new(ROOT);
        let newest = |ending: &str| {
            let paths = disk.list(root).expect("the disk is memory").into_iter();
            paths.filter(|path| path.extension().is_some_and(|e| e == ending)).max().expect("the engine made it")
        };
        let log = newest("tlog");
        let mut reader = SegmentReader::open(&disk, &log).expect("the disk is memory");
        let (_, first) = reader.next_frame().expect("the disk is memory").expect("there are samples");
        let generation = first.generation;
        Directory { generation, snapshot: newest("tsnap"), chunks: newest("tchk"), log, disk }
    }
}

fn tenant() -> TenantId {
    TenantId::new("tenant-a").expect("a sound name")
}

fn append(engine: &Engine, minutes: Range<i64>) {
    let mut builder = WriteBatchBuilder::default();
    for series in 0..3 {
        let labels = Labels::from_pairs([("__name__", "metric".to_string()), ("i", series.to_string())]);
        let sample = |minute| Sample { timestamp_ms: minute * 60_000, value: (minute * series) as f64 };
        builder.push(&labels, &minutes.clone().map(sample).collect::<Vec<_>>());
    }
    let taken = engine.append(&tenant(), &builder.build(), AppendOptions::default()).expect("the disk is memory");
    taken.ticket.wait().expect("the disk is memory");
}

fn open(disk: &SimDisk) -> Option<Engine> {
    let env = Env {
        clock: Arc::new(ManualClock::default()),
        disk: Arc::new(disk.clone()),
        random: Arc::new(SeededRandom::new(7)),
    };
    let options = EngineOptions {
        out_of_order_window_ms: 3_600_000,
        max_exemplars: 5,
        store_start_times: true,
        segment_bytes: 32 * 1024,
        min_free_bytes: 0,
        ..EngineOptions::default()
    };
    Engine::open(Path::new(ROOT), options, env).ok()
}

thread_local! {
    static DIRECTORY: Directory = Directory::new();
}

/// A directory with more frames in its log, or another snapshot, or other bytes in any file, opens or is refused, and what
/// opens can be read and written.
pub fn opened(data: &[u8]) {
    let Some(((how, kinds), mut data)) = data.split_first_chunk::<2>().map(|(head, data)| ((head[0], head[1]), data))
    else {
        return;
    };
    DIRECTORY.with(|directory| {
        let disk = directory.disk.fork();
        match how % 4 {
            0 => extend(&disk, &directory.log, &frames(directory.generation, kinds, &mut data)),
            1 => {
                let mut file = b"TsnpFil\x01".to_vec();
                file.put_u64(1);
                file.extend(frames(directory.generation, kinds, &mut data));
                replace(&disk, &directory.snapshot, &file);
            }
            2 => flip(&disk, [&directory.log, &directory.snapshot, &directory.chunks][usize::from(kinds) % 3], data),
            _ => replace(&disk, &segment_path(Path::new(ROOT), 900), data),
        }
        let Some(engine) = open(&disk) else { return };
        read(&engine);
        append_some(&engine);
    });
}

/// Frames with sound checksums, of what kinds and payloads ever.
fn frames(generation: u64, kinds: u8, data: &mut &[u8]) -> Vec<u8> {
    let (mut out, mut position) = (Vec::new(), 100_000);
    for _ in 0..=kinds % 4 {
        let Some((head, rest)) = data.split_first_chunk::<2>() else { break };
        let (payload, rest) = rest.split_at(usize::from(head[1]).min(rest.len()));
        let kind = Some(KINDS[usize::from(head[0]) % KINDS.len()]);
        Frame { position, tenant: b"tenant-a", generation, kind, payload }.push(&mut out);
        (position, *data) = (position + 1, rest);
    }
    out
}

fn extend(disk: &SimDisk, path: &Path, more: &[u8]) {
    let mut file = disk.read(path).expect("it is there");
    file.extend_from_slice(more);
    replace(disk, path, &file);
}

fn flip(disk: &SimDisk, path: &Path, data: &[u8]) {
    let mut file = disk.read(path).expect("it is there");
    for change in data.as_chunks::<3>().0 {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % file.len();
        file[at] ^= change[2];
    }
    replace(disk, path, &file);
}

fn replace(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let file = disk.create(path).expect("the disk is memory");
    file.append(bytes).expect("the disk is memory");
}

fn read(engine: &Engine) {
    let Some(reader) = engine.reader(&tenant()) else { return };
    for series in reader.select(&[], i64::MIN, i64::MAX).unwrap_or_default() {
        for chunk in &series.chunks {
            let _ = chunk::decode(chunk, i64::MIN, i64::MAX, &mut Columns::default());
        }
    }
}

fn append_some(engine: &Engine) {
    let mut builder = WriteBatchBuilder::default();
    let labels = Labels::from_pairs([("__name__", "metric".to_string()), ("i", "1".to_string())]);
    builder.push(&labels, &[Sample { timestamp_ms: 400 * 60_000, value: 1.0 }]);
    if let Ok(taken) = engine.append(&tenant(), &builder.build(), AppendOptions::default()) {
        let _ = taken.ticket.wait();
    }
}
