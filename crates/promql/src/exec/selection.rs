//! A selector's series, streamed from storage; read once and kept where several operators want the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thanoxide_model::histogram::CounterResetHint;
use thanoxide_model::series::{Columns, SelectHints, Series, SeriesSet};
use thanoxide_model::{FloatHistogram, Matcher};

use super::Context;
use crate::engine::QueryError;
use crate::limits::Charge;

/// What one or more operators read.
pub(crate) struct Selection {
    matchers: Vec<Matcher>,
    /// Without a projection.
    hints: SelectHints,
    /// What all that read it want, together.
    projection: Mutex<Option<Vec<String>>>,
    /// Only counts and sums of histograms are of interest.
    stats_only: bool,
    users: AtomicUsize,
    kept: Mutex<Option<Kept>>,
}

/// All series of a selection, and the memory they take.
struct Kept {
    all: Arc<Vec<Series>>,
    _charge: Charge,
}

impl Selection {
    pub(crate) fn new(
        matchers: Vec<Matcher>,
        hints: SelectHints,
        projection: Option<Vec<String>>,
        stats_only: bool,
    ) -> Arc<Self> {
        let (users, projection, kept) = (AtomicUsize::new(0), Mutex::new(projection), Mutex::default());
        Arc::new(Selection { matchers, hints, projection, stats_only, users, kept })
    }

    /// Gives these labels as well; `None` is all.
    pub(crate) fn widen(&self, projection: Option<Vec<String>>) {
        let mut wanted = self.projection.lock().unwrap_or_else(PoisonError::into_inner);
        *wanted = wanted.take().zip(projection).map(|(mut wanted, more)| {
            wanted.extend(more);
            wanted
        });
    }

    /// Whether it answers another selector as well.
    pub(crate) fn is_same(&self, matchers: &[Matcher], hints: &SelectHints, stats_only: bool) -> bool {
        self.matchers == matchers && self.hints == *hints && self.stats_only == stats_only
    }

    /// Another operator will read it. All are announced before the first one reads.
    pub(crate) fn announce(self: &Arc<Self>) -> SelectionReader {
        self.users.fetch_add(1, Ordering::Relaxed);
        SelectionReader { selection: Arc::clone(self), state: State::Unopened, charge: None }
    }

    fn open(&self, cx: &Context<'_>) -> Result<Box<dyn SeriesSet>, QueryError> {
        let projection = self.projection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let hints = SelectHints { projection, ..self.hints.clone() };
        Ok(cx.source.select(&hints, &self.matchers)?)
    }

    fn keep(&self, cx: &Context<'_>) -> Result<Arc<Vec<Series>>, QueryError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref() {
            return Ok(Arc::clone(&kept.all));
        }
        let mut set = self.open(cx)?;
        let mut all = Vec::new();
        let mut charge = cx.budget.charge(0)?;
        while let Some(series) = set.next()? {
            charge.add_encoded(memory(&series))?;
            all.push(series);
            cx.deadline.check()?;
        }
        cx.warn(set.warnings());
        let all = Arc::new(all);
        *kept = Some(Kept { all: Arc::clone(&all), _charge: charge });
        Ok(all)
    }
}

enum State {
    Unopened,
    Streaming(Box<dyn SeriesSet>),
    Kept { all: Arc<Vec<Series>>, next: usize },
    Ended,
}

/// What a series takes before it is decoded.
fn memory(series: &Series) -> usize {
    series.labels.as_packed().len() + series.data.encoded_bytes()
}

/// One operator's way through a selection.
pub(crate) struct SelectionReader {
    selection: Arc<Selection>,
    state: State,
    /// For the series that were read last.
    charge: Option<Charge>,
}

/// A series, owned or shared.
pub(crate) enum Selected {
    Owned(Series),
    Shared(Arc<Vec<Series>>, usize),
}

impl Selected {
    pub(crate) fn series(&self) -> &Series {
        match self {
            Selected::Owned(series) => series,
            Selected::Shared(all, index) => &all[*index],
        }
    }
}

impl SelectionReader {
    /// The next at most `limit` series; empty at the end.
    pub(crate) fn read(&mut self, limit: usize, cx: &Context<'_>) -> Result<Vec<Selected>, QueryError> {
        if matches!(self.state, State::Unopened) {
            self.state = match self.selection.users.load(Ordering::Relaxed) {
                0 | 1 => State::Streaming(self.selection.open(cx)?),
                _ => State::Kept { all: self.selection.keep(cx)?, next: 0 },
            };
        }
        self.charge = None;
        let mut charge = cx.budget.charge(0)?;
        let mut selected = Vec::new();
        while selected.len() < limit {
            let Some(series) = self.next(cx)? else {
                self.state = State::Ended;
                break;
            };
            if let Selected::Owned(series) = &series {
                charge.add_encoded(memory(series))?;
            }
            selected.push(series);
        }
        self.charge = Some(charge);
        cx.deadline.check()?;
        Ok(selected)
    }

    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Selected>, QueryError> {
        match &mut self.state {
            State::Unopened | State::Ended => Ok(None),
            State::Kept { all, next } => {
                *next += 1;
                Ok((*next <= all.len()).then(|| Selected::Shared(Arc::clone(all), *next - 1)))
            }
            State::Streaming(set) => match set.next()? {
                Some(series) => Ok(Some(Selected::Owned(series))),
                None => {
                    cx.warn(set.warnings());
                    Ok(None)
                }
            },
        }
    }

    /// All times that the selector looks at.
    pub(crate) fn span(&self) -> Span {
        let Selection { hints, stats_only, .. } = &*self.selection;
        Span { start_ms: hints.start_ms, end_ms: hints.end_ms, stats_only: *stats_only }
    }
}

/// The times of the samples of interest, both inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start_ms: i64,
    end_ms: i64,
    stats_only: bool,
}

impl Span {
    /// The newest sample of a series not after `time_ms`; older ones may come along.
    pub(crate) fn decode_newest(self, selected: &Selected, time_ms: i64, into: &mut Columns) -> Result<(), QueryError> {
        if self.stats_only || time_ms != self.end_ms {
            return self.decode(selected, into);
        }
        into.clear();
        Ok(selected.series().data.decode_newest(self.start_ms, self.end_ms, into)?)
    }

    /// The samples of a series in that span.
    pub(crate) fn decode(self, selected: &Selected, into: &mut Columns) -> Result<(), QueryError> {
        into.clear();
        let data = &selected.series().data;
        if self.stats_only {
            data.decode_counts(self.start_ms, self.end_ms, into)?;
            drop_buckets(&mut into.histograms);
        } else {
            data.decode(self.start_ms, self.end_ms, into)?;
        }
        Ok(())
    }
}

/// Leaves counts and sums, and as hints what the buckets tell of counter resets.
fn drop_buckets(histograms: &mut [Arc<FloatHistogram>]) {
    // The last one that was not stale: as it was, or where it still is.
    let (mut last, mut last_bare): (Option<Arc<FloatHistogram>>, _) = (None, None);
    for i in 0..histograms.len() {
        let histogram = &histograms[i];
        if is_bare(histogram) {
            last_bare = Some(i);
            continue;
        }
        let mut hint = histogram.counter_reset_hint;
        let before = last_bare.map(|i: usize| &histograms[i]).or(last.as_ref());
        if let (CounterResetHint::Unknown, false, Some(last)) = (hint, histogram.is_stale(), before) {
            hint = match histogram.detect_reset(last) {
                true => CounterResetHint::CounterReset,
                false => CounterResetHint::NotCounterReset,
            };
        }
        let (schema, count, sum) = (histogram.schema, histogram.count, histogram.sum);
        let bare = FloatHistogram { counter_reset_hint: hint, schema, count, sum, ..Default::default() };
        let whole = std::mem::replace(&mut histograms[i], Arc::new(bare));
        if !whole.is_stale() {
            (last, last_bare) = (Some(whole), None);
        }
    }
}

/// Whether there is nothing to drop and all is known of a reset.
fn is_bare(histogram: &FloatHistogram) -> bool {
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    let has_zero_bucket = histogram.zero_count != 0.0 || histogram.zero_threshold != 0.0;
    let is_empty = spans == 0 && !has_zero_bucket && histogram.custom_values.is_empty();
    is_empty && histogram.counter_reset_hint != CounterResetHint::Unknown && !histogram.is_stale()
}
