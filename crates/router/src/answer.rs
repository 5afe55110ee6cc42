//! What the storage says, as an HTTP answer in Thanos's words.

use thanoxide_model::{Verdict, WriteBatch};
use thanoxide_server::http::{HeaderValue, IntoResponse, Response, StatusCode, Version, header};
use thanoxide_storeapi::{Rejected, WriteError, WriteOutcome, rejected_text};

use crate::protocol::Protocol;
use crate::refusal::Refusal;

/// How many seconds a sender should wait after a 503.
const RETRY_AFTER_SECONDS: &str = "5";

/// What Thanos puts before the reasons when it stores by itself, without hashrings: it forwards to an endpoint without a
/// name, itself.
const STORED_HERE: &str = "forwarding request to endpoint addr: , capnp_addr: , az: : writing locally: ";

/// How many values of each kind a request has, or how many of them were stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Float samples.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

impl Counts {
    /// What the series of a batch have.
    pub fn of(batch: &WriteBatch) -> Self {
        batch.series.iter().fold(Counts::default(), |counts, series| Counts {
            samples: counts.samples + series.samples.len() as u64,
            histograms: counts.histograms + series.histograms.len() as u64,
            exemplars: counts.exemplars + series.exemplars.len() as u64,
        })
    }

    /// What is left of a batch without the rejected values. A rejection tells a series and a number, not a kind: it is
    /// taken from the samples of the series first, then from its histograms, then from its exemplars.
    pub fn without(batch: &WriteBatch, rejected: &[Rejected]) -> Self {
        let mut left = Counts::of(batch);
        for rejection in rejected {
            let Some(series) = batch.series.get(rejection.series as usize) else { continue };
            let mut rest = u64::from(rejection.samples);
            let columns = [
                (&mut left.samples, series.samples.len()),
                (&mut left.histograms, series.histograms.len()),
                (&mut left.exemplars, series.exemplars.len()),
            ];
            for (count, of_series) in columns {
                let taken = rest.min(of_series as u64);
                *count = count.saturating_sub(taken);
                rest -= taken;
            }
        }
        left
    }
}

/// The answer to a request that did not reach the storage.
pub fn refused(refusal: &Refusal, version: Version) -> Response {
    let mut response = error(refusal.status(), &refusal.to_string());
    // HTTP/2 has no such header: there the stream is reset alone.
    if refusal.leaves_body_unread() && version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to a request that the storage could not take.
pub fn failed(failure: &WriteError) -> Response {
    let status = match failure {
        WriteError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        WriteError::Invalid(_) => StatusCode::BAD_REQUEST,
        WriteError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(status, &failure.to_string())
}

/// The answer to a request that the storage took, wholly or in part.
pub fn written(batch: &WriteBatch, outcome: &WriteOutcome, protocol: Protocol) -> Response {
    let mut response = match status_of(&outcome.rejected) {
        None => StatusCode::OK.into_response(),
        Some(status) => error(status, &refusal_text(outcome)),
    };
    if protocol == Protocol::V2 {
        add_counts(&mut response, Counts::without(batch, &outcome.rejected));
    }
    response
}

fn add_counts(response: &mut Response, counts: Counts) {
    for (name, count) in [
        ("x-prometheus-remote-write-samples-written", counts.samples),
        ("x-prometheus-remote-write-histograms-written", counts.histograms),
        ("x-prometheus-remote-write-exemplars-written", counts.exemplars),
    ] {
        response.headers_mut().insert(name, HeaderValue::from(count));
    }
}

/// `http.Error` of Go: plain text with a line feed.
pub fn error(status: StatusCode, text: &str) -> Response {
    let mut response = (status, format!("{text}\n")).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

fn refusal_text(outcome: &WriteOutcome) -> String {
    outcome.explanation.clone().unwrap_or_else(|| format!("{STORED_HERE}{}", rejected_text(&outcome.rejected)))
}

/// A full tenant weighs most, since it can pass; then conflicts, since stock answers them before anything else.
fn status_of(rejected: &[Rejected]) -> Option<StatusCode> {
    let rank = |status: &StatusCode| match *status {
        StatusCode::TOO_MANY_REQUESTS => 2,
        StatusCode::CONFLICT => 1,
        _ => 0,
    };
    rejected.iter().map(|rejection| status_of_verdict(rejection.verdict)).max_by_key(rank)
}

/// Stock's conflict set, with label errors in it; what stock does not know is a bad request.
fn status_of_verdict(verdict: Verdict) -> StatusCode {
    match verdict {
        Verdict::OutOfOrder
        | Verdict::OutOfBounds
        | Verdict::TooOld
        | Verdict::DuplicateForTimestamp
        | Verdict::TooFarInFuture
        | Verdict::EmptyLabels
        | Verdict::DuplicateLabel
        | Verdict::UnsortedLabels
        | Verdict::EmptyLabelName
        | Verdict::OutOfOrderExemplar
        | Verdict::ExemplarLabelLength => StatusCode::CONFLICT,
        Verdict::SeriesLimit => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use thanoxide_model::write_batch::SeriesSpan;

    use super::*;

    fn rejected(verdicts: &[(Verdict, u32)]) -> Vec<Rejected> {
        verdicts.iter().map(|(verdict, samples)| Rejected { series: 0, verdict: *verdict, samples: *samples }).collect()
    }

    #[test]
    fn texts_and_statuses_are_stocks() {
        use Verdict::*;
        for (verdicts, status, text) in [
            (&[(OutOfOrder, 2), (OutOfOrder, 1)][..], 409, "add 3 samples: out of order sample"),
            (&[(DuplicateForTimestamp, 1)], 409, "add 1 samples: duplicate sample for timestamp"),
            (&[(DuplicateLabel, 7)], 409, "add 1 series: label set contains duplicate label names"),
            (
                &[(UnsortedLabels, 1), (EmptyLabels, 1), (EmptyLabelName, 1), (DuplicateForTimestamp, 1)],
                409,
                "3 errors: add 1 samples: duplicate sample for timestamp; add 1 series: out of order labels; \
                 add 2 series: label set contains a label with empty name or value",
            ),
            (
                &[(OutOfOrder, 1), (TooOld, 2)],
                409,
                "2 errors: add 1 samples: out of order sample; add 2 samples: too old sample",
            ),
            (&[(InvalidHistogram, 1)], 400, "add 1 samples: invalid histogram"),
            (
                &[(SeriesLimit, 1), (OutOfOrder, 1)],
                429,
                "2 errors: add 1 samples: out of order sample; add 1 series: series limit reached",
            ),
        ] {
            let rejected = rejected(verdicts);
            assert_eq!(status_of(&rejected).unwrap().as_u16(), status);
            let outcome = WriteOutcome { rejected, ..WriteOutcome::default() };
            assert_eq!(refusal_text(&outcome), format!("{STORED_HERE}{text}"));
        }
        assert_eq!(status_of(&[]), None);
    }

    #[test]
    fn rejected_values_are_taken_from_samples_before_histograms() {
        let series = |samples: std::ops::Range<u32>, histograms: std::ops::Range<u32>| SeriesSpan {
            samples,
            histograms,
            ..Default::default()
        };
        let batch = WriteBatch {
            samples: vec![Default::default(); 5],
            series: vec![series(0..3, 0..1), series(3..5, 1..1)],
            ..Default::default()
        };
        let rejected = |series, samples| Rejected { series, samples, verdict: Verdict::TooOld };
        let left = Counts::without(&batch, &[rejected(0, 1), rejected(1, 9), rejected(7, 1)]);
        assert_eq!(left, Counts { samples: 2, histograms: 1, exemplars: 0 });
    }
}
