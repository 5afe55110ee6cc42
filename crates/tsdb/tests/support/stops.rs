//! Random appends for two engines, with stops in between.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::random_series::{Living, Random, STALE, bits, next_float};

pub(crate) const SERIES: usize = 32;
/// Some minutes behind the beginning of a range of two hours.
const START_MS: i64 = 1_700_000_434_567;
const HOUR_MS: i64 = 3_600_000;

/// What both engines go through.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// At most one sample of each series.
    Append(Vec<Value>),
    /// For ours only.
    Snapshot,
    /// A stop, and a start.
    Close,
    /// A start from what a crash leaves.
    Crash,
    /// The ranges that are done become blocks.
    Cut,
}

/// What both engines go through, whether they keep start times, and how late samples may come.
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) started: bool,
    pub(crate) window_ms: i64,
}

/// A series that is written.
struct Writer {
    number: usize,
    floats: u64,
    value: f64,
    living: Living,
    /// It has a sample in every so many ticks.
    every: u64,
    /// Since when it counts, and how often that changes; 0 is not known.
    created_ms: i64,
    restarts: u64,
    /// What it has a sample of.
    times_ms: BTreeSet<i64>,
}

impl Writer {
    fn new(random: &mut Random, number: usize) -> Self {
        let (floats, value) = (random.below(7), random.below(1000) as f64);
        let (living, every) = (Living::new(random), 1 + random.below(3));
        Writer { number, floats, value, living, every, created_ms: 0, restarts: 0, times_ms: BTreeSet::new() }
    }

    /// The same with start times.
    fn started(self, random: &mut Random) -> Self {
        Writer { created_ms: START_MS - 1000, restarts: [0, 5, 50, 1_000_000][random.below(4) as usize], ..self }
    }

    fn start_ms(&mut self, random: &mut Random, t: i64) -> i64 {
        if self.restarts > 0 && random.one_in(self.restarts) {
            self.created_ms = [0, t, t - 15_000, t - random.below(1000) as i64][random.below(4) as usize];
        }
        self.created_ms
    }

    /// Half of the series have floats; every eighth goes from one kind to the other.
    fn sample(&mut self, random: &mut Random, t: i64) -> Value {
        self.times_ms.insert(t);
        let turn = t / 1_000_000 % 3;
        match self.number % 8 {
            0..4 => self.float(random, t),
            7 if turn == 0 => self.float(random, t),
            4 | 5 => self.histogram(random, t, false),
            kind => self.histogram(random, t, kind == 6 || turn == 1),
        }
    }

    /// A sample that comes late, unless there is one of its time: which of two stays depends on what is merged first.
    fn late(&mut self, random: &mut Random, now_ms: i64) -> Option<Value> {
        let most_ms = [60_000, HOUR_MS, 3 * HOUR_MS][random.below(3) as usize];
        let t = now_ms - random.below(most_ms as u64) as i64;
        (!self.times_ms.contains(&t)).then(|| self.sample(random, t))
    }

    fn float(&mut self, random: &mut Random, t: i64) -> Value {
        self.value = next_float(random, self.floats, self.value);
        let shown = if random.one_in(40) { STALE } else { self.value.to_bits() };
        json!({"series": self.number, "t": t, "st": self.start_ms(random, t), "bits": shown})
    }

    fn histogram(&mut self, random: &mut Random, t: i64, float: bool) -> Value {
        self.living.step(random);
        let st = self.start_ms(random, t);
        let sample = self.living.sample(random, t, st, float);
        // Scrapers write a float's stale marker behind whatever it is.
        if sample["sum"] == bits(f64::from_bits(STALE)) && random.one_in(2) {
            return json!({"series": self.number, "t": t, "st": st, "bits": STALE});
        }
        json!({"series": self.number, "t": t, "st": st, "sample": sample})
    }
}

/// Some hours of appends, for every third seed with start times. What follows a cut is a snapshot, or
/// a crash unless it is to be `saved`.
pub(crate) fn plan(seed: u64, saved: bool) -> Plan {
    plan_of(seed, saved, seed.is_multiple_of(3), 0)
}

/// The same without start times, and with samples that come late.
pub(crate) fn late_plan(seed: u64) -> Plan {
    plan_of(seed, seed.is_multiple_of(2), false, 4 * HOUR_MS)
}

fn plan_of(seed: u64, saved: bool, started: bool, window_ms: i64) -> Plan {
    let mut random = Random(seed << 20);
    let mut writers: Vec<Writer> = (0..SERIES).map(|number| Writer::new(&mut random, number)).collect();
    if started {
        writers = writers.into_iter().map(|writer| writer.started(&mut random)).collect();
    }
    let (tick_ms, hours) = [(15_000, 4), (30_000, 6), (60_000, 10), (15_000, 6)][random.below(4) as usize];
    let jitter_ms = [1, 20, 3000][random.below(3) as usize];
    let cut = || [Step::Cut, if saved { Step::Snapshot } else { Step::Crash }];
    let mut steps = Vec::new();
    for tick in 0..hours * HOUR_MS / tick_ms {
        let mut batch = Vec::new();
        for writer in &mut writers {
            if (tick as u64).is_multiple_of(writer.every) && !random.one_in(50) {
                let t = START_MS + tick * tick_ms + random.below(jitter_ms) as i64;
                batch.push(writer.sample(&mut random, t));
            }
        }
        steps.push(Step::Append(batch));
        if window_ms > 0 {
            let now_ms = START_MS + tick * tick_ms;
            let mut late = |writer: &mut Writer| random.one_in(6).then(|| writer.late(&mut random, now_ms)).flatten();
            steps.push(Step::Append(writers.iter_mut().filter_map(&mut late).collect()));
        }
        match random.below(250) {
            0 => steps.push(Step::Close),
            1 => steps.push(Step::Crash),
            2 => steps.extend([Step::Snapshot, Step::Crash]),
            3 => steps.push(Step::Snapshot),
            4 | 5 => steps.extend(cut()),
            _ => {}
        }
    }
    steps.push(Step::Cut);
    Plan { steps, started, window_ms }
}
