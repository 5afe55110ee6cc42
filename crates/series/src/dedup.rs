//! Several replicas' samples folded into one row.

use thanoxide_model::series::Columns;

use crate::chain::chain;
use crate::penalty::penalty;

/// How replicas are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deduplication {
    /// One replica at a time; a change to another one only after a gap. For replicas that scrape on their own.
    Penalty,
    /// As [`Self::Penalty`], and where the change makes a float fall, the later samples are raised by the difference, for
    /// functions that would take it for a counter reset.
    PenaltyCounter,
    /// All samples of all replicas; of equal times one sample. For copies of one stream of writes.
    Chain,
}

impl Deduplication {
    /// The penalty algorithm in the variant that a PromQL function wants (that of the innermost call around a selector).
    pub fn penalty_for(function: &str) -> Self {
        match function {
            "increase" | "rate" | "irate" | "resets" => Deduplication::PenaltyCounter,
            _ => Deduplication::Penalty,
        }
    }
}

/// Appends the samples of all replicas, each sorted by time, to `into`, in time order. A single replica is taken as it is.
pub fn deduplicate(replicas: &[Columns], how: Deduplication, into: &mut Columns) {
    let replicas: Vec<&Columns> = replicas.iter().filter(|replica| !replica.is_empty()).collect();
    match (replicas.as_slice(), how) {
        ([], _) => {}
        ([replica], _) => append(replica, into),
        (replicas, Deduplication::Penalty) => penalty(replicas, false, into),
        (replicas, Deduplication::PenaltyCounter) => penalty(replicas, true, into),
        (replicas, Deduplication::Chain) => chain(replicas, into),
    }
}

/// Appends all samples. Columns of start times stay empty as long as none is known.
pub(crate) fn append(from: &Columns, into: &mut Columns) {
    append_starts(
        &mut into.start_timestamps_ms,
        into.timestamps_ms.len(),
        &from.start_timestamps_ms,
        from.values.len(),
    );
    append_starts(
        &mut into.histogram_start_timestamps_ms,
        into.histograms.len(),
        &from.histogram_start_timestamps_ms,
        from.histograms.len(),
    );
    into.timestamps_ms.extend_from_slice(&from.timestamps_ms);
    into.values.extend_from_slice(&from.values);
    into.histogram_timestamps_ms.extend_from_slice(&from.histogram_timestamps_ms);
    into.histograms.extend_from_slice(&from.histograms);
}

fn append_starts(to: &mut Vec<i64>, samples_before: usize, from: &[i64], samples: usize) {
    if !to.is_empty() || !from.is_empty() {
        to.resize(samples_before, 0);
        to.extend_from_slice(from);
        to.resize(samples_before + samples, 0);
    }
}
