//! `changes` and `resets`: what happens between neighbouring samples, of either kind.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;

use super::range::{Edges, Output};
use super::start_time::{Started, is_reset};
use crate::exec::samples::Window;

/// A sample of either kind.
#[derive(Clone, Copy)]
enum Sample<'a> {
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

/// The samples of a window in time order.
struct Merged<'a, 'w> {
    window: &'w Window<'a>,
    float: usize,
    histogram: usize,
}

impl<'a> Iterator for Merged<'a, '_> {
    type Item = (Sample<'a>, Started);

    fn next(&mut self) -> Option<Self::Item> {
        let w = self.window;
        let started =
            |starts: &[i64], time_ms: i64, i: usize| Started { start_ms: starts.get(i).copied().unwrap_or(0), time_ms };
        match (w.times_ms.get(self.float), w.histogram_times_ms.get(self.histogram)) {
            (None, None) => None,
            (Some(float), histogram) if histogram.is_none_or(|h| float < h) => {
                let i = self.float;
                self.float += 1;
                Some((Sample::Float(w.values[i]), started(w.starts_ms, *float, i)))
            }
            _ => {
                let i = self.histogram;
                self.histogram += 1;
                let time_ms = w.histogram_times_ms[i];
                Some((Sample::Histogram(&w.histograms[i]), started(w.histogram_starts_ms, time_ms, i)))
            }
        }
    }
}

/// The samples that count: of an anchored range those after its start, and the newest one at or before it.
fn relevant<'a, 'w>(edges: Edges, window: &'w Window<'a>) -> Option<Merged<'a, 'w>> {
    let all = Merged { window, float: 0, histogram: 0 };
    if edges != Edges::Anchored {
        return Some(all);
    }
    let start_ms = window.range_start_ms;
    let floats = window.times_ms.partition_point(|t| *t <= start_ms);
    let histograms = window.histogram_times_ms.partition_point(|t| *t <= start_ms);
    if floats == window.times_ms.len() && histograms == window.histogram_times_ms.len() {
        return None;
    }
    let float_ms = floats.checked_sub(1).map(|i| window.times_ms[i]);
    let histogram_ms = histograms.checked_sub(1).map(|i| window.histogram_times_ms[i]);
    Some(match (float_ms, histogram_ms) {
        (None, None) => all,
        (float, histogram) if float >= histogram => Merged { float: floats - 1, histogram: histograms, ..all },
        _ => Merged { float: floats, histogram: histograms - 1, ..all },
    })
}

fn count(edges: Edges, window: &Window<'_>, differ: impl Fn(&Pair<'_>) -> bool) -> Option<Output> {
    let mut samples = relevant(edges, window)?;
    let mut before = samples.next()?;
    let mut count = 0.0;
    for after in samples {
        if differ(&Pair { before, after }) {
            count += 1.0;
        }
        before = after;
    }
    Some(Output::Float(count))
}

struct Pair<'a> {
    before: (Sample<'a>, Started),
    after: (Sample<'a>, Started),
}

/// `resets`; a change of kind is one.
pub(crate) fn resets(edges: Edges, window: &Window<'_>) -> Option<Output> {
    count(edges, window, |pair| {
        let anew = || is_reset(pair.before.1, pair.after.1);
        match (pair.before.0, pair.after.0) {
            (Sample::Float(before), Sample::Float(after)) => after < before || anew(),
            (Sample::Histogram(before), Sample::Histogram(after)) => anew() || after.detect_reset(before),
            _ => true,
        }
    })
}

/// `changes`; a change of kind is one, from NaN to NaN is none.
pub(crate) fn changes(edges: Edges, window: &Window<'_>) -> Option<Output> {
    count(edges, window, |pair| match (pair.before.0, pair.after.0) {
        (Sample::Float(before), Sample::Float(after)) => before != after && !(before.is_nan() && after.is_nan()),
        (Sample::Histogram(before), Sample::Histogram(after)) => after != before,
        _ => true,
    })
}
