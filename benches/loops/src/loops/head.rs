//! The engine: samples and series into head and log, matchers over the head, blocks into one.

use std::sync::Arc;

use tempfile::TempDir;
use thanoxide_env::{Disk, Env, ManualClock, SeededRandom, SystemDisk};
use thanoxide_loadgen::shape::Shape;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{MatchKind, Matcher, Sample, TenantId, WriteBatch};
use thanoxide_tsdb::block::BlockWriter;
use thanoxide_tsdb::chunk::{Chunk, Encoding};
use thanoxide_tsdb::compact::{BlockSource, CompactOptions, DirSink, compact, merged_meta};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions};
use thanoxide_tsdb::index::SymbolSet;
use thanoxide_tsdb::meta::{BlockId, BlockMeta, META_VERSION};

use super::Prepared;
use super::chunks;

const SERIES: u64 = 20_000;
const PER_REQUEST: u64 = 2_000;
const INTERVAL_MS: i64 = 15_000;

/// An engine with a tenant, on a directory of its own.
struct Head {
    engine: Engine,
    tenant: TenantId,
    _dir: TempDir,
}

impl Head {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("there is room");
        let random = Arc::new(SeededRandom::new(1));
        let env = Env { clock: Arc::new(ManualClock::default()), disk: Arc::new(SystemDisk), random };
        let options = EngineOptions { min_free_bytes: 0, ..EngineOptions::default() };
        let engine = Engine::open(dir.path(), options, env).expect("the directory is new");
        Head { engine, tenant: TenantId::new("t").expect("a name"), _dir: dir }
    }

    /// Appends one sample of each series; how many.
    fn append(&self, requests: &mut [WriteBatch], scrape: i64) -> usize {
        for request in requests.iter_mut() {
            for (number, sample) in request.samples.iter_mut().enumerate() {
                let jitter_ms = number as i64 % 11;
                *sample =
                    Sample { timestamp_ms: scrape * INTERVAL_MS + jitter_ms, value: (scrape * 7 + jitter_ms) as f64 };
            }
            self.engine.append(&self.tenant, request, AppendOptions::default()).expect("the disk works");
        }
        requests.iter().map(|request| request.samples.len()).sum()
    }
}

fn requests(first: u64, series: u64) -> Vec<WriteBatch> {
    let request = |first: u64| {
        let mut builder = WriteBatchBuilder::default();
        for number in first..first + PER_REQUEST {
            builder.push(&Shape::L10.labels(number), &[Sample { timestamp_ms: 0, value: 0.0 }]);
        }
        builder.build()
    };
    (first..first + series).step_by(PER_REQUEST as usize).map(request).collect()
}

/// An item is a sample of a known series.
pub(crate) fn append() -> Prepared {
    let (head, mut requests, mut scrape) = (Head::new(), requests(0, SERIES), 0);
    // The log holds each series' definition twice: what is measured comes after that.
    for _ in 0..3 {
        scrape += 1;
        head.append(&mut requests, scrape);
    }
    Box::new(move || {
        scrape += 1;
        head.append(&mut requests, scrape)
    })
}

/// An item is a series never seen before, with one sample.
pub(crate) fn new_series() -> Prepared {
    let (head, mut turns) = (Head::new(), [requests(0, SERIES), requests(SERIES, SERIES)].into_iter());
    Box::new(move || head.append(&mut turns.next().expect("asked for twice"), 1))
}

/// An item is a series of the head that the matchers are asked about.
pub(crate) fn matchers() -> Prepared {
    let head = Head::new();
    head.append(&mut requests(0, SERIES), 1);
    let reader = head.engine.reader(&head.tenant).expect("it was written to");
    let matcher = |name: &str, kind, value: &str| Matcher::new(kind, name, value).expect("a sound pattern");
    let asked = [
        vec![matcher("__name__", MatchKind::Regexp, "http_.*"), matcher("pod", MatchKind::Regexp, ".*7.*")],
        vec![matcher("status", MatchKind::NotRegexp, "5.."), matcher("namespace", MatchKind::Regexp, ".*-1|.*-2")],
    ];
    Box::new(move || {
        let _keep = &head;
        for matchers in &asked {
            std::hint::black_box(reader.select(matchers, 0, i64::MAX).expect("in memory").len());
        }
        asked.len() * SERIES as usize
    })
}

/// A block with a chunk of each of some series, shifted in time.
fn block(dir: &std::path::Path, number: u128, shift_ms: i64) -> BlockSource {
    const SERIES: u64 = 370;
    let ulid = BlockId::new(1, number);
    let all: Vec<_> = {
        let mut all: Vec<_> = (0..SERIES).map(|series| (Shape::L10.labels(series), chunks::samples(series))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    let first_ms = all.iter().map(|(_, samples)| samples[0].0).min().expect("there are series") + shift_ms;
    let last_ms = all.iter().map(|(_, samples)| samples[samples.len() - 1].0).max().expect("as above") + shift_ms;
    let meta =
        BlockMeta { ulid, min_time: first_ms, max_time: last_ms + 1, version: META_VERSION, ..BlockMeta::default() };
    let mut symbols = SymbolSet::default();
    all.iter().for_each(|(labels, _)| symbols.add_labels(labels));
    let mut writer = BlockWriter::create(&SystemDisk as &dyn Disk, dir, meta, &symbols).expect("the disk works");
    for (labels, samples) in &all {
        let shifted: Vec<_> = samples.iter().map(|(time_ms, value)| (time_ms + shift_ms, *value)).collect();
        let (min_time_ms, max_time_ms) = (shifted[0].0, shifted[shifted.len() - 1].0);
        let data = chunks::encoded(&shifted).into();
        let chunk = Chunk { min_time_ms, max_time_ms, encoding: Encoding::Xor, data };
        writer.add_series(labels, &[chunk]).expect("the disk works");
    }
    writer.finish().expect("the disk works");
    BlockSource::open(&SystemDisk, &dir.join(ulid.to_string())).expect("written just now")
}

/// Two blocks that overlap become one. An item is a sample that goes in.
pub(crate) fn merge() -> Prepared {
    let dir = tempfile::tempdir().expect("there is room");
    let sources = [block(dir.path(), 1, 0), block(dir.path(), 2, 5_400)];
    let meta = merged_meta(BlockId::new(1, 99), &[&sources[0].meta, &sources[1].meta]);
    let samples = sources.iter().map(|source| source.meta.stats.num_samples as usize).sum();
    Box::new(move || {
        let into = tempfile::tempdir().expect("there is room");
        let mut sink = DirSink::create(&SystemDisk, into.path(), meta.ulid).expect("the disk works");
        let _keep = &dir;
        compact(&sources, meta.clone(), &mut sink, &CompactOptions::default()).expect("the blocks are whole");
        samples
    })
}
