//! Instant selectors: at each step the newest sample within the lookback.

use std::sync::Arc;

use thanoxide_model::is_stale_nan;
use thanoxide_model::series::Columns;

use super::column::Column;
use super::grid::{Grid, Modifiers};
use super::selection::{Selected, SelectionReader, Span};
use super::{Batch, BatchLen, Context, Scratch, SeriesColumn, Stream, for_each_series};
use crate::engine::QueryError;

/// What is taken of the sample found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// Its value.
    Value,
    /// Its time, in seconds: `timestamp(x)`.
    Timestamp,
    /// Its start time, in seconds: `start_timestamp(x)`.
    StartTimestamp,
    /// Its time, in milliseconds: `info()` compares them.
    Milliseconds,
}

/// `x`, `x offset 5m`, `x @ 10`.
pub(crate) struct InstantSelector {
    reader: SelectionReader,
    lookup: Lookup,
    batch_len: BatchLen,
}

/// How each series is looked at.
#[derive(Clone, Copy)]
struct Lookup {
    span: Span,
    grid: Grid,
    modifiers: Modifiers,
    take: Take,
}

impl InstantSelector {
    pub(crate) fn new(reader: SelectionReader, grid: Grid, modifiers: Modifiers, take: Take) -> Self {
        let lookup = Lookup { span: reader.span(), grid, modifiers, take };
        InstantSelector { reader, lookup, batch_len: BatchLen::new(grid.steps) }
    }
}

impl Stream for InstantSelector {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let lookup = self.lookup;
        let steps = lookup.grid.steps;
        loop {
            let selected = self.reader.read(self.batch_len.get(), cx)?;
            if selected.is_empty() {
                return Ok(None);
            }
            let mut charge = cx.budget.charge(selected.len().saturating_mul(steps.saturating_mul(8)))?;
            let found = for_each_series(cx, selected, |scratch, selected| lookup.look_up(scratch, &selected, cx))?;
            let series: Vec<SeriesColumn> = found.into_iter().flatten().collect();
            charge.add(series.iter().map(|s| s.column.bytes() - s.column.values.len() * 8).sum())?;
            self.batch_len.learn(&series);
            if !series.is_empty() {
                return Ok(Some(Batch { series, charge }));
            }
        }
    }
}

impl Lookup {
    fn look_up(
        self,
        scratch: &mut Scratch,
        selected: &Selected,
        cx: &Context<'_>,
    ) -> Result<Option<SeriesColumn>, QueryError> {
        let columns = &mut scratch.columns;
        match self.grid.steps {
            1 => self.span.decode_newest(selected, self.modifiers.reference_ms(self.grid, 0), columns)?,
            _ => self.span.decode(selected, columns)?,
        }
        let _charge = cx.budget.charge(columns.len() * 16)?;
        let mut column = Column::empty(self.grid.steps);
        if self.take == Take::Value && columns.histogram_timestamps_ms.is_empty() {
            self.look_up_floats(columns, cx.settings.lookback_ms, &mut column);
            return Ok(self.name(selected, column, cx));
        }
        let mut finder = Finder::new(columns, cx.settings.lookback_ms);
        for step in 0..self.grid.steps {
            if let Some(found) = finder.find(self.modifiers.reference_ms(self.grid, step)) {
                if (self.take, matches!(found, Found::Histogram(_))) == (Take::Milliseconds, true) {
                    let labels = &selected.series().labels;
                    let text = format!("this should be an info metric, with float samples: {labels}");
                    return Err(QueryError::Execution(text));
                }
                self.take(columns, found, step, &mut column);
            }
        }
        Ok(self.name(selected, column, cx))
    }

    /// The values of a series that has nothing but floats.
    fn look_up_floats(self, columns: &Columns, lookback_ms: i64, column: &mut Column) {
        let (times_ms, values) = (columns.timestamps_ms.as_slice(), columns.values.as_slice());
        let mut seen = 0;
        let mut step = 0;
        column.fill_floats(|| {
            let time_ms = self.modifiers.reference_ms(self.grid, step);
            step += 1;
            advance(times_ms, &mut seen, time_ms);
            let newest = seen.checked_sub(1)?;
            let is_fresh = times_ms[newest] > time_ms.saturating_sub(lookback_ms);
            (is_fresh && !is_stale_nan(values[newest])).then_some(values[newest])
        });
    }

    fn name(self, selected: &Selected, column: Column, cx: &Context<'_>) -> Option<SeriesColumn> {
        cx.tally.add_column(&column);
        let labels = selected.series().labels.clone();
        (!column.is_empty()).then_some(SeriesColumn { labels, drop_name: false, column })
    }

    fn take(self, columns: &Columns, found: Found, step: usize, column: &mut Column) {
        let (times, starts, index) = match found {
            Found::Float(i) => (&columns.timestamps_ms, &columns.start_timestamps_ms, i),
            Found::Histogram(i) => (&columns.histogram_timestamps_ms, &columns.histogram_start_timestamps_ms, i),
        };
        match (self.take, found) {
            (Take::Value, Found::Float(i)) => column.set_float(step, columns.values[i]),
            (Take::Value, Found::Histogram(i)) => column.set_histogram(step, Arc::clone(&columns.histograms[i])),
            (Take::Timestamp, _) => column.set_float(step, times[index] as f64 / 1000.0),
            (Take::Milliseconds, _) => column.set_float(step, times[index] as f64),
            (Take::StartTimestamp, _) => {
                column.set_float(step, starts.get(index).copied().unwrap_or(0) as f64 / 1000.0);
            }
        }
    }
}

/// A sample by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Float(usize),
    Histogram(usize),
}

/// Finds the newest sample at times that do not go back.
pub(crate) struct Finder<'a> {
    columns: &'a Columns,
    lookback_ms: i64,
    /// How many samples of each kind are not after the time looked at.
    floats: usize,
    histograms: usize,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(columns: &'a Columns, lookback_ms: i64) -> Self {
        Finder { columns, lookback_ms, floats: 0, histograms: 0 }
    }

    /// The newest sample of `time - lookback < t <= time`, unless it is a stale marker.
    pub(crate) fn find(&mut self, time_ms: i64) -> Option<Found> {
        let c = self.columns;
        advance(&c.timestamps_ms, &mut self.floats, time_ms);
        advance(&c.histogram_timestamps_ms, &mut self.histograms, time_ms);
        let oldest_ms = time_ms.saturating_sub(self.lookback_ms);
        let float_ms = self.floats.checked_sub(1).map(|i| c.timestamps_ms[i]).filter(|t| *t > oldest_ms);
        let histogram_ms =
            self.histograms.checked_sub(1).map(|i| c.histogram_timestamps_ms[i]).filter(|t| *t > oldest_ms);
        match (float_ms, histogram_ms) {
            (None, None) => None,
            (float, histogram) if float >= histogram => {
                (!is_stale_nan(c.values[self.floats - 1])).then_some(Found::Float(self.floats - 1))
            }
            _ => {
                (!is_stale_nan(c.histograms[self.histograms - 1].sum)).then_some(Found::Histogram(self.histograms - 1))
            }
        }
    }
}

fn advance(times_ms: &[i64], seen: &mut usize, time_ms: i64) {
    while *seen < times_ms.len() && times_ms[*seen] <= time_ms {
        *seen += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thanoxide_model::STALE_NAN_BITS;

    #[test]
    fn lookback_is_left_open() {
        let mut columns = Columns::default();
        columns.push(0, 1.0);
        columns.push(10, 2.0);
        columns.push(20, f64::from_bits(STALE_NAN_BITS));
        let found: Vec<_> = [4, 5, 10, 14, 15, 20].map(|t| Finder::new(&columns, 5).find(t)).into_iter().collect();
        let expected = [Some(Found::Float(0)), None, Some(Found::Float(1)), Some(Found::Float(1)), None, None];
        assert_eq!(found, expected);
    }
}
