//! `absent` and `absent_over_time`: 1 at the steps where nothing is.

use thanoxide_model::{Labels, LabelsBuilder, MatchKind, Matcher};

use super::column::{Bits, Column};
use super::{Batch, Context, SeriesColumn, Stream};
use crate::engine::QueryError;

/// The absence of everything that a stream gives.
pub(crate) struct Absent {
    pub(crate) inner: Option<Box<dyn Stream>>,
    pub(crate) labels: Labels,
    pub(crate) steps: usize,
    /// The rest need not be read once there is something at every step.
    pub(crate) may_stop: bool,
}

impl Stream for Absent {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(mut inner) = self.inner.take() else { return Ok(None) };
        let _room = cx.budget.charge(self.steps.saturating_mul(9))?;
        let mut absent = Bits::all(self.steps);
        while let Some(batch) = inner.next(cx)? {
            batch.series.iter().for_each(|s| absent.subtract(&s.column.present()));
            if self.may_stop && !absent.any() {
                break;
            }
        }
        if !absent.any() {
            return Ok(None);
        }
        let column = Column { values: vec![1.0; self.steps], floats: absent, histograms: Vec::new() };
        Batch::new(vec![SeriesColumn { labels: self.labels.clone(), drop_name: false, column }], cx).map(Some)
    }
}

/// The labels that a selector pins down: `=` matchers, but none of a label that is mentioned twice.
pub(crate) fn labels_of(matchers: &[Matcher]) -> Labels {
    let mut builder = LabelsBuilder::default();
    let mut set: Vec<&[u8]> = Vec::new();
    // Prometheus's storage has put those that only take series away to the end.
    let mut ordered: Vec<&Matcher> = matchers.iter().filter(|m| m.name() != b"__name__").collect();
    ordered.sort_by_key(|m| subtracts(m, matchers));
    for matcher in ordered {
        if matcher.kind() == MatchKind::Equal && !set.contains(&matcher.name()) {
            builder.set(matcher.name(), matcher.value());
            set.push(matcher.name());
        } else {
            builder.remove(matcher.name());
        }
    }
    builder.build()
}

/// Whether a matcher is looked up by the series that it does not match.
fn subtracts(matcher: &Matcher, all: &[Matcher]) -> bool {
    let must_be_set = all.iter().any(|m| m.name() == matcher.name() && !m.matches_empty());
    let negative = matches!(matcher.kind(), MatchKind::NotEqual | MatchKind::NotRegexp);
    !must_be_set || (negative && matcher.matches_empty())
}
