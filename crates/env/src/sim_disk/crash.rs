//! What a crash could leave behind.
//!
//! At each moment of a [`Journal`] some changes are durable and others wait: bytes of files until their file is synced,
//! names until their directory is. Of a file's waiting changes a crash keeps the first few, the last of these perhaps
//! torn, or as zeros where the length was written and the bytes were not; of those before the last any may be lost. What is
//! behind such a hole is where it was written: the hole shows what the file had there before, or zeros. Of the waiting names
//! a crash keeps any. [`CrashStates`] goes through all moments and builds, for each, the extreme choices (all, nothing, each
//! change lost alone, each kept alone, every kind of tear) and a number of random ones; no state comes twice.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::SimDisk;
use super::journal::{Inode, Journal, Step};
use super::tree::Tree;
use crate::random::{Random, SeededRandom};

/// A waiting change of a file.
#[derive(Debug, Clone)]
struct Change {
    step: Step,
    /// How long the file was before.
    at: u64,
    /// A sync of it failed: it is only on disk by chance.
    dropped: bool,
}

/// How the last change of a file that a crash keeps is kept.
#[derive(Debug, Clone, Copy)]
enum Tear {
    Whole,
    /// So many bytes of it.
    Cut(usize),
    /// Its length, with zeros behind so many bytes.
    Zeros(usize),
    /// All but so many bytes of its beginning.
    Hole(usize),
}

/// What a crash keeps of a file's changes: so many, the last of them in a way, but for those that are lost.
#[derive(Debug, Clone)]
struct Kept {
    count: usize,
    tear: Tear,
    lost: BTreeSet<usize>,
}

impl Kept {
    fn first(count: usize, tear: Tear) -> Self {
        Kept { count, tear, lost: BTreeSet::new() }
    }
}

/// What a crash keeps: of each file, and which names.
#[derive(Debug, Clone)]
struct Choice {
    files: BTreeMap<Inode, Kept>,
    names: Vec<bool>,
}

/// A disk as a crash left it.
#[derive(Debug)]
pub struct Crash {
    /// The disk.
    pub disk: SimDisk,
    /// How many steps were done.
    pub step: usize,
    /// The last phase that began before, see [`SimDisk::mark`].
    pub phase: &'static str,
    /// How much was acknowledged before.
    pub acknowledged: u64,
}

/// All crash states of a journal, one after the other.
#[derive(Debug)]
pub struct CrashStates {
    journal: Journal,
    random: SeededRandom,
    random_choices: usize,
    durable: Tree,
    files: BTreeMap<Inode, Vec<Change>>,
    names: Vec<Step>,
    /// Steps taken so far.
    step: usize,
    phase: &'static str,
    acknowledged: u64,
    /// The first step whose states are looked at.
    from: usize,
    choices: Vec<Choice>,
    seen: HashSet<(u128, u64, &'static str)>,
}

impl Journal {
    /// The states that a crash could leave, with `random_choices` random ones at each moment.
    pub fn crash_states(self, random_choices: usize, seed: u64) -> CrashStates {
        CrashStates {
            durable: self.base.clone(),
            journal: self,
            random: SeededRandom::new(seed),
            random_choices,
            files: BTreeMap::new(),
            names: Vec::new(),
            step: 0,
            phase: "",
            acknowledged: 0,
            from: 0,
            choices: Vec::new(),
            seen: HashSet::new(),
        }
    }
}

impl Iterator for CrashStates {
    type Item = Crash;

    fn next(&mut self) -> Option<Crash> {
        loop {
            while let Some(choice) = self.choices.pop() {
                let tree = self.build(&choice);
                if self.seen.insert((tree.digest(), self.acknowledged, self.phase)) {
                    let disk = SimDisk::from_tree(tree);
                    let (step, phase, acknowledged) = (self.step, self.phase, self.acknowledged);
                    return Some(Crash { disk, step, phase, acknowledged });
                }
            }
            let step = self.journal.steps.get(self.step)?.clone();
            self.step += 1;
            self.take(step);
        }
    }
}

impl CrashStates {
    /// Leaves out the states before so many steps were done.
    pub fn from(self, step: usize) -> Self {
        CrashStates { from: step, ..self }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append { inode, .. } | Step::Truncate { inode, .. } => {
                self.durable.adopt(inode, false);
                let at = self.len_of(inode);
                self.files.entry(inode).or_default().push(Change { step, at, dropped: false });
            }
            Step::Link { inode, is_dir, .. } => {
                self.durable.adopt(inode, is_dir);
                self.names.push(step);
            }
            Step::Unlink { .. } | Step::Rename { .. } => self.names.push(step),
            // A sync only takes possibilities away.
            Step::SyncData { inode } => return self.sync_data(inode),
            Step::SyncDir { dir } => return self.sync_dir(dir),
            Step::DropPages { inode } => {
                self.files.entry(inode).or_default().iter_mut().for_each(|change| change.dropped = true);
            }
            Step::Mark { phase, acknowledged } => (self.phase, self.acknowledged) = (phase, acknowledged),
        }
        if self.step > self.from {
            self.choices = self.choose();
        }
    }

    /// How long programs see a file.
    fn len_of(&self, inode: Inode) -> u64 {
        match self.files.get(&inode).and_then(|changes| changes.last()) {
            Some(Change { step: Step::Append { bytes, .. }, at, .. }) => at + bytes.len() as u64,
            Some(Change { step: Step::Truncate { len, .. }, .. }) => *len,
            _ => self.durable.bytes(inode).map_or(0, |bytes| bytes.len() as u64),
        }
    }

    fn sync_data(&mut self, inode: Inode) {
        for change in self.files.remove(&inode).unwrap_or_default() {
            let tear = if change.dropped { Tear::Zeros(0) } else { Tear::Whole };
            change_file(&mut self.durable, &change, tear);
        }
    }

    fn sync_dir(&mut self, dir: Inode) {
        let (durable, waiting) = std::mem::take(&mut self.names).into_iter().partition(|step| touches(step, dir));
        self.names = waiting;
        let durable: Vec<Step> = durable;
        durable.iter().for_each(|step| change_names(&mut self.durable, step));
    }

    fn everything(&self) -> Choice {
        let files = self.files.iter().map(|(inode, changes)| (*inode, Kept::first(changes.len(), Tear::Whole)));
        Choice { files: files.collect(), names: vec![true; self.names.len()] }
    }

    fn choose(&mut self) -> Vec<Choice> {
        let all = self.everything();
        let no_file = |choice: &Choice| Choice { files: BTreeMap::new(), ..choice.clone() };
        let no_name = |choice: &Choice| Choice { names: vec![false; all.names.len()], ..choice.clone() };
        let mut choices = vec![all.clone(), no_file(&all), no_name(&all), no_file(&no_name(&all))];
        for i in 0..all.names.len() {
            let (mut without, mut alone) = (all.clone(), no_name(&all));
            without.names[i] = false;
            alone.names[i] = true;
            choices.extend([no_file(&alone), without, alone]);
        }
        for (inode, changes) in &self.files {
            let mut without = all.clone();
            without.files.remove(inode);
            let mut alone = no_file(&all);
            alone.files.insert(*inode, Kept::first(changes.len(), Tear::Whole));
            choices.extend([without, alone]);
            for count in 1..=changes.len() {
                for tear in tears(&changes[count - 1]) {
                    let mut torn = all.clone();
                    torn.files.insert(*inode, Kept::first(count, tear));
                    choices.push(torn);
                }
                let mut hole = all.clone();
                hole.files.entry(*inode).and_modify(|kept| kept.lost.extend([count - 1]));
                choices.push(hole);
            }
        }
        choices.extend((0..self.random_choices).map(|_| self.choose_random()));
        choices
    }

    fn choose_random(&self) -> Choice {
        let below = |n: usize| (self.random.next_u64() % n.max(1) as u64) as usize;
        let mut files = BTreeMap::new();
        for (inode, changes) in &self.files {
            let count = below(changes.len() + 1);
            if count > 0 {
                let tears = tears(&changes[count - 1]);
                let mut kept = Kept::first(count, tears[below(tears.len())]);
                // Half of the files have holes, of any number of changes.
                if below(2) == 0 {
                    kept.lost = (0..count - 1).filter(|_| below(2) == 0).collect();
                }
                files.insert(*inode, kept);
            }
        }
        Choice { files, names: self.names.iter().map(|_| below(2) == 0).collect() }
    }

    fn build(&self, choice: &Choice) -> Tree {
        let mut tree = self.durable.clone();
        for (inode, kept) in &choice.files {
            let changes = self.files[inode][..kept.count].iter().enumerate();
            for (i, change) in changes.filter(|(i, _)| !kept.lost.contains(i)) {
                change_file(&mut tree, change, if i + 1 == kept.count { kept.tear } else { Tear::Whole });
            }
        }
        let kept = self.names.iter().zip(&choice.names).filter(|(_, kept)| **kept);
        kept.for_each(|(step, _)| change_names(&mut tree, step));
        tree
    }
}

fn touches(step: &Step, of: Inode) -> bool {
    match step {
        Step::Link { dir, .. } | Step::Unlink { dir, .. } => *dir == of,
        Step::Rename { from, to, .. } => from.0 == of || to.0 == of,
        _ => false,
    }
}

/// The ways in which a change can be kept.
fn tears(change: &Change) -> Vec<Tear> {
    const SECTOR_BYTES: usize = 512;
    let Step::Append { bytes, .. } = &change.step else { return vec![Tear::Whole] };
    let len = bytes.len();
    let mut tears = vec![Tear::Whole, Tear::Zeros(0)];
    let mut cuts = vec![1, len / 2, len.saturating_sub(1)];
    cuts.extend((SECTOR_BYTES..len).step_by(SECTOR_BYTES.max(len / 4)));
    for cut in cuts.into_iter().filter(|cut| (1..len).contains(cut)) {
        tears.extend([Tear::Cut(cut), Tear::Zeros(cut)]);
        if cut % SECTOR_BYTES == 0 {
            tears.push(Tear::Hole(cut));
        }
    }
    tears
}

fn change_file(tree: &mut Tree, change: &Change, tear: Tear) {
    // Only a file that was never linked is not there, and nobody can see what becomes of it.
    let _ = match &change.step {
        Step::Append { inode, bytes } => {
            let mut bytes = bytes.to_vec();
            match tear {
                Tear::Whole => {}
                Tear::Cut(at) => bytes.truncate(at),
                Tear::Zeros(from) => bytes[from..].fill(0),
                Tear::Hole(to) => bytes[..to].fill(0),
            }
            tree.write_at(*inode, change.at, &bytes)
        }
        Step::Truncate { inode, len } => tree.truncate(*inode, *len),
        _ => Ok(()),
    };
}

fn change_names(tree: &mut Tree, step: &Step) {
    // A name that an earlier, lost step would have given may be missing.
    let _ = match step {
        Step::Link { dir, name, inode, .. } => tree.link(*dir, name, *inode),
        Step::Unlink { dir, name } => tree.unlink(*dir, name),
        Step::Rename { from, to, inode } => {
            let _ = tree.unlink(from.0, &from.1);
            tree.link(to.0, &to.1, *inode)
        }
        _ => Ok(()),
    };
}
