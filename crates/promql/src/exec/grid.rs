//! The times at which an expression is evaluated.

/// Steps of equal length; an instant query has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start_ms: i64,
    /// Never 0.
    pub(crate) step_ms: i64,
    pub(crate) steps: usize,
}

impl Grid {
    /// One step.
    pub(crate) fn instant(time_ms: i64) -> Self {
        Grid { start_ms: time_ms, step_ms: 1, steps: 1 }
    }

    /// From start to at most end; no step at all where the end is before the start.
    pub(crate) fn range(start_ms: i64, end_ms: i64, step_ms: i64) -> Self {
        let step_ms = step_ms.max(1);
        let length_ms = i128::from(end_ms) - i128::from(start_ms);
        let steps = if length_ms < 0 { 0 } else { length_ms / i128::from(step_ms) + 1 };
        Grid { start_ms, step_ms, steps: usize::try_from(steps).unwrap_or(usize::MAX) }
    }

    /// The first step alone.
    pub(crate) fn first(self) -> Self {
        Grid { steps: self.steps.min(1), ..self }
    }

    pub(crate) fn time_ms(self, step: usize) -> i64 {
        self.start_ms.saturating_add(self.step_ms.saturating_mul(step as i64))
    }

    pub(crate) fn times_ms(self) -> impl Iterator<Item = i64> {
        (0..self.steps).map(move |step| self.time_ms(step))
    }
}

/// Where a selector looks at each step: `@` and `offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Modifiers {
    pub(crate) at_ms: Option<i64>,
    pub(crate) offset_ms: i64,
}

impl Modifiers {
    /// The time looked at in a step.
    pub(crate) fn reference_ms(self, grid: Grid, step: usize) -> i64 {
        self.at_ms.unwrap_or_else(|| grid.time_ms(step)).saturating_sub(self.offset_ms)
    }

    /// The first and the last time looked at.
    pub(crate) fn span_ms(self, grid: Grid) -> (i64, i64) {
        (self.reference_ms(grid, 0), self.reference_ms(grid, grid.steps.saturating_sub(1)))
    }
}
