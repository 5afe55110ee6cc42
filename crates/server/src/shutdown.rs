//! The wish to stop, as one value that everybody can hold and wait for.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
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

/// Waits for SIGINT or SIGTERM and gives its name.
pub(crate) async fn stop_signal() -> io::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "interrupt",
        _ = terminate.recv() => "terminated",
    })
}
