//! Evaluation: a tree of operators, each a stream of series with a column of values over the steps of a [`Grid`].
//!
//! Series flow in batches, in the order in which storage gives them; labels are worked out once per series. Operators
//! hold no more than they must: selectors and functions one batch, aggregations a row per group, binary operators one
//! of their inputs. Work on a batch may be spread over threads; results are put back in order, so answers never depend on
//! that.

pub(crate) mod absent;
pub(crate) mod aggregation;
pub(crate) mod arithmetic;
pub(crate) mod binary;
pub(crate) mod buckets;
pub(crate) mod column;
pub(crate) mod grid;
pub(crate) mod info;
pub(crate) mod instant;
pub(crate) mod label_sets;
pub(crate) mod matching;
pub(crate) mod merge;
pub(crate) mod pointwise;
pub(crate) mod range;
pub(crate) mod relabel;
pub(crate) mod repeat;
pub(crate) mod samples;
pub(crate) mod scalar;
pub(crate) mod selection;
pub(crate) mod set;
pub(crate) mod shared;
pub(crate) mod smoothed;
pub(crate) mod sort;
pub(crate) mod subquery;
pub(crate) mod tally;
pub(crate) mod vector_scalar;

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use thanoxide_model::Labels;
use thanoxide_model::series::{Columns, SeriesSource};

use crate::annotations::{Annotations, Note};
use crate::engine::QueryError;
use crate::limits::{Budget, Charge, Deadline};
use column::Column;
use tally::{Counted, Tally};

/// One series of an operator's output.
#[derive(Clone, Debug)]
pub(crate) struct SeriesColumn {
    pub(crate) labels: Labels,
    /// The name is to go, but not before the end (delayed name removal).
    pub(crate) drop_name: bool,
    pub(crate) column: Column,
}

/// Some series, and the memory they take.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) series: Vec<SeriesColumn>,
    pub(crate) charge: Charge,
}

impl Batch {
    /// A batch of freshly computed series.
    pub(crate) fn new(series: Vec<SeriesColumn>, cx: &Context<'_>) -> Result<Self, QueryError> {
        let charge = cx.budget.charge(series.iter().map(|s| s.column.bytes()).sum())?;
        Ok(Batch { series, charge })
    }
}

/// An operator.
pub(crate) trait Stream: Send {
    /// The next series; `None` at the end. No call may follow that.
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError>;
}

/// Everything that an operator gives.
pub(crate) fn collect(stream: &mut dyn Stream, cx: &Context<'_>) -> Result<Batch, QueryError> {
    let mut all = Batch { series: Vec::new(), charge: cx.budget.charge(0)? };
    while let Some(batch) = stream.next(cx)? {
        all.series.extend(batch.series);
        all.charge.absorb(batch.charge);
        cx.deadline.check()?;
    }
    Ok(all)
}

/// Of two errors that of the operand that Prometheus evaluates first: `earlier` if it fails as well, else this one.
pub(crate) fn first_error(earlier: &mut dyn Stream, later: QueryError, cx: &Context<'_>) -> QueryError {
    collect(earlier, cx).err().unwrap_or(later)
}

/// What changes how PromQL is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) lookback_ms: i64,
    pub(crate) default_step_ms: i64,
    pub(crate) delayed_name_removal: bool,
    pub(crate) type_and_unit_labels: bool,
    pub(crate) use_start_timestamps: bool,
    /// Nobody asks how many samples are looked at: what does not matter need not be read.
    pub(crate) uncounted: bool,
}

/// What all operators of one query share.
pub(crate) struct Context<'a> {
    pub(crate) source: &'a dyn SeriesSource,
    pub(crate) settings: Settings,
    pub(crate) budget: Arc<Budget>,
    pub(crate) deadline: Deadline,
    pub(crate) pool: Option<&'a rayon::ThreadPool>,
    pub(crate) tally: Tally,
    notes: Mutex<Annotations>,
    warnings: Mutex<Vec<String>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        source: &'a dyn SeriesSource,
        settings: Settings,
        budget: Arc<Budget>,
        deadline: Deadline,
        pool: Option<&'a rayon::ThreadPool>,
        tally: Tally,
    ) -> Self {
        Context { source, settings, budget, deadline, pool, tally, notes: Mutex::default(), warnings: Mutex::default() }
    }

    /// Tells the user something.
    pub(crate) fn note(&self, note: Note) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).add(note);
    }

    /// Tells the user all of that.
    pub(crate) fn notes(&self, notes: Annotations) {
        if !notes.is_empty() {
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).merge(notes);
        }
    }

    /// Evaluates a part of the query and keeps what it tells apart; says as well what it counted.
    pub(crate) fn apart<T>(&self, part: impl FnOnce() -> T) -> (T, Annotations, Counted) {
        let swap = |notes| std::mem::replace(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner), notes);
        let before = swap(Annotations::default());
        let (result, counted) = self.tally.counted(part);
        (result, swap(before), counted)
    }

    /// Hands on what storage warned of.
    pub(crate) fn warn(&self, warnings: Vec<String>) {
        let mut all = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in warnings {
            if !all.contains(&warning) {
                all.push(warning);
            }
        }
    }

    /// All notes and storage warnings, and the counts of samples.
    pub(crate) fn finish(self) -> (Annotations, Vec<String>, Tally) {
        let notes = self.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let warnings = self.warnings.into_inner().unwrap_or_else(PoisonError::into_inner);
        (notes, warnings, self.tally)
    }
}

/// Buffers that one thread uses again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) columns: Columns,
    /// How many items were begun.
    begun: usize,
}

/// The clock is looked at once in so many items: a look takes as long as a short series.
const ITEMS_PER_LOOK: usize = 8;

/// Does something for each item, on the pool if there is one; results are in the order of the items.
pub(crate) fn for_each_series<T: Send, R: Send>(
    cx: &Context<'_>,
    items: Vec<T>,
    work: impl Fn(&mut Scratch, T) -> Result<R, QueryError> + Sync,
) -> Result<Vec<R>, QueryError> {
    let guarded = |scratch: &mut Scratch, item: T| {
        if scratch.begun.is_multiple_of(ITEMS_PER_LOOK) {
            cx.deadline.check()?;
        }
        scratch.begun += 1;
        work(scratch, item)
    };
    let results: Vec<Result<R, QueryError>> = match cx.pool {
        Some(pool) if items.len() > 1 => {
            pool.install(|| items.into_par_iter().map_init(Scratch::default, guarded).collect())
        }
        _ => {
            let mut scratch = Scratch::default();
            return items.into_iter().map(|item| guarded(&mut scratch, item)).collect();
        }
    };
    results.into_iter().collect()
}

/// How many series make the next batch: enough to share out, few enough to stay in cache. Histograms are large, so a
/// batch is short until one had none.
#[derive(Clone, Copy)]
pub(crate) struct BatchLen {
    steps: usize,
    is_of_floats: bool,
}

impl BatchLen {
    /// Nothing is known yet of the series.
    pub(crate) fn new(steps: usize) -> Self {
        BatchLen { steps, is_of_floats: false }
    }

    /// So many.
    pub(crate) fn get(self) -> usize {
        const BATCH_VALUES: usize = 1 << 18;
        const BATCH_HISTOGRAMS: usize = 1 << 11;
        match self.is_of_floats {
            true => (BATCH_VALUES / self.steps.max(1)).clamp(16, 1024),
            false => (BATCH_HISTOGRAMS / self.steps.max(1)).clamp(4, 64),
        }
    }

    /// Looks at what came of a batch.
    pub(crate) fn learn(&mut self, series: &[SeriesColumn]) {
        self.is_of_floats = series.iter().all(|s| s.column.histograms.is_empty());
    }
}
