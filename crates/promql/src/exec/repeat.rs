//! Step-invariant parts: evaluated once, repeated at every step.

use super::column::{Bits, Column};
use super::{Batch, Context, SeriesColumn, Stream};
use crate::engine::QueryError;

/// Repeats what `inner` gives at its only step.
pub(crate) struct Repeat {
    pub(crate) inner: Box<dyn Stream>,
    pub(crate) steps: usize,
}

impl Stream for Repeat {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(batch) = cx.tally.repeated(self.steps, || self.inner.next(cx))? else { return Ok(None) };
        let _room = cx.budget.charge(batch.series.len().saturating_mul(self.steps.saturating_mul(8)))?;
        let repeat = |s: SeriesColumn| SeriesColumn { column: repeat(&s.column, self.steps), ..s };
        Batch::new(batch.series.into_iter().map(repeat).collect(), cx).map(Some)
    }
}

fn repeat(once: &Column, steps: usize) -> Column {
    let floats = if once.floats.get(0) { Bits::all(steps) } else { Bits::none(steps) };
    let histograms = if once.histograms.is_empty() { Vec::new() } else { vec![once.histograms[0].clone(); steps] };
    Column { values: vec![once.values[0]; steps], floats, histograms }
}
