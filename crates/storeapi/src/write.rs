//! Writing: the `WriteStore` trait and its messages, in our own types.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use thanoxide_model::{TenantId, Verdict, WriteBatch};
use thiserror::Error;

/// What was not taken of one series, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Index of the series in the batch.
    pub series: u32,
    /// Why.
    pub verdict: Verdict,
    /// How many of its samples (histograms and exemplars included).
    pub samples: u32,
}

/// What became of a write that reached the storage. All that is not rejected is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOutcome {
    /// How many samples and histograms were taken.
    pub accepted: u64,
    /// What was not, in the order of the batch. Permanent: sending it again changes nothing.
    pub rejected: Vec<Rejected>,
}

/// Why a write did not reach the storage; nothing of it is acknowledged.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// Not ready or not now; send again.
    #[error("{0}")]
    Unavailable(String),
    /// Anything else; whether to send again is open.
    #[error("{0}")]
    Internal(String),
}

/// Whoever takes samples.
#[async_trait]
pub trait WriteStore: Send + Sync + Debug {
    /// Writes a batch for a tenant and returns once what was taken is durable.
    async fn write(&self, tenant: &TenantId, batch: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError>;
}
