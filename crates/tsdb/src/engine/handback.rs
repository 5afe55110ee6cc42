//! Giving a head back to stock programs.
//!
//! A head is written as `wal/` with a record for each series and `chunks_head/` with all their chunks, the open ones
//! included; those of late samples are marked as out of order. A stock program that starts on these has every sample in its
//! head and goes on; nothing is encoded again, so this takes as long as the disk needs for the chunks' bytes.
//!
//! Order: both directories are written under other names and made durable; they get their names, which are made durable;
//! then the fence ([`fence`]) is written, which must not be there without them. A crash before that leaves all in our own log,
//! where it still is: our next start takes over whatever is there, and what it has already is not taken twice.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thanoxide_env::{Disk, Env};
use thanoxide_model::{Labels, TenantId};

use super::takeover::{STOCK_DIRS, WAL_DIR};
use super::tenant::Tenant;
use super::{Engine, EngineError, fence};
use crate::chunk::Chunk;
use crate::chunk_store::load;
use crate::head::{SelectedSeries, Slot};
use crate::wal::head_chunks::{HEAD_CHUNKS_DIR, HeadChunk, HeadChunksWriter};
use crate::wal::record::{SeriesRef, begin_series, push_series};
use crate::wal::{Log, SegmentLog};

/// What the name of a directory ends with while it is written.
const UNFINISHED_SUFFIX: &str = ".handing-back";

/// Stock's size of a segment.
const SEGMENT_BYTES: u64 = 128 << 20;

/// A record of series is written once it is so long.
const RECORD_BYTES: usize = 256 << 10;

/// Series are taken out of the head so many at a time, so that readers go on between.
const SERIES_AT_A_TIME: usize = 1024;

/// What was given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandedBack {
    /// Series.
    pub series: u64,
    /// Chunks.
    pub chunks: u64,
}

impl HandedBack {
    fn add(&mut self, other: &HandedBack) {
        self.series += other.series;
        self.chunks += other.chunks;
    }
}

/// Writes a head as stock programs leave theirs.
struct StockHeadWriter<'d> {
    disk: &'d dyn Disk,
    dir: PathBuf,
    log: SegmentLog,
    record: Vec<u8>,
    chunks: HeadChunksWriter<'d>,
    done: HandedBack,
}

impl<'d> StockHeadWriter<'d> {
    /// Begins in `dir`, which is there and has no stock head.
    fn create(env: &'d Env, dir: &Path) -> Result<Self, EngineError> {
        let disk = &*env.disk;
        let io = |e: io::Error| EngineError::io(dir, &e);
        let (log, chunks) = (unfinished(dir, WAL_DIR), unfinished(dir, HEAD_CHUNKS_DIR));
        for path in [&log, &chunks] {
            if disk.exists(path).map_err(io)? {
                disk.remove_dir_all(path).map_err(io)?;
            }
        }
        disk.create_dir_all(&chunks).map_err(io)?;
        let log = SegmentLog::open(Arc::clone(&env.disk), log, SEGMENT_BYTES)?;
        let chunks = HeadChunksWriter::new(disk, &chunks).map_err(io)?;
        let mut record = Vec::new();
        begin_series(&mut record);
        Ok(StockHeadWriter { disk, dir: dir.to_path_buf(), log, record, chunks, done: HandedBack::default() })
    }

    /// Adds a series with its chunks in the order of their times, and those of late samples.
    fn add(&mut self, labels: &Labels, chunks: Vec<Chunk>, late: Vec<Chunk>) -> Result<(), EngineError> {
        self.done.series += 1;
        let series: SeriesRef = self.done.series;
        let pairs: Vec<_> = labels.iter().collect();
        push_series(&mut self.record, series, pairs.into_iter());
        let late = late.into_iter().map(|chunk| (chunk, true));
        for (chunk, out_of_order) in chunks.into_iter().map(|chunk| (chunk, false)).chain(late) {
            let chunk = HeadChunk { series, out_of_order, chunk };
            self.chunks.push(&chunk).map_err(|e| EngineError::io(&self.dir, &e))?;
            self.done.chunks += 1;
        }
        if self.record.len() >= RECORD_BYTES { self.log_series() } else { Ok(()) }
    }

    fn log_series(&mut self) -> Result<(), EngineError> {
        let position = self.log.append(&[&self.record]);
        begin_series(&mut self.record);
        Ok(self.log.commit(position)?)
    }

    /// Makes all durable under its names.
    fn finish(mut self) -> Result<HandedBack, EngineError> {
        self.log_series()?;
        let StockHeadWriter { disk, dir, chunks, done, .. } = self;
        let io = |e: io::Error| EngineError::io(&dir, &e);
        chunks.finish().map_err(io)?;
        for name in [HEAD_CHUNKS_DIR, WAL_DIR] {
            disk.rename(&unfinished(&dir, name), &dir.join(name)).map_err(io)?;
        }
        disk.sync_dir(&dir).map_err(io)?;
        Ok(done)
    }
}

fn unfinished(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}{UNFINISHED_SUFFIX}"))
}

impl Tenant {
    /// Writes the head to `into`, which is there and has no stock head.
    fn write_stock_head(&self, into: &Path, env: &Env) -> Result<HandedBack, EngineError> {
        let slots = self.state.read().head.all_sorted_slots();
        let mut writer = StockHeadWriter::create(env, into)?;
        for slots in slots.chunks(SERIES_AT_A_TIME) {
            let (files, (series, late)) = {
                let state = self.state.read();
                let collect = |slot: &Slot| Some((state.head.collect_all(*slot)?, state.head.late_chunks(*slot)));
                (self.chunks.files(), slots.iter().filter_map(collect).unzip::<_, _, Vec<_>, Vec<_>>())
            };
            let loaded = load(&files, series).map_err(|e| EngineError::io(into, &e))?;
            for (SelectedSeries { labels, chunks }, late) in loaded.into_iter().zip(late) {
                writer.add(&labels, chunks, late)?;
            }
        }
        writer.finish()
    }
}

impl Engine {
    /// Takes nothing more, and leaves a directory from which stock programs go on with nothing lost. If none does, the next
    /// start goes on with what is ours. What cannot be handed back is still ours; the first error is told after all tenants
    /// were tried.
    pub fn hand_back(&self) -> Result<HandedBack, EngineError> {
        self.close()?;
        let mut done = HandedBack::default();
        let mut first_error = None;
        for tenant in self.all_tenants() {
            match self.hand_back_tenant(&tenant) {
                Ok(handed) => done.add(&handed),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(done), Err)
    }

    fn hand_back_tenant(&self, tenant: &Tenant) -> Result<HandedBack, EngineError> {
        if tenant.state.read().head.stats().series == 0 {
            return Ok(HandedBack::default());
        }
        // Only an earlier try of this start can have left something here: opening takes over all that is there.
        let io = |e| EngineError::io(&tenant.dir, &e);
        for name in STOCK_DIRS.iter().rev() {
            let path = tenant.dir.join(name);
            if self.env.disk.exists(&path).map_err(io)? {
                self.env.disk.remove_dir_all(&path).map_err(io)?;
            }
        }
        let done = tenant.write_stock_head(&tenant.dir, &self.env)?;
        fence::write(&tenant.dir, &self.env).map_err(io)?;
        Ok(done)
    }

    /// Writes what only the head of each tenant has to `<into>/<tenant>/`, as stock programs leave it. There must be no
    /// such directories. The engine stays as it is.
    pub fn export_stock_heads(&self, into: &Path) -> Result<HandedBack, EngineError> {
        let mut done = HandedBack::default();
        for tenant in self.all_tenants() {
            done.add(&self.export_stock_head(&tenant, &into.join(tenant.id.as_str()))?);
        }
        Ok(done)
    }

    /// As [`Engine::export_stock_heads`], for one tenant and straight into `into`. `None` where there is no such tenant.
    pub fn export_stock_tenant(&self, tenant: &TenantId, into: &Path) -> Result<Option<HandedBack>, EngineError> {
        self.tenant(tenant).map(|tenant| self.export_stock_head(&tenant, into)).transpose()
    }

    fn export_stock_head(&self, tenant: &Tenant, into: &Path) -> Result<HandedBack, EngineError> {
        let io = |e: io::Error| EngineError::io(into, &e);
        for name in [WAL_DIR, HEAD_CHUNKS_DIR] {
            if self.env.disk.exists(&into.join(name)).map_err(io)? {
                return Err(EngineError::io(into, &io::ErrorKind::AlreadyExists.into()));
            }
        }
        super::create_durably(into, &self.env).map_err(io)?;
        tenant.write_stock_head(into, &self.env)
    }
}
