//! `rate`, `increase` and `delta` with extrapolation to the edges of the range.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;
use thanoxide_model::series::Columns;

use super::histogram_rate;
use super::lanes::LANES;
use super::range::{Output, RangeCall, RangeFunction, SeriesNote, SeriesNotes};
use super::start_time;
use super::sweep::Windows;
use crate::exec::column::Column;
use crate::exec::samples::Window;

/// Indexes of the floats of a series that are lower than the one before, or start anew.
#[derive(Debug, Default)]
pub(crate) struct Resets {
    indexes: Vec<usize>,
    low: usize,
}

impl Resets {
    pub(crate) fn find(columns: &Columns) -> Self {
        let values = &columns.values;
        let started_anew = |i| start_time::is_reset_at(&columns.timestamps_ms, &columns.start_timestamps_ms, i);
        let indexes = if columns.start_timestamps_ms.is_empty() {
            (1..values.len()).filter(|i| values[*i] < values[i - 1]).collect()
        } else {
            (1..values.len()).filter(|i| values[*i] < values[i - 1] || started_anew(*i)).collect()
        };
        Resets { indexes, low: 0 }
    }

    /// The resets inside a window, as indexes into the window. Windows move forward.
    fn within(&mut self, window: &Window<'_>) -> impl Iterator<Item = usize> {
        let first = window.first;
        self.between(first, first + window.values.len()).map(move |i| i - first)
    }

    /// The resets after the sample `first` and before the sample `end`.
    #[inline]
    fn between(&mut self, first: usize, end: usize) -> impl Iterator<Item = usize> {
        while self.low < self.indexes.len() && self.indexes[self.low] <= first {
            self.low += 1;
        }
        self.indexes[self.low..].iter().copied().take_while(move |i| *i < end)
    }
}

/// The change between the first and last sample, before extrapolation.
enum Change {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

/// Times of the samples that a change is made of.
struct Sampled {
    first_ms: i64,
    last_ms: i64,
    gaps: usize,
}

pub(crate) fn extrapolated(
    call: &RangeCall<'_>,
    window: &Window<'_>,
    resets: &mut Resets,
    notes: &mut SeriesNotes<'_>,
) -> Option<Output> {
    if window.is_mixed() {
        notes.about_metric(SeriesNote::MixedFloatsHistograms);
        return None;
    }
    let is_counter = call.function != RangeFunction::Delta;
    let (times_ms, starts_ms) = if window.times_ms.is_empty() {
        (window.histogram_times_ms, window.histogram_starts_ms)
    } else {
        (window.times_ms, window.starts_ms)
    };
    let sampled = Sampled { first_ms: times_ms[0], last_ms: times_ms[times_ms.len() - 1], gaps: times_ms.len() - 1 };
    let start_ms = starts_ms.first().copied().filter(|_| is_counter);
    let start_ms = start_ms.filter(|st| *st != 0 && *st > window.range_start_ms && *st < sampled.first_ms);
    if sampled.gaps == 0 && start_ms.is_none() {
        return None;
    }
    let mut change = if window.histograms.is_empty() {
        Change::Float(float_change(is_counter, window, resets, notes))
    } else {
        let change = if sampled.gaps == 0 { None } else { Some(histogram_rate::change(is_counter, window, notes)?) };
        Change::Histogram(match (change, start_ms) {
            (Some(change), None) => change,
            (None, _) => Arc::clone(&window.histograms[0]),
            (Some(mut change), Some(_)) => {
                histogram_rate::add(Arc::make_mut(&mut change), &window.histograms[0], notes)?;
                change
            }
        })
    };
    if let (Change::Float(change), Some(_)) = (&mut change, start_ms) {
        *change += window.values[0];
    }
    let reach = Reach {
        range_start_ms: window.range_start_ms,
        range_end_ms: window.range_end_ms,
        to_zero: is_counter.then(|| to_zero(window, &change)).flatten(),
    };
    let mut factor = factor(&reach, &sampled, start_ms);
    if call.function == RangeFunction::Rate {
        factor /= call.range_seconds();
    }
    Some(match change {
        Change::Float(change) => Output::Float(change * factor),
        Change::Histogram(mut change) => {
            Arc::make_mut(&mut change).mul(factor);
            Output::Histogram(change)
        }
    })
}

fn float_change(is_counter: bool, window: &Window<'_>, resets: &mut Resets, notes: &mut SeriesNotes<'_>) -> f64 {
    let values = window.values;
    let mut change = values[values.len() - 1] - values[0];
    if is_counter {
        if start_time::pairs(window.times_ms, window.starts_ms).any(|(a, b)| start_time::overlaps(a, b.start_ms)) {
            notes.start_time_overlap();
        }
        for reset in resets.within(window) {
            change += values[reset - 1];
        }
    }
    change
}

/// How far a range reaches beyond its samples.
struct Reach {
    range_start_ms: i64,
    range_end_ms: i64,
    /// Of a rising counter: its first value over its change.
    to_zero: Option<f64>,
}

/// What the change is multiplied with: as if the samples filled the range, but never further than half a gap beyond a
/// sample where the next one seems to be missing, and never below a counter's zero.
#[inline]
fn factor(reach: &Reach, sampled: &Sampled, start_ms: Option<i64>) -> f64 {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let mut interval = seconds(sampled.last_ms - sampled.first_ms);
    let average_gap = if sampled.gaps > 0 { interval / sampled.gaps as f64 } else { 0.0 };
    let threshold = average_gap * 1.1;
    let mut to_start = seconds(sampled.first_ms - reach.range_start_ms);
    let mut to_end = seconds(reach.range_end_ms - sampled.last_ms);
    if let Some(start_ms) = start_ms {
        // A sample of value zero at the start time takes the place of extrapolation to the left.
        to_start = 0.0;
        interval = seconds(sampled.last_ms - start_ms);
    } else {
        if to_start >= threshold {
            to_start = average_gap / 2.0;
        }
        if let Some(part) = reach.to_zero {
            let to_zero = interval * part;
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
    }
    if to_end >= threshold {
        to_end = average_gap / 2.0;
    }
    if interval == 0.0 { 1.0 } else { (interval + to_start + to_end) / interval }
}

/// How far back the counter was zero at its average slope, in lengths of the sampled interval.
fn to_zero(window: &Window<'_>, change: &Change) -> Option<f64> {
    match change {
        Change::Float(change) => float_to_zero(window.values[0], *change),
        Change::Histogram(change) if change.count > 0.0 && window.histograms[0].count >= 0.0 => {
            Some(window.histograms[0].count / change.count)
        }
        Change::Histogram(_) => None,
    }
}

#[inline]
fn float_to_zero(first: f64, change: f64) -> Option<f64> {
    (change > 0.0 && first >= 0.0).then(|| first / change)
}

/// `rate`, `increase` and `delta` of a series that has nothing but floats: the same as [`extrapolated`] for each window,
/// without the looks at what is not there.
pub(crate) fn sweep(
    call: &RangeCall<'_>,
    columns: &Columns,
    ends_ms: impl Iterator<Item = i64>,
    windows: &Windows<'_>,
    column: &mut Column,
) {
    let is_counter = call.function != RangeFunction::Delta;
    let (times_ms, values) = (columns.timestamps_ms.as_slice(), columns.values.as_slice());
    let mut resets = if is_counter { Resets::find(columns) } else { Resets::default() };
    let per_seconds = if call.function == RangeFunction::Rate { call.range_seconds() } else { 1.0 };
    let mut waiting = Waiting::default();
    for (step, (end_ms, (low, high))) in ends_ms.zip(windows.bounds.iter().copied()).enumerate() {
        if high < low + 2 {
            continue;
        }
        let mut change = values[high - 1] - values[low];
        for reset in resets.between(low, high) {
            change += values[reset - 1];
        }
        let lane = waiting.count;
        let (first_ms, last_ms) = (times_ms[low], times_ms[high - 1]);
        waiting.steps[lane] = step;
        waiting.change[lane] = change;
        waiting.first[lane] = values[low];
        waiting.interval_ms[lane] = (last_ms - first_ms) as f64;
        waiting.gaps[lane] = (high - low - 1) as f64;
        waiting.to_start_ms[lane] = (first_ms - end_ms.saturating_sub(call.range_ms)) as f64;
        waiting.to_end_ms[lane] = (end_ms - last_ms) as f64;
        waiting.count += 1;
        if waiting.count == LANES {
            waiting.settle(is_counter, per_seconds, column);
        }
    }
    waiting.settle(is_counter, per_seconds, column);
}

/// Windows whose changes are yet to be extrapolated: some at a time, because division is slow.
#[derive(Default)]
struct Waiting {
    count: usize,
    steps: [usize; LANES],
    change: [f64; LANES],
    first: [f64; LANES],
    interval_ms: [f64; LANES],
    gaps: [f64; LANES],
    to_start_ms: [f64; LANES],
    to_end_ms: [f64; LANES],
}

impl Waiting {
    fn settle(&mut self, is_counter: bool, per_seconds: f64, column: &mut Column) {
        let rates =
            if is_counter { self.extrapolate::<true>(per_seconds) } else { self.extrapolate::<false>(per_seconds) };
        for (step, rate) in self.steps.iter().zip(rates).take(self.count) {
            column.set_float(*step, rate);
        }
        self.count = 0;
    }

    /// The change times its [`factor`].
    #[inline]
    fn extrapolate<const COUNTER: bool>(&self, per_seconds: f64) -> [f64; LANES] {
        std::array::from_fn(|lane| {
            let (change, first) = (self.change[lane], self.first[lane]);
            let interval = self.interval_ms[lane] / 1000.0;
            let average_gap = interval / self.gaps[lane];
            let (threshold, half) = (average_gap * 1.1, average_gap / 2.0);
            let (to_start, to_end) = (self.to_start_ms[lane] / 1000.0, self.to_end_ms[lane] / 1000.0);
            let to_start = if to_start >= threshold { half } else { to_start };
            let to_end = if to_end >= threshold { half } else { to_end };
            let to_zero = interval * (first / change);
            let is_capped = COUNTER & (change > 0.0) & (first >= 0.0) & (to_zero < to_start);
            let to_start = if is_capped { to_zero } else { to_start };
            let reached = (interval + to_start + to_end) / interval;
            let factor = if interval == 0.0 { 1.0 } else { reached };
            change * (factor / per_seconds)
        })
    }
}
