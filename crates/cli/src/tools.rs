//! What is done to a directory while no program runs on it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use thanoxide_env::Env;
use thanoxide_flags::Matches;
use thanoxide_tsdb::engine::{Engine, EngineOptions};

/// `tools tsdb export-wal`: leaves a directory, whether it was stopped or crashed, as a stock program would.
pub fn export_wal(matches: &Matches) -> Result<()> {
    let engine = open(matches, matches.duration_ms("tsdb.min-block-duration"))?;
    let done = match matches.text("output-dir") {
        "" => engine.hand_back().context("cannot hand the heads back")?,
        into => {
            let done = engine.export_stock_heads(Path::new(into)).context("cannot write the heads")?;
            engine.close()?;
            done
        }
    };
    if let Some((tenant, error)) = engine.quarantined().into_iter().next() {
        bail!("tenant {tenant} cannot be opened: {error}");
    }
    let tenants = engine.tenants().len();
    tracing::info!(
        tenants,
        series = done.series,
        chunks = done.chunks,
        "heads are written as stock programs leave them"
    );
    Ok(())
}

/// `tools tsdb scrub`: reads all there is and names what is broken.
pub fn scrub(matches: &Matches) -> Result<()> {
    let engine = open(matches, EngineOptions::default().block_duration_ms)?;
    let done = engine.scrub(&|| true);
    engine.close()?;
    for broken in &done.broken {
        println!("{}: {}: {}", broken.tenant, broken.path.display(), broken.reason);
    }
    tracing::info!(blocks = done.blocks, chunks = done.chunks, broken = done.broken.len(), "all was read");
    if done.broken.is_empty() { Ok(()) } else { bail!("{} are broken", done.broken.len()) }
}

fn open(matches: &Matches, block_duration_ms: i64) -> Result<Engine> {
    let path = Path::new(matches.text("tsdb.path"));
    if !path.is_dir() {
        bail!("--tsdb.path: {} is no directory", path.display());
    }
    let options = EngineOptions {
        min_free_bytes: 0,
        block_duration_ms,
        // As many as there are.
        max_exemplars: usize::MAX,
        ..EngineOptions::default()
    };
    Engine::open(path, options, Env::system()).context("cannot open the data directory")
}
