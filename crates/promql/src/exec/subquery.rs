//! Subqueries: the times at which the inner expression is evaluated, and hints that do not survive it.

use std::sync::Arc;

use thanoxide_model::histogram::CounterResetHint;

use super::grid::{Grid, Modifiers};
use super::{Batch, Context, Stream};
use crate::engine::QueryError;

/// The inner grid: the multiples of `step_ms` in `(first - range, last]` of the times looked at.
pub(crate) fn inner_grid(outer: Grid, modifiers: Modifiers, range_ms: i64, step_ms: i64) -> Grid {
    let first_ms = modifiers.reference_ms(outer, 0);
    let after_ms = first_ms.saturating_sub(range_ms);
    let mut start_ms = step_ms * (after_ms / step_ms);
    if start_ms <= after_ms {
        start_ms = start_ms.saturating_add(step_ms);
    }
    Grid::range(start_ms, last_ms(outer, modifiers), step_ms)
}

/// Where the inner evaluation ends: as long after its first time as the outer one. If that is pinned by `@`, nobody sees
/// what comes after the first time, but Prometheus does evaluate it, and tells of it.
pub(crate) fn last_ms(outer: Grid, modifiers: Modifiers) -> i64 {
    let length_ms = outer.time_ms(outer.steps.saturating_sub(1)).saturating_sub(outer.start_ms);
    modifiers.reference_ms(outer, 0).saturating_add(length_ms)
}

/// Makes explicit counter reset hints unknown: samples between the steps may be missing, or seen twice.
pub(crate) struct ForgetResets {
    pub(crate) inner: Box<dyn Stream>,
}

impl Stream for ForgetResets {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let mut batch = self.inner.next(cx)?;
        for histogram in batch.iter_mut().flat_map(|b| &mut b.series).flat_map(|s| &mut s.column.histograms).flatten() {
            if matches!(
                histogram.counter_reset_hint,
                CounterResetHint::CounterReset | CounterResetHint::NotCounterReset
            ) {
                Arc::make_mut(histogram).counter_reset_hint = CounterResetHint::Unknown;
            }
        }
        Ok(batch)
    }
}
