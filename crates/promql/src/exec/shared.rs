//! An expression that stands in a query several times: evaluated once, by whoever needs it first.
//!
//! Whoever reads it later gets the same series, and tells and counts what evaluating it again would have: notes of its
//! own place in the query, and the samples that were looked at.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::tally::Counted;
use super::{Batch, Context, Stream, collect};
use crate::annotations::{Annotations, Shift};
use crate::engine::QueryError;

/// The one evaluation.
pub(crate) struct Shared {
    readers: AtomicUsize,
    state: Mutex<State>,
}

enum State {
    Waiting(Box<dyn Stream>),
    Kept(Kept),
    Failed(QueryError),
}

/// All that came of it.
struct Kept {
    /// Gone once the last reader has taken it.
    batch: Option<Batch>,
    notes: Annotations,
    counted: Counted,
    /// Readers that have not taken it yet.
    left: usize,
}

/// One place where the expression stands.
pub(crate) struct SharedReader {
    shared: Arc<Shared>,
    /// How far this place is from the first one.
    shift: Shift,
    ended: bool,
}

impl Shared {
    pub(crate) fn new(inner: Box<dyn Stream>) -> Arc<Self> {
        Arc::new(Shared { readers: AtomicUsize::new(0), state: Mutex::new(State::Waiting(inner)) })
    }

    /// One more place. All are announced before the first one reads.
    pub(crate) fn announce(self: &Arc<Self>, shift: Shift) -> SharedReader {
        self.readers.fetch_add(1, Ordering::Relaxed);
        SharedReader { shared: Arc::clone(self), shift, ended: false }
    }

    /// What somebody else evaluated, or what it comes to now.
    fn take(&self, shift: Shift, cx: &Context<'_>) -> Result<Batch, QueryError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = matches!(*state, State::Waiting(_));
        if let State::Waiting(inner) = &mut *state {
            let (result, notes, counted) = cx.apart(|| collect(&mut **inner, cx));
            *state = match result {
                Ok(batch) => {
                    let left = self.readers.load(Ordering::Relaxed);
                    State::Kept(Kept { batch: Some(batch), notes, counted, left })
                }
                Err(error) => State::Failed(error),
            };
        }
        match &mut *state {
            State::Kept(kept) => kept.hand_out(shift, is_first, cx),
            State::Failed(error) => Err(error.clone()),
            State::Waiting(_) => Err(QueryError::Internal("a shared expression was not evaluated".into())),
        }
    }
}

impl Kept {
    fn hand_out(&mut self, shift: Shift, is_first: bool, cx: &Context<'_>) -> Result<Batch, QueryError> {
        cx.notes(self.notes.shifted(shift));
        if !is_first {
            cx.tally.add_again(&self.counted);
        }
        self.left = self.left.saturating_sub(1);
        let batch = match self.left {
            0 => self.batch.take(),
            _ => self.batch.as_ref().map(|batch| Batch::new(batch.series.clone(), cx)).transpose()?,
        };
        batch.ok_or_else(|| QueryError::Internal("a shared expression has more readers than places".into()))
    }
}

impl Stream for SharedReader {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        if self.shared.readers.load(Ordering::Relaxed) == 1 {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let State::Waiting(inner) = &mut *state else { return Ok(None) };
            return inner.next(cx);
        }
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        self.shared.take(self.shift, cx).map(Some)
    }
}
