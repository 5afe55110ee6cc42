//! Giving a head back to stock programs.
//!
//! A head is written as `wal/` with a record for each series and its exemplars, and `chunks_head/` with all their chunks, the open ones
//! included; those of late samples are marked as out of order. A stock program that starts on these has every sample in its
//! head and goes on; nothing is encoded again, so this takes as long as the disk needs for the chunks' bytes.
//!
//! Order: both directories are written under other names and made durable; they get their names, which are made durable;
//! then the fence ([`fence`]) is written, which must not be there without them. A crash before that leaves all in our own log,
//! where it still is: our next start takes over whatever is there, and what it has already is not taken twice.

use std::io;
use std::path::{Path, PathBuf};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use thanoxide_env::{Disk, Env};
use thanoxide_model::{Exemplar, Labels, TenantId};

use super::takeover::{STOCK_DIRS, WAL_DIR};
use super::tenant::Tenant;
use super::{Engine, EngineError, fence};
use crate::chunk::{Chunk, without_start_times};
use crate::chunk_store::load;
use crate::head::{SelectedSeries, Slot};
use crate::wal::LogWriter;
use crate::wal::head_chunks::{HEAD_CHUNKS_DIR, HeadChunk, HeadChunksWriter};
use crate::wal::record::{SampleRecord, SeriesRef, begin_series, push_series};

/// What the name of a directory ends with while it is written.
const UNFINISHED_SUFFIX: &str = ".handing-back";

/// Stock's size of a segment.
const SEGMENT_BYTES: u64 = 128 << 20;

/// A record of series is written once it is so long.
const RECORD_BYTES: usize = 256 << 10;

/// Tenants are handed back side by side, mostly to share syncs.
const THREADS: usize = 4;

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
    log: LogWriter<'d>,
    record: Vec<u8>,
    chunks: HeadChunksWriter<'d>,
    exemplars: Vec<(Labels, Exemplar)>,
    /// The series that have exemplars, as the log calls them.
    of_exemplars: HashMap<Labels, Option<SeriesRef>, RandomState>,
    done: HandedBack,
}

impl<'d> StockHeadWriter<'d> {
    /// Begins in `dir`, which is there and has no stock head. The exemplars go to the end of the log.
    fn create(env: &'d Env, dir: &Path, exemplars: Vec<(Labels, Exemplar)>) -> Result<Self, EngineError> {
        let disk = &*env.disk;
        let io = |e: io::Error| EngineError::io(dir, &e);
        remove_unfinished(dir, env).map_err(io)?;
        let (log, chunks) = (unfinished(dir, WAL_DIR), unfinished(dir, HEAD_CHUNKS_DIR));
        disk.create_dir_all(&chunks).map_err(io)?;
        let log = LogWriter::create(disk, &log, SEGMENT_BYTES).map_err(io)?;
        let chunks = HeadChunksWriter::new(disk, &chunks).map_err(io)?;
        let mut record = Vec::new();
        begin_series(&mut record);
        let of_exemplars = exemplars.iter().map(|(labels, _)| (labels.clone(), None)).collect();
        let (dir, done) = (dir.to_path_buf(), HandedBack::default());
        Ok(StockHeadWriter { disk, dir, log, record, chunks, exemplars, of_exemplars, done })
    }

    /// Adds a series with its chunks in the order of their times, and those of late samples.
    fn add(&mut self, labels: &Labels, chunks: Vec<Chunk>, late: Vec<Chunk>) -> Result<(), EngineError> {
        self.done.series += 1;
        let series: SeriesRef = self.done.series;
        if let Some(known) = self.of_exemplars.get_mut(labels) {
            *known = Some(series);
        }
        let pairs: Vec<_> = labels.iter().collect();
        push_series(&mut self.record, series, pairs.into_iter());
        let late = late.into_iter().map(|chunk| (chunk, true));
        for (chunk, out_of_order) in chunks.into_iter().map(|chunk| (chunk, false)).chain(late) {
            // Most stock programs know the encodings 1 to 3 only.
            let known = without_start_times(chunk).map_err(|e| EngineError::block(&self.dir, e))?;
            for chunk in known {
                let chunk = HeadChunk { series, out_of_order, chunk };
                self.chunks.push(&chunk).map_err(|e| EngineError::io(&self.dir, &e))?;
                self.done.chunks += 1;
            }
        }
        if self.record.len() >= RECORD_BYTES { self.log_series() } else { Ok(()) }
    }

    fn log_series(&mut self) -> Result<(), EngineError> {
        let pushed = self.log.push(&self.record);
        begin_series(&mut self.record);
        pushed.map_err(|e| EngineError::io(&self.dir, &e))
    }

    /// Those of series that the head gave up are left out: stock does not keep them over a start either.
    fn log_exemplars(&mut self) -> Result<(), EngineError> {
        for exemplars in self.exemplars.chunks(SERIES_AT_A_TIME) {
            let mut record = SampleRecord::default();
            for (labels, exemplar) in exemplars {
                if let Some(Some(series)) = self.of_exemplars.get(labels) {
                    record.push_exemplar(*series, exemplar);
                }
            }
            if !record.bytes().is_empty() {
                self.log.push(record.bytes()).map_err(|e| EngineError::io(&self.dir, &e))?;
            }
        }
        Ok(())
    }

    /// Makes all durable under its names.
    fn finish(mut self) -> Result<HandedBack, EngineError> {
        self.log_series()?;
        self.log_exemplars()?;
        let StockHeadWriter { disk, dir, log, chunks, done, .. } = self;
        let io = |e: io::Error| EngineError::io(&dir, &e);
        log.finish().and_then(|()| chunks.finish()).map_err(io)?;
        for name in [HEAD_CHUNKS_DIR, WAL_DIR] {
            disk.rename(&unfinished(&dir, name), &dir.join(name)).map_err(io)?;
        }
        disk.sync_dir(&dir).map_err(io)?;
        Ok(done)
    }
}

/// Removes what a hand-back that was cut off has left.
pub(super) fn remove_unfinished(dir: &Path, env: &Env) -> io::Result<()> {
    for path in [WAL_DIR, HEAD_CHUNKS_DIR].map(|name| unfinished(dir, name)) {
        if env.disk.exists(&path)? {
            env.disk.remove_dir_all(&path)?;
        }
    }
    Ok(())
}

fn unfinished(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}{UNFINISHED_SUFFIX}"))
}

impl Tenant {
    /// Writes the head to `into`, which is there and has no stock head.
    fn write_stock_head(&self, into: &Path, env: &Env) -> Result<HandedBack, EngineError> {
        let (slots, exemplars) = {
            let state = self.state.read();
            (state.head.all_sorted_slots(), state.head.all_exemplars())
        };
        let mut writer = StockHeadWriter::create(env, into, exemplars)?;
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
    /// were tried, also the ones that are not served.
    pub fn hand_back(&self) -> Result<HandedBack, EngineError> {
        self.close()?;
        self.readmit_all();
        let waiting = Mutex::new(self.all_tenants());
        let hand_back = || {
            let (mut done, mut first_error) = (HandedBack::default(), None);
            while let Some(tenant) = waiting.lock().pop() {
                match self.hand_back_tenant(&tenant) {
                    Ok(handed) => done.add(&handed),
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
            first_error.map_or(Ok(done), Err)
        };
        let threads = waiting.lock().len().min(THREADS);
        let results: Vec<Result<HandedBack, EngineError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(hand_back)).collect();
            let joined = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(joined).collect()
        });
        let mut done = HandedBack::default();
        for result in results {
            done.add(&result?);
        }
        self.quarantined().pop().map_or(Ok(done), |(_, refused)| Err(refused))
    }

    fn hand_back_tenant(&self, tenant: &Tenant) -> Result<HandedBack, EngineError> {
        // A cut that is under way ends first.
        let _cutting = tenant.cutting.lock();
        if tenant.state.read().head.stats().series == 0 {
            return Ok(HandedBack::default());
        }
        // Only an earlier try of this start can have left something here: opening takes over all that is there.
        let io = |e| EngineError::io(&tenant.dir, &e);
        // Beside anything else than it lists it would say that a stock program wrote last.
        fence::lift(&tenant.dir, &self.env).map_err(io)?;
        for name in STOCK_DIRS.iter().rev() {
            let path = tenant.dir.join(name);
            if self.env.disk.exists(&path).map_err(io)? {
                self.env.disk.remove_dir_all(&path).map_err(io)?;
            }
        }
        // No older log may be left beside the new chunks, whose references it would take for its own.
        self.env.disk.sync_dir(&tenant.dir).map_err(io)?;
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
