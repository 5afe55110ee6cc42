//! Waiting for the disk.

use std::sync::Arc;

use super::EngineError;
use crate::log::{Position, SharedLog};

/// A promise that what was appended will be durable.
#[derive(Debug, Clone)]
pub struct CommitTicket {
    log: Arc<SharedLog>,
    position: Position,
}

impl CommitTicket {
    pub(super) fn new(log: Arc<SharedLog>, position: Position) -> Self {
        CommitTicket { log, position }
    }

    /// Where the log ends that this waits for.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns once all that was appended up to this ticket is durable. May write and sync for others, too. After an
    /// error nothing is promised, but the data is kept and written again as soon as the disk allows.
    pub fn wait(&self) -> Result<(), EngineError> {
        Ok(self.log.commit(self.position)?)
    }
}
