//! Compacts the blocks of directories into one and says what it cost:
//! `cargo run --release -p thanoxide-series --example compact -- chain|penalty INTO DIR…`
//!
//! Each DIR is a block or holds blocks. The blocks are taken in order of their first times.
//! `thanoxide-compare compaction` starts it beside Prometheus's compactor.

use std::path::{Path, PathBuf};
use std::time::Instant;

use thanoxide_env::SystemDisk;
use thanoxide_series::OfflinePenalty;
use thanoxide_tsdb::block::block_id;
use thanoxide_tsdb::compact::{
    BlockSource, Chain, CompactError, CompactOptions, DirSink, MergePolicy, compact, merged_meta,
};
use thanoxide_tsdb::meta::BlockId;

fn blocks(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    if block_id(dir).is_some() {
        return Ok(vec![dir.to_path_buf()]);
    }
    let paths = std::fs::read_dir(dir)?.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    Ok(paths.into_iter().filter(|path| block_id(path).is_some()).collect())
}

/// User and system time of this process, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = behind_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1000.0
}

fn main() -> Result<(), CompactError> {
    let mut args = std::env::args().skip(1);
    let policy: &dyn MergePolicy = if args.next().as_deref() == Some("penalty") { &OfflinePenalty } else { &Chain };
    let into = PathBuf::from(args.next().unwrap_or_default());
    let mut sources = Vec::new();
    for dir in args {
        for block in blocks(Path::new(&dir))? {
            sources.push(BlockSource::open(&SystemDisk, &block)?);
        }
    }
    sources.sort_by_key(|source| (source.meta.min_time, source.meta.ulid));
    let samples: u64 = sources.iter().map(|source| source.meta.stats.num_samples).sum();
    let bytes: u64 = sources.iter().map(BlockSource::len_bytes).sum();
    let meta = merged_meta(BlockId::new(1, 1), &sources.iter().map(|source| &source.meta).collect::<Vec<_>>());
    let mut sink = DirSink::create(&SystemDisk, &into, meta.ulid)?;
    let (cpu_before, start) = (cpu_seconds(), Instant::now());
    let options = CompactOptions { policy, ..CompactOptions::default() };
    let Some(made) = compact(&sources, meta, &mut sink, &options)? else { return Ok(()) };
    let (cpu, wall) = (cpu_seconds() - cpu_before, start.elapsed().as_secs_f64());
    println!(
        "{} blocks, {:.1} M samples, {:.0} MB in, {:.1} M samples out: {cpu:.2} CPU-s, {wall:.1} s; {:.1} M input samples per CPU-s; peak RSS {:.0} MB",
        sources.len(),
        samples as f64 / 1e6,
        bytes as f64 / 1e6,
        made.stats.num_samples as f64 / 1e6,
        samples as f64 / 1e6 / cpu,
        peak_rss_mb(),
    );
    Ok(())
}
