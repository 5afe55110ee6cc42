//! Writing: the `WriteStore` trait and its messages, in our own types.

use std::collections::BTreeMap;
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

/// `add 3 samples: out of order sample`; several kinds, sorted, as `2 errors: …; …`: the words of stock's ingester.
pub fn rejected_text(rejected: &[Rejected]) -> String {
    let mut of_reason: BTreeMap<(Refused, String), (u64, u64)> = BTreeMap::new();
    for rejection in rejected {
        let (series, samples) = of_reason.entry(reason_of(rejection.verdict)).or_default();
        *series += 1;
        *samples += u64::from(rejection.samples);
    }
    let text = |((refused, reason), (series, samples)): (&(Refused, String), &(u64, u64))| match refused {
        Refused::Samples => format!("add {samples} samples: {reason}"),
        Refused::Series => format!("add {series} series: {reason}"),
        Refused::Exemplars => format!("add {samples} exemplars: {reason}"),
    };
    errors_text(of_reason.iter().map(text).collect())
}

/// What a verdict is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Refused {
    Samples,
    Series,
    Exemplars,
}

/// Stock's form of several errors: each once, sorted, counted where there are more than one.
pub fn errors_text(mut texts: Vec<String>) -> String {
    texts.sort_unstable();
    texts.dedup();
    match &texts[..] {
        [only] => only.clone(),
        texts => format!("{} errors: {}", texts.len(), texts.join("; ")),
    }
}

/// What a verdict is on, and Thanos's words for it.
fn reason_of(verdict: Verdict) -> (Refused, String) {
    match verdict {
        Verdict::EmptyLabels | Verdict::EmptyLabelName => {
            (Refused::Series, "label set contains a label with empty name or value".to_string())
        }
        Verdict::DuplicateLabel => (Refused::Series, "label set contains duplicate label names".to_string()),
        Verdict::UnsortedLabels | Verdict::LabelTooLong | Verdict::TooManyLabels | Verdict::SeriesLimit => {
            (Refused::Series, verdict.to_string())
        }
        Verdict::OutOfOrderExemplar | Verdict::ExemplarLabelLength => (Refused::Exemplars, verdict.to_string()),
        _ => (Refused::Samples, verdict.to_string()),
    }
}

/// What became of a write that reached the storage. All that is not rejected is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOutcome {
    /// How many samples and histograms were taken.
    pub accepted: u64,
    /// What was not, in the order of the batch. Permanent: sending it again changes nothing.
    pub rejected: Vec<Rejected>,
    /// What to tell of the rejected where the verdicts alone do not say it: which nodes refused them.
    pub explanation: Option<String>,
}

/// Where a write comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOrigin {
    /// 0 is a write as its sender made it. Otherwise another router placed it: the number of the replica, from 1.
    pub replica: u64,
    /// One of our routers found that the receiver owns the series: it does not look for the owner again.
    pub placed: bool,
    /// Kept by a router while its owner was away. It is taken however late it is.
    pub hinted: bool,
}

/// Why a write did not reach the storage; nothing of it is acknowledged.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// Not ready or not now; send again.
    #[error("{0}")]
    Unavailable(String),
    /// The request cannot be what its sender meant; sending it again changes nothing.
    #[error("{0}")]
    Invalid(String),
    /// Anything else; whether to send again is open.
    #[error("{0}")]
    Internal(String),
}

/// What kind of failure a peer told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerErrorKind {
    /// It has other data already; stock does not tell of which series. Permanent.
    Conflict,
    /// It cannot read the request as it was meant. Permanent.
    Invalid,
    /// It is not there, or not ready.
    Unavailable,
    /// It did not answer in time.
    Timeout,
    /// Anything else.
    Other,
}

/// Why a peer did not take its part of a write.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{text}")]
pub struct PeerError {
    /// Which kind.
    pub kind: PeerErrorKind,
    /// The peer's words, as Go prints a status.
    pub text: String,
}

impl PeerErrorKind {
    /// Whether the same request can be taken later.
    pub fn is_retryable(self) -> bool {
        !matches!(self, PeerErrorKind::Conflict | PeerErrorKind::Invalid)
    }
}

impl PeerError {
    /// The peer took too long.
    pub fn timeout() -> Self {
        let text = "rpc error: code = DeadlineExceeded desc = context deadline exceeded".to_string();
        PeerError { kind: PeerErrorKind::Timeout, text }
    }

    /// The failure of a write to this one peer: as which of the series a stock peer means is not known, all of them count
    /// as not taken.
    pub fn into_outcome(self, batch: &WriteBatch) -> Result<WriteOutcome, WriteError> {
        let verdict = match self.kind {
            PeerErrorKind::Conflict => Verdict::DuplicateForTimestamp,
            PeerErrorKind::Invalid => Verdict::Unsupported,
            PeerErrorKind::Unavailable | PeerErrorKind::Timeout => return Err(WriteError::Unavailable(self.text)),
            PeerErrorKind::Other => return Err(WriteError::Internal(self.text)),
        };
        let series = batch.series.iter().enumerate();
        let rejected = series.map(|(i, s)| Rejected { series: i as u32, verdict, samples: s.value_count() });
        Ok(WriteOutcome { accepted: 0, rejected: rejected.collect(), explanation: Some(self.text) })
    }
}

impl WriteOutcome {
    /// All of a batch is taken.
    pub fn all_of(batch: &WriteBatch) -> Self {
        let accepted = (batch.samples.len() + batch.histograms.len()) as u64;
        WriteOutcome { accepted, ..WriteOutcome::default() }
    }
}

/// Whoever takes samples.
#[async_trait]
pub trait WriteStore: Send + Sync + Debug {
    /// Writes a batch for a tenant and returns once what was taken is durable.
    async fn write(&self, tenant: &TenantId, batch: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError>;

    /// The same for a write that came over another router. Who does not care where it comes from need not know.
    async fn write_from(
        &self,
        _origin: WriteOrigin,
        tenant: &TenantId,
        batch: Arc<WriteBatch>,
    ) -> Result<WriteOutcome, WriteError> {
        self.write(tenant, batch).await
    }
}
