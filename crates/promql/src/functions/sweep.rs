//! All windows of a series at once, where it has nothing but floats.
//!
//! What a window shares with its neighbours is worked out once: counts of changes as running counts, extremes by doubling
//! spans, quantiles on a window that is kept sorted, sums as in [`super::fixed_point`] and [`super::lanes`]. Results have the
//! same bits as those of one window at a time.

use thanoxide_model::series::Columns;

use super::range::{Edges, RangeCall, RangeFunction, SeriesNotes};
use super::{compare, instant_rate, over_time, quantile, rate};
use crate::exec::column::Column;
use crate::limits::Deadline;

/// Samples of a series by window: half-open ranges of indexes, whose bounds never go back.
#[derive(Debug)]
pub(crate) struct Windows<'a> {
    /// By step; empty where there is no sample.
    pub(crate) bounds: Vec<(usize, usize)>,
    /// How many samples are in all windows together.
    pub(crate) samples: usize,
    /// How many samples are in the largest window.
    pub(crate) longest: usize,
    /// Ends long walks over the windows.
    deadline: &'a Deadline,
}

/// A walk looks whether it should end once it has seen so many samples.
const CHECK_SAMPLES: usize = 1 << 18;

impl<'a> Windows<'a> {
    /// The windows of `range_ms` up to each end. A walk over them that sees the deadline ends early; what it made is not to
    /// be used then.
    pub(crate) fn cut(
        times_ms: &[i64],
        ends_ms: impl Iterator<Item = i64>,
        range_ms: i64,
        deadline: &'a Deadline,
    ) -> Self {
        let (mut low, mut high, mut samples, mut longest) = (0, 0, 0, 0);
        let mut bound = |end_ms: i64| {
            let start_ms = end_ms.saturating_sub(range_ms);
            while low < times_ms.len() && times_ms[low] <= start_ms {
                low += 1;
            }
            high = high.max(low);
            while high < times_ms.len() && times_ms[high] <= end_ms {
                high += 1;
            }
            samples += high - low;
            longest = longest.max(high - low);
            (low, high)
        };
        let bounds = ends_ms.map(&mut bound).collect();
        Windows { bounds, samples, longest, deadline }
    }

    /// Steps with samples, and their bounds.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (usize, (usize, usize))> + '_ {
        let mut seen = 0;
        let may_go_on = move |(_, (low, high)): &(usize, (usize, usize))| {
            seen += high - low;
            if seen < CHECK_SAMPLES {
                return true;
            }
            seen = 0;
            self.deadline.check().is_ok()
        };
        self.bounds.iter().copied().enumerate().filter(|(_, (low, high))| high > low).take_while(may_go_on)
    }

    /// Sets each window with samples to what is made of it.
    pub(crate) fn fill(&self, column: &mut Column, mut value: impl FnMut(usize, usize) -> f64) {
        for (step, (low, high)) in self.filled() {
            column.set_float(step, value(low, high));
        }
    }
}

/// Whether [`sweep`] knows the way.
pub(crate) fn is_open(call: &RangeCall<'_>, columns: &Columns) -> bool {
    use RangeFunction::*;
    if call.edges != Edges::Plain || !columns.histograms.is_empty() || !columns.start_timestamps_ms.is_empty() {
        return false;
    }
    match call.function {
        Rate | Increase | Delta | Irate | Idelta | Resets | Changes => true,
        AvgOverTime | SumOverTime | MinOverTime | MaxOverTime | CountOverTime | StddevOverTime | StdvarOverTime => true,
        LastOverTime | FirstOverTime | PresentOverTime | AbsentOverTime => true,
        QuantileOverTime => quantile::is_ordered(&columns.values),
        _ => false,
    }
}

/// Evaluates all windows; gives how many samples were looked at. The deadline is to be checked afterwards.
pub(crate) fn sweep(
    deadline: &Deadline,
    call: &RangeCall<'_>,
    columns: &Columns,
    ends_ms: impl Iterator<Item = i64> + Clone,
    column: &mut Column,
    notes: &mut SeriesNotes<'_>,
) -> u64 {
    use RangeFunction::*;
    let windows = Windows::cut(&columns.timestamps_ms, ends_ms.clone(), call.range_ms, deadline);
    let values = columns.values.as_slice();
    match call.function {
        Rate | Increase | Delta => rate::sweep(call, columns, ends_ms, &windows, column),
        Irate | Idelta => instant_rate::sweep(call.function == Irate, columns, &windows, column),
        Changes => count_pairs(values, &windows, column, |a, b| a != b && !(a.is_nan() && b.is_nan())),
        Resets => count_pairs(values, &windows, column, |a, b| b < a),
        SumOverTime | AvgOverTime => over_time::sweep_sums(call.function == AvgOverTime, values, &windows, column),
        StddevOverTime | StdvarOverTime => {
            over_time::sweep_variances(call.function == StddevOverTime, values, &windows, column);
        }
        MaxOverTime => compare::sweep(values, &windows, column, |new, old| new > old),
        MinOverTime => compare::sweep(values, &windows, column, |new, old| new < old),
        QuantileOverTime => quantile::sweep(call, values, &windows, column, notes),
        CountOverTime => windows.fill(column, |low, high| (high - low) as f64),
        LastOverTime => windows.fill(column, |_, high| values[high - 1]),
        FirstOverTime => windows.fill(column, |low, _| values[low]),
        _ => windows.fill(column, |_, _| 1.0),
    }
    windows.samples as u64
}

/// Counts the neighbours in each window for which it holds.
fn count_pairs(values: &[f64], windows: &Windows<'_>, column: &mut Column, holds: impl Fn(f64, f64) -> bool) {
    let mut count = 0_u32;
    let mut counts = Vec::with_capacity(values.len());
    counts.extend(values.first().map(|_| 0));
    counts.extend(values.windows(2).map(|pair| {
        count += u32::from(holds(pair[0], pair[1]));
        count
    }));
    windows.fill(column, |low, high| f64::from(counts[high - 1] - counts[low]));
}
