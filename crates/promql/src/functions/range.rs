//! Functions over ranges of samples: which there are, and what each is given.

use std::sync::Arc;

use thanoxide_model::series::Columns;
use thanoxide_model::{FloatHistogram, Labels};

use super::rate::{self, Resets};
use super::{changes, compare, extended, instant_rate, over_time, quantile, regression, smoothing};
use crate::annotations::{Annotations, Note, Place};
use crate::engine::QueryError;
use crate::exec::column::Column;
use crate::exec::samples::Window;
use crate::exec::scalar::ScalarColumn;

/// A function over a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeFunction {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Deriv,
    PredictLinear,
    DoubleExponentialSmoothing,
    Resets,
    Changes,
    AvgOverTime,
    SumOverTime,
    MinOverTime,
    MaxOverTime,
    CountOverTime,
    QuantileOverTime,
    StddevOverTime,
    StdvarOverTime,
    LastOverTime,
    FirstOverTime,
    PresentOverTime,
    AbsentOverTime,
    MadOverTime,
    TsOfMinOverTime,
    TsOfMaxOverTime,
    TsOfFirstOverTime,
    TsOfLastOverTime,
}

impl RangeFunction {
    /// The function of that name, if it takes a range.
    pub(crate) fn find(name: &str) -> Option<Self> {
        use RangeFunction::*;
        Some(match name {
            "rate" => Rate,
            "increase" => Increase,
            "delta" => Delta,
            "irate" => Irate,
            "idelta" => Idelta,
            "deriv" => Deriv,
            "predict_linear" => PredictLinear,
            "double_exponential_smoothing" => DoubleExponentialSmoothing,
            "resets" => Resets,
            "changes" => Changes,
            "avg_over_time" => AvgOverTime,
            "sum_over_time" => SumOverTime,
            "min_over_time" => MinOverTime,
            "max_over_time" => MaxOverTime,
            "count_over_time" => CountOverTime,
            "quantile_over_time" => QuantileOverTime,
            "stddev_over_time" => StddevOverTime,
            "stdvar_over_time" => StdvarOverTime,
            "last_over_time" => LastOverTime,
            "first_over_time" => FirstOverTime,
            "present_over_time" => PresentOverTime,
            "absent_over_time" => AbsentOverTime,
            "mad_over_time" => MadOverTime,
            "ts_of_min_over_time" => TsOfMinOverTime,
            "ts_of_max_over_time" => TsOfMaxOverTime,
            "ts_of_first_over_time" => TsOfFirstOverTime,
            "ts_of_last_over_time" => TsOfLastOverTime,
            _ => return None,
        })
    }

    /// Whether the result still is the metric.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, RangeFunction::LastOverTime | RangeFunction::FirstOverTime)
    }

    /// Whether start times take part where the engine uses them.
    pub(crate) fn uses_start_times(self) -> bool {
        use RangeFunction::{Increase, Irate, Rate, Resets};
        matches!(self, Rate | Irate | Increase | Resets)
    }

    /// Whether it is for counters, judged by the metric's name.
    pub(crate) fn expects_counter(self) -> bool {
        matches!(self, RangeFunction::Rate | RangeFunction::Increase)
    }
}

/// How a range selector treats the edges of its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Edges {
    #[default]
    Plain,
    Anchored,
    Smoothed,
}

/// What a function is told beside the window.
pub(crate) struct RangeCall<'a> {
    pub(crate) function: RangeFunction,
    pub(crate) edges: Edges,
    pub(crate) range_ms: i64,
    /// The other arguments, in order.
    pub(crate) scalars: &'a [ScalarColumn],
    /// Where the range expression is in the query.
    pub(crate) position: Place,
}

impl RangeCall<'_> {
    pub(crate) fn scalar(&self, index: usize, step: usize) -> f64 {
        self.scalars.get(index).map_or(f64::NAN, |s| s.get(step))
    }

    pub(crate) fn range_seconds(&self) -> f64 {
        // Go: whole seconds and the rest are divided apart.
        (self.range_ms / 1000) as f64 + ((self.range_ms % 1000) * 1_000_000) as f64 / 1e9
    }
}

/// What a function gives for one window.
#[derive(Debug)]
pub(crate) enum Output {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl From<f64> for Output {
    fn from(value: f64) -> Self {
        Output::Float(value)
    }
}

impl From<FloatHistogram> for Output {
    fn from(histogram: FloatHistogram) -> Self {
        Output::Histogram(Arc::new(histogram))
    }
}

/// Notes about one series; the same kind is not made twice for it.
pub(crate) struct SeriesNotes<'a> {
    labels: &'a Labels,
    position: Place,
    seen: u32,
    pub(crate) notes: Annotations,
}

/// Kinds of notes that a series may get.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SeriesNote {
    MixedFloatsHistograms,
    MixedExponentialCustom,
    NotCounter,
    NotGauge,
    IgnoredInMixedRange,
}

impl<'a> SeriesNotes<'a> {
    pub(crate) fn new(labels: &'a Labels, position: Place) -> Self {
        SeriesNotes { labels, position, seen: 0, notes: Annotations::default() }
    }

    /// Adds a note about the series' metric.
    pub(crate) fn about_metric(&mut self, kind: SeriesNote) {
        let bit = 1 << kind as u32;
        if self.seen & bit != 0 {
            return;
        }
        self.seen |= bit;
        let (name, position) = (self.labels.metric_name(), self.position);
        self.notes.add(match kind {
            SeriesNote::MixedFloatsHistograms => Note::mixed_floats_histograms(name, position),
            SeriesNote::MixedExponentialCustom => Note::mixed_exponential_custom(name, position),
            SeriesNote::NotCounter => Note::not_counter(name, position),
            SeriesNote::NotGauge => Note::not_gauge(name, position),
            SeriesNote::IgnoredInMixedRange => Note::ignored_in_mixed_range(name, position),
        });
    }

    /// Counts a window with overlapping start times.
    pub(crate) fn start_time_overlap(&mut self) {
        self.notes.add(Note::start_time_overlap(self.labels.metric_name(), self.position));
    }

    /// Adds any note.
    pub(crate) fn add(&mut self, make: impl FnOnce(Place) -> Note) {
        self.notes.add(make(self.position));
    }
}

/// A function at work on one series.
pub(crate) struct Evaluator<'a> {
    call: &'a RangeCall<'a>,
    resets: Resets,
    buffer: Vec<f64>,
}

impl<'a> Evaluator<'a> {
    /// Looks at the whole series once, where that saves work for each window.
    pub(crate) fn new(call: &'a RangeCall<'a>, columns: &Columns) -> Self {
        let resets = if call.function.expects_counter() && call.edges == Edges::Plain {
            Resets::find(columns)
        } else {
            Resets::default()
        };
        Evaluator { call, resets, buffer: Vec::new() }
    }

    /// Evaluates one window that has samples.
    pub(crate) fn evaluate(
        &mut self,
        window: &Window<'_>,
        step: usize,
        notes: &mut SeriesNotes<'_>,
    ) -> Result<Option<Output>, QueryError> {
        use RangeFunction::*;
        let call = self.call;
        Ok(match call.function {
            Rate | Increase | Delta if call.edges != Edges::Plain => extended::rate(call, window, notes),
            Rate | Increase | Delta => rate::extrapolated(call, window, &mut self.resets, notes),
            Irate | Idelta => instant_rate::between_last_two(call.function == Irate, window, notes),
            Deriv => regression::deriv(window, notes),
            PredictLinear => regression::predict(window, call.scalar(0, step), notes),
            DoubleExponentialSmoothing => {
                smoothing::double_exponential(window, call.scalar(0, step), call.scalar(1, step), notes)?
            }
            Resets => changes::resets(call.edges, window),
            Changes => changes::changes(call.edges, window),
            AvgOverTime => over_time::avg(window, notes),
            SumOverTime => over_time::sum(window, notes),
            MinOverTime | MaxOverTime | TsOfMinOverTime | TsOfMaxOverTime => {
                compare::extreme(call.function, window, notes)
            }
            CountOverTime => Some(Output::Float(window.len() as f64)),
            QuantileOverTime => quantile::over_time(window, call.scalar(0, step), &mut self.buffer, notes),
            StddevOverTime => over_time::variance(window, notes).map(|v| v.sqrt().into()),
            StdvarOverTime => over_time::variance(window, notes).map(Output::Float),
            LastOverTime => over_time::last(window),
            FirstOverTime => over_time::first(window),
            PresentOverTime | AbsentOverTime => Some(Output::Float(1.0)),
            MadOverTime => quantile::median_deviation(window, &mut self.buffer, notes),
            TsOfFirstOverTime => over_time::first_time(window),
            TsOfLastOverTime => over_time::last_time(window),
        })
    }
}

/// Stores what a function gave.
pub(crate) fn store(column: &mut Column, step: usize, output: Output) {
    match output {
        Output::Float(value) => column.set_float(step, value),
        Output::Histogram(histogram) => column.set_histogram(step, histogram),
    }
}
