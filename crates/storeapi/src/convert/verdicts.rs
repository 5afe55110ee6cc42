//! The outcome of a write: in full between our own components, as a status to all others.

use thanoxide_model::Verdict;
use thanoxide_proto::thanoxide as wire;
use tonic::{Code, Status};

use crate::write::rejected_text;
use crate::{Rejected, WriteOutcome};

/// Metadata of a caller that wants [`wire::WriteVerdicts`].
pub(crate) const VERDICTS_METADATA: &str = "thanoxide-verdicts";

/// Metadata of a write that a router kept while its owner was away.
pub(crate) const HINTED_METADATA: &str = "thanoxide-hinted";

/// Metadata of a write whose sender knows that the receiver owns its series.
pub(crate) const PLACED_METADATA: &str = "thanoxide-placed";

/// A verdict's number on the wire is its index. Append only.
const NUMBERS: [Verdict; 16] = [
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
    Verdict::OutOfOrderExemplar,
    Verdict::ExemplarLabelLength,
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
    WriteOutcome {
        accepted: verdicts.accepted,
        rejected: verdicts.rejected.into_iter().map(rejected).collect(),
        explanation: None,
    }
}

/// The answer to a caller that reads statuses only: conflicts before what is invalid, as Thanos ranks them.
pub(crate) fn to_status(outcome: &WriteOutcome) -> Result<(), Status> {
    let Some(worst) = outcome.rejected.iter().find(|r| is_conflict(r.verdict)).or(outcome.rejected.first()) else {
        return Ok(());
    };
    let code = match worst.verdict {
        Verdict::SeriesLimit => Code::ResourceExhausted,
        verdict if is_conflict(verdict) => Code::AlreadyExists,
        _ => Code::InvalidArgument,
    };
    let text = outcome.explanation.clone().unwrap_or_else(|| rejected_text(&outcome.rejected));
    Err(Status::new(code, text))
}

/// Whether stock has a verdict in its conflict set.
pub(crate) fn is_conflict(verdict: Verdict) -> bool {
    use Verdict::*;
    let invalid = [Accepted, InvalidHistogram, Unsupported, SeriesLimit];
    !invalid.contains(&verdict)
}

/// What a stock client would print of the status of a write that was refused, wholly or in part; empty if it was not.
pub fn refusal_rpc_text(outcome: &WriteOutcome) -> String {
    to_status(outcome).err().map_or_else(String::new, |status| super::status::rpc_text(&status))
}
