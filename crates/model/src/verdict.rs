//! What the storage engine says to one sample.

use std::fmt;

/// The fate of one sample. The texts are Prometheus's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Taken, or equal to the newest sample and so already there.
    Accepted,
    /// Older than the newest sample of its series, and out-of-order samples are not taken.
    OutOfOrder,
    /// Older than anything the head still takes.
    OutOfBounds,
    /// Older than the out-of-order window.
    TooOld,
    /// Another value for the time of the newest sample.
    DuplicateForTimestamp,
    /// Newer than the clock guard allows.
    TooFarInFuture,
    /// No label at all.
    EmptyLabels,
    /// A label name occurs twice.
    DuplicateLabel,
    /// The labels are not sorted by name.
    UnsortedLabels,
    /// A label has an empty name.
    EmptyLabelName,
    /// A label name or value is longer than the storage can keep.
    LabelTooLong,
    /// More labels than the tenant may give a series.
    TooManyLabels,
    /// The histogram contradicts itself.
    InvalidHistogram,
    /// Of a kind that this version does not store.
    Unsupported,
    /// The tenant has as many series as it may.
    SeriesLimit,
    /// An exemplar older than the newest one of its series.
    OutOfOrderExemplar,
    /// The labels of an exemplar are too long.
    ExemplarLabelLength,
}

impl Verdict {
    /// Whether the sample is stored.
    pub fn is_accepted(self) -> bool {
        self == Verdict::Accepted
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Accepted => "accepted",
            Verdict::OutOfOrder => "out of order sample",
            Verdict::OutOfBounds => "out of bounds",
            Verdict::TooOld => "too old sample",
            Verdict::DuplicateForTimestamp => "duplicate sample for timestamp",
            Verdict::TooFarInFuture => "sample is too far in the future",
            Verdict::EmptyLabels => "empty labelset",
            Verdict::DuplicateLabel => "duplicate label names",
            Verdict::UnsortedLabels => "out of order labels",
            Verdict::EmptyLabelName => "empty label name",
            Verdict::LabelTooLong => "label name or value too long",
            Verdict::TooManyLabels => "too many labels",
            Verdict::InvalidHistogram => "invalid histogram",
            Verdict::Unsupported => "unsupported sample type",
            Verdict::SeriesLimit => "series limit reached",
            Verdict::OutOfOrderExemplar => "out of order exemplar",
            Verdict::ExemplarLabelLength => "label length for exemplar exceeds maximum of 128 UTF-8 characters",
        })
    }
}
