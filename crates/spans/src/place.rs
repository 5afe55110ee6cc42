//! A place in a trace, for tasks and threads that go on from there.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, ContextGuard};
use pin_project_lite::pin_project;

use crate::tracer::is_on;

/// The span that runs, if there is one. It does not keep the span from ending.
#[derive(Clone, Debug, Default)]
pub struct Place(pub(crate) Option<Context>);

/// The place of the task or thread that asks.
pub fn here() -> Place {
    if !is_on() {
        return Place(None);
    }
    Place(Context::map_current(|context| context.has_active_span().then(|| context.clone())))
}

/// While it lives, its thread is at a place.
#[derive(Debug)]
pub struct Entered(#[expect(dead_code, reason = "its drop is what counts")] Option<ContextGuard>);

impl Place {
    /// Brings this thread there.
    #[must_use = "it ends where it is dropped"]
    pub fn enter(&self) -> Entered {
        Entered(self.0.clone().map(Context::attach))
    }

    /// Brings a future there, whichever thread polls it.
    pub fn follow<F: Future>(self, future: F) -> Following<F> {
        Following { future, place: self }
    }
}

pin_project! {
    /// A future at a place.
    #[derive(Debug)]
    pub struct Following<F> {
        #[pin]
        future: F,
        place: Place,
    }
}

impl<F: Future> Future for Following<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.place.enter();
        this.future.poll(task)
    }
}
