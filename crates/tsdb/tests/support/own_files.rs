//! Small directories as text, and what their files say.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use thanoxide_env::{Disk, SimDisk};
use thanoxide_model::write_batch::HistogramValue;
use thanoxide_tsdb::chunk::{ChunkSample, SampleValue, sample_count, samples};
use thanoxide_tsdb::encoding::Reader;
use thanoxide_tsdb::engine::Engine;
use thanoxide_tsdb::log::definitions::DefinitionsReader;
use thanoxide_tsdb::log::deletions::DeletionsReader;
use thanoxide_tsdb::log::exemplars::ExemplarsReader;
use thanoxide_tsdb::log::floats::FloatsReader;
use thanoxide_tsdb::log::histograms::HistogramsReader;
use thanoxide_tsdb::log::metadata::read_metadata;
use thanoxide_tsdb::log::segment::SegmentReader;
use thanoxide_tsdb::log::{Frame, FrameKind};

use crate::engine_support::tenant;
use crate::support::{hex, show};

pub(crate) const ROOT: &str = "/data";
const LINE_BYTES: usize = 64;

pub(crate) fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/own").join(name)
}

/// What a golden file says; with `THANOXIDE_GOLDEN_WRITE` it says that from now on, if there was none.
pub(crate) fn agreed(name: &str, now: &str) -> String {
    let path = golden_file(name);
    if std::env::var_os("THANOXIDE_GOLDEN_WRITE").is_some() && !path.exists() {
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read_to_string(&path).unwrap()
}

/// All files below the root but blocks, in hexadecimal digits. Lines of zeros are counted.
pub(crate) fn to_text(disk: &SimDisk) -> String {
    let mut text = String::new();
    let mut paths = disk.list(Path::new(ROOT)).unwrap();
    paths.push(Path::new(ROOT).join(tenant().as_str()).join(thanoxide_tsdb::engine::GENERATION_FILE));
    for path in paths.iter().filter(|path| !disk.is_dir(path).unwrap() && path.extension() != Some("lock".as_ref())) {
        writeln!(text, "== {}", path.strip_prefix(ROOT).unwrap().display()).unwrap();
        let mut zeros = 0;
        for line in disk.read(path).unwrap().chunks(LINE_BYTES) {
            if line.iter().all(|byte| *byte == 0) {
                zeros += line.len();
                continue;
            }
            end_zeros(&mut text, &mut zeros);
            writeln!(text, "{}", hex(line)).unwrap();
        }
        end_zeros(&mut text, &mut zeros);
    }
    text
}

fn end_zeros(text: &mut String, zeros: &mut usize) {
    match std::mem::take(zeros) {
        0 => {}
        count => writeln!(text, "00 * {count}").unwrap(),
    }
}

/// The directory that a text is of.
pub(crate) fn from_text(text: &str) -> SimDisk {
    let disk = SimDisk::default();
    for file in text.split("== ").skip(1) {
        let (name, lines) = file.split_once('\n').unwrap();
        let path = Path::new(ROOT).join(name);
        disk.create_dir_all(path.parent().unwrap()).unwrap();
        disk.create(&path).unwrap().append(&bytes(lines)).unwrap();
    }
    disk
}

fn bytes(lines: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines.lines() {
        match line.strip_prefix("00 * ") {
            Some(count) => bytes.resize(bytes.len() + count.parse::<usize>().unwrap(), 0),
            None => bytes.extend((0..line.len()).step_by(2).map(|i| u8::from_str_radix(&line[i..i + 2], 16).unwrap())),
        }
    }
    bytes
}

/// All frames of the files with frames, and the kinds that there are.
pub(crate) fn frames(disk: &SimDisk) -> (String, Vec<u8>) {
    let (mut text, mut kinds) = (String::new(), Vec::new());
    for path in disk.list(Path::new(ROOT)).unwrap() {
        if !["tlog", "tsnap"].iter().any(|ending| path.extension() == Some((*ending).as_ref())) {
            continue;
        }
        writeln!(text, "== {}", path.strip_prefix(ROOT).unwrap().display()).unwrap();
        // A snapshot has another magic number, which counts as damage here.
        let mut reader = SegmentReader::open(disk, &path).unwrap();
        while let Some((offset, frame)) = reader.next_frame().unwrap() {
            let kind = frame.kind.unwrap();
            kinds.push(kind as u8);
            let (tenant, life) = (String::from_utf8_lossy(frame.tenant), frame.generation);
            writeln!(text, "{offset}: {kind:?}, position {}, {tenant:?} {life:016x}", frame.position).unwrap();
            describe(&frame, &mut text);
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    (text, kinds)
}

fn describe(frame: &Frame<'_>, text: &mut String) {
    use FrameKind::*;
    let mut say = |line: String| writeln!(text, "  {line}").unwrap();
    match frame.kind.unwrap() {
        Definitions => {
            let (mut reader, mut definitions) = (Reader::new(frame.payload), DefinitionsReader::default());
            while !reader.is_empty() {
                let (series, labels) = definitions.read(&mut reader).unwrap();
                let label = |(name, value): &(&[u8], &[u8])| {
                    format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
                };
                say(format!("{series} {}", labels.iter().map(label).collect::<Vec<_>>().join(" ")));
            }
        }
        Floats | LateFloats | StartedFloats | StartedLateFloats => {
            let started = matches!(frame.kind, Some(StartedFloats | StartedLateFloats));
            let mut reader = FloatsReader::new(frame.payload);
            while let Some(sample) = reader.next().unwrap() {
                let start_timestamp_ms = if started { reader.start_ms().unwrap() } else { 0 };
                let (timestamp_ms, value) = (sample.timestamp_ms, SampleValue::Float(sample.value));
                let shown = show(&ChunkSample { timestamp_ms, start_timestamp_ms, value });
                say(format!("{} {shown} {:?}", sample.series, sample.value));
            }
        }
        Histograms | LateHistograms | StartedHistograms | StartedLateHistograms => {
            let started = matches!(frame.kind, Some(StartedHistograms | StartedLateHistograms));
            let mut reader = HistogramsReader::new(frame.payload);
            while let Some(sample) = reader.next().unwrap() {
                let start_timestamp_ms = if started { reader.start_ms().unwrap() } else { 0 };
                let value = match sample.value {
                    HistogramValue::Int(h) => SampleValue::Histogram(Box::new((*h).clone())),
                    HistogramValue::Float(h) => SampleValue::FloatHistogram(Box::new((*h).clone())),
                };
                let shown = show(&ChunkSample { timestamp_ms: sample.timestamp_ms, start_timestamp_ms, value });
                say(format!("{} {shown}", sample.series));
            }
        }
        Tombstones => {
            let mut reader = DeletionsReader::new(frame.payload);
            while let Some(deletion) = reader.next().unwrap() {
                say(format!("{deletion:?}"));
            }
        }
        Exemplars | SavedExemplars => {
            let mut reader = ExemplarsReader::new(frame.payload);
            while let Some((series, exemplar)) = reader.next().unwrap() {
                say(format!("{series:?} {} {:?} {}", exemplar.timestamp_ms, exemplar.value, exemplar.labels));
            }
        }
        Metadata => read_metadata(frame.payload, |family, said| say(format!("{family} {said:?}"))).unwrap(),
        Truncation => say(Reader::new(frame.payload).varint().unwrap().to_string()),
        LateTruncation | End => say(Reader::new(frame.payload).uvarint().unwrap().to_string()),
        Tenant => {
            let mut reader = Reader::new(frame.payload);
            say(format!("{} {}", reader.varint().unwrap(), reader.uvarint().unwrap()));
        }
        // What is in them an engine tells.
        Series | PiecedSeries => {}
    }
}

/// All that an engine shows of the tenant.
pub(crate) fn shown(engine: &Engine) -> String {
    let (mut text, report) = (String::new(), engine.open_report());
    assert_eq!((report.damaged, report.missing), (0, 0), "{report:?}");
    let counts = report.counts;
    assert_eq!((counts.orphans, counts.undecodable, counts.lost_chunks), (0, 0, 0), "{counts:?}");
    writeln!(text, "== {} in blocks, {} known", counts.in_blocks, counts.known).unwrap();
    let reader = engine.reader(&tenant()).unwrap();
    for series in reader.select(&[], i64::MIN, i64::MAX).unwrap() {
        writeln!(text, "{}", series.labels).unwrap();
        for chunk in &series.chunks {
            let (from, to, count) = (chunk.min_time_ms, chunk.max_time_ms, sample_count(chunk));
            writeln!(text, "  {:?} {from} to {to}, {count}: {}", chunk.encoding, hex(&chunk.data)).unwrap();
            for sample in samples(chunk).unwrap().take(4) {
                writeln!(text, "    {}", show(&sample.unwrap())).unwrap();
            }
        }
    }
    for series in reader.exemplars(&[vec![]], i64::MIN, i64::MAX) {
        for exemplar in &series.exemplars {
            let (time, value) = (exemplar.timestamp_ms, exemplar.value);
            writeln!(text, "exemplar of {}: {time} {value:?} {}", series.labels, exemplar.labels).unwrap();
        }
    }
    for (family, said) in reader.metadata(None) {
        writeln!(text, "metadata of {family}: {said:?}").unwrap();
    }
    text
}
