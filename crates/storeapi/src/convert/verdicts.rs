//! The outcome of a write: in full between our own components, as a status to all others.

use thanoxide_model::{Verdict, WriteBatch};
use thanoxide_proto::thanoxide as wire;
use tonic::{Code, Status};

use crate::{Rejected, WriteOutcome};

/// Metadata of a caller that wants [`wire::WriteVerdicts`].
pub(crate) const VERDICTS_METADATA: &str = "thanoxide-verdicts";

/// A verdict's number on the wire is its index. Append only.
const NUMBERS: [Verdict; 14] = [
    Verdict::Accepted,
    Verdict::OutOfOrder,
    Verdict::OutOfBounds,
    Verdict::TooOld,
    Verdict::DuplicateForTimestamp,
    Verdict::TooFarInFuture,
    Verdict::EmptyLabels,
    Verdict::DuplicateLabel,
    Verdict::UnsortedLabels,
    Verdict::EmptyLabelName,
    Verdict::LabelTooLong,
    Verdict::InvalidHistogram,
    Verdict::Unsupported,
    Verdict::SeriesLimit,
];

pub(crate) fn to_proto(outcome: &WriteOutcome) -> wire::WriteVerdicts {
    let number = |v: Verdict| NUMBERS.iter().position(|n| *n == v).unwrap_or(NUMBERS.len()) as u32;
    let rejected = |r: &Rejected| wire::Rejected { series: r.series, verdict: number(r.verdict), samples: r.samples };
    wire::WriteVerdicts { accepted: outcome.accepted, rejected: outcome.rejected.iter().map(rejected).collect() }
}

pub(crate) fn from_proto(verdicts: wire::WriteVerdicts) -> WriteOutcome {
    let rejected = |r: wire::Rejected| Rejected {
        series: r.series,
        verdict: NUMBERS.get(r.verdict as usize).copied().unwrap_or(Verdict::Unsupported),
        samples: r.samples,
    };
    WriteOutcome { accepted: verdicts.accepted, rejected: verdicts.rejected.into_iter().map(rejected).collect() }
}

/// The answer to a caller that reads statuses only: conflicts before what is invalid, as Thanos ranks them.
pub(crate) fn to_status(outcome: &WriteOutcome) -> Result<(), Status> {
    let Some(worst) = outcome.rejected.iter().find(|r| is_conflict(r.verdict)).or(outcome.rejected.first()) else {
        return Ok(());
    };
    let samples: u64 = outcome.rejected.iter().map(|r| u64::from(r.samples)).sum();
    let code = match worst.verdict {
        Verdict::SeriesLimit => Code::ResourceExhausted,
        verdict if is_conflict(verdict) => Code::AlreadyExists,
        _ => Code::InvalidArgument,
    };
    Err(Status::new(code, format!("add {samples} samples: {}", worst.verdict)))
}

fn is_conflict(verdict: Verdict) -> bool {
    use Verdict::*;
    let invalid = [Accepted, InvalidHistogram, Unsupported, SeriesLimit];
    !invalid.contains(&verdict)
}

/// What a peer that answers by status says of a batch: which of the series it means is not known, so all of them count
/// as not taken. `None` where the write did not reach the storage.
pub(crate) fn from_status(status: &Status, batch: &WriteBatch) -> Option<WriteOutcome> {
    let verdict = match status.code() {
        Code::AlreadyExists => Verdict::DuplicateForTimestamp,
        Code::InvalidArgument => Verdict::Unsupported,
        _ => return None,
    };
    let series = batch.series.iter().enumerate();
    let rejected = series.map(|(i, s)| Rejected {
        series: i as u32,
        verdict,
        samples: (s.samples.len() + s.histograms.len() + s.exemplars.len()) as u32,
    });
    Some(WriteOutcome { accepted: 0, rejected: rejected.collect() })
}
