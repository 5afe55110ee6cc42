//! A selector's series, streamed from storage; read once and kept where several operators want the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thanoxide_model::Matcher;
use thanoxide_model::series::{Columns, SelectHints, Series, SeriesSet};

use super::Context;
use crate::engine::QueryError;

/// What one or more operators read.
pub(crate) struct Selection {
    matchers: Vec<Matcher>,
    hints: SelectHints,
    users: AtomicUsize,
    kept: Mutex<Option<Arc<Vec<Series>>>>,
}

impl Selection {
    pub(crate) fn new(matchers: Vec<Matcher>, hints: SelectHints) -> Arc<Self> {
        Arc::new(Selection { matchers, hints, users: AtomicUsize::new(0), kept: Mutex::default() })
    }

    /// Whether it answers another selector as well.
    pub(crate) fn is_same(&self, matchers: &[Matcher], hints: &SelectHints) -> bool {
        self.matchers == matchers && self.hints == *hints
    }

    /// Another operator will read it. All are announced before the first one reads.
    pub(crate) fn announce(self: &Arc<Self>) -> SelectionReader {
        self.users.fetch_add(1, Ordering::Relaxed);
        SelectionReader { selection: Arc::clone(self), state: State::Unopened }
    }

    fn open(&self, cx: &Context<'_>) -> Result<Box<dyn SeriesSet>, QueryError> {
        Ok(cx.source.select(&self.hints, &self.matchers)?)
    }

    fn keep(&self, cx: &Context<'_>) -> Result<Arc<Vec<Series>>, QueryError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = kept.as_ref() {
            return Ok(Arc::clone(all));
        }
        let mut set = self.open(cx)?;
        let mut all = Vec::new();
        while let Some(series) = set.next()? {
            all.push(series);
            cx.deadline.check()?;
        }
        cx.warn(set.warnings());
        let all = Arc::new(all);
        *kept = Some(Arc::clone(&all));
        Ok(all)
    }
}

enum State {
    Unopened,
    Streaming(Box<dyn SeriesSet>),
    Kept { all: Arc<Vec<Series>>, next: usize },
    Ended,
}

/// One operator's way through a selection.
pub(crate) struct SelectionReader {
    selection: Arc<Selection>,
    state: State,
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
        let mut selected = Vec::new();
        while selected.len() < limit {
            let Some(series) = self.next(cx)? else {
                self.state = State::Ended;
                break;
            };
            selected.push(series);
        }
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
        Span { start_ms: self.selection.hints.start_ms, end_ms: self.selection.hints.end_ms }
    }
}

/// The times of the samples of interest, both inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start_ms: i64,
    end_ms: i64,
}

impl Span {
    /// The samples of a series in that span.
    pub(crate) fn decode(self, selected: &Selected, into: &mut Columns) -> Result<(), QueryError> {
        into.clear();
        Ok(selected.series().data.decode(self.start_ms, self.end_ms, into)?)
    }
}
