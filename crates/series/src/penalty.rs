//! Thanos's penalty algorithm.
//!
//! Two replicas are read side by side. The one that gave the last sample may go on at once; the other must be ahead by a
//! penalty of twice the last interval, so that one late scrape causes no change, but a gap does. Three and more replicas are
//! folded from the left: the result of the first two against the third, and so on.

use thanoxide_model::is_stale_nan;
use thanoxide_model::series::Columns;

use crate::cursor::Cursor;

/// The penalty while no interval is known.
const INITIAL_PENALTY_MS: i64 = 5000;
/// How many replicas are folded at once. More (which only hostile overlaps give) are folded in steps, so that the fold,
/// which recurs, has a bounded depth.
const MAX_REPLICAS: usize = 64;

/// Appends the folded samples of two or more replicas to `into`. With `counter`, floats are raised where a change of replica
/// made them fall.
pub(crate) fn penalty(replicas: &[&Columns], counter: bool, into: &mut Columns) {
    let Some((rest, last)) = replicas.split_at_checked(MAX_REPLICAS) else {
        return fold(replicas, counter, into);
    };
    let mut folded = Columns::default();
    fold(rest, counter, &mut folded);
    for step in last.chunks(MAX_REPLICAS - 1) {
        let before = std::mem::take(&mut folded);
        fold(&[&[&before], step].concat(), counter, &mut folded);
    }
    crate::dedup::append(&folded, into);
}

fn fold(replicas: &[&Columns], counter: bool, into: &mut Columns) {
    let mut fold = Fold {
        replicas: replicas.iter().map(|columns| Replica { cursor: Cursor::new(columns), raise: 0.0 }).collect(),
        pairs: vec![Pair::default(); replicas.len() - 1],
        counter,
    };
    // Each fold stands on its first sample when the fold above it begins.
    for level in 1..fold.pairs.len() {
        fold.next(level);
    }
    let mut before = None;
    while fold.next(fold.pairs.len()) {
        let source = fold.source(fold.pairs.len());
        let replica = &fold.replicas[source];
        let at = (source, replica.cursor.position());
        let follows_neighbour = before.is_none_or(|(source, position)| (source, position + 1) == at);
        replica.cursor.push_to(into, replica.value().unwrap_or_default(), follows_neighbour);
        before = Some(at);
    }
}

/// A left-deep tree of pairs: level 0 is the first replica, level n folds level n-1 with replica n.
struct Fold<'a> {
    replicas: Vec<Replica<'a>>,
    pairs: Vec<Pair>,
    counter: bool,
}

struct Replica<'a> {
    cursor: Cursor<'a>,
    /// What is added to all floats from here on.
    raise: f64,
}

impl Replica<'_> {
    /// The float stood on. Stale markers and other values that nothing is added to keep their bits.
    fn value(&self) -> Option<f64> {
        let value = self.cursor.value()?;
        Some(if self.raise == 0.0 || is_stale_nan(value) { value } else { value + self.raise })
    }

    fn raise_to(&mut self, last: f64) {
        if let Some(value) = self.value().filter(|value| last > *value) {
            self.raise += last - value;
        }
    }
}

/// The state of one two-way fold.
#[derive(Clone, Copy)]
struct Pair {
    last_ms: Option<i64>,
    left_penalty_ms: i64,
    right_penalty_ms: i64,
    use_left: bool,
}

impl Default for Pair {
    fn default() -> Self {
        Pair { last_ms: None, left_penalty_ms: 0, right_penalty_ms: 0, use_left: true }
    }
}

impl Pair {
    /// Chooses a side by the times at which both stand; false at the end.
    fn choose(&mut self, left_ms: Option<i64>, right_ms: Option<i64>) -> bool {
        self.use_left = match (left_ms, right_ms) {
            (Some(left), Some(right)) => left <= right,
            (left, _) => left.is_some(),
        };
        let Some(time_ms) = (if self.use_left { left_ms } else { right_ms }) else { return false };
        let (own, other) = match self.use_left {
            true => (&mut self.left_penalty_ms, &mut self.right_penalty_ms),
            false => (&mut self.right_penalty_ms, &mut self.left_penalty_ms),
        };
        *own = 0;
        if left_ms.is_some() && right_ms.is_some() {
            *other = self.last_ms.map_or(INITIAL_PENALTY_MS, |last| time_ms.saturating_sub(last).saturating_mul(2));
        }
        self.last_ms = Some(time_ms);
        true
    }
}

impl Fold<'_> {
    /// The replica whose sample a level stands on.
    fn source(&self, level: usize) -> usize {
        (1..=level).rev().find(|level| !self.pairs[level - 1].use_left).unwrap_or(0)
    }

    fn time_ms(&self, level: usize) -> Option<i64> {
        self.replicas[self.source(level)].cursor.time_ms()
    }

    fn value(&self, level: usize) -> Option<f64> {
        self.replicas[self.source(level)].value()
    }

    /// Goes on by whole samples, so that a fold sees every gap.
    fn seek(&mut self, level: usize, time_ms: i64) {
        if level == 0 {
            return self.replicas[0].cursor.seek(time_ms);
        }
        while self.time_ms(level).is_some_and(|now| now < time_ms) {
            self.next(level);
        }
    }

    /// To the next sample of a level; false at the end.
    fn next(&mut self, level: usize) -> bool {
        let pair = self.pairs[level - 1];
        let value_before = self.value(level);
        if let Some(last_ms) = pair.last_ms {
            let from = |penalty_ms: i64| last_ms.saturating_add(1).saturating_add(penalty_ms);
            self.seek(level - 1, from(pair.left_penalty_ms));
            self.replicas[level].cursor.seek(from(pair.right_penalty_ms));
        }
        let (left_ms, right_ms) = (self.time_ms(level - 1), self.replicas[level].cursor.time_ms());
        let more = self.pairs[level - 1].choose(left_ms, right_ms);
        if let (true, Some(last)) = (self.counter && self.pairs[level - 1].use_left != pair.use_left, value_before) {
            self.raise_to(level, last);
        }
        more
    }

    /// Raises all replicas below a level that stand lower than `last`. A level that stands on a histogram is left alone.
    fn raise_to(&mut self, level: usize, last: f64) {
        for level in (1..=level).rev() {
            self.replicas[level].raise_to(last);
            if self.value(level - 1).is_none() {
                return;
            }
        }
        self.replicas[0].raise_to(last);
    }
}
