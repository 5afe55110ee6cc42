//! Selectors, ranges and subqueries.

use std::sync::Arc;

use thanoxide_model::Matcher;
use thanoxide_model::series::SelectHints;

use super::analysis::is_name_pinned;
use super::{Lowering, Needed, Scope, Vector, unexpected};
use crate::ast::{Expr, MatrixSelector, Subquery, VectorSelector};
use crate::engine::QueryError;
use crate::exec::grid::{Grid, Modifiers};
use crate::exec::instant::{InstantSelector, Take};
use crate::exec::range::{Range, RangeInput, RangeSamples, RangeShape};
use crate::exec::selection::{Selection, SelectionReader};
use crate::exec::smoothed::SmoothedSelector;
use crate::exec::subquery::{ForgetResets, inner_grid, last_ms};
use crate::functions::range::Edges;

/// How far a selector looks beside its reference time.
#[derive(Clone, Copy, Default)]
struct Reach {
    back_ms: i64,
    ahead_ms: i64,
    range_ms: i64,
}

impl Lowering {
    /// `x` as an instant vector.
    pub(super) fn selector(&mut self, selector: &VectorSelector, scope: &Scope) -> Result<Vector, QueryError> {
        if selector.smoothed {
            let lookback_ms = self.settings.lookback_ms;
            let reach = Reach { back_ms: lookback_ms, ahead_ms: lookback_ms, range_ms: 0 };
            let (reader, modifiers) = self.open(selector, scope, reach)?;
            let position = self.place(selector.span.start);
            return Ok(Box::new(SmoothedSelector::new(reader, scope.grid, modifiers, position)));
        }
        self.instant_selector(selector, scope, Take::Value)
    }

    /// `x`, of which something else than the value may be wanted.
    pub(super) fn instant_selector(
        &mut self,
        selector: &VectorSelector,
        scope: &Scope,
        take: Take,
    ) -> Result<Vector, QueryError> {
        let lookback_ms = self.settings.lookback_ms;
        let ahead_ms = if selector.smoothed { lookback_ms } else { 0 };
        let reach = Reach { back_ms: lookback_ms, ahead_ms, range_ms: 0 };
        let (reader, mut modifiers) = self.open(selector, scope, reach)?;
        if matches!(take, Take::Timestamp | Take::StartTimestamp) && modifiers.at_ms.is_some() {
            // Prometheus reads what the offset asks for, but then looks at the time of `@`.
            modifiers.offset_ms = 0;
        }
        Ok(Box::new(InstantSelector::new(reader, scope.grid, modifiers, take)))
    }

    pub(super) fn modifiers(&self, selector: &VectorSelector) -> Result<Modifiers, QueryError> {
        let offset_ms = self.duration(&selector.offset, true)?;
        Ok(Modifiers { at_ms: self.at_ms(selector.at), offset_ms })
    }

    fn open(
        &mut self,
        selector: &VectorSelector,
        scope: &Scope,
        reach: Reach,
    ) -> Result<(SelectionReader, Modifiers), QueryError> {
        let modifiers = self.modifiers(selector)?;
        let (first_ms, last_ms) = modifiers.span_ms(scope.grid);
        let grouping = scope.grouping.as_ref();
        let hints = SelectHints {
            // The oldest time is exclusive.
            start_ms: first_ms.saturating_sub(reach.back_ms).saturating_add(1),
            end_ms: last_ms.saturating_add(reach.ahead_ms),
            step_ms: scope.hint_step_ms,
            range_ms: reach.range_ms,
            function: scope.function.to_string(),
            grouping: grouping.map(|g| g.labels.clone()).unwrap_or_default(),
            by: grouping.is_some_and(|g| !g.without),
            limit: 0,
            projection: None,
        };
        Ok((self.share(&selector.matchers, hints, scope), modifiers))
    }

    fn share(&mut self, matchers: &[Matcher], hints: SelectHints, scope: &Scope) -> SelectionReader {
        let (stats_only, projection) = (scope.histograms == Needed::Stats, scope.projection.clone());
        if let Some(known) = self.selections.iter().find(|s| s.is_same(matchers, &hints, stats_only)) {
            known.widen(projection);
            return known.announce();
        }
        let selection = Selection::new(matchers.to_vec(), hints, projection, stats_only);
        self.selections.push(Arc::clone(&selection));
        selection.announce()
    }

    /// `x[5m]` or `expr[1h:1m]`, to be computed with.
    pub(super) fn range_of(&mut self, expr: &Expr, scope: &Scope) -> Result<Range, QueryError> {
        let mut range = self.bare_range(expr, scope)?;
        if let RangeInput::Subquery(inner) = range.input {
            range.input = RangeInput::Subquery(Box::new(ForgetResets { inner }));
        }
        Ok(range)
    }

    /// `x[5m]` or `expr[1h:1m]` on its own: reset hints stay as they are.
    pub(super) fn bare_range(&mut self, expr: &Expr, scope: &Scope) -> Result<Range, QueryError> {
        match expr.unparen() {
            Expr::Matrix(matrix) => self.matrix(matrix, scope),
            Expr::Subquery(subquery) => self.subquery(subquery, scope),
            other => Err(unexpected(other)),
        }
    }

    fn matrix(&mut self, matrix: &MatrixSelector, scope: &Scope) -> Result<Range, QueryError> {
        let range_ms = self.duration(&matrix.range, false)?;
        let lookback_ms = self.settings.lookback_ms;
        let (edges, back_ms, ahead_ms) = match (matrix.selector.anchored, matrix.selector.smoothed) {
            (true, _) => (Edges::Anchored, range_ms.saturating_add(lookback_ms), 0),
            (_, true) => (Edges::Smoothed, range_ms.saturating_add(lookback_ms), lookback_ms),
            _ => (Edges::Plain, range_ms, 0),
        };
        let (reader, modifiers) = self.open(&matrix.selector, scope, Reach { back_ms, ahead_ms, range_ms })?;
        let name_pinned = is_name_pinned(&Expr::Vector(Box::new(matrix.selector.clone())));
        let shape = RangeShape { samples: RangeSamples::Stored(reader.span()), range_ms, modifiers, edges };
        Ok(Range { input: RangeInput::Selector(reader), shape, name_pinned })
    }

    fn subquery(&mut self, subquery: &Subquery, scope: &Scope) -> Result<Range, QueryError> {
        let range_ms = self.duration(&subquery.range, false)?;
        let step_ms = match &subquery.step {
            Some(step) => self.duration(step, false)?,
            None => self.settings.default_step_ms,
        };
        // What is left of a step below a millisecond is none.
        let step_ms = if step_ms > 0 { step_ms } else { self.settings.default_step_ms };
        let offset_ms = self.duration(&subquery.offset, true)?;
        let modifiers = Modifiers { at_ms: self.at_ms(subquery.at), offset_ms };
        let grid: Grid = inner_grid(scope.grid, modifiers, range_ms, step_ms);
        let end_ms = last_ms(scope.grid, modifiers);
        let (histograms, in_subquery) = (Needed::Buckets, true);
        let projection = None;
        let inner_scope =
            Scope { grid, end_ms, hint_step_ms: step_ms, histograms, in_subquery, projection, ..scope.clone() };
        let inner = self.vector(&subquery.expr, &inner_scope)?;
        let name_pinned = is_name_pinned(&subquery.expr);
        let samples = RangeSamples::Computed(grid);
        let shape = RangeShape { samples, range_ms, modifiers, edges: Edges::Plain };
        Ok(Range { input: RangeInput::Subquery(inner), shape, name_pinned })
    }
}
