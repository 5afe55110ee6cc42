//! The exemplars of a tenant: so many as are set, of which a new one takes the place of the one that came first.
//!
//! Rules are Prometheus's. The newest exemplar of a series again is taken without a word; one that is older is refused, or
//! put in its place where the tenant takes samples so late, unless there is one of its time. Of the same time, one with a
//! lesser value is refused, and of the same value one whose labels have a lesser hash: so the buckets of a histogram, sent
//! in order, are all taken. Without room nothing is taken and nothing refused.
//!
//! A series is known by the head's hash of its labels; it keeps its exemplars when the head has given it up.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use thanoxide_model::exemplar::is_short_enough;
use thanoxide_model::{Exemplar, Labels, Matcher, SeriesExemplars, Verdict};

/// Counts exemplars in the order in which they came.
type Number = u64;

#[derive(Debug)]
struct OfSeries {
    labels: Labels,
    /// Its exemplars by time, those of one time as they came.
    by_time: VecDeque<Number>,
}

#[derive(Debug)]
struct Entry {
    series: u128,
    exemplar: Exemplar,
}

/// What becomes of an exemplar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is to be stored.
    New,
    /// It is there already, or nothing is stored.
    Known,
    /// It is not taken.
    Refused(Verdict),
}

/// How many exemplars a tenant has, and how old they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExemplarStats {
    /// As many as there may be.
    pub max: usize,
    /// Those stored.
    pub stored: usize,
    /// Series that have any.
    pub series: usize,
    /// The time of the one that goes next.
    pub oldest_ms: Option<i64>,
    /// Those taken since the start.
    pub appended: u64,
    /// Those refused as out of order since the start.
    pub out_of_order: u64,
}

/// The exemplars of a tenant. Empty it takes no memory of its own.
#[derive(Debug, Default)]
pub struct Exemplars {
    max: usize,
    ring: VecDeque<Entry>,
    /// The number of the first in the ring.
    first: Number,
    series: HashMap<u128, OfSeries, FixedState>,
    appended: u64,
    out_of_order: u64,
}

impl Exemplars {
    /// Room for so many.
    pub fn new(max: usize) -> Self {
        Exemplars { max, ..Exemplars::default() }
    }

    /// Whether there is no room at all.
    pub fn is_off(&self) -> bool {
        self.max == 0
    }

    /// How many there are.
    pub fn stats(&self) -> ExemplarStats {
        ExemplarStats {
            max: self.max,
            stored: self.ring.len(),
            series: self.series.len(),
            oldest_ms: self.ring.front().map(|entry| entry.exemplar.timestamp_ms),
            appended: self.appended,
            out_of_order: self.out_of_order,
        }
    }

    /// What would become of an exemplar, where one may come so late.
    pub fn judge(&self, series: u128, exemplar: &Exemplar, window_ms: i64) -> Judged {
        if self.is_off() {
            return Judged::Known;
        }
        if !is_short_enough(exemplar.labels.iter()) {
            return Judged::Refused(Verdict::ExemplarLabelLength);
        }
        match self.newest(series) {
            Some(newest) if newest == exemplar => Judged::Known,
            Some(newest) if is_before(exemplar, newest, window_ms) => Judged::Refused(Verdict::OutOfOrderExemplar),
            _ => Judged::New,
        }
    }

    /// Stores an exemplar, if it is to be stored. `labels` are asked for where the series has none yet.
    pub fn push(
        &mut self,
        series: u128,
        labels: impl FnOnce() -> Labels,
        exemplar: Exemplar,
        window_ms: i64,
    ) -> Judged {
        let judged = match self.judge(series, &exemplar, window_ms) {
            Judged::New if self.is_of_a_known_time(series, &exemplar) => Judged::Known,
            judged => judged,
        };
        match judged {
            Judged::New => {
                self.insert(series, labels, exemplar);
                self.appended += 1;
            }
            Judged::Refused(verdict) => self.note_refused(verdict),
            Judged::Known => {}
        }
        judged
    }

    /// Counts what was judged and not pushed.
    pub fn note_refused(&mut self, verdict: Verdict) {
        self.out_of_order += u64::from(verdict == Verdict::OutOfOrderExemplar);
    }

    /// Stores an exemplar that was taken before, as the next one, unless it is there.
    pub fn restore(&mut self, series: u128, labels: impl FnOnce() -> Labels, exemplar: Exemplar) {
        let same = |known: &Exemplar| {
            known.timestamp_ms == exemplar.timestamp_ms
                && known.value.to_bits() == exemplar.value.to_bits()
                && known.labels == exemplar.labels
        };
        if !self.is_off() && !self.of(series).any(same) {
            self.insert(series, labels, exemplar);
        }
    }

    /// The exemplars of a time range, of series that satisfy all matchers of any set, by series' labels.
    pub fn select(&self, sets: &[Vec<Matcher>], min_time_ms: i64, max_time_ms: i64) -> Vec<SeriesExemplars> {
        let wanted = |labels: &Labels| sets.iter().any(|set| set.iter().all(|matcher| matcher.matches_labels(labels)));
        let mut selected = Vec::new();
        for (series, of_series) in &self.series {
            let in_range = |e: &&Exemplar| (min_time_ms..=max_time_ms).contains(&e.timestamp_ms);
            if self.of(*series).any(|e| in_range(&e)) && wanted(&of_series.labels) {
                let exemplars = self.of(*series).filter(in_range).cloned().collect();
                selected.push(SeriesExemplars { labels: of_series.labels.clone(), exemplars });
            }
        }
        selected.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        selected
    }

    /// All with the labels of their series, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &Exemplar)> {
        self.ring.iter().filter_map(|entry| Some((&self.series.get(&entry.series)?.labels, &entry.exemplar)))
    }

    /// The exemplars of a series by time.
    fn of(&self, series: u128) -> impl DoubleEndedIterator<Item = &Exemplar> {
        let numbers = self.series.get(&series).into_iter().flat_map(|of_series| &of_series.by_time);
        numbers.filter_map(|number| self.get(*number))
    }

    fn newest(&self, series: u128) -> Option<&Exemplar> {
        self.of(series).next_back()
    }

    fn get(&self, number: Number) -> Option<&Exemplar> {
        self.ring.get((number - self.first) as usize).map(|entry| &entry.exemplar)
    }

    /// Of a late exemplar only its time is compared, as Prometheus does.
    fn is_of_a_known_time(&self, series: u128, exemplar: &Exemplar) -> bool {
        let is_late = self.newest(series).is_some_and(|newest| exemplar.timestamp_ms < newest.timestamp_ms);
        is_late && self.of(series).any(|known| known.timestamp_ms == exemplar.timestamp_ms)
    }

    fn insert(&mut self, series: u128, labels: impl FnOnce() -> Labels, exemplar: Exemplar) {
        while self.ring.len() >= self.max {
            self.remove_first();
        }
        let (number, t) = (self.first + self.ring.len() as Number, exemplar.timestamp_ms);
        let newer = self.of(series).rev().take_while(|known| known.timestamp_ms > t).count();
        let of_series =
            self.series.entry(series).or_insert_with(|| OfSeries { labels: labels(), by_time: VecDeque::new() });
        of_series.by_time.insert(of_series.by_time.len() - newer, number);
        self.ring.push_back(Entry { series, exemplar });
    }

    fn remove_first(&mut self) {
        let Some(entry) = self.ring.pop_front() else { return };
        if let Some(of_series) = self.series.get_mut(&entry.series) {
            of_series.by_time.retain(|number| *number != self.first);
            if of_series.by_time.is_empty() {
                self.series.remove(&entry.series);
            }
        }
        self.first += 1;
    }
}

/// Whether an exemplar comes too late after the newest of its series.
fn is_before(exemplar: &Exemplar, newest: &Exemplar, window_ms: i64) -> bool {
    let (t, newest_t) = (exemplar.timestamp_ms, newest.timestamp_ms);
    if t != newest_t {
        return t < newest_t && t <= newest_t.saturating_sub(window_ms);
    }
    exemplar.value < newest.value
        || exemplar.value == newest.value && exemplar.labels.stable_hash() < newest.labels.stable_hash()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exemplar(timestamp_ms: i64, value: f64) -> Exemplar {
        Exemplar { labels: Labels::from_pairs([("trace_id", "t")]), timestamp_ms, value }
    }

    fn series(n: u128) -> Labels {
        Labels::from_pairs([("n", n.to_string())])
    }

    fn push(exemplars: &mut Exemplars, n: u128, exemplar: Exemplar, window_ms: i64) -> Judged {
        exemplars.push(n, || series(n), exemplar, window_ms)
    }

    fn times(exemplars: &Exemplars, n: u128) -> Vec<i64> {
        let sets = [vec![Matcher::equal("n", n.to_string())]];
        let selected = exemplars.select(&sets, i64::MIN, i64::MAX);
        selected.iter().flat_map(|s| s.exemplars.iter().map(|e| e.timestamp_ms)).collect()
    }

    #[test]
    fn verdicts_are_prometheus() {
        const REFUSED: Judged = Judged::Refused(Verdict::OutOfOrderExemplar);
        let mut all = Exemplars::new(10);
        for (t, value, window_ms, judged) in [
            (10, 1.0, 0, Judged::New),
            (10, 1.0, 0, Judged::Known),
            (10, 0.5, 0, REFUSED),
            (10, 2.0, 0, Judged::New),
            (9, 3.0, 0, REFUSED),
            (20, 3.0, 0, Judged::New),
            (15, 3.0, 5, REFUSED),
            (16, 3.0, 5, Judged::New),
            (16, 4.0, 5, Judged::Known),
            (5, 4.0, 100, Judged::New),
        ] {
            assert_eq!(push(&mut all, 1, exemplar(t, value), window_ms), judged, "{t} {value} {window_ms}");
        }
        assert_eq!(times(&all, 1), [5, 10, 10, 16, 20]);
        assert_eq!((all.stats().appended, all.stats().out_of_order), (5, 3));
        assert_eq!(push(&mut Exemplars::new(0), 1, exemplar(1, 1.0), 0), Judged::Known);
    }

    #[test]
    fn labels_of_equal_exemplars_are_taken_by_their_hash() {
        let mut with: Vec<_> = ["a", "b"].map(|id| Labels::from_pairs([("trace_id", id)])).into();
        with.sort_by_key(Labels::stable_hash);
        let exemplar = |labels: &Labels| Exemplar { labels: labels.clone(), ..exemplar(1, 1.0) };
        let mut all = Exemplars::new(10);
        assert_eq!(push(&mut all, 1, exemplar(&with[0]), 0), Judged::New);
        assert_eq!(push(&mut all, 1, exemplar(&with[1]), 0), Judged::New);
        assert_eq!(push(&mut all, 1, exemplar(&with[0]), 0), Judged::Refused(Verdict::OutOfOrderExemplar));
    }

    #[test]
    fn the_one_that_came_first_goes_first() {
        let mut all = Exemplars::new(3);
        for (n, t) in [(1, 50), (1, 40), (2, 60), (1, 45)] {
            assert_eq!(push(&mut all, n, exemplar(t, 1.0), 100), Judged::New);
        }
        assert_eq!((times(&all, 1), times(&all, 2)), (vec![40, 45], vec![60]));
        for t in 70..73 {
            push(&mut all, 2, exemplar(t, 1.0), 0);
        }
        assert_eq!((all.stats().series, all.stats().stored, all.stats().oldest_ms), (1, 3, Some(70)));
    }

    proptest! {
        #[test]
        fn what_is_restored_is_the_same(
            max in 1usize..8,
            pushed in proptest::collection::vec((0u128..4, 0i64..9, 0u8..3), 0..60),
            window_ms in 0i64..6,
            twice in 0usize..8,
        ) {
            let mut all = Exemplars::new(max);
            for (n, t, value) in pushed {
                push(&mut all, n, exemplar(t, f64::from(value)), window_ms);
            }
            let mut restored = Exemplars::new(max);
            let parts: Vec<_> = all.iter().map(|(labels, e)| (labels.clone(), e.clone())).collect();
            let again = parts.len().saturating_sub(twice);
            for (labels, exemplar) in parts.iter().chain(&parts[again..]) {
                let n = String::from_utf8_lossy(labels.value("n")).parse().unwrap();
                restored.restore(n, || labels.clone(), exemplar.clone());
            }
            let sets = [vec![]];
            prop_assert_eq!(restored.select(&sets, i64::MIN, i64::MAX), all.select(&sets, i64::MIN, i64::MAX));
            prop_assert!(restored.iter().eq(all.iter()));
            for series in all.select(&sets, i64::MIN, i64::MAX) {
                prop_assert!(series.exemplars.windows(2).all(|pair| pair[0].timestamp_ms <= pair[1].timestamp_ms));
            }
        }
    }
}
