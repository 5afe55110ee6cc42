//! The wish to stop, as one value that everybody can hold and wait for.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A wish to stop. Clones share it; children are asked to stop with their parent, not the other way round.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// One that nobody asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody to stop.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether it was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns once it is asked for.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// A part that can be stopped alone.
    pub fn child(&self) -> Self {
        Shutdown(self.0.child_token())
    }

    /// As a cancellation token.
    pub fn token(&self) -> CancellationToken {
        self.0.clone()
    }
}

/// SIGINT and SIGTERM from now on: one that comes before anybody waits is not lost.
#[derive(Debug)]
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Must be called inside a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(StopSignals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one and gives its name.
    pub(crate) async fn caught(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "terminated",
        }
    }
}
