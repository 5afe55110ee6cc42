//! A life of an engine on a recorded disk, and the check of every state that a crash could leave of it.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thanoxide_env::sim_disk::crash::Crash;
use thanoxide_env::sim_disk::journal::Step;
use thanoxide_env::{Disk, Env, ManualClock, SeededRandom, SimDisk};
use thanoxide_model::Labels;
use thanoxide_tsdb::block::{Block, block_id};
use thanoxide_tsdb::engine::{Engine, EngineOptions, SelectedSeries};

use crate::engine_support::{Samples, append, contains, tenant};
use crate::values::{Batch, add_chunk, batch, bits};

pub(crate) const ROOT: &str = "/data";

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// The phase in which stock programs must find all that was acknowledged.
pub(crate) const HANDED_BACK: &str = "handed-back";

/// What must be there after a crash, and what may.
struct Bounds {
    acknowledged: u64,
    must: Samples,
    may: Samples,
}

/// An engine at work, and what it acknowledged when.
pub(crate) struct Life {
    pub(crate) disk: SimDisk,
    pub(crate) engine: Option<Engine>,
    /// `models[n]` is all that was ever tried before the n-th acknowledgement.
    models: Vec<Samples>,
    /// The newest backup, and the model that it is of, by the acknowledgement from which on it is there.
    backups: BTreeMap<u64, PathBuf>,
    /// The acknowledgements of deletions.
    deletions: BTreeSet<u64>,
    phase: &'static str,
    options: EngineOptions,
    /// The first sync or rename of this life.
    pub(crate) first_call: u64,
    /// The syncs and renames up to here are needed by what came after them.
    pub(crate) settled_calls: u64,
}

pub(crate) fn sim_env(disk: &SimDisk, seed: u64) -> Env {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Env { clock: Arc::new(ManualClock::default()), disk, random: Arc::new(SeededRandom::new(seed)) }
}

impl Life {
    /// Begins on a disk, of which `known` is readable; recording begins before the engine opens it.
    pub(crate) fn begin(
        disk: SimDisk,
        phase: &'static str,
        known: Samples,
        options: EngineOptions,
    ) -> Result<Self, String> {
        disk.record();
        disk.mark(phase, 0);
        let first_call = disk.ordering_calls() + 1;
        let mut life = Life {
            disk,
            engine: None,
            models: vec![known],
            backups: BTreeMap::new(),
            deletions: BTreeSet::new(),
            phase,
            options,
            first_call,
            settled_calls: 0,
        };
        life.open()?;
        Ok(life)
    }

    pub(crate) fn open(&mut self) -> Result<(), String> {
        self.engine = None;
        // Whoever cannot start because of the disk is started again.
        for _ in 0..if self.disk.may_fail() { 3 } else { 1 } {
            let env = sim_env(&self.disk, 7 + self.models.len() as u64);
            let engine = match Engine::open(Path::new(ROOT), self.options.clone(), env) {
                Ok(engine) => engine,
                Err(e) if e.is_retryable() => continue,
                Err(e) => return Err(format!("open: {e}")),
            };
            if !engine.quarantined().is_empty() {
                if !self.disk.may_fail() {
                    return Err(format!("on a disk that is well: {:?}", engine.quarantined()));
                }
                // A tenant that could not be opened is tried again by the next write.
                if engine.open_tenant(&tenant()).is_err() {
                    continue;
                }
            }
            if !self.models[0].is_empty() && engine.reader(&tenant()).is_none() {
                return Err("the tenant cannot be opened".to_string());
            }
            self.engine = Some(engine);
            return Ok(());
        }
        Err("does not start".to_string())
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    /// What comes next belongs to another kind of step.
    pub(crate) fn phase(&mut self, phase: &'static str) {
        self.phase = phase;
        self.disk.mark(phase, self.models.len() as u64 - 1);
    }

    /// Appends and waits, trying again where the disk fails; then it is acknowledged.
    pub(crate) fn write(&mut self, series: &Batch) -> Result<(), String> {
        let mut model = self.models[self.models.len() - 1].clone();
        for (labels, samples) in series {
            model.entry(labels.clone()).or_default().extend(samples.iter().map(|(t, v)| (*t, bits(v))));
        }
        self.models.push(model);
        // What is tried may be there from now on; `models` has one entry more than was acknowledged.
        let batch = batch(series);
        // An error takes nothing: the same is tried again.
        let appended = (0..5).find_map(|_| match append(self.engine(), &batch) {
            Err(e) if e.is_retryable() => None,
            other => Some(other),
        });
        let appended = appended.ok_or("the disk is well and nothing is taken")?.map_err(|e| format!("append: {e}"))?;
        if !appended.rejected.is_empty() {
            return Err(format!("rejected: {:?}", appended.rejected));
        }
        if (0..5).any(|_| appended.ticket.wait().is_ok()) {
            self.disk.mark(self.phase, self.models.len() as u64 - 1);
            return Ok(());
        }
        Err("the disk is well and nothing is acknowledged".to_string())
    }

    /// A deletion of a series' samples of some time, however it is done.
    pub(crate) fn delete(
        &mut self,
        labels: &Labels,
        range_ms: Range<i64>,
        how: impl FnOnce(&Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut model = self.models[self.models.len() - 1].clone();
        model.entry(labels.clone()).or_default().retain(|t, _| !range_ms.contains(t));
        self.deletions.insert(self.models.len() as u64);
        self.change(model, how)?;
        // Whatever comes next, there is a moment in which nothing is being deleted.
        self.change(self.models[self.models.len() - 1].clone(), |_| Ok(()))
    }

    /// Adds samples, however that is done.
    pub(crate) fn add(
        &mut self,
        samples: &Samples,
        how: impl FnOnce(&Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let model = union(&self.models[self.models.len() - 1], samples);
        self.change(model, how)
    }

    /// A copy of all that there is.
    pub(crate) fn back_up(&mut self, into: &Path) -> Result<(), String> {
        let model = self.models[self.models.len() - 1].clone();
        let path = if self.disk.may_fail() { into.with_extension("again") } else { into.to_path_buf() };
        let tried = |life: &Self| {
            let first = life.engine().backup(into);
            // What a failed one left stays in the way.
            if first.is_err() && life.disk.may_fail() { life.engine().backup(&path) } else { first }
        };
        self.change(model, |life| tried(life).map(drop).map_err(|e| format!("backup: {e}")))?;
        let there = if self.disk.exists(&path).unwrap() { path } else { into.to_path_buf() };
        self.backups.insert(self.models.len() as u64 - 1, there);
        Ok(())
    }

    fn change(&mut self, model: Samples, how: impl FnOnce(&Self) -> Result<(), String>) -> Result<(), String> {
        self.models.push(model);
        how(self)?;
        self.disk.mark(self.phase, self.models.len() as u64 - 1);
        Ok(())
    }

    /// Stops the engine.
    pub(crate) fn stop(&mut self) {
        self.engine = None;
    }

    /// Says that what follows relies on all that was done so far.
    pub(crate) fn settle(&mut self) {
        self.settled_calls = self.disk.ordering_calls();
    }

    /// Ends, and checks all that a crash could have left. Gives the number of states by phase, or the first bad one.
    pub(crate) fn check(
        mut self,
        random_choices: usize,
        again: usize,
    ) -> Result<BTreeMap<&'static str, usize>, String> {
        self.engine = None;
        let mut counts = BTreeMap::new();
        let journal = self.disk.take_journal();
        let failed = || journal.steps().iter().position(|step| matches!(step, Step::DropPages { .. }));
        // Before a call that was left out or failed nothing differs from the life with it.
        let from = self.disk.skipped_at().or_else(failed).unwrap_or(0);
        let states = journal.crash_states(random_choices, seed()).from(from);
        let mut bounds: Option<Bounds> = None;
        for (n, crash) in states.enumerate() {
            let again = again > 0 && n % again == 0;
            let bounds = match bounds.take().filter(|bounds| bounds.acknowledged == crash.acknowledged) {
                Some(same) => bounds.insert(same),
                None => bounds.insert(self.bounds(crash.acknowledged)),
            };
            self.check_state(&crash, bounds, again).map_err(|e| {
                let at = format!("{} after step {}, {} acknowledged", crash.phase, crash.step, crash.acknowledged);
                format!("crash in {at}: {e}")
            })?;
            *counts.entry(crash.phase).or_default() += 1;
        }
        Ok(counts)
    }

    /// What was being written may be there; what was being deleted may be gone.
    fn bounds(&self, acknowledged: u64) -> Bounds {
        let model = &self.models[acknowledged as usize];
        let tried = self.models.get(acknowledged as usize + 1).unwrap_or(model);
        Bounds { acknowledged, must: common(model, tried), may: union(model, tried) }
    }

    fn check_state(&self, crash: &Crash, bounds: &Bounds, again: bool) -> Result<(), String> {
        if crash.phase == HANDED_BACK {
            self.check_for_stock(&crash.disk.fork(), &self.models[crash.acknowledged as usize])?;
        }
        let opened = || Engine::open(Path::new(ROOT), self.options.clone(), sim_env(&crash.disk, 1000));
        let engine = opened().map_err(|e| format!("does not start: {e}"))?;
        let have = read(&engine).map_err(|e| format!("cannot be read: {e}"))?;
        if !contains(&have, &bounds.must) {
            return Err(format!("lost {}", difference(&bounds.must, &have)));
        }
        if !contains(&bounds.may, &have) {
            return Err(format!("invented {}", difference(&have, &bounds.may)));
        }
        drop(engine);
        self.check_blocks(&crash.disk, crash.acknowledged)?;
        if let Some((of, path)) = self.backups.range(..=crash.acknowledged).next_back() {
            self.check_backup(&crash.disk, path, &self.models[*of as usize])?;
        }
        if !again {
            return Ok(());
        }
        // Whoever starts once must start a second time, with all that it showed the first time.
        let engine = opened().map_err(|e| format!("does not start again: {e}"))?;
        if read(&engine)? != have { Err("another answer after a second start".to_string()) } else { Ok(()) }
    }
}

impl Life {
    /// None is half there, and each knows how much of it is deleted.
    fn check_blocks(&self, disk: &SimDisk, acknowledged: u64) -> Result<(), String> {
        let dir = Path::new(ROOT).join(tenant().as_str());
        let deleting = self.deletions.contains(&(acknowledged + 1));
        for path in disk.list(&dir).unwrap_or_default() {
            if path.extension().is_some_and(|suffix| suffix == "corrupt") {
                return Err(format!("{} is half there", path.display()));
            }
            let Some(_) = block_id(&path) else { continue };
            let block = Block::open(disk, &path).map_err(|e| format!("{}: {e}", path.display()))?;
            let (counted, told) = (block.tombstones().len() as u64, block.meta().stats.num_tombstones);
            if counted != told && !deleting {
                return Err(format!("{} has {counted} tombstones and tells {told}", path.display()));
            }
        }
        Ok(())
    }

    /// A backup has what was there when it was made.
    fn check_backup(&self, disk: &SimDisk, path: &Path, model: &Samples) -> Result<(), String> {
        let engine = Engine::open(path, self.options.clone(), sim_env(&disk.fork(), 1000));
        let have = read(&engine.map_err(|e| format!("the backup: {e}"))?)?;
        if have == *model {
            return Ok(());
        }
        Err(format!("the backup loses {}, invents {}", difference(model, &have), difference(&have, model)))
    }

    /// Looks at a disk as a stock program does, which knows nothing of our own files.
    fn check_for_stock(&self, disk: &SimDisk, acknowledged: &Samples) -> Result<(), String> {
        let tenant_dir = Path::new(ROOT).join(tenant().as_str());
        let ours = disk.list(Path::new(ROOT)).unwrap().into_iter().filter(|path| !disk.is_dir(path).unwrap());
        let marks = ["generation", "handed-back"].map(|name| tenant_dir.join(name));
        for path in ours.chain(marks).filter(|path| disk.exists(path).unwrap()) {
            disk.remove_file(&path).unwrap();
        }
        let engine = Engine::open(Path::new(ROOT), self.options.clone(), sim_env(disk, 1000));
        let have = read(&engine.map_err(|e| format!("stock files: {e}"))?)?;
        if have == *acknowledged {
            return Ok(());
        }
        Err(format!("stock loses {}", difference(acknowledged, &have)))
    }
}

/// All samples of a block.
pub(crate) fn of_block(disk: &SimDisk, path: &Path) -> Result<Samples, String> {
    let block = Block::open(disk, path).map_err(|e| e.to_string())?;
    let mut all = Samples::new();
    for series in block.select(&[], i64::MIN, i64::MAX).map_err(|e| e.to_string())? {
        let (labels, chunks) = series.map_err(|e| e.to_string())?;
        let samples = all.entry(labels).or_default();
        chunks.iter().try_for_each(|chunk| add_chunk(chunk, samples))?;
    }
    Ok(all)
}

/// Of the random choices.
fn seed() -> u64 {
    std::env::var("THANOXIDE_CRASH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(3)
}

/// All samples of the tenant. Each one must come once.
pub(crate) fn read(engine: &Engine) -> Result<Samples, String> {
    let Some(reader) = engine.reader(&tenant()) else { return Ok(Samples::new()) };
    samples_of(reader.select(&[], i64::MIN, i64::MAX).map_err(|e| e.to_string())?)
}

/// All samples of some series.
pub(crate) fn samples_of(selected: Vec<SelectedSeries>) -> Result<Samples, String> {
    let mut all = Samples::new();
    for SelectedSeries { labels, chunks } in selected {
        let samples = all.entry(labels.clone()).or_default();
        chunks.iter().try_for_each(|chunk| add_chunk(chunk, samples)).map_err(|e| format!("{labels}: {e}"))?;
    }
    Ok(all)
}

fn common(a: &Samples, b: &Samples) -> Samples {
    let both = |labels: &Labels, samples: &BTreeMap<i64, u64>| {
        let of_b = b.get(labels);
        samples.iter().filter(|(t, _)| of_b.is_some_and(|of_b| of_b.contains_key(t))).map(|(t, v)| (*t, *v)).collect()
    };
    a.iter().map(|(labels, samples)| (labels.clone(), both(labels, samples))).collect()
}

fn union(a: &Samples, b: &Samples) -> Samples {
    let mut union = a.clone();
    for (labels, samples) in b {
        union.entry(labels.clone()).or_default().extend(samples);
    }
    union
}

/// What of the one the other does not have, or not with the same value.
pub(crate) fn difference(of: &Samples, from: &Samples) -> String {
    let other = |labels: &Labels, t: &i64| from.get(labels).and_then(|samples| samples.get(t)).copied();
    let all = of.iter().flat_map(|(labels, samples)| samples.iter().map(move |(t, v)| (labels, t, *v)));
    let missing: Vec<_> = all.filter(|(labels, t, v)| other(labels, t) != Some(*v)).collect();
    let first = missing.first().map(|(labels, t, v)| format!("{labels} {t}: {v}, not {:?}", other(labels, t)));
    format!("{} samples, first {first:?}", missing.len())
}
