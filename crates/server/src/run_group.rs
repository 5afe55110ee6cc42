//! The parts of a program that run side by side, and the order in which they stop.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use thiserror::Error;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::shutdown::{Shutdown, StopSignals};

type ActorResult = Result<(), Box<dyn Error + Send + Sync>>;
type StartActor = Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, ActorResult> + Send>;

/// An actor that failed.
#[derive(Debug, Error)]
#[error("{actor}: {source}")]
pub struct ActorError {
    /// Its name.
    pub actor: &'static str,
    /// What it returned, or what its panic said.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// Actors by name. The first one that returns, and SIGINT or SIGTERM, stop all, the one added last first: what is
/// depended on is added before what depends on it, listeners last.
pub struct RunGroup {
    actors: Vec<(&'static str, StartActor)>,
    signals: io::Result<StopSignals>,
}

impl Default for RunGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RunGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.actors.iter().map(|(name, _)| name)).finish()
    }
}

struct Running {
    name: &'static str,
    shutdown: Shutdown,
    task: JoinHandle<ActorResult>,
}

impl RunGroup {
    /// An empty group. Signals count from now on. Must be called inside a runtime.
    pub fn new() -> Self {
        RunGroup { actors: Vec::new(), signals: StopSignals::listen() }
    }

    /// Adds an actor. It must return soon after the shutdown handed to it is requested; it is stopped in its turn.
    pub fn add<F, Fut, E>(&mut self, name: &'static str, run: F)
    where
        F: FnOnce(Shutdown) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        let start: StartActor = Box::new(|shutdown| run(shutdown).map(|result| result.map_err(Into::into)).boxed());
        self.actors.push((name, start));
    }

    /// Runs all actors until one returns, a signal comes or `shutdown` is requested; then stops them. Those that are
    /// still there `deadline` later are cut off. Returns the first error.
    pub async fn run(self, shutdown: Shutdown, deadline: Duration) -> Result<(), ActorError> {
        let start = |(name, start): (&'static str, StartActor)| {
            let shutdown = Shutdown::new();
            let task = tokio::spawn(start(shutdown.clone()));
            Running { name, shutdown, task }
        };
        let mut running: Vec<Running> = self.actors.into_iter().map(start).collect();
        let first = tokio::select! {
            () = shutdown.requested() => None,
            signal = caught(self.signals) => {
                info!(signal, "caught signal, exiting");
                None
            }
            first = first_to_return(&mut running) => first,
        };
        let mut result = Ok(());
        if let Some((index, outcome)) = first {
            let name = running.remove(index).name;
            info!(actor = name, "actor returned, stopping the others");
            result = outcome_of(name, outcome);
        }
        let stopped = stop_all(running, Instant::now() + deadline).await;
        result.and(stopped)
    }
}

/// The signal that came; never, where signals cannot be watched.
async fn caught(signals: io::Result<StopSignals>) -> &'static str {
    match signals {
        Ok(mut signals) => signals.caught().await,
        Err(error) => {
            warn!(%error, "cannot watch signals");
            std::future::pending().await
        }
    }
}

async fn first_to_return(running: &mut [Running]) -> Option<(usize, Result<ActorResult, JoinError>)> {
    if running.is_empty() {
        return std::future::pending().await;
    }
    let (outcome, index, _) = select_all(running.iter_mut().map(|actor| &mut actor.task)).await;
    Some((index, outcome))
}

async fn stop_all(running: Vec<Running>, deadline: Instant) -> Result<(), ActorError> {
    let mut result = Ok(());
    for mut actor in running.into_iter().rev() {
        actor.shutdown.request();
        match timeout_at(deadline, &mut actor.task).await {
            Ok(outcome) => result = result.and(outcome_of(actor.name, outcome)),
            Err(_) => {
                warn!(actor = actor.name, "actor did not stop in time and is cut off");
                actor.task.abort();
            }
        }
    }
    result
}

fn outcome_of(actor: &'static str, outcome: Result<ActorResult, JoinError>) -> Result<(), ActorError> {
    let result = match outcome {
        Ok(result) => result,
        Err(join) => Err(join.into()),
    };
    result.map_err(|source| {
        error!(actor, err = %source, "actor failed");
        ActorError { actor, source }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    type Order = Arc<Mutex<Vec<&'static str>>>;

    fn add_patient(group: &mut RunGroup, name: &'static str, order: &Order) {
        let order = Arc::clone(order);
        group.add(name, move |shutdown| async move {
            shutdown.requested().await;
            order.lock().unwrap().push(name);
            Ok::<_, io::Error>(())
        });
    }

    #[tokio::test]
    async fn the_first_error_stops_the_others_in_reverse_order() {
        let (mut group, order) = (RunGroup::new(), Order::default());
        add_patient(&mut group, "storage", &order);
        add_patient(&mut group, "listener", &order);
        group.add("broken", |_| async { Err(io::Error::other("no luck")) });
        let error = group.run(Shutdown::new(), Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "broken: no luck");
        assert_eq!(*order.lock().unwrap(), ["listener", "storage"]);
    }

    #[tokio::test]
    async fn a_request_from_outside_stops_all_and_panics_are_errors() {
        let (mut group, order, shutdown) = (RunGroup::new(), Order::default(), Shutdown::new());
        add_patient(&mut group, "only", &order);
        shutdown.request();
        group.run(shutdown, Duration::from_secs(5)).await.unwrap();
        assert_eq!(*order.lock().unwrap(), ["only"]);

        let mut group = RunGroup::new();
        group.add("panics", |_| async {
            if true {
                panic!("oh");
            }
            Ok::<_, io::Error>(())
        });
        assert!(group.run(Shutdown::new(), Duration::from_secs(5)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_stop_is_cut_off_at_the_deadline() {
        let mut group = RunGroup::new();
        group.add("stubborn", |_| std::future::pending::<io::Result<()>>());
        group.add("done", |_| async { Ok::<_, io::Error>(()) });
        group.run(Shutdown::new(), Duration::from_secs(120)).await.unwrap();
    }
}
