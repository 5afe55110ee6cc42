//! A tenant on a disk that may fail: what is done to it, what it must show after that, and what it may.
#![allow(dead_code, reason = "each test uses a part")]

use std::cell::Cell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use thanoxide_env::{Disk, Env, FaultDisk, SimDisk};
use thanoxide_model::{Labels, Matcher};
use thanoxide_tsdb::engine::{Engine, EngineError, EngineOptions};

use crate::crash::{HOUR_MS, ROOT, difference, read, samples_of, sim_env};
use crate::engine_support::{self, Samples, append, batch, contains, labels, tenant};
use crate::stock::stock_head;

pub(crate) const START_MS: i64 = 100 * 2 * HOUR_MS;
const MINUTE_MS: i64 = 60_000;
const RANGES_MS: [i64; 2] = [2 * HOUR_MS, 6 * HOUR_MS];
/// What a stock program left ends here, and the rounds begin.
const STOCK_MINUTES: i64 = 60;
const ROUND_MINUTES: i64 = 50;

type Floats = Vec<(Labels, Vec<(i64, f64)>)>;

/// Samples of `series`, one each minute, some seconds late.
pub(crate) fn minutes(series: Range<usize>, from_min: i64, count: i64, seconds: i64) -> Floats {
    let time_ms = move |i: i64| START_MS + (from_min + i) * MINUTE_MS + seconds * 1000;
    let samples = |s: usize| (0..count).map(move |i| (time_ms(i), (s as i64 * 31 + i) as f64)).collect();
    series.map(|s| (labels(s), samples(s))).collect()
}

/// One of so many calls is looked at.
pub(crate) fn step() -> usize {
    std::env::var("THANOXIDE_FAULT_STEP").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

pub(crate) fn begin_of(round: i64) -> i64 {
    STOCK_MINUTES + round * ROUND_MINUTES
}

/// Something that is done to blocks and heads.
pub(crate) type Deed = fn(&mut World, &Engine, i64) -> Result<(), EngineError>;

/// What a round does behind its writes, under names.
pub(crate) const DEEDS: [(&str, Deed); 5] = [
    ("snapshot", |_, engine, round| if round % 2 == 0 { engine.snapshot() } else { Ok(()) }),
    ("cut", World::cut),
    ("delete", World::delete_of_round),
    ("compaction", |_, engine, _| compact(engine)),
    ("clean-up", |_, engine, round| if round % 4 == 3 { engine.clean_tombstones(&tenant()).map(drop) } else { Ok(()) }),
];

pub(crate) fn compact(engine: &Engine) -> Result<(), EngineError> {
    engine.compact_tenant(&tenant(), &RANGES_MS, &|_| true, &|| true).map(drop)
}

/// A disk and what is known of it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) faults: FaultDisk,
    /// What was acknowledged and is not being deleted.
    pub(crate) must: Samples,
    /// What was tried and is not deleted for sure.
    pub(crate) may: Samples,
    /// How often it was opened: no two engines may give the same names to blocks.
    opened: Cell<u64>,
    /// What of the disk lies below the faults.
    pub(crate) shown: fn(SimDisk) -> Arc<dyn Disk>,
}

impl World {
    /// What a stock program left.
    pub(crate) fn new() -> Self {
        let disk = SimDisk::default();
        let known = stock_head(&disk, &Path::new(ROOT).join(tenant().as_str()), START_MS, STOCK_MINUTES, 0);
        let faults = FaultDisk::new(Arc::new(disk.clone()));
        let shown = |disk| -> Arc<dyn Disk> { Arc::new(disk) };
        World { faults, disk, must: known.clone(), may: known, opened: Cell::new(0), shown }
    }

    /// A tenant with blocks of each kind, some with deletions, chunk files, a snapshot and a log. Blocks are left to be
    /// compacted, and some of the head to be cut.
    pub(crate) fn lived(rounds: i64) -> Self {
        let mut world = World::new();
        let engine = world.open().unwrap();
        for round in 0..rounds {
            assert!(world.write_round(&engine, round, 1));
            for (name, deed) in DEEDS.into_iter().filter(|(name, _)| *name != "compaction") {
                deed(&mut world, &engine, round).unwrap_or_else(|e| panic!("{name}: {e}"));
            }
        }
        assert!(world.write_round(&engine, rounds, 1));
        world
    }

    /// Another one, whose blocks have other names.
    pub(crate) fn elsewhere() -> Self {
        World { opened: Cell::new(1000), ..World::new() }
    }

    /// The same on another disk.
    pub(crate) fn fork(&self) -> Self {
        let disk = self.disk.fork();
        World { faults: FaultDisk::new((self.shown)(disk.clone())), disk, ..self.clone() }
    }

    pub(crate) fn open(&self) -> Result<Engine, EngineError> {
        self.open_at(Path::new(ROOT))
    }

    fn open_at(&self, root: &Path) -> Result<Engine, EngineError> {
        self.opened.set(self.opened.get() + 1);
        let options = EngineOptions { out_of_order_window_ms: 12 * HOUR_MS, ..engine_support::options() };
        let env = Env { disk: Arc::new(self.faults.clone()), ..sim_env(&self.disk, self.opened.get()) };
        Engine::open(root, options, env)
    }

    /// Writes and waits, again after errors that may pass. Says whether it was acknowledged.
    pub(crate) fn write(&mut self, engine: &Engine, series: &Floats, tries: usize) -> bool {
        let add = |model: &mut Samples| {
            for (labels, samples) in series {
                model.entry(labels.clone()).or_default().extend(samples.iter().map(|(t, v)| (*t, v.to_bits())));
            }
        };
        add(&mut self.may);
        let batch = batch(series);
        for _ in 0..tries {
            let done = append(engine, &batch).and_then(|appended| {
                assert!(appended.rejected.is_empty(), "{:?}", appended.rejected);
                let ticket = &appended.ticket;
                (0..tries).map(|_| ticket.wait()).find(Result::is_ok).unwrap_or_else(|| ticket.wait())
            });
            match done {
                Ok(()) => {
                    add(&mut self.must);
                    return true;
                }
                Err(error) => check_error(&error),
            }
        }
        false
    }

    /// The writes of a round, in order and late. Says whether all were acknowledged.
    pub(crate) fn write_round(&mut self, engine: &Engine, round: i64, tries: usize) -> bool {
        let (first, from_min) = (round as usize, begin_of(round));
        let in_order = self.write(engine, &minutes(first..first + 3, from_min, ROUND_MINUTES, 0), tries);
        in_order & self.write(engine, &minutes(first..first + 4, from_min - 45, 20, 45), tries)
    }

    /// All that a round does behind its writes. What fails is told.
    pub(crate) fn tend(&mut self, engine: &Engine, round: i64) -> Vec<(&'static str, EngineError)> {
        let failed = |(name, deed): (&'static str, Deed)| Some((name, deed(self, engine, round).err()?));
        DEEDS.into_iter().filter_map(failed).collect()
    }

    fn cut(&mut self, engine: &Engine, _: i64) -> Result<(), EngineError> {
        let mut done = engine.maintain(&|_, _| true);
        let failed = done.failed.pop().map(|(_, error)| error).or(done.snapshot_failed);
        failed.map_or(Ok(()), Err)
    }

    /// What no later write brings back, most of it in blocks.
    fn delete_of_round(&mut self, engine: &Engine, round: i64) -> Result<(), EngineError> {
        let time_ms = |minute: i64| START_MS + minute * MINUTE_MS;
        let series = (round as usize).saturating_sub(1);
        self.delete(engine, series, time_ms(begin_of(round) - 130)..time_ms(begin_of(round) - 45))
    }

    /// Deletes samples of a series. Of a deletion that fails any part may be done.
    pub(crate) fn delete(&mut self, engine: &Engine, series: usize, range_ms: Range<i64>) -> Result<(), EngineError> {
        let forget = |model: &mut Samples| {
            model.entry(labels(series)).or_default().retain(|t, _| !range_ms.contains(t));
        };
        forget(&mut self.must);
        let matchers = [Matcher::equal("i", series.to_string())];
        engine.delete(&tenant(), &matchers, range_ms.start, range_ms.end - 1)?;
        forget(&mut self.may);
        Ok(())
    }

    /// What the engine shows, if it can, is all that must be there and nothing else.
    pub(crate) fn look(&self, engine: &Engine) -> Result<(), EngineError> {
        let Some(reader) = engine.reader(&tenant()) else {
            let refused = engine.quarantined().pop().expect("it is served, or known not to be");
            return Err(refused.1);
        };
        let have = samples_of(reader.select(&[], i64::MIN, i64::MAX)?).unwrap();
        let stats = reader.stats();
        // What the disk does not give is named.
        let whole = stats.unread_blocks == 0;
        assert!(!whole || contains(&have, &self.must), "lost {}", difference(&self.must, &have));
        assert!(contains(&self.may, &have), "invented {}", difference(&have, &self.may));
        Ok(())
    }

    /// On a disk that is well all is there, and nothing was put aside.
    pub(crate) fn check(&self) {
        self.check_at(Path::new(ROOT));
    }

    /// As [`World::check`], of a copy that lies elsewhere.
    pub(crate) fn check_at(&self, root: &Path) {
        let world = World { faults: FaultDisk::new(Arc::new(self.disk.clone())), ..self.clone() };
        let engine = world.open_at(root).unwrap();
        let have = read(&engine).unwrap();
        assert!(contains(&have, &self.must), "after a restart: lost {}", difference(&self.must, &have));
        assert!(contains(&self.may, &have), "after a restart: invented {}", difference(&have, &self.may));
        assert!(engine.quarantined().is_empty(), "{:?}", engine.quarantined());
        let mut blocks = engine.reader(&tenant()).into_iter().flat_map(|reader| reader.blocks());
        assert!(blocks.all(|block| !block.compaction.failed), "a block is left alone for good");
        let files = self.disk.files(root).unwrap();
        let is_aside = |path: &str| [".corrupt", "orphans-", "quarantine-"].iter().any(|name| path.contains(name));
        let aside: Vec<_> = files.iter().filter(|path| is_aside(&path.to_string_lossy())).collect();
        assert!(aside.is_empty(), "put aside: {aside:?}");
    }
}

/// Says what it is about, and that the same may be tried again.
pub(crate) fn check_error(error: &EngineError) {
    assert!(error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains(ROOT), "{error}");
}
