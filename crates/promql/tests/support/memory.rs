//! Series in memory, as a source for the engine.

use std::sync::Arc;

use thanoxide_model::series::{Columns, SelectHints, Series, SeriesData, SeriesSet, SeriesSource, SourceError};
use thanoxide_model::{Labels, Matcher};

/// Series sorted by labels.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    series: Vec<(Labels, Arc<Columns>)>,
}

impl Memory {
    pub(crate) fn new(series: impl IntoIterator<Item = (Labels, Columns)>) -> Self {
        let mut series: Vec<_> = series.into_iter().map(|(l, c)| (l, Arc::new(c))).collect();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Memory { series }
    }
}

#[derive(Debug)]
struct Shared(Arc<Columns>);

impl SeriesData for Shared {
    fn decode(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError> {
        self.0.decode(start_ms, end_ms, into)
    }

    fn estimated_samples(&self) -> usize {
        self.0.len()
    }
}

struct Set(std::vec::IntoIter<(Labels, Arc<Columns>)>);

impl SeriesSet for Set {
    fn next(&mut self) -> Result<Option<Series>, SourceError> {
        Ok(self.0.next().map(|(labels, columns)| Series { labels, data: Box::new(Shared(columns)) }))
    }
}

impl SeriesSource for Memory {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, SourceError> {
        let mut selected: Vec<_> =
            self.series.iter().filter(|(l, _)| matchers.iter().all(|m| m.matches_labels(l))).cloned().collect();
        if let Some(wanted) = &hints.projection {
            for (ordinal, (labels, _)) in selected.iter_mut().enumerate() {
                let wanted = labels.filter(|name| wanted.iter().any(|w| w.as_bytes() == name));
                *labels = wanted.with(b"\xff", ordinal.to_string().as_bytes());
            }
        }
        Ok(Box::new(Set(selected.into_iter())))
    }
}
