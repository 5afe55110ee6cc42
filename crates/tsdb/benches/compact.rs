//! Samples per second through compaction: chunks that are copied, and chunks that are merged.

use std::path::Path;

use divan::Bencher;
use divan::counter::ItemsCount;
use thanoxide_env::SystemDisk;
use thanoxide_model::Labels;
use thanoxide_tsdb::block::BlockWriter;
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::{Chunk, Encoding};
use thanoxide_tsdb::compact::{BlockSource, CompactOptions, DirSink, compact, merged_meta};
use thanoxide_tsdb::index::SymbolSet;
use thanoxide_tsdb::meta::{BlockId, BlockMeta, META_VERSION};

const SERIES: usize = 2_000;
const SAMPLES: i64 = 480;
const STEP_MS: i64 = 15_000;

fn main() {
    divan::main();
}

fn labels(i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", "http_requests_total".to_string()),
        ("instance", format!("10.0.{}.{}:9090", i / 250, i % 250)),
        ("job", format!("job-{}", i % 13)),
        ("pod", format!("pod-{i:06}")),
    ])
}

fn chunk(times_ms: impl Iterator<Item = i64>) -> Chunk {
    let mut appender = XorAppender::new();
    let (mut first_ms, mut value) = (None, 0.0);
    for time_ms in times_ms {
        first_ms.get_or_insert(time_ms);
        value += (time_ms % 17) as f64;
        appender.append(time_ms, value);
    }
    let (min_time_ms, max_time_ms) = (first_ms.unwrap_or_default(), appender.last_timestamp_ms());
    Chunk { min_time_ms, max_time_ms, encoding: Encoding::Xor, data: appender.into_bytes().into() }
}

/// A block of two hours that begins at `start_ms`.
fn block(dir: &Path, number: u128, start_ms: i64) -> BlockSource {
    let ulid = BlockId::new(start_ms, number);
    let (min_time, max_time) = (start_ms, start_ms + SAMPLES * STEP_MS);
    let meta = BlockMeta { ulid, min_time, max_time, version: META_VERSION, ..BlockMeta::default() };
    let mut all: Vec<Labels> = (0..SERIES).map(labels).collect();
    all.sort();
    let mut symbols = SymbolSet::default();
    all.iter().for_each(|labels| symbols.add_labels(labels));
    let mut writer = BlockWriter::create(&SystemDisk, dir, meta, &symbols).expect("the disk works");
    for labels in &all {
        let times: Vec<i64> = (0..SAMPLES).map(|i| start_ms + i * STEP_MS + (i * 7 % 11)).collect();
        let chunks: Vec<Chunk> = times.chunks(120).map(|times| chunk(times.iter().copied())).collect();
        writer.add_series(labels, &chunks).expect("the disk works");
    }
    writer.finish().expect("the disk works");
    BlockSource::open(&SystemDisk, &dir.join(ulid.to_string())).expect("written just now")
}

fn run(bencher: Bencher<'_, '_>, starts_ms: [i64; 4]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sources: Vec<_> = starts_ms.iter().zip(1..).map(|(start_ms, n)| block(dir.path(), n, *start_ms)).collect();
    let metas: Vec<&BlockMeta> = sources.iter().map(|source| &source.meta).collect();
    let meta = merged_meta(BlockId::new(1, 99), &metas);
    let samples = sources.iter().map(|source| source.meta.stats.num_samples as usize).sum::<usize>();
    bencher.counter(ItemsCount::new(samples)).bench_local(|| {
        let into = tempfile::tempdir().expect("a temporary directory");
        let mut sink = DirSink::create(&SystemDisk, into.path(), meta.ulid).expect("the disk works");
        compact(&sources, meta.clone(), &mut sink, &CompactOptions::default()).expect("the blocks are whole")
    });
}

/// Four blocks one behind the other.
#[divan::bench]
fn copied(bencher: Bencher<'_, '_>) {
    run(bencher, [0, 7_200_000, 14_400_000, 21_600_000]);
}

/// Two replicas of two blocks, a third of a step apart.
#[divan::bench]
fn merged(bencher: Bencher<'_, '_>) {
    run(bencher, [0, 5_400, 7_200_000, 7_205_400]);
}
